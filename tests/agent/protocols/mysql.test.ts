import { describe, expect, test } from 'bun:test'
import { mysql } from '../../../src/agent/protocols/mysql.ts'
import { Input, MORE, type Sender, SWITCH, WRONG } from '../../../src/agent/protocols/protocol.ts'
import { Message } from '../../../src/model/message.ts'
import { bytesOf, TestLink, textOf } from './link.ts'
import { little, packet } from './mysql-bytes.ts'

const packets = (first: number, ...payloads: readonly string[]): string =>
  payloads.map((payload, i) => packet(first + i, payload)).join('')
const query = (text: string): string => packet(0, `\x03${text}`)
const prepare = (text: string): string => packet(0, `\x16${text}`)
const execute = (id: number): string => packet(0, `\x17${little(id, 4)}\0\x01\0\0\0`)
const close = (id: number): string => packet(0, `\x19${little(id, 4)}`)

const ok = (rows = 0, status = 2): string =>
  `\0${String.fromCharCode(rows)}\0${little(status, 2)}\0\0`
/** The end of rows where EOFs are agreed to be left out. */
const okEnd = (status = 2): string => `\xfe\0\0${little(status, 2)}\0\0`
const eof = (status = 2): string => `\xfe\0\0${little(status, 2)}`
const err = (code: number, state: string, text: string): string =>
  `\xff${little(code, 2)}#${state}${text}`
const column = (name: string): string =>
  `\x03def\0\0\0${String.fromCharCode(name.length)}${name}\0\x0c\x21\0\0\x04\0\0\xfd\0\0\0\0\0`
const row = (value: string): string => String.fromCharCode(value.length) + value
const prepared = (id: number, columns: number, parameters: number): string =>
  `\0${little(id, 4)}${little(columns, 2)}${little(parameters, 2)}\0\0\0`

const FLAGS = {
  plain: 0x0200,
  db: 0x8208,
  ssl: 0x0a00,
  compress: 0x0220,
  optional: 0x0200_0200,
  noEofs: 0x0100_0200,
  track: 0x0080_0200,
}
const GREETING = packet(
  0,
  `\n8.0.36\0${little(9, 4)}saltsalt\0${'\xff'.repeat(2)}\x08\x02\0${'\xff'.repeat(2)}\x15${'\0'.repeat(10)}saltsaltsalt\0`,
)
const login = (flags: number, rest: string): string =>
  packet(1, `${little(flags, 4)}${little(0x0100_0000, 4)}\x21${'\0'.repeat(23)}${rest}`)

function show({ message: m }: TestLink, size: number): string {
  if (size <= 0 && m.kind === 'none') return `${m.next}${size}`
  const words: (string | number)[] = [m.kind === 'none' ? '-' : m.kind]
  if (m.operation.end) words.push(textOf(m.operation))
  if (m.resource.end) words.push(textOf(m.resource))
  if (m.requestId >= 0) words.push(`#${m.requestId}`)
  if (!Number.isNaN(m.code)) words.push(m.code)
  if (m.status) words.push(`status=${m.status}`)
  if (m.result.end) words.push(`(${textOf(m.result)})`)
  if (m.error.end) words.push(`"${textOf(m.error)}"`)
  if (m.rows >= 0) words.push(`rows=${m.rows}`)
  if (m.traceId.end) words.push(`trace=${textOf(m.traceId)}`)
  if (m.spanId.end) words.push(`span=${textOf(m.spanId)}`)
  if (!m.last) words.push('…')
  if (m.truncated) words.push('cut')
  return words.join(' ')
}

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const SPAN = '00f067aa0ba902b7'
const PARENT = `00-${TRACE}-${SPAN}-01`

