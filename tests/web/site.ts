/** The server's routes with the page's files, answering from canned rows instead of ClickHouse. */

import { MetaflowError } from '../../src/lib/errors.ts'
import { tables } from '../../src/model/tables/registry.ts'
import { buildApp } from '../../src/server/apis/app.ts'
import { readAssets } from '../../src/server/assets.ts'
import { catalogOf } from '../../src/server/query/catalog.ts'
import { expand } from '../../src/server/query/resolve.ts'

export type Canned = { columns: string[]; values: unknown[][] }
export type Site = {
  readonly url: string
  /** Statements that were asked. */
  readonly asked: string[]
  /** Answers a statement; throws where the page shall see an error. */
  answer: (sql: string) => Canned | Promise<Canned>
  stop(): Promise<void>
}

const CATALOG = catalogOf(tables)
const NOTHING: Canned = { columns: [], values: [] }

export function startSite(token?: string): Site {
  const asked: string[] = []
  const site = { answer: (_sql: string): Canned | Promise<Canned> => NOTHING }
  const app = buildApp({
    clock: { wall: () => Date.now() * 1000, monotonic: () => performance.now() * 1000 },
    token,
    query: {
      async run(sql) {
        asked.push(sql)
        // The page shall ask nothing that the fence would not let through.
        expand(sql, { catalog: CATALOG, now: NOW })
        const { columns, values } = await site.answer(sql)
        return {
          sql,
          columns,
          types: columns.map(() => 'String'),
          values: values.map((row) => JSON.stringify(row)),
          isTruncated: false,
          elapsedMs: 1,
        }
      },
      stream: () => Promise.reject(new MetaflowError('unsupported', 'Cannot stream: not here')),
    },
    catalog: [],
    takeBlocks: () => Promise.resolve({ status: 200, headers: {}, body: new Uint8Array(0) }),
    engine: () => ({ healthy: true, sentence: 'fine' }),
    server: () => ({
      version: '1',
      startedAt: Date.now() - 60_000,
      cpuSeconds: 0.6,
      memoryBytes: 5e7,
      samples: [],
    }),
    samples: () => [],
    assets: readAssets(),
  })
  const server = Bun.serve({ hostname: '127.0.0.1', port: 0, fetch: app.fetch })
  return Object.assign(site, {
    url: `http://127.0.0.1:${server.port}`,
    asked,
    stop: () => server.stop(true),
  })
}

const HISTOGRAM = { '-320': 50, '-220': 45, '-100': 5 }
/** Three bins of 5 s, all of it settled: what is younger than 4 s is not. */
const TIMES = [1_795_500_000, 1_795_500_005, 1_795_500_010]
const NOW = 1_795_500_019

/** Who calls whom; of the store only its client is observed. */
function edgesOf(sql: string): Canned {
  const seen = [NOW - 104, NOW, HISTOGRAM] as const
  const edges: unknown[][] = [
    [1, 'web', 2, 'shop', 20, 's-p', 1000, 100, ...seen],
    [1, 'web', 2, 'shop', 20, 'c-p', 999, 99, ...seen],
    [2, 'shop', 3, 'store', 80, 'c-p', 500, 0, ...seen],
  ]
  const [, id] = /auto_instance_id_0 = (\d+)/.exec(sql) ?? []
  return {
    columns: [
      ...['from_id', 'from_name', 'to_id', 'to_name', 'protocol', 'observation_point'],
      ...['requests', 'errors', 'first', 'now', 'histogram'],
    ],
    values: edges.filter(([from, , to]) => !id || from === Number(id) || to === Number(id)),
  }
}

/** A service's bins: `shop` is observed, of `store` its client tells, nobody calls `web`. */
function binsOf(sql: string): Canned {
  const isTold = sql.includes('auto_instance_id = 2') || sql.includes('auto_instance_id_1 = 3')
  return {
    columns: [...['t', 'client_errors', 'server_errors', 'requests', 'errors', 'histogram']],
    values: isTold ? TIMES.map((t) => [t, 1, 2, 50, 3, HISTOGRAM]) : [],
  }
}

/** Two services: `shop` is asked by `web` and asks `store`; one request in ten fails. */
export function shop(sql: string): Canned {
  if (sql.startsWith('SELECT toUnixTimestamp(min(time)) AS first'))
    return { columns: ['first', 'now'], values: [[TIMES[0], NOW]] }
  if (sql.includes('from_id')) return edgesOf(sql)
  if (sql.includes('client_errors')) return binsOf(sql)
  if (sql.includes('groupArray'))
    return {
      columns: ['id', 'times', 'counts'],
      values: [
        [2, TIMES, [50, 50, 50]],
        [3, TIMES, [25, 25, 25]],
      ],
    }
  if (sql.includes('AS t,'))
    return {
      columns: ['t', 'requests', 'errors', 'first', 'now'],
      values: TIMES.map((t) => [t, 75, 5, t, NOW]),
    }
  if (sql.includes('endpoint AS name'))
    return {
      columns: ['name', 'protocol', 'requests', 'errors', 'histogram'],
      values: [['/cart/*', 20, 150, 15, HISTOGRAM]],
    }
  if (sql.includes('flow_metrics'))
    return {
      columns: ['id', 'name', 'protocols', 'requests', 'errors', 'histogram'],
      values: [
        [2, 'shop', [20], 150, 15, HISTOGRAM],
        [3, 'store', [80], 75, 0, HISTOGRAM],
      ],
    }
  if (sql.includes('LIMIT 1'))
    if (!sql.includes('LIMIT 200'))
      return {
        columns: [
          ...['auto_instance_0', 'request_resource', 'response_code', 'l7_protocol'],
          'response_duration',
        ],
        values: [['web', '/cart/7?x=<b>', 500, 20, 1234]],
      }
  return {
    columns: [
      'at',
      'at_us',
      'flow_id',
      'request_id',
      'req_tcp_seq',
      'resp_tcp_seq',
      'observation_point',
      'type',
      'client',
      'server',
      'client_ip',
      'server_ip',
      'l7_protocol',
      'request_type',
      'request_domain',
      'request_resource',
      'response_status',
      'response_code',
      'response_duration',
    ],
    values: [
      [
        '2026-11-24 06:00:00.123456',
        1_795_500_000_123_456,
        7,
        null,
        100,
        900,
        's-p',
        2,
        'web',
        'shop',
        '127.0.0.1',
        '127.0.0.1',
        20,
        'GET',
        'shop.test',
        '/cart/7?x=<b>',
        3,
        500,
        1234,
      ],
      [
        '2026-11-24 06:00:00.100000',
        1_795_500_000_100_000,
        8,
        null,
        100,
        0,
        's-p',
        0,
        'web',
        'shop',
        '127.0.0.1',
        '127.0.0.1',
        20,
        'GET',
        'shop.test',
        '/slow',
        2,
        null,
        0,
      ],
    ],
  }
}
