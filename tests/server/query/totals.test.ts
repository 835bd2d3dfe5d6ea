/** The row of WITH TOTALS: by the real engine. */
import { afterAll, beforeAll, expect, test } from 'bun:test'
import { realEnv } from '../../../src/lib/env-real.ts'
import { tables } from '../../../src/model/tables/registry.ts'
import { queryRoutes } from '../../../src/server/apis/query.ts'
import { catalogOf } from '../../../src/server/query/catalog.ts'
import { Query } from '../../../src/server/query/query.ts'
import { HAS_ENGINE, startEngine, type TestEngine } from '../storage/engine.ts'

const withEngine = test.skipIf(!HAS_ENGINE)
if (!HAS_ENGINE) process.stderr.write('skipped, since libchdb is not installed: query totals\n')

/** Rows an answer may have here. */
const FEW = 5

let engine: TestEngine
let query: Query
beforeAll(async () => {
  if (!HAS_ENGINE) return
  engine = await startEngine()
  const { clock } = realEnv()
  const catalog = catalogOf(tables)
  query = new Query({ client: engine.reader, catalog, clock, limits: { rows: FEW } })
}, 60_000)
afterAll(async () => {
  if (HAS_ENGINE) await engine.end()
})

const TOTALS = 'GROUP BY k WITH TOTALS ORDER BY k'
withEngine('WITH TOTALS answers the row of totals beside the rows, of all rows', async () => {
  const cases: [sql: string, rows: number, totals: string | undefined][] = [
    [`SELECT number % 3 AS k, sum(number) AS s FROM numbers(10) ${TOTALS}`, 3, '[0, 45]'],
    [`SELECT number AS k, max(toString(number)) FROM numbers(10) ${TOTALS}`, FEW, '[0, "9"]'],
    [`SELECT number AS k, sum(number) FROM numbers(10) ${TOTALS} LIMIT 2`, 2, '[0, 45]'],
    [`SELECT s FROM (SELECT number AS k, sum(k) AS s FROM numbers(3) ${TOTALS})`, 3, '[3]'],
    [
      `SELECT number AS k, ']\n{', 18446744073709551615 FROM numbers(1) ${TOTALS}`,
      1,
      '[0, "]\\n{", 18446744073709551615]',
    ],
    [`SELECT number AS k, count() FROM numbers(0) ${TOTALS}`, 0, '[0, 0]'],
    [`SELECT number AS k, count() FROM numbers(10) GROUP BY k`, FEW, undefined],
    [`SELECT '\t"totals": [1],' AS k`, 1, undefined],
  ]
  for (const [sql, rows, totals] of cases) {
    const answer = await query.run(sql)
    expect([sql, answer.values.length, answer.totals]).toEqual([sql, rows, totals])
    expect(answer.columns).toHaveLength(answer.types.length)
  }
})

withEngine('/v1/query gives totals as a field of the result, where there are any', async () => {
  const ask = async (sql: string): Promise<unknown> => {
    const response = await queryRoutes(query).request(`/?${new URLSearchParams({ sql })}`)
    return ((await response.json()) as { result: unknown }).result
  }
  expect(await ask(`SELECT number % 2 AS k, count() AS n FROM numbers(3) ${TOTALS}`)).toEqual({
    columns: ['k', 'n'],
    schemas: ['UInt8', 'UInt64'],
    values: [
      [0, 2],
      [1, 1],
    ],
    totals: [0, 3],
  })
  expect(await ask('SELECT 1 AS a')).toEqual({ columns: ['a'], schemas: ['UInt8'], values: [[1]] })
})
