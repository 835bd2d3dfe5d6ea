/** What the engine makes of expanded statements: the real libchdb, its reader's connection. */
import { expect } from 'bun:test'
import { realEnv } from '../../../src/lib/env-real.ts'
import { ERRORS, MetaflowError } from '../../../src/lib/errors.ts'
import { tables } from '../../../src/model/tables/registry.ts'
import { catalogOf } from '../../../src/server/query/catalog.ts'
import { type Answer, Query } from '../../../src/server/query/query.ts'
import { startEngine } from '../storage/engine.ts'
import { useSample, withEngine } from './sample.ts'

const sample = useSample('query engine')

const run = (sql: string): Promise<Answer> => sample.query.run(sql)
const rows = async (sql: string): Promise<unknown[]> =>
  (await run(sql)).values.map((line) => JSON.parse(line))

withEngine('names, words and sides answer as they read', async () => {
  const cases: [string, unknown[]][] = [
    [
      'auto_instance_1, count() AS c FROM l7_flow_log GROUP BY auto_instance_1 ORDER BY 1',
      [
        ['redis-server', 1200],
        ['shop', 1200],
      ],
    ],
    [
      'auto_instance_id_1 AS id, auto_instance_1, count() FROM l7_flow_log GROUP BY 1, 2 ORDER BY 1',
      [
        [11, 'shop', 600],
        [12, 'shop', 600],
        [13, 'redis-server', 1200],
      ],
    ],
    [
      'process_kname_1, host_1, count() FROM l7_flow_log GROUP BY ALL ORDER BY 1',
      [
        ['bun', 'alpha', 600],
        ['node', 'alpha', 600],
        ['redis-server', 'alpha', 1200],
      ],
    ],
    ["count() FROM l7_flow_log WHERE auto_instance_1 = 'shop'", [[1200]]],
    ["count() FROM l7_flow_log WHERE auto_instance_1 IN ('shop', 'x')", [[1200]]],
    ["count() FROM l7_flow_log WHERE auto_instance_1 NOT IN ('shop')", [[1200]]],
    ["count() FROM l7_flow_log WHERE auto_instance_1 != 'shop'", [[1200]]],
    ["count() FROM l7_flow_log WHERE auto_instance_1 LIKE 'sh%'", [[1200]]],
    ["count() FROM l7_flow_log WHERE auto_instance_1 NOT ILIKE 'SH%'", [[1200]]],
    ["count() FROM l7_flow_log WHERE startsWith(process_kname_1, 'no')", [[600]]],
    ["count() FROM l7_flow_log WHERE auto_instance = 'shop'", [[2400]]],
    ["count() FROM l7_flow_log WHERE auto_instance != 'shop'", [[0]]],
    ["count() FROM l7_flow_log WHERE gprocess_0 = ''", [[1200]]],
    ["count() FROM l7_flow_log WHERE gprocess_0 != ''", [[1200]]],
    ["count() FROM l7_flow_log WHERE gprocess_0 NOT IN ('', 'x')", [[1200]]],
    ["count() FROM l7_flow_log WHERE response_status = 'Server Error'", [[240]]],
    ["count() FROM l7_flow_log WHERE ip = '10.0.0.9' AND ip_1 LIKE '10.0.0.1'", [[2400]]],
    ['ip_0, ip_1, count() FROM l7_flow_log GROUP BY ip_0, ip_1', [['10.0.0.9', '10.0.0.1', 2400]]],
    ["count() FROM l7_flow_log WHERE l7_protocol LIKE 'HT%'", [[1200]]],
    [
      'Enum(l7_protocol) AS p, count() FROM l7_flow_log GROUP BY p ORDER BY p LIMIT 1',
      [['HTTP', 1200]],
    ],
    [
      "CASE l7_protocol WHEN 'HTTP' THEN 1 ELSE 2 END AS x, count() FROM l7_flow_log GROUP BY x ORDER BY x",
      [
        [1, 1200],
        [2, 1200],
      ],
    ],
  ]
  for (const [sql, want] of cases) expect([sql, await rows(`SELECT ${sql}`)]).toEqual([sql, want])
})