/** Commands on their own. */
const COMMANDS: readonly (readonly [string, string, string])[] = [
  ['a statement', query('SELECT 1'), 'request COM_QUERY SELECT 1'],
  ['a database', packet(0, '\x02shop'), 'request COM_INIT_DB shop'],
  ['a goodbye, which is not answered', packet(0, '\x01'), 'oneway COM_QUIT'],
  ['a ping', packet(0, '\x0e'), 'request COM_PING'],
  ['the columns of a table', packet(0, '\x04orders\0%'), 'request COM_FIELD_LIST orders'],
  ['a statement to prepare', prepare('SELECT ?'), 'request COM_STMT_PREPARE SELECT ?'],
  ['a prepared one whose text was not seen', execute(7), 'request COM_STMT_EXECUTE #7'],
  ['rows to fetch', packet(0, `\x1c${little(7, 4)}${little(10, 4)}`), 'request COM_STMT_FETCH #7'],
  ['a reset', packet(0, `\x1a${little(7, 4)}`), 'request COM_STMT_RESET #7'],
  ['the end of a statement, not answered', close(7), 'oneway COM_STMT_CLOSE #7'],
  [
    'long data, not answered',
    packet(0, `\x18${little(7, 4)}\0\0xyz`),
    'oneway COM_STMT_SEND_LONG_DATA #7',
  ],
  [
    'another user without the secret',
    packet(0, '\x11bob\0\x06SECRET\0'),
    'request COM_CHANGE_USER user=bob',
  ],
  ['a statement behind no attributes', query('\0\x01SELECT 1'), 'request COM_QUERY SELECT 1'],
  [
    'a statement behind attributes, one of them a trace',
    query(
      `\x03\x01\x02\x01\x08\0\x01n\xfe\0\x01z\xfe\0\x0btraceparent${little(5, 8)}\x37${PARENT}SELECT 1`,
    ),
    `request COM_QUERY SELECT 1 trace=${TRACE} span=${SPAN}`,
  ],
  [
    'a trace in a comment, as sqlcommenter writes it',
    query(`SELECT * FROM t /*action='a',traceparent='${PARENT}'*/`),
    `request COM_QUERY SELECT * FROM t /*action='a',traceparent='${PARENT}'*/ trace=${TRACE} span=${SPAN}`,
  ],
  [
    'a trace in a comment in other words',
    query('/* TraceID: abc.1, SpanID: 7 */ SELECT 2*3'),
    'request COM_QUERY /* TraceID: abc.1, SpanID: 7 */ SELECT 2*3 trace=abc.1 span=7',
  ],
  ['an empty statement', query(''), 'request COM_QUERY '],
  [
    'a statement whose strings hold any bytes',
    query("SELECT x FROM t WHERE id = _binary'\x01\0\x1f'"),
    "request COM_QUERY SELECT x FROM t WHERE id = _binary'\x01\0\x1f'",
  ],
  ['no command', packet(0, '\0'), '-1'],
  ['a command beyond all', packet(0, '\x40abc'), '-1'],
  ['a ping with something in it', packet(0, '\x0eabc'), '-1'],
  ['a statement of control characters', query('\x02\x03\x04'), '-1'],
  ['no packet', '\0\0\0\0', '-1'],
  ['an execution of no sense', packet(0, `\x17${little(7, 4)}\0${little(9, 4)}`), '-1'],
]

test.each(COMMANDS)('mysql reads %s', (_, input, want) => {
  const link = new TestLink(mysql)
  const size = link.feed('client', bytesOf(input))
  expect(show(link, size)).toBe(want)
  if (size !== WRONG) expect(size).toBe(input.length)
})

type Step = readonly [sender: Sender, input: string, want: readonly string[]]
const SELECT: Step = ['client', query('SELECT a'), ['request COM_QUERY SELECT a']]
const PREPARE: Step = ['client', prepare('SELECT ?'), ['request COM_STMT_PREPARE SELECT ?']]
const PING: Step = ['client', packet(0, '\x0e'), ['request COM_PING']]
const PONG: Step = ['server', packet(1, ok()), ['response rows=0']]
const GREET: Step = ['server', GREETING, ['-']]

