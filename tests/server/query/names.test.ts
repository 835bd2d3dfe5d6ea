/** Names, which are looked up by ids, answer what columns of those names would: by the engine. */
import { expect } from 'bun:test'
import { useSample, withEngine } from './sample.ts'

const sample = useSample('query names')

const STORED = (
  'time observation_point l7_protocol server_port endpoint request error rrt_sum rrt_max ' +
  'rrt_histogram is_ipv4 ip4_1 ip6_1 auto_instance_id_0 auto_instance_id_1 host_id_1 gprocess_id_1'
).split(' ')
const NAMES = [
  ['auto_instance_0', 'auto_instance_map', 'name', 'auto_instance_id_0'],
  ['auto_instance_1', 'auto_instance_map', 'name', 'auto_instance_id_1'],
  ['process_kname_1', 'gprocess_map', 'process_kname', 'gprocess_id_1'],
  ['host_1', 'host_map', 'name', 'host_id_1'],
] as const
/** The same table with its names as columns, as ClickHouse's own SQL has it. */
const AS_COLUMNS = `(SELECT ${[
  ...STORED,
  ...NAMES.map(
    ([name, map, attribute, id]) => `dictGet('flow_tag.${map}', '${attribute}', ${id}) AS ${name}`,
  ),
  'IPv4NumToString(ip4_1) AS ip_1',
].join(', ')} FROM flow_metrics.\`application_map.1s\`)`

const STATEMENTS = [
  // Behind GROUP BY a test is one of the name, whatever it is written with.
  ...["!= 'shop'", "= 'shop'", "IN ('shop', 'x')", "NOT IN ('shop')", "NOT LIKE 'sh%'"].flatMap(
    (is) => [
      `t.auto_instance_1, sum(request) FROM {} GROUP BY t.auto_instance_1 HAVING t.auto_instance_1 ${is}`,
      `auto_instance_1 AS n, count() FROM {} GROUP BY n WITH ROLLUP HAVING n ${is}`,
      `auto_instance_1 ${is} AS is, count() FROM {} GROUP BY auto_instance_1 WITH TOTALS`,
      `auto_instance_1, if(auto_instance_1 ${is}, 'a', 'b'), count() FROM {} GROUP BY ALL`,
      `countIf(auto_instance_1 ${is}), host_1 FROM {} WHERE auto_instance_1 ${is} GROUP BY host_1`,
    ],
  ),
  "ip_1, count() FROM {} GROUP BY ip_1 HAVING ip_1 = '0.0.0.0'",
  "startsWith(host_1, 'al') AS a, max(request) FROM {} GROUP BY host_1 HAVING startsWith(host_1, 'al')",
  "host_1, count() FROM {} GROUP BY host_1 ORDER BY host_1 != 'beta', host_1",
  'auto_instance_1, endpoint, count() FROM {} GROUP BY ALL WITH ROLLUP',
  'auto_instance_1, l7_protocol, sum(request) FROM {} GROUP BY ALL WITH CUBE',
  // Parameters of lambdas that are called like what is around them.
  'auto_instance_1, sum(arrayCount(x -> x > 1, [request, 0])), 5 AS x FROM {} GROUP BY auto_instance_1',
  "host_1, endpoint, arrayMap(endpoint -> upper(endpoint), ['p']) FROM {} GROUP BY host_1, endpoint",
  "host_1 AS n, arrayMap(n -> n || '!', ['p']), count() FROM {} GROUP BY n",
  "host_1, uniqExact(if(arrayExists(x -> x = upper(process_kname_1), ['NODE']), 1, 2)) AS x FROM {} GROUP BY 1",
  'host_1, sum(arrayCount(y -> y > z, [request])) FROM {} WHERE (5 AS z) > 1 GROUP BY host_1',
  // A star of a subquery stands for what it gives, with names and without.
  '* FROM (SELECT auto_instance_id_1, host_1, sum(request) FROM {} GROUP BY 1, 2)',
  '* FROM (SELECT upper(auto_instance_1) AS auto_instance_id_1, count() FROM {} GROUP BY 1)',
  'count() FROM {} WHERE auto_instance_id_1 IN (SELECT * FROM (SELECT auto_instance_id_1 FROM {}))',
  // Aliases called like names, ids and columns.
  "auto_instance_0 AS auto_instance_1, count() FROM {} WHERE auto_instance_1 = '10.0.0.9' GROUP BY 1",
  'host_1 AS request, sum(rrt_sum) FROM {} GROUP BY request',
  "length(host_1) AS auto_instance_id_1, count() FROM {} WHERE t.auto_instance_1 = 'shop' GROUP BY 1",
  "(host_1, l7_protocol) IN (('alpha', 20)) AS x, count() FROM {} GROUP BY x",
] as const