/** Each with the grouping taken apart, and the same grouped by the name as written. */
const AGGREGATES = [
  'count()',
  'sum(request), min(request), max(rrt_max), avg(rrt_sum)',
  'uniqExact(endpoint), count(DISTINCT server_port), uniq(endpoint)',
  'quantileExact(0.9)(rrt_max), quantilesExact(0.5, 0.9)(rrt_max), medianExact(rrt_max)',
  'sumIf(request, l7_protocol = 20), countIf(error > 0), sum(error) FILTER (WHERE error > 1)',
  'sumMap(rrt_histogram)',
  'arraySort(groupUniqArray(l7_protocol)), argMax(rrt_max, time), any(server_port)',
  'stddevPop(rrt_max), varSamp(rrt_max), corr(request, error)',
  'sumOrNull(request), sumArray([request, 1]), sumForEach([request, 1])',
  'sum(request) / count() AS mean, mean * 2, round(mean)',
  'topK(1)(server_port), groupBitOr(l7_protocol)',
  'simpleLinearRegression(request, rrt_max)',
] as const

withEngine('grouping by ids answers what grouping by names answers', async () => {
  for (const aggregates of AGGREGATES) {
    const tail = 'FROM application_map.1s GROUP BY'
    const split = `SELECT auto_instance_1 AS n, ${aggregates} ${tail} n ORDER BY n`
    const whole = `SELECT auto_instance_1 AS n, ${aggregates} ${tail} upper(n), n ORDER BY n`
    expect(sample.query.expand(split)).toContain('State')
    const byName = whole.replace('upper(n), n', "concat(n, ''), n WITH ROLLUP HAVING n != ''")
    expect(sample.query.expand(byName)).not.toContain('State')
    const [one, other] = [await rows(split), await rows(byName)]
    const unique = [...new Map(other.map((row) => [(row as unknown[])[0], row])).values()]
    expect([aggregates, one]).toEqual([aggregates, unique])
  }
})

