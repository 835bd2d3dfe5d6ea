import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { pathEndpoint } from '../../../src/agent/sessions/endpoint.ts'
import {
  redactArguments,
  redactCopy,
  redactError,
  redactQuery,
  redactSql,
  redactSqlError,
} from '../../../src/agent/sessions/redact.ts'
import { Text } from '../../../src/model/message.ts'
import { bytesOf, Counted } from '../protocols/link.ts'

const encoder = new TextEncoder()

/** A text among others, so that nobody reads beyond its ends unseen. */
function textOf(text: string): Text {
  const range = new Text()
  const bytes = encoder.encode(`?'a=1&${text}'9?x=secret`)
  range.set(bytes, 6, encoder.encode(text).length)
  return range
}

function read({ bytes, start, end }: Text): string {
  return new TextDecoder().decode(bytes.subarray(start, end))
}

test.each([
  ['/a/b', '/a/b'],
  ['/a?x=1', '/a?x=?'],
  ['/a?x=1&y=&z', '/a?x=?&y=?&z'],
  ['/a?x=1=2&y=3', '/a?x=?&y=?'],
  ['/a?x=1;y=2', '/a?x=?;y=?'],
  ['/a?token', '/a?token'],
  ['/a?x=1?2/3&y=4', '/a?x=?&y=?'],
  ['/a;id=7/b;c?x=1', '/a;id=?/b;c?x=?'],
  ['/a;jsessionid=7', '/a;jsessionid=?'],
  ['http://bob:pw@shop/a?x=1', 'http://shop/a?x=?'],
  ['http://shop/a@b', 'http://shop/a@b'],
  ['*', '*'],
  ['', ''],
])('redactQuery leaves the values of %s out', (text, want) => {
  expect(read(redactQuery(textOf(text)))).toBe(want)
})

test.each([
  ["select * from t where a = 'x' and b=12", 'select * from t where a = ? and b=?'],
  [
    "insert into t1 values (1, -2.5e+3, 0xff, 'it''s', 'a\\'b')",
    'insert into t1 values (?, -?, ?, ?, ?)',
  ],
  ['select "x" from `a`.`b1` where c2 = .5', 'select ? from `a`.`b1` where c2 = ?'],
  ["select x'4142', b'01', n'x', a.b1", 'select ?, ?, ?, a.b1'],
  ["select 1 /* 'secret' */ + 2 -- tail 3\nfrom t # more\n", 'select ?  + ? \nfrom t \n'],
  ['select 5-3, 5--3', 'select ?-?, ?--?'],
  ["select 'not closed", 'select ?'],
  ["select '", 'select ?'],
  ['update t set été1 = 3', 'update t set été1 = ?'],
  ["select `it''s 1` from t", "select `it''s 1` from t"],
  ['select * from t limit 10,20', 'select * from t limit ?,?'],
  ['', ''],
])('redactSql leaves the literals of %s out', (text, want) => {
  expect(read(redactSql(textOf(text)))).toBe(want)
})

test('redactSql keeps no string and no number, whatever stands around them', () => {
  const quote = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.string(), fc.nat())), (values) => {
      const literals = values.flatMap(([text, number]) => [quote(text), String(number)])
      const want = `select ${literals.map(() => '?').join(', ')} from t`
      expect(read(redactSql(textOf(`select ${literals.join(', ')} from t`)))).toBe(
        want.slice(0, 4095),
      )
    }),
  )
})

test.each([redactQuery, redactSql])('%p stays within its bounds on noise', (redact) => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 9000 }), (text) => {
      const { bytes, start, end } = redact(textOf(text))
      expect(start <= end && end <= bytes.length).toBe(true)
    }),
    { numRuns: 300 },
  )
})

test.each([
  ['SET', 'key value', 'key'],
  ['get', 'key', 'key'],
  ['AUTH', 'user password', ''],
  ['hello', '3 AUTH user password', ''],
  ['EVAL', 'return 1', ''],
  ['AUTHOR', 'key value', 'key'],
])('redactArguments leaves of %s %s: "%s"', (operation, text, want) => {
  expect(read(redactArguments(textOf(operation), textOf(text)))).toBe(want)
})

test('redactError leaves out the arguments that an error repeats', () => {
  const error = "ERR unknown command 'SETT', with args beginning with: 'key' 'secret' "
  expect(read(redactError(textOf(error)))).toBe("ERR unknown command 'SETT'")
  expect(read(redactError(textOf('WRONGTYPE no')))).toBe('WRONGTYPE no')
})

test.each([
  [1062, "Duplicate entry 'a'b' for key 'name'", "Duplicate entry '?'"],
  [1064, "You have an error near 'x = 'secret'' at line 1", "You have an error near '?' at line 1"],
  [
    1366,
    "Incorrect integer value: 'no' for column `n`",
    "Incorrect integer value: '?' for column `n`",
  ],
  [1105, "Cut short: 'secr", "Cut short: '?"],
  [1213, 'Deadlock found', 'Deadlock found'],
  [1054, "Unknown column 'nothing' in 'SELECT'", "Unknown column 'nothing' in 'SELECT'"],
  [1644, 'all of it was said by the statement', '?'],
])('redactSqlError of error %d leaves of "%s" "%s"', (code, text, want) => {
  expect(read(redactSqlError(textOf(text), code))).toBe(want)
})

const pieces = fc.constantFrom('/', '/a', '/7', '?', '=', '&', ';', '#', 'x', '://', '@', ':', 'h')
const targets = fc.array(pieces, { maxLength: 12 }).map((parts) => parts.join(''))

test('redactCopy leaves of a copy what redactQuery leaves, or leaves it to that', () => {
  let done = 0
  fc.assert(
    fc.property(targets, fc.nat(5), (target, at) => {
      const text = new Text()
      text.set(bytesOf(`x${target}=secret?z`), 1, target.length)
      const copy = bytesOf(`${'-'.repeat(at)}${target}+++`)
      const end = redactCopy(text, copy, at)
      if (end < 0) return
      done++
      const written = String.fromCharCode(...copy.subarray(0, end))
      expect(written).toBe('-'.repeat(at) + read(redactQuery(text)))
      expect(String.fromCharCode(...copy.subarray(at + target.length))).toBe('+++')
    }),
    { numRuns: 5000 },
  )
  expect(done).toBeGreaterThan(1000)
})

test('redaction and endpoints read nothing of what lies behind their text', () => {
  const counted = new Counted(bytesOf(`/orders/17${' '.repeat(100_000)}`))
  const text = new Text()
  text.set(counted.bytes, 0, 10)
  redactQuery(text)
  redactCopy(text, new Uint8Array(64), 0)
  redactSql(text)
  redactArguments(text, text)
  pathEndpoint(text)
  text.set(new Counted(bytesOf(`http://h${' '.repeat(100_000)}`)).bytes, 0, 8)
  pathEndpoint(text)
  expect(counted.reads).toBeLessThan(600)
})
