import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { pathEndpoint } from '../../../src/agent/sessions/endpoint.ts'
import {
  isUnknownCommand,
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
  ['SET', ' value', ''],
  ['AUTH', 'user password', ''],
  ['hello', '3 AUTH user password', ''],
  ['EVAL', 'return 1', ''],
  ['AUTHOR', 'key value', 'key'],
])('redactArguments leaves of %s %s: "%s"', (operation, text, want) => {
  expect(read(redactArguments(textOf(operation), textOf(text)))).toBe(want)
})

test.each([
  [
    'SETT',
    "ERR unknown command 'SETT', with args beginning with: 'key' 'secret' ",
    "ERR unknown command 'SETT'",
  ],
  ['GET', 'WRONGTYPE no', 'WRONGTYPE no'],
  ['GET', "ERR wrong number of arguments for 'get'", "ERR wrong number of arguments for 'get'"],
  ['GEOADD', 'ERR invalid longitude,latitude pair 200.0,1.5', 'ERR invalid longitude'],
  [
    'ACL',
    "ERR Error in ACL SETUSER modifier '<it's': no",
    "ERR Error in ACL SETUSER modifier '?': no",
  ],
  ['HELLO', "ERR Syntax error in HELLO option 'secret'", "ERR Syntax error in HELLO option '?'"],
  ['EVAL', "ERR Error near ''sec", "ERR Error near '?'sec"],
  [
    '',
    "ERR Error in ACL SETUSER modifier '<secret': no",
    "ERR Error in ACL SETUSER modifier '?': no",
  ],
])('redactError of %s leaves of "%s" "%s"', (operation, text, want) => {
  expect(read(redactError(textOf(text), textOf(operation)))).toBe(want)
})

test('isUnknownCommand tells it of any server', () => {
  expect(isUnknownCommand(textOf("ERR unknown command 'AUHT'"))).toBe(true)
  expect(isUnknownCommand(textOf('ERR unknown comman'))).toBe(false)
})

test.each([
  [1062, '23000', "Duplicate entry 'a'b' for key 'name'", "Duplicate entry '?'"],
  [1064, '42000', "An error near 'x = 'secret'' at line 1", "An error near '?' at line 1"],
  [1366, '22007', "Incorrect value: 'no' for column `n`", "Incorrect value: '?' for column `n`"],
  [1105, 'HY000', "Cut short: 'secr", "Cut short: '?"],
  [1213, '40001', 'Deadlock found', 'Deadlock found'],
  [1054, '42S22', "Unknown column 'x' in 'SELECT'", "Unknown column 'x' in 'SELECT'"],
  [1644, '45000', 'all of it was said by the statement', '?'],
  [1643, '02000', 'all of it was said by the statement', '?'],
  [1048, '45001', 'all of it was said by the statement', '?'],
])('redactSqlError of error %d (%s) leaves of "%s" "%s"', (code, state, text, want) => {
  expect(read(redactSqlError(textOf(text), code, textOf(state)))).toBe(want)
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