/** Every form must be one the engine takes. */
const ACCEPTED = [
  'SELECT * FROM l7_flow_log LIMIT 2',
  'SELECT * FROM application LIMIT 1',
  'SELECT * EXCEPT (time) REPLACE (role + 1 AS role) FROM application LIMIT 1',
  'SELECT application.* APPLY(toString) APPLY(x -> upper(x)) FROM application LIMIT 1',
  'WITH 5 AS n, q AS (SELECT n AS m) SELECT m, n FROM q UNION ALL SELECT n, m + 1 FROM q',
  'WITH toStartOfMinute(time) AS t SELECT t, count() FROM l7_flow_log GROUP BY t ORDER BY t',
  'WITH (SELECT max(time) FROM l7_flow_log) AS last SELECT count() FROM l7_flow_log WHERE time = last',
  'SELECT 1 AS x UNION DISTINCT SELECT 1 UNION DISTINCT (SELECT 2)',
  'SELECT 1 EXCEPT SELECT 2',
  'SELECT number FROM numbers(10) WHERE number IN (SELECT number FROM numbers(3))',
  'WITH q AS (SELECT number FROM numbers(3)) SELECT count() FROM numbers(10) WHERE number IN q',
  'SELECT EXISTS(SELECT 1 FROM l7_flow_log)',
  'SELECT a.time, b.n FROM application a LEFT JOIN (SELECT auto_instance_id_1 AS i, count() AS n FROM l7_flow_log GROUP BY i) b ON a.auto_instance_id = b.i LIMIT 1',
  'SELECT * FROM (SELECT 1 AS k, 2 AS v) a JOIN (SELECT 1 AS k, 3 AS w) b USING (k)',
  'SELECT a.*, b.w FROM (SELECT 1 AS k, 2 AS v) a CROSS JOIN (SELECT 3 AS w) b',
  'SELECT k, sum(v) FROM application_map ARRAY JOIN mapKeys(rrt_histogram) AS k, mapValues(rrt_histogram) AS v GROUP BY k',
  'SELECT rrt_histogram.keys, rrt_histogram[toInt16(-320)] FROM application LIMIT 1',
  'SELECT toStartOfInterval(time, INTERVAL 1 MINUTE) AS t, count() FROM l7_flow_log GROUP BY t ORDER BY t WITH FILL STEP INTERVAL 1 MINUTE',
  'SELECT time, row_number() OVER (PARTITION BY l7_protocol ORDER BY time DESC) AS n, sum(1) OVER w FROM l7_flow_log WINDOW w AS (ORDER BY time ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) ORDER BY n LIMIT 3',
  'SELECT auto_instance_1, sum(count()) OVER () AS total FROM l7_flow_log GROUP BY auto_instance_1',
  'SELECT auto_instance_1 AS n, count() FROM l7_flow_log GROUP BY n WITH TOTALS ORDER BY n LIMIT 1 BY n',
  'SELECT DISTINCT auto_instance_1 FROM l7_flow_log ORDER BY auto_instance_1 DESC NULLS LAST LIMIT 1 OFFSET 1',
  "SELECT x.s FROM (SELECT auto_instance_1 AS s FROM l7_flow_log GROUP BY s) AS x WHERE x.s LIKE 'sh%'",
  'SELECT arrayMap(x -> x * 2, [1, 2]), arrayFold((a, x) -> a + x, [1, 2], toInt64(0)), mapApply((k, v) -> (k, v + 1), map(1, 2))',
  "SELECT '1'::UInt8 + 1, CAST('2', 'Nullable(Int32)'), toDateTime64('2026-01-01 00:00:00', 3), (1, 'a').2, [3][1], {'a': 1}",
  "SELECT dictGet('flow_tag.host_map', 'name', toUInt64(1)), dictHas('flow_tag.host_map', toUInt64(9))",
  "SELECT arrayReduce('quantile(0.5)', [1, 2, 3]), accurateCastOrNull('x', 'UInt8'), JSONExtract('{\"a\":1}', 'a', 'Int64')",
  "SELECT date_add(DAY, 1, today()), dateDiff('hour', now(), now()), EXTRACT(YEAR FROM now()), now() - INTERVAL 1 HOUR",
  "SELECT if(1, 2, 3), 1 ? 2 : 3, NOT 1, - 1, 'a' || 'b', 5 DIV 2, 5 MOD 2, 1 BETWEEN 0 AND 2, NULL IS NULL",
  "SELECT count() FROM l7_flow_log PREWHERE server_port = 80 WHERE time > now() - 600 AND ip4_1 = '10.0.0.1'",
  // What the pages ask.
  `SELECT auto_instance_id AS id, auto_instance AS name, l7_protocol AS protocol,
    sum(request) AS requests, sum(error) AS errors, sumMap(rrt_histogram) AS histogram
    FROM flow_metrics.\`application.1s\` WHERE role = 1 AND time >= now() - 304 AND time < now() - 4
    GROUP BY auto_instance_id, auto_instance, l7_protocol ORDER BY requests DESC LIMIT 1000`,
  `SELECT auto_instance AS name,
    toUnixTimestamp(toStartOfInterval(time, INTERVAL 5 SECOND)) AS t,
    sum(client_error) AS client_errors, sum(server_error) + sum(timeout) AS server_errors
    FROM flow_metrics.\`application.1s\` WHERE role = 1 AND auto_instance_id = 11
    GROUP BY auto_instance, t ORDER BY t LIMIT 10000`,
  `SELECT start_time, toUnixTimestamp64Micro(start_time) AS start_us, auto_instance_0 AS client,
    if(is_ipv4 = 1, toString(ip4_0), toString(ip6_0)) AS client_ip, l7_protocol
    FROM flow_log.l7_flow_log WHERE time >= now() - 900
    AND (auto_instance_0 = 'shop' OR auto_instance_1 = 'shop')
    AND position(request_resource, 'x') > 0 AND start_time != fromUnixTimestamp64Micro(1)
    ORDER BY time DESC, start_time DESC LIMIT 200`,
  'SELECT name, host FROM flow_tag.auto_instance_map ORDER BY id LIMIT 2',
  "SELECT median(request), any_value(role), SUBSTR('abc', 2), LCASE('A'), ceiling(1.5) FROM application",
  'SHOW DATABASES',
  'SHOW TABLES',
  'SHOW TABLES FROM flow_log',
  'SHOW TAGS FROM l7_flow_log',
  'SHOW TAGS FROM application_map',
  'SHOW METRICS FROM application',
  'DESCRIBE application_map.1s',
  "SHOW TAG host VALUES FROM application WHERE host LIKE 'al*' LIMIT 1",
  'SHOW TAG l7_protocol VALUES FROM l7_flow_log',
  'SHOW TAG endpoint VALUES FROM l7_flow_log LIMIT 5 OFFSET 0',
] as const

