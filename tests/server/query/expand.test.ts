import { expect, test } from 'bun:test'
import { MetaflowError } from '../../../src/lib/errors.ts'
import { tables } from '../../../src/model/tables/registry.ts'
import { catalogOf } from '../../../src/server/query/catalog.ts'
import { type ExpandOptions, expand } from '../../../src/server/query/resolve.ts'

const NOW = 1_790_000_000
const catalog = catalogOf(tables)
const expanded = (sql: string, options: Partial<ExpandOptions> = {}): string =>
  expand(sql, { catalog, now: NOW, ...options })

const INSTANCE = "dictGet('flow_tag.auto_instance_map', 'name', `auto_instance_id_1`)"
const CALLS = 'FROM `flow_log`.`l7_flow_log` AS `l7_flow_log`'
const IDS = 'SELECT `id` FROM `flow_tag`.`auto_instance_map`'

/** What a condition on calls becomes. */
const CONDITIONS: readonly (readonly [string, string])[] = [
  ["auto_instance_1 = 'x'", `(${INSTANCE} = 'x')`],
  ["auto_instance_1 LIKE 'x%'", `(${INSTANCE} LIKE 'x%')`],
  [
    "auto_instance_1 IN ('x', 'y')",
    `(\`auto_instance_id_1\` IN (${IDS} WHERE (\`name\` IN ('x', 'y'))))`,
  ],
  [
    "auto_instance_1 NOT IN ('x')",
    `(\`auto_instance_id_1\` NOT IN (${IDS} WHERE (\`name\` IN ('x'))))`,
  ],
  ["auto_instance_1 != 'x'", `(\`auto_instance_id_1\` NOT IN (${IDS} WHERE (\`name\` = 'x')))`],
  [
    "auto_instance_1 NOT LIKE 'x%'",
    `(\`auto_instance_id_1\` NOT IN (${IDS} WHERE (\`name\` LIKE 'x%')))`,
  ],
  [
    "startsWith(auto_instance_1, 'x')",
    `(\`auto_instance_id_1\` IN (${IDS} WHERE startsWith(\`name\`, 'x')))`,
  ],
  // What '' would pass is not turned into a set: ids without a name are in none.
  ["auto_instance_1 IN ('x', '')", `(${INSTANCE} IN ('x', ''))`],
  ["auto_instance_1 != ''", `(${INSTANCE} != '')`],
  ["auto_instance_1 NOT LIKE '%'", `(${INSTANCE} NOT LIKE '%')`],
  [
    "process_kname_0 = 'x'",
    "(dictGet('flow_tag.gprocess_map', 'process_kname', `gprocess_id_0`) = 'x')",
  ],
  ["host_0 = 'x'", "(dictGet('flow_tag.host_map', 'name', `host_id_0`) = 'x')"],
  ['server_port = 80', '(`server_port` = 80)'],
  // Either side, or neither.
  ['process_id = 7', '((`process_id_0` = 7) OR (`process_id_1` = 7))'],
  ['process_id != 7', '((`process_id_0` != 7) AND (`process_id_1` != 7))'],
  ['process_id NOT IN (7)', '((`process_id_0` NOT IN (7)) AND (`process_id_1` NOT IN (7)))'],
  [
    'process_id BETWEEN 1 AND 2',
    '((`process_id_0` BETWEEN 1 AND 2) OR (`process_id_1` BETWEEN 1 AND 2))',
  ],
  [
    "position(host, 'x') > 0",
    "((position(dictGet('flow_tag.host_map', 'name', `host_id_0`), 'x') > 0) OR " +
      "(position(dictGet('flow_tag.host_map', 'name', `host_id_1`), 'x') > 0))",
  ],
  // Addresses as text.
  ["ip_1 = '10.0.0.1'", "((`is_ipv4` = 1) AND (`ip4_1` = toIPv4('10.0.0.1')))"],
  ["ip_0 = '::1'", "((`is_ipv4` = 0) AND (`ip6_0` = toIPv6('::1')))"],
  [
    "ip_1 LIKE '10.%'",
    "(if((`is_ipv4` = 1), IPv4NumToString(`ip4_1`), IPv6NumToString(`ip6_1`)) LIKE '10.%')",
  ],
  [
    "ip = '10.0.0.1'",
    "(((`is_ipv4` = 1) AND (`ip4_0` = toIPv4('10.0.0.1'))) OR " +
      "((`is_ipv4` = 1) AND (`ip4_1` = toIPv4('10.0.0.1'))))",
  ],
  // Words of numbers.
  ["l7_protocol = 'HTTP'", '(`l7_protocol` = 20)'],
  ["'http' != l7_protocol", '(20 != `l7_protocol`)'],
  ["l7_protocol IN ('HTTP', 'dns', 60)", '(`l7_protocol` IN (20, 120, 60))'],
  ["Enum(l7_protocol) = 'DNS'", '(`l7_protocol` = 120)'],
  ["response_status = 'Server Error'", '(`response_status` = 3)'],
  ["l7_protocol = '20'", "(`l7_protocol` = '20')"],
  ["type = 'session' AND signal_source = 'eBPF'", '((`type` = 2) AND (`signal_source` = 3))'],
]