const TALKS: Record<string, readonly Step[]> = {
  'a login, and what it is refused with': [
    GREET,
    [
      'client',
      login(FLAGS.db, 'bob\0\x06SECRETshop\0mysql_native_password\0'),
      ['request COM_CONNECT user=bob db=shop'],
    ],
    [
      'server',
      packet(2, err(1045, '28000', "Access denied for user 'bob'")),
      [`response 1045 status=3 (28000) "Access denied for user 'bob'"`],
    ],
  ],
  'a greeting that is reported behind the login': [
    ['client', login(FLAGS.plain, 'bob\0\0'), ['request COM_CONNECT user=bob']],
    GREET,
    ['server', packet(2, ok()), ['response']],
  ],
  'a login whose OK tells of the session': [
    GREET,
    ['client', login(FLAGS.track, 'bob\0\0'), ['request COM_CONNECT user=bob']],
    // An info that is empty, and the schema that was changed to.
    ['server', packet(2, '\0\0\0\x02\x40\0\0\0\x07\x01\x05\x04shop'), ['response']],
    PING,
    PONG,
  ],
  'a login whose OK tells more of the session than is looked at': [
    GREET,
    ['client', login(FLAGS.track, 'bob\0\0'), ['request COM_CONNECT user=bob']],
    [
      'server',
      packet(
        2,
        `\0\0\0\x02\x40\0\0\0\xfc${little(300, 2)}\0\xfc${little(296, 2)}${'x'.repeat(296)}`,
      ),
      ['response'],
    ],
    PING,
    PONG,
  ],
  'a login that goes back and forth': [
    GREET,
    ['client', login(FLAGS.plain, 'bob\0\0'), ['request COM_CONNECT user=bob']],
    ['server', packet(2, '\xfecaching_sha2_password\0salt'), ['response …']],
    ['client', packet(3, 'SECRET'), ['-']],
    ['server', packets(4, '\x01\x04'), ['-']],
    ['client', packet(5, '\x02'), ['-']],
    ['server', packet(6, '\x01-----BEGIN PUBLIC KEY-----'), ['-']],
    ['client', packet(7, 'SECRET'), ['-']],
    ['server', packet(8, ok()), ['response']],
    PING,
    PONG,
  ],
  'a login whose plugin asks in words of its own, and a second factor': [
    GREET,
    ['client', login(FLAGS.plain, 'bob\0\0'), ['request COM_CONNECT user=bob']],
    ['server', packet(2, '\xfedialog\0\x04Password: '), ['response …']],
    ['client', packet(3, 'SECRET\0'), ['-']],
    ['server', packet(4, '\x04Code: '), ['-']],
    ['client', packet(5, 'SECRET\0'), ['-']],
    ['server', packet(6, '\x02authentication_webauthn_client\0salt'), ['-']],
    ['client', packet(7, 'SECRET'), ['-']],
    ['server', packet(8, ok()), ['response']],
    PING,
    PONG,
  ],
  'a server that refuses the connection itself': [
    [
      'server',
      packet(0, err(1040, '08004', 'Too many connections')),
      ['response 1040 status=3 (08004) "Too many connections"'],
    ],
  ],
  'a server that refuses the connection before it knows of states': [
    [
      'server',
      packet(0, `\xff${little(1130, 2)}Host 'h' is not allowed`),
      [`response 1130 status=3 "Host 'h' is not allowed"`],
    ],
  ],
  'TLS: nothing is read behind the request for it': [
    GREET,
    ['client', login(FLAGS.ssl, ''), ['-']],
    ['client', '\x16\x03\x01\x02\0\x01\0', [`TLS${SWITCH}`]],
    ['server', '\x16\x03\x03\0\x7a\x02\0', [`TLS${SWITCH}`]],
  ],
  'rows with EOFs': [
    SELECT,
    ['server', packets(1, '\x01', column('a'), eof(), row('x'), row('y'), eof()), ['response']],
    PING,
    PONG,
  ],
  'rows where EOFs are left out': [
    SELECT,
    ['server', packets(1, '\x01', column('a'), row('x'), row('y'), okEnd()), ['response']],
    PING,
    PONG,
  ],
  'no rows, either way': [
    SELECT,
    ['server', packets(1, '\x01', column('a'), eof(), eof()), ['response']],
    SELECT,
    ['server', packets(1, '\x01', column('a'), okEnd()), ['response']],
    PING,
    PONG,
  ],
  'rows that end in an error': [
    SELECT,
    ['server', packets(1, '\x01', column('a'), eof(), row('x')), ['response …']],
    ['server', packets(5, row('y'), row('z')), ['-']],
    [
      'server',
      packet(7, err(1317, '70100', 'Query execution was interrupted')),
      ['response 1317 status=3 (70100) "Query execution was interrupted"'],
    ],
  ],
  'EOFs of a server that does not know of leaving them out, whatever its client asks for': [
    ['server', GREETING.replace('\x02\0\xff\xff\x15', '\x02\0\xff\x00\x15'), ['-']],
    ['client', login(FLAGS.noEofs, 'bob\0\0'), ['request COM_CONNECT user=bob']],
    ['server', packet(2, ok()), ['response']],
    PREPARE,
    ['server', packets(1, prepared(3, 1, 0), column('a')), ['response …']],
    ['server', packet(3, eof()), ['response #3']],
  ],
  'no EOFs where both ends leave them out': [
    GREET,
    ['client', login(FLAGS.noEofs, 'bob\0\0'), ['request COM_CONNECT user=bob']],
    ['server', packet(2, ok()), ['response']],
    PREPARE,
    ['server', packets(1, prepared(3, 1, 0), column('a')), ['response #3']],
  ],
  'several results of one command': [
    SELECT,
    [
      'server',
      packets(1, ok(1, 10), '\x01', column('a'), eof(10), row('x'), eof(10)),
      ['response rows=1 …'],
    ],
    ['server', packets(7, ok(2, 2)), ['response rows=2']],
    PING,
    PONG,
  ],
  'affected rows': [
    ['client', query('DELETE FROM t'), ['request COM_QUERY DELETE FROM t']],
    ['server', packet(1, `\0\xfc${little(1000, 2)}\0\x02\0\0\0`), ['response rows=1000']],
  ],
  'a syntax error': [
    SELECT,
    [
      'server',
      packet(1, err(1064, '42000', 'You have an error in your SQL syntax')),
      ['response 1064 status=3 (42000) "You have an error in your SQL syntax"'],
    ],
  ],
  "a code of a client's own": [
    SELECT,
    ['server', packet(1, err(2013, 'HY000', 'Lost')), ['response 2013 status=4 (HY000) "Lost"']],
  ],
  'an error of MariaDB that only reports progress': [
    SELECT,
    ['server', packets(1, '\xff\xff\xff\x01\x01\x02\0\0\0\x05stage'), ['response …']],
    ['server', packets(2, ok(3)), ['response rows=3']],
  ],
  'a file that the server asks for': [
    [
      'client',
      query('LOAD DATA LOCAL INFILE "f"'),
      ['request COM_QUERY LOAD DATA LOCAL INFILE "f"'],
    ],
    ['server', packet(1, '\xfbf'), ['response …']],
    ['client', packet(2, 'a,b\n') + packet(3, '\x03c') + packet(4, ''), ['-', '-', '-']],
    ['server', packet(5, ok(2)), ['response rows=2']],
    PING,
    PONG,
  ],
  'a prepared statement by its id, with EOFs': [
    PREPARE,
    [
      'server',
      packets(1, prepared(3, 1, 1), column('?'), eof(), column('a'), eof()),
      ['response #3'],
    ],
    ['client', execute(3), ['request COM_STMT_EXECUTE SELECT ? #3']],
    ['server', packets(1, '\x01', column('a'), eof(), '\0\0\x01x', eof()), ['response']],
    ['client', close(3), ['oneway COM_STMT_CLOSE SELECT ? #3']],
    ['client', execute(3), ['request COM_STMT_EXECUTE #3']],
  ],
  'a prepared statement where EOFs are left out': [
    PREPARE,
    ['server', packets(1, prepared(4, 1, 1), column('?'), column('a')), ['response #4']],
    ['client', execute(4), ['request COM_STMT_EXECUTE SELECT ? #4']],
    ['server', packets(1, '\x01', column('a'), '\0\0\x01x', okEnd()), ['response']],
  ],
  'a prepared statement without columns or parameters': [
    ['client', prepare('COMMIT'), ['request COM_STMT_PREPARE COMMIT']],
    ['server', packets(1, prepared(5, 0, 0)), ['response #5']],
    PING,
    PONG,
  ],
  'a statement that cannot be prepared': [
    PREPARE,
    ['server', packet(1, err(1146, '42S02', 'no t')), ['response 1146 status=3 (42S02) "no t"']],
    ['client', prepare('SELECT 2'), ['request COM_STMT_PREPARE SELECT 2']],
    ['server', packets(1, prepared(6, 1, 0), column('2'), eof()), ['response #6', '-']],
    ['client', execute(6), ['request COM_STMT_EXECUTE SELECT 2 #6']],
  ],
  "MariaDB's prepare and execute in one write": [
    [
      'client',
      prepare('SELECT ?') + execute(0xffff_ffff),
      ['request COM_STMT_PREPARE SELECT ?', 'request COM_STMT_EXECUTE SELECT ? #4294967295'],
    ],
    ['server', packets(1, prepared(3, 0, 1), column('?'), eof()), ['response #3', '-']],
    ['server', packet(1, ok(1)), ['response rows=1']],
  ],
  'a cursor: rows are fetched by commands': [
    ['client', execute(3), ['request COM_STMT_EXECUTE #3']],
    ['server', packets(1, '\x01', column('a'), eof(0x42)), ['response']],
    ['client', packet(0, `\x1c${little(3, 4)}${little(1, 4)}`), ['request COM_STMT_FETCH #3']],
    ['server', packets(1, '\0\0\x01x', eof(0x82)), ['response']],
    PING,
    PONG,
  ],
  'columns that MariaDB does not define again': [
    SELECT,
    ['server', packets(1, '\x02\0', row('x') + row('y'), okEnd()), ['response']],
  ],
  'columns that MySQL does not define': [
    GREET,
    ['client', login(FLAGS.optional, 'bob\0\0'), ['request COM_CONNECT user=bob']],
    ['server', packet(2, ok()), ['response']],
    SELECT,
    ['server', packets(1, '\0\x01', row('x'), okEnd()), ['response']],
    SELECT,
    ['server', packets(1, '\x01\x01', column('a'), row('x'), okEnd()), ['response']],
  ],
  'the columns of a table': [
    ['client', packet(0, '\x04t\0'), ['request COM_FIELD_LIST t']],
    ['server', packets(1, column('a'), column('b'), eof()), ['response']],
    PING,
    PONG,
  ],
  'statistics, which are a text': [
    ['client', packet(0, '\x09'), ['request COM_STATISTICS']],
    ['server', packet(1, 'Uptime: 1'), ['response']],
  ],
  'a row of many bytes, by its header': [
    SELECT,
    [
      'server',
      `${packets(1, '\x01', column('a'), eof())}${little(3_000_000, 3)}\x04\xfd`,
      ['response …'],
    ],
    ['server', packet(5, eof()), ['response']],
  ],
  'a row of 16 MB, in two packets': [
    SELECT,
    ['server', `${packets(1, '\x01', column('a'), eof())}\xff\xff\xff\x04\xfe`, ['response …']],
    ['server', packet(5, '\xfe\0\0'), ['-']],
    ['server', packet(6, eof()), ['response']],
  ],
  'an event stream of a replica': [
    [
      'client',
      packet(0, `\x12${little(4, 4)}\0\0${little(9, 4)}binlog`),
      ['request COM_BINLOG_DUMP'],
    ],
    ['server', packets(1, '\0event', '\0event'), ['response …']],
    ['server', packet(3, '\0event'), ['-']],
    ['server', packet(4, eof()), ['response']],
    PING,
    PONG,
  ],
  'a packet of another number as lost framing': [
    SELECT,
    ['server', packets(1, '\x01', column('a')) + packet(9, row('x')), ['response …', '-1']],
  ],
  'rows in a hole: the answer ends, the next is found': [
    SELECT,
    [
      'server',
      packets(1, '\x01', column('a'), eof(), row('x')) + '\0'.repeat(90),
      ['response cut'],
    ],
    ['server', packet(44, row('y')), ['-']],
    PING,
    PONG,
  ],
  'the rest of a cut answer, however short, goes by and is no answer': [
    SELECT,
    [
      'server',
      packets(1, '\x01', column('a'), eof(), row('x')) + '\0'.repeat(90),
      ['response cut'],
    ],
    ['server', '\0\x02\0', ['-']],
    PING,
    PONG,
  ],
  'a hole that begins in the midst of a header': [
    SELECT,
    [
      'server',
      `${packets(1, '\x01', column('a'), eof(), row('x'))}\x0f\0${'\0'.repeat(90)}`,
      ['response cut'],
    ],
    PING,
    PONG,
  ],
  'an answer to nothing as lost framing': [['server', packet(1, ok()), ['-1']]],
}