withEngine('names answer what columns of those names would', async () => {
  for (const statement of STATEMENTS) {
    const sql = (table: string): string => `SELECT ${statement.replaceAll('{}', `${table} AS t`)}`
    const { values, totals } = await sample.query.run(sql('application_map.1s'))
    const plain = await sample.engine.writer.query({
      query: sql(AS_COLUMNS),
      format: 'JSONCompact',
    })
    const wanted = (await plain.json()) as { data: unknown[]; totals?: unknown }
    const sorted = (rows: readonly unknown[]): string[] =>
      rows.map((row) => JSON.stringify(row)).sort()
    expect([statement, sorted(values.map((line) => JSON.parse(line)))]).toEqual([
      statement,
      sorted(wanted.data),
    ])
    expect([statement, totals && JSON.parse(totals)]).toEqual([statement, wanted.totals])
  }
})

withEngine('columns of several tables that are called alike keep apart', async () => {
  const both =
    'application_map.1s AS a JOIN application_map.1m AS b ON a.server_port = b.server_port'
  const cases: [sql: string, columns: string[]][] = [
    ['a.host_1, b.host_1', ['host_1', 'b.host_1']],
    ['a.ip_1, b.ip_1, a.ip_1', ['ip_1', 'b.ip_1', 'ip_1']],
    ["a.host_1, 'x' AS host_1", ['a.host_1', 'host_1']],
    ['a.host_id_1, 5 AS host_id_1', ['a.host_id_1', 'host_id_1']],
    ['a.time, b.time, a.endpoint', ['time', 'b.time', 'endpoint']],
  ]
  for (const [items, columns] of cases)
    expect([
      items,
      (await sample.query.run(`SELECT ${items} FROM ${both} LIMIT 1`)).columns,
    ]).toEqual([items, columns])
  const grouped = await sample.query.run(
    `SELECT a.host_1, b.host_1, count() FROM ${both} GROUP BY a.host_1, b.host_1 ORDER BY 1, 2`,
  )
  expect(grouped.values.map((line) => JSON.parse(line).slice(0, 2))).toEqual([
    ['alpha', 'alpha'],
    ['alpha', 'beta'],
    ['beta', 'alpha'],
    ['beta', 'beta'],
  ])
  for (const stars of ['*', 'a.*, b.*']) {
    const { columns, values } = await sample.query.run(`SELECT ${stars} FROM ${both} LIMIT 1`)
    expect(new Set(columns).size).toBe(columns.length)
    expect(JSON.parse(values[0]!)).toHaveLength(columns.length)
  }
})

withEngine('a name is that of the id by which tables were joined, whichever had it', async () => {
  const of = (id: number): string => `(SELECT ${id} AS auto_instance_id_1, ${id} AS v)`
  const joined = async (type: string): Promise<unknown[]> => {
    const { values } = await sample.query.run(
      `SELECT auto_instance_id_1 AS id, auto_instance_1 FROM ${of(13)} AS a
       ${type} JOIN ${of(11)} AS b USING (auto_instance_id_1) ORDER BY id`,
    )
    return values.map((line) => JSON.parse(line))
  }
  expect(await joined('LEFT')).toEqual([[13, 'redis-server']])
  expect(await joined('RIGHT')).toEqual([[11, 'shop']])
  expect(await joined('FULL')).toEqual([
    [11, 'shop'],
    [13, 'redis-server'],
  ])
})