test('expand turns conditions on names and words into ones on ids and numbers', () => {
  for (const [condition, want] of CONDITIONS)
    expect(expanded(`SELECT count() FROM l7_flow_log WHERE ${condition}`)).toBe(
      `SELECT count() AS \`count()\` ${CALLS} WHERE ${want}`,
    )
})

test('expand names columns as they were written', () => {
  const sql =
    'SELECT auto_instance_1, time, 1+1, l7_flow_log.host_id_0, `type` AS t FROM l7_flow_log'
  expect(expanded(sql)).toBe(
    `SELECT ${INSTANCE} AS \`auto_instance_1\`, \`time\`, (1 + 1) AS \`1+1\`, \`host_id_0\`, ` +
      `\`type\` AS \`t\` ${CALLS}`,
  )
})

test('expand prints words with Enum, numbers without', () => {
  const sql = expanded('SELECT Enum(role), role FROM application')
  expect(sql).toContain(
    "transform(`role`, [0, 1], ['client', 'server'], toString(`role`)) AS `Enum(role)`, `role`",
  )
})

test('expand knows words and names through subqueries, WITH and aliases', () => {
  const cases: [string, string][] = [
    [
      "SELECT p FROM (SELECT l7_protocol AS p FROM application) WHERE p = 'DNS'",
      'WHERE (`p` = 120)',
    ],
    [
      "WITH q AS (SELECT l7_protocol FROM application) SELECT 1 FROM q WHERE l7_protocol = 'DNS'",
      '= 120',
    ],
    ["SELECT l7_protocol AS p FROM application WHERE p = 'DNS'", 'WHERE (`p` = 120)'],
    ['SELECT auto_instance FROM (SELECT auto_instance_id FROM application)', 'dictGet('],
    [
      'SELECT auto_instance FROM (SELECT * FROM application)',
      'SELECT `auto_instance` FROM (SELECT `time`',
    ],
  ]
  for (const [sql, want] of cases) expect(expanded(sql)).toContain(want)
})

test('expand keeps columns and aliases of one name apart', () => {
  expect(expanded('SELECT sum(request) AS request FROM application')).toContain(
    'sum(`application`.`request`) AS `request`',
  )
  expect(expanded('SELECT 1 AS auto_instance_id, auto_instance FROM application')).toContain(
    "dictGet('flow_tag.auto_instance_map', 'name', `application`.`auto_instance_id`)",
  )
})

test('expand carries out what a star is told, and hides what is internal', () => {
  const sql = expanded('SELECT * EXCEPT(time, role) REPLACE(1 AS protocol) FROM application')
  expect(sql).toStartWith('SELECT `signal_source`, `l7_protocol`, 1 AS `protocol`, `is_ipv4`')
  expect(sql).toContain("`host_id`, dictGet('flow_tag.host_map', 'name', `host_id`) AS `host`")
  expect(sql).not.toContain('_segment')
  expect(expanded('SELECT * APPLY(toString) FROM numbers(1)')).toBe(
    'SELECT toString(`number`) AS `toString(number)` FROM numbers(1) AS `numbers`',
  )
})

test('expand groups by ids and merges what shares a name', () => {
  const sql = `SELECT auto_instance_1 AS s, l7_protocol, quantile(0.9)(response_duration) AS q, count() * 2
    FROM l7_flow_log WHERE s != '' GROUP BY s, l7_protocol HAVING q > 5 ORDER BY q`
  const name = "dictGet('flow_tag.auto_instance_map', 'name', `_k0`)"
  expect(expanded(sql)).toBe(
    `SELECT ${name} AS \`s\`, \`_k1\` AS \`l7_protocol\`, quantileMerge(0.9)(\`_a2\`) AS \`q\`, ` +
      '(countMerge(`_a3`) * 2) AS `count() * 2` FROM (SELECT `auto_instance_id_1` AS `_k0`, ' +
      '`l7_protocol` AS `_k1`, quantileState(0.9)(`response_duration`) AS `_a2`, countState() AS `_a3` ' +
      `${CALLS} WHERE (${INSTANCE} != '') GROUP BY \`_k0\`, \`_k1\`) AS \`_g\` ` +
      `GROUP BY ${name}, \`_k1\` HAVING (\`q\` > 5) ORDER BY \`q\` ASC`,
  )
})

test('expand leaves a name out of the keys where its id is one', () => {
  const sql =
    'SELECT auto_instance_id_1 AS id, auto_instance_1, count() FROM l7_flow_log GROUP BY 1, 2'
  expect(expanded(sql)).toEndWith('GROUP BY 1')
})