describe('mysql follows', () => {
  test.each(Object.entries(TALKS))('%s', (_, steps) => {
    const link = new TestLink(mysql)
    for (const [sender, input, want] of steps)
      expect(link.feedAll(sender, bytesOf(input), show)).toEqual([...want])
  })

  test('statements of more than 16 MB by their first packet', () => {
    const link = new TestLink(mysql)
    const text = `INSERT INTO t VALUES (${'x'.repeat(5000)}`
    const head = bytesOf(`\xff\xff\xff\0\x03${text}`)
    expect(link.feed('client', head)).toBe(4 + 0xff_ffff)
    expect(textOf(link.message.resource)).toBe(text.slice(0, 4096))
    expect(link.message.truncated).toBe(true)
    expect(link.feed('client', bytesOf(packet(1, 'rest')))).toBe(8)
    expect(link.feedAll('server', bytesOf(packet(2, ok(5))), show)).toEqual(['response rows=5'])
  })

  test('no statement by the text of another where too many wait for their ids', () => {
    const link = new TestLink(mysql)
    const answer = (id: number): number =>
      link.feed('server', bytesOf(packet(1, prepared(id, 0, 0))))
    for (let id = 1; id <= 70; id++) link.feed('client', bytesOf(prepare(`SELECT ${id}`)))
    answer(1)
    link.feed('client', bytesOf(prepare('SELECT 71')))
    for (let id = 2; id <= 71; id++) answer(id)
    link.feed('client', bytesOf(prepare('SELECT 72')))
    answer(72)
    for (const id of [1, 64, 65, 71, 72]) {
      link.feed('client', bytesOf(execute(id)))
      const isKnown = id <= 64 || id === 72
      expect(textOf(link.message.resource)).toBe(isKnown ? `SELECT ${id}` : '')
    }
  })

  test('a bounded number of prepared statements', () => {
    const link = new TestLink(mysql)
    const text = `SELECT ${'1'.repeat(1000)}`
    for (let id = 1; id <= 300; id++) {
      link.feed('client', bytesOf(prepare(text)))
      link.feed('server', bytesOf(packet(1, prepared(id, 0, 0))))
    }
    link.feed('client', bytesOf(execute(300)))
    expect(textOf(link.message.resource)).toBe(text)
    link.feed('client', bytesOf(execute(1)))
    expect(textOf(link.message.resource)).toBe('')
  })

  test('fresh bytes after lost framing, with what was prepared', () => {
    const link = new TestLink(mysql)
    link.feed('client', bytesOf(prepare('SELECT ?')))
    link.feed('server', bytesOf(packet(1, prepared(1, 0, 0))))
    link.feed('client', bytesOf(prepare('SELECT 2')))
    link.conversation.lost()
    expect(link.feedAll('client', bytesOf(execute(1)), show)).toEqual([
      'request COM_STMT_EXECUTE SELECT ? #1',
    ])
  })
})

