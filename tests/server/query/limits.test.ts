/** How many rows an answer may have, in JSON and in formats: by the real engine. */
import { afterAll, beforeAll, expect, test } from 'bun:test'
import { realEnv } from '../../../src/lib/env-real.ts'
import { MetaflowError } from '../../../src/lib/errors.ts'
import { tables } from '../../../src/model/tables/registry.ts'
import { queryRoutes } from '../../../src/server/apis/query.ts'
import { catalogOf } from '../../../src/server/query/catalog.ts'
import { Query } from '../../../src/server/query/query.ts'
import { DEFAULT_LIMITS } from '../../../src/server/storage/clickhouse.ts'
import { HAS_ENGINE, startEngine, type TestEngine } from '../storage/engine.ts'

const withEngine = test.skipIf(!HAS_ENGINE)
if (!HAS_ENGINE) process.stderr.write('skipped, since libchdb is not installed: query limits\n')

/** More than a block of the engine's: an answer beyond it fails once it has begun. */
const ROWS = 70_000

let engine: TestEngine
let query: Query
beforeAll(async () => {
  if (!HAS_ENGINE) return
  engine = await startEngine({ ...DEFAULT_LIMITS, readerRows: ROWS })
  query = queryOf(ROWS)
}, 60_000)
afterAll(async () => {
  if (HAS_ENGINE) await engine.end()
})

function queryOf(rows: number): Query {
  const { clock } = realEnv()
  return new Query({ client: engine.reader, catalog: catalogOf(tables), clock, limits: { rows } })
}

withEngine(
  'a JSON answer has as many rows as it may have, and says whether there are more',
  async () => {
    const cases: [sql: string, rows: number, isTruncated: boolean][] = [
      [`SELECT number FROM numbers(${ROWS - 1})`, ROWS - 1, false],
      [`SELECT number FROM numbers(${ROWS})`, ROWS, false],
      [`SELECT number FROM numbers(${ROWS + 1})`, ROWS, true],
      [`SELECT number FROM numbers(5000000)`, ROWS, true],
      [`SELECT number FROM numbers(5000000) LIMIT 10`, 10, false],
      [`SELECT number FROM numbers(5000000) LIMIT ${ROWS}`, ROWS, false],
      [`SELECT number FROM numbers(5000000) LIMIT ${ROWS + 1}`, ROWS, true],
      [`SELECT number FROM numbers(5000000) LIMIT ${ROWS} OFFSET 7`, ROWS, false],
      [`SELECT number FROM numbers(${ROWS + 7}) OFFSET 7`, ROWS, false],
      [`SELECT number FROM numbers(${ROWS + 7}) OFFSET 6`, ROWS, true],
      [`SELECT number FROM numbers(${ROWS}) WHERE number % 2`, ROWS / 2, false],
      [
        `SELECT intDiv(number, ${ROWS}) AS k FROM numbers(900000) ORDER BY k LIMIT 1 WITH TIES`,
        ROWS,
        false,
      ],
      [
        `SELECT intDiv(number, ${ROWS}) AS k FROM numbers(900000) ORDER BY k LIMIT ${ROWS + 1} WITH TIES`,
        ROWS,
        true,
      ],
      [`SELECT number AS k, count() FROM numbers(${ROWS}) GROUP BY k`, ROWS, false],
      [`SELECT number AS k, count() FROM numbers(900000) GROUP BY k`, ROWS, true],
      [`SELECT DISTINCT number FROM numbers(900000)`, ROWS, true],
      [`SELECT number % 10 AS k FROM numbers(900000) LIMIT ${ROWS / 10} BY k`, ROWS, false],
      [
        `SELECT 1, 1, number FROM numbers(40000) UNION ALL SELECT 1, 1, number FROM numbers(30000)`,
        ROWS,
        false,
      ],
      [
        `SELECT 1, 1, number FROM numbers(40000) UNION ALL SELECT 1, 1, number FROM numbers(30001)`,
        ROWS,
        true,
      ],
      [`(SELECT number FROM numbers(900000) LIMIT 3) UNION ALL (SELECT 1 LIMIT 1)`, 4, false],
      [`SELECT count() FROM (SELECT number FROM numbers(5000000))`, 1, false],
    ]
    for (const [sql, rows, isTruncated] of cases) {
      const answer = await query.run(sql)
      expect([sql, answer.values.length, answer.isTruncated]).toEqual([sql, rows, isTruncated])
    }
  },
)

withEngine(
  'what is left of a cut answer is its beginning, in the order that was asked for',
  async () => {
    const few = queryOf(3)
    for (const limit of ['', 'LIMIT 500']) {
      const sql = `SELECT number FROM numbers(900000) ORDER BY number DESC ${limit}`
      expect((await few.run(sql)).values).toEqual(['[899999]', '[899998]', '[899997]'])
    }
  },
)

/** The bytes of an answer in a format, or the code and sentence of what ended it. */
async function streamed(sql: string, format: string): Promise<Uint8Array | MetaflowError> {
  try {
    const { body } = await query.stream(sql, format)
    return await new Response(body).bytes()
  } catch (thrown) {
    return thrown as MetaflowError
  }
}

withEngine('an answer in a format has as many rows as one in JSON, or fails', async () => {
  const formats = ['CSV', 'CSVWithNames', 'JSONEachRow', 'JSON', 'Native', 'Parquet', 'TSV']
  for (const format of formats) {
    const whole = await streamed(`SELECT number FROM numbers(${ROWS})`, format)
    expect([format, whole]).toEqual([format, expect.any(Uint8Array)])
    for (const rows of [ROWS + 1, 900_000]) {
      const failed = await streamed(`SELECT number FROM numbers(${rows})`, format)
      expect([format, failed]).toEqual([format, expect.any(MetaflowError)])
      const { code, message } = failed as MetaflowError
      expect([code, message]).toEqual(['tooLarge', expect.stringContaining('Limit for result')])
    }
    const counted = await streamed('SELECT count() FROM (SELECT 1 FROM numbers(900000))', format)
    expect([format, counted]).toEqual([format, expect.any(Uint8Array)])
  }
})

withEngine('an answer in a format that is too long never looks whole to who asked', async () => {
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    development: false,
    fetch: queryRoutes(query).fetch,
  })
  try {
    const ask = (rows: number, format: string): Promise<Response> => {
      const sql = `SELECT number FROM numbers(${rows})`
      return fetch(`${server.url}?${new URLSearchParams({ sql, format })}`)
    }
    const whole = await ask(ROWS, 'CSV')
    expect((await whole.text()).trimEnd().split('\n')).toHaveLength(ROWS)
    // Whether it begins at all depends on how far the engine ran ahead; whole it must not look.
    for (const rows of [ROWS + 1, 900_000]) {
      const cut = await ask(rows, 'CSV')
      if (cut.ok) await expect(cut.text()).rejects.toThrow()
      else expect(cut.status).toBe(413)
    }
    // What the engine makes whole is refused before it begins.
    expect((await ask(ROWS + 1, 'CSVWithNames')).status).toBe(413)
  } finally {
    await server.stop(true)
  }
})