test('expand groups by the name itself where the SELECT cannot be taken apart', () => {
  const tails = [
    'count() FROM l7_flow_log GROUP BY auto_instance_1 WITH ROLLUP',
    'arrayJoin([1]), count() FROM l7_flow_log GROUP BY auto_instance_1',
    'countState() FROM l7_flow_log GROUP BY auto_instance_1',
    'count(), (SELECT 1) FROM l7_flow_log GROUP BY auto_instance_1',
    'time, count() FROM l7_flow_log GROUP BY auto_instance_1',
    'count() FROM l7_flow_log GROUP BY upper(auto_instance_1)',
  ]
  for (const tail of tails) expect(expanded(`SELECT ${tail}`)).not.toContain('_g')
})

test('expand picks points by second for short, late ranges, by minute for others', () => {
  const cases: [string, '1s' | '1m', Partial<ExpandOptions>?][] = [
    ['FROM application', '1m'],
    ['FROM application WHERE time > now() - 900', '1s'],
    ['FROM application WHERE time >= now() - INTERVAL 1 HOUR AND role = 1', '1s'],
    ['FROM application WHERE time >= now() - INTERVAL 61 MINUTE', '1m'],
    ['FROM application WHERE time >= subtractMinutes(now(), 30)', '1s'],
    [`FROM application WHERE time BETWEEN ${NOW - 7200} AND ${NOW - 7000}`, '1s'],
    [`FROM application WHERE ${NOW - 7200} < time AND time < ${NOW}`, '1m'],
    [`FROM application WHERE time > ${NOW - 90_000} AND time < ${NOW - 89_000}`, '1m'],
    [
      "FROM application PREWHERE time >= '2026-09-21 14:00:00' AND time < '2026-09-21 14:10:00'",
      '1s',
    ],
    ['FROM application WHERE time > now() - 900 OR 1', '1m'],
    ['FROM application WHERE time > now() - 900', '1m', { precision: '1m' }],
    ['FROM application', '1s', { precision: '1s' }],
    ['FROM application.1s', '1s', { precision: '1m' }],
    ['FROM `application.1s`', '1s'],
    ['FROM flow_metrics.`application.1m` WHERE time > now() - 5', '1m'],
  ]
  for (const [tail, table, options] of cases)
    expect([tail, expanded(`SELECT 1 ${tail}`, options)]).toEqual([
      tail,
      expect.stringContaining(`\`application.${table}\``),
    ])
})

test('expand looks for a table in the database first, then everywhere', () => {
  expect(expanded('SELECT 1 FROM l7_flow_log', { database: 'flow_metrics' })).toContain(
    '`flow_log`.',
  )
  expect(() => expanded('SELECT 1 FROM flow_log.application')).toThrow(MetaflowError)
})

test('expand leaves no name to the engine that it did not find itself', () => {
  const refused = [
    'SELECT x',
    'SELECT t.x FROM application t',
    'SELECT 1 FROM application ORDER BY x',
  ]
  for (const sql of refused) expect(() => expanded(sql)).toThrow('there is no column')
})

test('expand tests names by ids of rows, and never behind GROUP BY', () => {
  const ids = `\`auto_instance_id_1\` NOT IN (${IDS} WHERE`
  const test = "auto_instance_1 != 'x'"
  expect(expanded(`SELECT countIf(${test}) FROM l7_flow_log`)).toContain(`countIf((${ids}`)
  expect(expanded(`SELECT sum(1) FILTER (WHERE ${test}) FROM l7_flow_log`)).toContain(ids)
  const grouped = expanded(
    `SELECT host_1, countIf(${test}) AS c FROM l7_flow_log GROUP BY host_1 HAVING c > 1`,
  )
  expect(grouped).toContain(`countIfState((${ids}`)
  const behind = expanded(`SELECT ${test} FROM l7_flow_log GROUP BY auto_instance_1 HAVING ${test}`)
  expect(behind).not.toContain('NOT IN')
})

test('expand is soon done with what would grow without end', () => {
  const growing = `SELECT * ${'APPLY(x -> x + x) '.repeat(23)} APPLY(x -> x = 1) FROM application`
  const long = 'a'.repeat(60_000)
  const cases: [string, string][] = [
    [growing, 'more than 100000 parts'],
    [`SELECT ${long}(1)`, 'is no function'],
    [`SELECT ${long} FROM l7_flow_log`, 'there is no column'],
    [`SELECT 1 FROM ${long}`, 'there is no table'],
  ]
  const start = performance.now()
  for (const [sql, said] of cases) expect(() => expanded(sql)).toThrow(said)
  expect(performance.now() - start).toBeLessThan(1000)
})

test('expand leaves the parameter of a lambda within APPLY its own', () => {
  const sql = 'SELECT * APPLY(x -> arrayMap(x -> x + 1, [x, 2])) FROM numbers(2)'
  expect(expanded(sql)).toContain('arrayMap(((`x`) -> (`x` + 1)), [`number`, 2])')
})

test('expand tells of each table what its points are by', () => {
  const shown = expanded('SHOW TABLES FROM flow_metrics')
  for (const of of ['each end', 'who calls whom'])
    for (const by of ['second or minute', 'second', 'minute'])
      expect(shown).toContain(`'RED metrics of ${of}, by ${by}.'`)
})