describe('mysql marks what is compressed', () => {
  const frame = (number: number, data: string, inflated = 0): string =>
    little(data.length, 3) + String.fromCharCode(number) + little(inflated, 3) + data
  const DEFLATED = `\x78\x9c${'z'.repeat(80)}`

  const talks: Record<string, readonly Step[]> = {
    'from the login on': [
      GREET,
      ['client', login(FLAGS.compress, 'bob\0\0'), ['request COM_CONNECT user=bob']],
      ['server', packet(2, ok()), ['response']],
      ['client', frame(0, query('SELECT 1')), ['request COM_QUERY SELECT 1']],
      [
        'server',
        frame(1, packets(1, err(1064, '42000', 'no'))),
        ['response 1064 status=3 (42000) "no"'],
      ],
      ['client', frame(0, DEFLATED, 900), ['request COMPRESSED cut']],
      [
        'server',
        frame(1, DEFLATED, 9000) + frame(2, DEFLATED, 9000),
        ['response status=5 cut', '-'],
      ],
      [
        'client',
        frame(0, close(1) + query('SELECT 2')),
        ['oneway COM_STMT_CLOSE #1', 'request COM_QUERY SELECT 2'],
      ],
      ['server', frame(1, packets(1, ok(4))), ['response rows=4']],
    ],
    'results that go on in another frame: nobody knows how they end': [
      ['client', frame(0, query('CALL a()')), ['request COM_QUERY CALL a()']],
      ['server', frame(1, packets(1, '\x01')), ['response status=5 cut']],
      ['server', frame(2, packets(2, err(1064, '42000', 'no'))), ['-']],
      ['client', frame(0, query('DO 1;DO 2')), ['request COM_QUERY DO 1;DO 2']],
      ['server', frame(1, packets(1, ok(1, 8), ok(2))), ['response rows=3']],
      ['client', frame(0, query('DO 1;DO 2')), ['request COM_QUERY DO 1;DO 2']],
      ['server', frame(1, packets(1, ok(1, 8))), ['response status=5 cut']],
      ['client', frame(0, query('DO 1;SELEC')), ['request COM_QUERY DO 1;SELEC']],
      ['server', frame(1, packets(1, ok(1, 8), err(1064, '42000', 'no'))).slice(0, 25), ['0']],
      [
        'server',
        frame(1, packets(1, ok(1, 8), err(1064, '42000', 'no'))),
        ['response 1064 status=3 (42000) "no"'],
      ],
    ],
    'long data, which is not answered: nobody knows what the next answer answers': [
      ['client', frame(0, DEFLATED, 900), ['request COMPRESSED cut']],
      ['client', frame(0, query('SELECT 1')), ['request COM_QUERY SELECT 1']],
      ['server', frame(1, packets(1, ok(4))), [`${WRONG}`]],
    ],
    'met in its middle': [
      ['client', frame(0, query('SELECT 1')), ['request COM_QUERY SELECT 1']],
      ['server', frame(1, DEFLATED, 900), ['response status=5 cut']],
    ],
    'met in its middle, deflated': [
      ['client', frame(0, DEFLATED, 900), ['request COMPRESSED cut']],
      ['server', frame(1, packets(1, ok(4))), ['response rows=4']],
    ],
  }

  test.each(Object.entries(talks))('%s', (_, steps) => {
    const link = new TestLink(mysql)
    for (const [sender, input, want] of steps)
      expect(link.feedAll(sender, bytesOf(input), show)).toEqual([...want])
  })
})