withEngine('every form that is taken is one that the engine takes', async () => {
  for (const sql of ACCEPTED) {
    const { columns, values } = await run(sql).catch((thrown: Error) => {
      throw new Error(`${sql}: ${thrown.message}`, { cause: thrown })
    })
    for (const line of values) expect(JSON.parse(line)).toHaveLength(columns.length)
  }
})

withEngine('operators mean in printed text what they mean to the engine', async () => {
  const operators = ['=', '!=', '<', '>=', '+', '-', '*', '%', 'AND', 'OR', 'IN', 'DIV', '<=>']
  const forms = operators.flatMap((one) => [
    ...operators.map((other) => `a ${one} b ${other} c`),
    `NOT a ${one} b`,
    `-a ${one} b`,
    `a ${one} b BETWEEN c AND d`,
    `a BETWEEN b AND c ${one} d`,
    `a ${one} b IS NULL`,
    `a ${one} b ? c : d`,
    `a ? b : c ${one} d`,
  ])
  const known = forms.filter((form) => !/IN b|IN c|: c OR|[-+*%V] b \?/.test(form))
  const table =
    'SELECT toUInt8(1 + number % 3) AS a, toUInt8(1 + number % 4) AS b, 2 AS c, 3 AS d FROM numbers(12)'
  const list = known.map((form) => `toString(${form})`).join(', ')
  const raw = await sample.engine.writer.query({
    query: `SELECT ${list} FROM (${table})`,
    format: 'JSONCompactEachRow',
  })
  const wanted = (await raw.json()) as string[][]
  const got = (await rows(`SELECT ${list} FROM (${table})`)) as string[][]
  for (const [at, form] of known.entries())
    expect([form, got.map((row) => row[at])]).toEqual([form, wanted.map((row) => row[at]!)])
})

withEngine('numbers keep their digits and text its bytes', async () => {
  const { columns, types, values } = await run(
    "SELECT 18446744073709551615 AS big, 0.1 AS f, 'a\\'\\\\\\n\\0é' AS s, NULL AS n",
  )
  expect([columns, types]).toEqual([
    ['big', 'f', 's', 'n'],
    ['UInt64', 'Float64', 'String', 'Nullable(Nothing)'],
  ])
  expect(values).toEqual(['[18446744073709551615, 0.1, "a\'\\\\\\n\\u0000é", null]'])
})

withEngine('formats stream as the engine writes them', async () => {
  const { contentType, body } = await sample.query.stream(
    'SELECT number FROM numbers(2)',
    'CSVWithNames',
  )
  expect(contentType).toStartWith('text/csv')
  expect(await new Response(body).text()).toBe('"number"\n0\n1\n')
  const parquet = await sample.query.stream('SELECT 1 AS a', 'Parquet')
  expect((await new Response(parquet.body).text()).slice(0, 4)).toBe('PAR1')
  await expect(sample.query.stream('SELECT 1', 'Nothing')).rejects.toThrow('it is no format')
  await expect(sample.query.stream('SELECT 1', 'CSV SETTINGS x = 1')).rejects.toThrow('no format')
})

