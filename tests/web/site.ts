/** The server's routes with the page's files, answering from canned rows instead of ClickHouse. */

import { MetaflowError } from '../../src/lib/errors.ts'
import { buildApp } from '../../src/server/apis/app.ts'
import { readAssets } from '../../src/server/assets.ts'

export type Canned = { columns: string[]; values: unknown[][] }
export type Site = {
  readonly url: string
  /** Statements that were asked. */
  readonly asked: string[]
  /** Answers a statement; throws where the page shall see an error. */
  answer: (sql: string) => Canned | Promise<Canned>
  stop(): Promise<void>
}

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
const now = (): number => Math.floor(Date.now() / 1000 / 5) * 5

/** Two services: `shop` is asked by `web` and asks `store`; one request in ten fails. */
export function shop(sql: string): Canned {
  if (sql.includes('application_map'))
    return sql.includes('from_id')
      ? {
          columns: [
            'from_id',
            'from_name',
            'to_id',
            'to_name',
            'protocol',
            'observation_point',
            'requests',
            'errors',
            'first',
            'last',
            'histogram',
          ],
          values: [
            [1, 'web', 2, 'shop', 20, 's-p', 1000, 100, now() - 99, now(), HISTOGRAM],
            [1, 'web', 2, 'shop', 20, 'c-p', 999, 99, now() - 99, now(), HISTOGRAM],
            [2, 'shop', 3, 'store', 80, 'c-p', 500, 0, now() - 99, now(), HISTOGRAM],
          ],
        }
      : {
          columns: ['id', 'name', 'protocol', 'requests', 'errors', 'histogram'],
          values: sql.includes("'s-p'")
            ? [[1, 'web', 20, 1000, 100, HISTOGRAM]]
            : [[3, 'store', 80, 500, 0, HISTOGRAM]],
        }
  if (sql.includes('AS t,') && sql.includes('client_errors'))
    return {
      columns: ['name', 't', 'client_errors', 'server_errors', 'requests', 'errors', 'histogram'],
      values: [0, 5, 10].map((at) => ['shop', now() - 20 + at, 1, 2, 50, 3, HISTOGRAM]),
    }
  if (sql.includes('AS t,'))
    return {
      columns: ['id', 't', 'requests', 'errors'],
      values: [0, 5, 10].flatMap((at) => [
        [2, now() - 20 + at, 50, 5],
        [3, now() - 20 + at, 25, 0],
      ]),
    }
  if (sql.includes('endpoint AS name'))
    return {
      columns: ['name', 'protocol', 'requests', 'errors', 'histogram'],
      values: [['/cart/*', 20, 150, 15, HISTOGRAM]],
    }
  if (sql.includes('flow_metrics'))
    return {
      columns: ['id', 'name', 'protocol', 'requests', 'errors', 'histogram'],
      values: [
        [2, 'shop', 20, 150, 15, HISTOGRAM],
        [3, 'store', 80, 75, 0, HISTOGRAM],
      ],
    }
  if (sql.includes('LIMIT 1'))
    if (!sql.includes('LIMIT 200'))
      return {
        columns: ['auto_instance_0', 'request_resource', 'response_code', 'l7_protocol'],
        values: [['web', '/cart/7?x=<b>', 500, 20]],
      }
  return {
    columns: [
      'start_time',
      'start_us',
      'flow_id',
      'request_id',
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