test.each([
  ['server', GREETING, 95],
  ['server', packet(0, err(1040, '08004', 'Too many connections')), 80],
  ['server', packet(0, `\xff${little(1130, 2)}Host 'h' is not allowed`), 80],
  ['server', packet(0, `\xff${little(999, 2)}Host 'h' is not allowed`), 0],
  ['server', packet(0, `\xff${little(1130, 2)}Host 'h' is not\0allowed`), 0],
  ['server', packet(1, ok()), 0],
  ['client', query('SELECT 1'), 90],
  ['client', query('  (select 1)'), 90],
  ['client', query('HELP me'), 45],
  ['client', packet(0, '\x0e'), 45],
  ['client', login(FLAGS.plain, 'bob\0\0'), 85],
  ['client', 'GET / HTTP/1.1\r\n\r\n', 0],
  ['client', '\0\0\0\0\0\0', 0],
  ['client', query(''), 0],
  ['client', query("HELP '\x01'"), 45],
  ['client', query('SELECT 1').slice(0, 4), 0],
] as const)('mysql claims of a %s %p: %i', (sender, input, want) => {
  expect(mysql.claim(bytesOf(input), sender)).toBe(want)
})

test('mysql says of a login that a hole took its names', () => {
  const bytes = bytesOf(login(FLAGS.db, 'bob\0\0shop\0'))
  for (const from of [30, 38, bytes.length]) {
    const input = new Input()
    input.set(bytes.slice().fill(0, from), 0, bytes.length)
    input.zerosFrom = from
    input.zerosTo = from < bytes.length ? bytes.length : 0
    const message = new Message()
    expect(new TestLink(mysql).conversation.feed('client', input, message)).toBe(bytes.length)
    expect(message.truncated).toBe(from < bytes.length)
  }
})

test('mysql waits for a command that is cut', () => {
  const link = new TestLink(mysql)
  const bytes = bytesOf(query('SELECT 1'))
  for (let size = 0; size < bytes.length; size++)
    expect(link.feed('client', bytes.subarray(0, size))).toBe(MORE)
})