withEngine('what the engine refuses is a sentence with a status, without its inside', async () => {
  const cases: [string, number, string][] = [
    ["SELECT 1 + 'x'", 400, 'Illegal types'],
    ['SELECT count() FROM l7_flow_log FINAL', 400, 'FINAL'],
    ['SELECT sum(sum(request)) FROM application', 400, 'inside another aggregate'],
    ['SELECT length(arrayMap(x -> x, range(400000000)))', 413, 'limits'],
  ]
  for (const [sql, status, said] of cases) {
    const refused = await run(sql).then(
      () => undefined,
      (thrown) => thrown,
    )
    expect([sql, refused]).toEqual([sql, expect.any(MetaflowError)])
    const { code, message } = refused as MetaflowError
    expect([sql, ERRORS[code].status, message]).toEqual([
      sql,
      status,
      expect.stringContaining(said),
    ])
    expect(message).not.toContain('DB::Exception')
  }
})

withEngine('an answer that is too long is cut and says so', async () => {
  const { isTruncated, values } = await run('SELECT number FROM numbers(500000)')
  expect([isTruncated, values.length]).toEqual([true, 100_000])
})

withEngine('a query that nobody waits for is ended and gives its place back', async () => {
  const stop = new AbortController()
  const query = 'SELECT count() FROM numbers(1000000000000) WHERE number % 7 = 3'
  const running = sample.query.run(query, { signal: stop.signal })
  setTimeout(() => stop.abort(), 50)
  await expect(running).rejects.toBeInstanceOf(MetaflowError)
  expect(await rows('SELECT 1')).toEqual([[1]])
})

withEngine('an answer after one that failed half-way holds nothing of it', async () => {
  const half = 'SELECT intDiv(1, toInt64(number) - 90000) AS other FROM numbers(1000000)'
  for (let i = 0; i < 5; i++) {
    await expect(run(half)).rejects.toThrow('Division by zero')
    for (let k = 0; k < 5; k++) expect((await run('SELECT 7 AS own')).values).toEqual(['[7]'])
  }
})

withEngine('Query counts what it took, answered and refused, by cause', async () => {
  const { counters } = sample.query
  const { in: before, out } = counters
  const { refused } = counters.dropped
  await run('SELECT 1')
  await expect(run('SELECT')).rejects.toBeInstanceOf(MetaflowError)
  expect([counters.in, counters.out, counters.dropped.refused]).toEqual([
    before + 2,
    out + 1,
    refused + 1,
  ])
})

withEngine(
  'the engine’s own limits end a query with a status that says which',
  async () => {
    const limits = {
      memoryBytes: 1024 ** 3,
      readerSeconds: 1,
      readerMemoryBytes: 64 * 1024 ** 2,
      readerRows: 1000,
      readerBytes: 1024 ** 2,
    }
    const engine = await startEngine(limits)
    try {
      const query = new Query({
        client: engine.reader,
        catalog: catalogOf(tables),
        clock: realEnv().clock,
      })
      const cases: [string, string][] = [
        ['SELECT count() FROM numbers(1000000000000) WHERE number % 7 = 3', 'timeout'],
        ['SELECT number FROM numbers(100000)', 'tooLarge'],
        ['SELECT uniqExact(number) FROM numbers(50000000)', 'tooLarge'],
      ]
      for (const [sql, code] of cases) {
        const refused = await query.run(sql).catch((thrown) => thrown)
        expect([sql, refused instanceof MetaflowError && refused.code]).toEqual([sql, code])
      }
    } finally {
      await engine.end()
    }
  },
  30_000,
)
