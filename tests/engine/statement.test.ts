import { describe, expect, test } from 'bun:test'
import { literalOf } from '../../src/engine/parameter.ts'
import { statementOf } from '../../src/engine/statement.ts'

function take(
  query: string,
  body = '',
  parameters: Record<string, string> = {},
): Record<string, string> {
  const { statement, rows } = statementOf({
    query,
    body: new TextEncoder().encode(body),
    database: 'default',
    defaultFormat: 'TabSeparated',
    parameters: new Map(Object.entries(parameters)),
    settings: {},
  })
  const { kind, sql, format } = statement
  return { kind, sql, format, ...(rows ? { rows: new TextDecoder().decode(rows) } : {}) }
}

describe('statementOf', () => {
  const cases: [string, string, string, Record<string, string>][] = [
    [
      'joins the query of the URL and the body',
      'SELECT',
      '1',
      { kind: 'other', sql: 'SELECT\n1', format: 'TabSeparated' },
    ],
    [
      'takes the body alone',
      '',
      'SELECT 1 FORMAT JSON',
      { kind: 'other', sql: 'SELECT 1 FORMAT JSON', format: 'JSON' },
    ],
    [
      'sees a format before settings',
      '',
      'SELECT 1 \nformat CSV\nSETTINGS a = 1;',
      { kind: 'other', sql: 'SELECT 1 \nformat CSV\nSETTINGS a = 1;', format: 'CSV' },
    ],
    [
      'takes no column named format for one',
      '',
      'SELECT format FROM t',
      { kind: 'other', sql: 'SELECT format FROM t', format: 'TabSeparated' },
    ],
    [
      'parts rows in the body from the query of the URL',
      'INSERT INTO t (a, `b)`) FORMAT CSV',
      '1,2\n',
      { kind: 'insert', sql: 'INSERT INTO t (a, `b)`) ', format: 'CSV', rows: '1,2\n' },
    ],
    [
      'parts rows that begin in the query',
      'insert into t format CSV\n1,2\n',
      '3,4\n',
      { kind: 'insert', sql: 'insert into t ', format: 'CSV', rows: '1,2\n3,4\n' },
    ],
    [
      'parts rows from a statement in the body',
      '',
      'INSERT INTO größe FORMAT TSV\nx;y',
      { kind: 'insert', sql: 'INSERT INTO größe ', format: 'TSV', rows: 'x;y' },
    ],
    [
      'passes over comments and quotes on the way',
      '',
      "/* FORMAT X */ INSERT -- FORMAT Y\nINTO `FORMAT Z` SETTINGS a = 'FORMAT W' FORMAT TSV 1",
      {
        kind: 'insert',
        sql: "/* FORMAT X */ INSERT -- FORMAT Y\nINTO `FORMAT Z` SETTINGS a = 'FORMAT W' ",
        format: 'TSV',
        rows: '1',
      },
    ],
    [
      'leaves VALUES in the statement',
      '',
      "INSERT INTO t VALUES ('FORMAT x')",
      { kind: 'other', sql: "INSERT INTO t VALUES ('FORMAT x')", format: 'TabSeparated' },
    ],
    [
      'leaves INSERT … SELECT whole',
      '',
      'INSERT INTO t SELECT 1',
      { kind: 'other', sql: 'INSERT INTO t SELECT 1', format: 'TabSeparated' },
    ],
    [
      'leaves files in the statement',
      '',
      "INSERT INTO t FROM INFILE 'x' FORMAT Native",
      { kind: 'other', sql: "INSERT INTO t FROM INFILE 'x' FORMAT Native", format: 'Native' },
    ],
  ]
  for (const [name, query, body, want] of cases)
    test(`statementOf ${name}`, () => expect(take(query, body)).toEqual(want))

  test('statementOf puts values only where a parameter is meant', () => {
    const sql =
      "SELECT {a: String}, '{a: String}', `{a:String}`, $x$ {a:String} $x$ -- {a:String}\n, {b : Array(UInt8)}, {c:UInt8}"
    expect(take('', sql, { a: "x'\\ty", b: '[1]' })['sql']).toBe(
      "SELECT CAST('x\\'\ty', 'String'), '{a: String}', `{a:String}`, $x$ {a:String} $x$ -- {a:String}\n, CAST('[1]', 'Array(UInt8)'), {c:UInt8}",
    )
  })
})

describe('literalOf', () => {
  const cases: [string, string, string][] = [
    ["a'b\\\\c\\n", 'String', "CAST('a\\'b\\\\c\n', 'String')"],
    ["['a\\'b']", 'Array(String)', "CAST('[\\'a\\\\\\'b\\']', 'Array(String)')"],
    ['\\N', 'UInt8', "CAST(NULL, 'Nullable(UInt8)')"],
    ['\\N', 'Nullable(UInt8)', "CAST(NULL, 'Nullable(UInt8)')"],
    ['a`b', 'Identifier', '`a\\`b`'],
    ["1) UNION SELECT '", "UInt8') --", "CAST('1) UNION SELECT \\'', 'UInt8\\') --')"],
  ]
  for (const [value, type, want] of cases)
    test(`literalOf writes ${value} as ${type}`, () => expect(literalOf(value, type)).toBe(want))

  test('literalOf refuses types whose text is SQL', () =>
    expect(() => literalOf("{'a': 1}", 'Map(String, UInt8)')).toThrow('NOT_IMPLEMENTED'))
})
