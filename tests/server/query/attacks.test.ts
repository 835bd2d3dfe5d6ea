import { expect, test } from 'bun:test'
import { ERRORS, MetaflowError } from '../../../src/lib/errors.ts'
import { tables } from '../../../src/model/tables/registry.ts'
import { catalogOf } from '../../../src/server/query/catalog.ts'
import { functionOf, NAMES_REFUSED } from '../../../src/server/query/functions.ts'
import { expand } from '../../../src/server/query/resolve.ts'
import { ATTACKS } from './attacks.ts'

const catalog = catalogOf(tables)

/** What became of a statement: the error, or the text that would run. */
function outcome(sql: string): MetaflowError | string {
  try {
    return expand(sql, { catalog, now: 1_790_000_000 })
  } catch (thrown) {
    if (thrown instanceof MetaflowError) return thrown
    throw thrown
  }
}

test('expand refuses every attack with a 4xx and a sentence', () => {
  expect(ATTACKS.length).toBeGreaterThan(200)
  for (const sql of ATTACKS) {
    const refused = outcome(sql)
    const shown = sql.slice(0, 200)
    if (typeof refused === 'string') throw new Error(`${shown}\n  became ${refused.slice(0, 300)}`)
    expect([shown, Math.floor(ERRORS[refused.code].status / 100)]).toEqual([shown, 4])
    expect(refused.message).toMatch(/^Cannot read the statement.*: \S/s)
  }
})

test('expand says where the statement goes wrong, and what was meant', () => {
  const cases: [string, string][] = [
    ['SELECT 1\nFROM aplication', 'line 2, column 6: there is no table aplication; did you mean'],
    ['SELECT requst FROM application', 'line 1, column 8: there is no column requst; did you mean'],
    ['SELECT summ(1)', 'line 1, column 8: summ is no function a query may call; did you mean sum'],
    ['SELECT 1 WHERE', 'line 1, column 15: its end where an expression should be'],
    ['SELECT 1 SETTINGS a = 1', 'line 1, column 10: SETTINGS are not taken'],
    ["SELECT 1 FROM l7_flow_log WHERE l7_protocol = 'HTP'", "never 'HTP'; did you mean HTTP"],
    ['SELECT host FROM l7_flow_log', 'say host_0 for the client'],
  ]
  for (const [sql, said] of cases) expect(String(outcome(sql))).toContain(said)
})

test('functionOf knows no function whose name is refused', () => {
  for (const name of NAMES_REFUSED) expect([name, functionOf(name)]).toEqual([name, undefined])
})

test('functionOf reads combinators on aggregates alone, and only so many', () => {
  expect(functionOf('SUMIF')?.name).toBe('sumIf')
  expect(functionOf('medianExactArrayIf')?.name).toBe('quantileExactArrayIf')
  expect(functionOf('lengthIf')).toBeUndefined()
  expect(functionOf('fileIf')).toBeUndefined()
  expect(functionOf(`sum${'If'.repeat(5)}`)).toBeUndefined()
  expect(functionOf('constructor')).toBeUndefined()
})

test('expand quotes what a statement says, whatever bytes are in it', () => {
  const text = "a'b\\c`d\n\0\u001f; DROP TABLE x --"
  const written = text.replaceAll('\\', '\\\\').replaceAll("'", "''")
  const sql = outcome(`SELECT '${written}' AS v WHERE v = 'x'`)
  expect(sql).toBe("SELECT 'a\\'b\\\\c\\`d\\n\\0\\x1f; DROP TABLE x --' AS `v` WHERE (`v` = 'x')")
  const name = outcome('SELECT 1 AS `a\\`b"c\\\\d`')
  expect(name).toBe('SELECT 1 AS `a\\`b"c\\\\d`')
})
