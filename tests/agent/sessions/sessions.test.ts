import { expect, test } from 'bun:test'
import { type Session, WAITING_MAX } from '../../../src/agent/sessions/session.ts'
import { Sessions, type SessionsOptions } from '../../../src/agent/sessions/sessions.ts'
import { CALL_TEXTS, type Call, type CallText } from '../../../src/model/call.ts'
import { Connection, Mark } from '../../../src/model/connection.ts'
import { type Kind, Message } from '../../../src/model/message.ts'
import { type Role, Segment, TCP, UDP } from '../../../src/model/segment.ts'
import { each } from '../each.ts'

const encoder = new TextEncoder()
const DNS = 120
const REDIS = 80
const MYSQL = 60
const HTTP = 20

function textOf(call: Call, name: CallText): string {
  const { bytes, starts, ends } = call.texts
  const field = CALL_TEXTS.indexOf(name)
  return new TextDecoder().decode(bytes.subarray(starts[field]!, ends[field]!))
}

/** `asked>answered type status duration`, where `-` is what is not there. */
function row(call: Call): string {
  const asked = textOf(call, 'request_resource') || '-'
  const answered = textOf(call, 'response_result') || '-'
  const duration = call.hasDuration ? call.duration : '-'
  return `${asked}>${answered} ${['request', 'response', 'session'][call.type]} ${call.status} ${duration}`
}

type End = { readonly rows: string[]; readonly calls: Call[]; readonly sessions: Sessions }

/** Whose calls go out after each message. */
let latest: Sessions | undefined

function start(options: Partial<SessionsOptions> = {}): End {
  const rows: string[] = []
  const calls: Call[] = []
  const emit = each((call) => {
    rows.push(row(call))
    calls.push(structuredCopy(call))
  })
  const sessions = new Sessions({ emit, redact: true, ...options })
  latest = sessions
  return { rows, calls, sessions }
}

/** What stays of a call: its object is used again. */
function structuredCopy(call: Call): Call {
  return Object.assign(Object.create(Object.getPrototypeOf(call)), call, {
    addresses: call.addresses.slice(),
    texts: Object.assign(Object.create(Object.getPrototypeOf(call.texts)), {
      bytes: call.texts.bytes.slice(),
      starts: call.texts.starts.slice(),
      ends: call.texts.ends.slice(),
    }),
  })
}

function connect(role: Role = 'client', protocol = TCP, isFresh = true): Connection {
  const segment = new Segment()
  segment.protocol = protocol
  segment.addresses = new Uint8Array(32)
  segment.addresses.set([10, 0, 0, 1], 0)
  segment.addresses.set([10, 0, 0, 2], 16)
  segment.remoteAt = 16
  segment.localPort = 40_000
  segment.remotePort = 53
  const connection = new Connection(segment, 1)
  connection.role = role
  connection.isFresh = isFresh
  connection.localName = 1
  connection.remoteName = 2
  return connection
}

type Said = Partial<
  Pick<Message, 'id' | 'tag' | 'last' | 'status' | 'code' | 'length' | 'rows' | 'valuesTruncated'>
> & {
  readonly time?: number
  readonly texts?: Readonly<Record<string, string>>
}

const KINDS: Readonly<Record<string, Kind>> = { '?': 'request', '!': 'response', '*': 'oneway' }
let time = 0

/** One end speaks: `?x` asks for x, `!x` answers x, `*x` is one-way. */
function say(session: Session, way: 'send' | 'receive', what: string, said: Said = {}): boolean {
  const message = new Message()
  const mark = new Mark()
  const { time: at, texts, ...fields } = said
  Object.assign(message, fields)
  const bytes = encoder.encode(what)
  message.kind = KINDS[what[0]!]!
  const text = message.kind === 'response' ? message.result : message.resource
  text.set(bytes, 1, bytes.length - 1)
  for (const [name, value] of Object.entries(texts ?? {})) {
    const own = encoder.encode(value)
    message[name as 'error'].set(own, 0, own.length)
  }
  time = at ?? time + 100
  mark.time = time
  mark.direction = way
  mark.captured = bytes.length
  mark.processId = 11
  mark.threadId = 12
  mark.traceId = way === 'send' ? 13 : 14
  mark.sequence = time
  session.feeding = way
  const isTaken = session.take(message, mark)
  latest?.flush()
  return isTaken
}

test('Sessions pair by order where messages have no id', () => {
  const { rows, sessions } = start()
  const session = sessions.open(connect())
  for (const x of ['a', 'b', 'c']) say(session, 'send', `?${x}`)
  for (const x of ['A', 'B', 'C']) say(session, 'receive', `!${x}`)
  expect(rows).toEqual(['a>A session 0 300', 'b>B session 0 300', 'c>C session 0 300'])
})

test.each([
  ['client', 'serverName', 'serverProcessId'],
  ['server', 'clientName', 'clientProcessId'],
] as const)(
  'Sessions of the %s name a peer that is known only when it answers',
  (role, name, id) => {
    const { calls, sessions } = start()
    const connection = connect(role)
    const session = sessions.open(connection)
    const [asks, answers] =
      role === 'client' ? (['send', 'receive'] as const) : (['receive', 'send'] as const)
    say(session, asks, '?a')
    connection.remoteName = 3
    connection.remoteProcessId = 99
    say(session, answers, '!A')
    expect([calls[0]?.[name], calls[0]?.[id]]).toEqual([3, 99])
  },
)

test('Sessions take what went by 10 ms before a request for no answer to it', () => {
  for (const [early, isTaken] of [
    [10_000, true],
    [10_001, false],
  ] as const) {
    const { rows, sessions } = start()
    const session = sessions.open(connect())
    say(session, 'send', '?a', { time: 50_000 })
    expect(say(session, 'receive', '!A', { time: 50_000 - early })).toBe(isTaken)
    expect(rows.length).toBe(isTaken ? 1 : 0)
  }
})

test('Sessions pair by id, in any order, the oldest of equal ids first', () => {
  const { rows, sessions } = start()
  const session = sessions.open(connect())
  for (const [id, x] of ['a', 'b', 'c'].entries()) say(session, 'send', `?${x}`, { id: id % 2 })
  say(session, 'receive', '!B', { id: 1 })
  say(session, 'receive', '!A', { id: 0 })
  say(session, 'receive', '!C', { id: 0 })
  expect(rows).toEqual(['b>B session 0 200', 'a>A session 0 400', 'c>C session 0 300'])
})

test('Session tells the tag of the oldest request that waits for who is being read', () => {
  const session = start().sessions.open(connect())
  say(session, 'send', '?a', { tag: 7 })
  say(session, 'send', '?b', { tag: 8, id: 5 })
  session.feeding = 'receive'
  expect([session.pending(-1), session.pending(5), session.pending(6)]).toEqual([7, 8, -1])
  session.feeding = 'send'
  expect(session.pending(-1)).toBe(-1)
  say(session, 'receive', '!A')
  session.feeding = 'receive'
  expect([session.pending(-1), session.pending(5)]).toEqual([-1, 8])
})

test('Sessions add parts up: texts replace, lengths and rows sum, the end is the first byte', () => {
  const { rows, calls, sessions } = start()
  const session = sessions.open(connect())
  say(session, 'send', '?a', { last: false, length: 0, time: 100 })
  say(session, 'send', '?', { last: false, length: 5, time: 110 })
  say(session, 'send', '?ab', { length: 0, time: 120 })
  say(session, 'receive', '!A', { last: false, length: 3, rows: 1, code: 200, time: 150 })
  say(session, 'receive', '!', { last: false, length: 4, rows: 2, time: 200 })
  expect(rows).toEqual([])
  say(session, 'receive', '!', { length: 0, status: 3, texts: { error: 'late' }, time: 300 })
  expect(rows).toEqual(['ab>A session 3 50'])
  expect(calls[0]).toMatchObject({
    requestLength: 5,
    responseLength: 7,
    affectedRows: 3,
    code: 200,
  })
  expect(textOf(calls[0]!, 'response_exception')).toBe('late')
})

test('Sessions keep a request that is answered before its last part until it is whole', () => {
  const { rows, sessions } = start()
  const session = sessions.open(connect())
  say(session, 'send', '?a', { last: false })
  say(session, 'receive', '!A')
  say(session, 'send', '?')
  say(session, 'send', '?b')
  say(session, 'receive', '!B')
  expect(rows).toEqual(['a>A session 0 100', 'b>B session 0 100'])
})

test.each([
  {
    role: 'client' as const,
    asks: 'send' as const,
    want: {
      observationPoint: 'c-p' as const,
      clientPort: 40_000,
      serverPort: 53,
      clientName: 1,
      serverName: 2,
      clientProcessId: 11,
      serverProcessId: 0,
      requestTraceId: 13,
      responseTraceId: 14,
    },
    addresses: [10, 0, 0, 1, 10, 0, 0, 2],
  },
  {
    role: 'server' as const,
    asks: 'receive' as const,
    want: {
      observationPoint: 's-p' as const,
      clientPort: 53,
      serverPort: 40_000,
      clientName: 2,
      serverName: 1,
      clientProcessId: 0,
      serverProcessId: 11,
      requestTraceId: 14,
      responseTraceId: 13,
    },
    addresses: [10, 0, 0, 2, 10, 0, 0, 1],
  },
])('Sessions fill who, where and when of a call seen at the $role', (seen) => {
  const { calls, sessions } = start()
  const session = sessions.open(connect(seen.role))
  session.l7Protocol = HTTP
  say(session, seen.asks, '?/a', { time: 1000 })
  say(session, seen.asks === 'send' ? 'receive' : 'send', '!', { time: 1500 })
  const call = calls[0]!
  expect(call).toMatchObject({
    ...seen.want,
    startTime: 1000,
    endTime: 1500,
    duration: 500,
    requestSequence: 1000,
    responseSequence: 1500,
    requestThreadId: 12,
    capturedRequestBytes: 3,
    capturedResponseBytes: 1,
    signalSource: 3,
  })
  expect([...call.addresses.subarray(0, 4), ...call.addresses.subarray(16, 20)]).toEqual([
    ...seen.addresses,
  ])
})

test('Sessions make a row without duration of what nobody answers', () => {
  const { rows, sessions } = start()
  const session = sessions.open(connect())
  say(session, 'send', '?a')
  say(session, 'send', '*bye')
  say(session, 'receive', '!A')
  expect(rows).toEqual(['bye>- session 0 -', 'a>A session 0 200'])
})

test.each([
  [[224, 0, 0, 252], UDP, true],
  [[239, 255, 255, 250], UDP, true],
  [[255, 255, 255, 255], UDP, true],
  [[0xff, 2, 0, 0, 0], UDP, true],
  [[223, 0, 0, 1], UDP, false],
  [[240, 0, 0, 1], UDP, false],
  [[255, 255, 255, 254], UDP, false],
  [[0xfe, 0x80, 0, 0, 0], UDP, false],
  [[224, 0, 0, 252], TCP, false],
])('Sessions await no answer of a group of hosts: %p by %d, %p', (address, protocol, isGroup) => {
  const { rows, sessions } = start()
  const connection = connect('unknown', protocol)
  connection.addresses.set(address, 16)
  Object.assign(connection, { isIpv4: address.length === 4 })
  const session = sessions.open(connection)
  say(session, 'send', '?a', { id: 1 })
  expect(rows).toEqual(isGroup ? ['a>- session 0 -'] : [])
})

test('Sessions make a row of type response of an answer without a request', () => {
  const { rows, calls, sessions } = start()
  const session = sessions.open(connect())
  say(session, 'receive', '!A', { last: false, code: 200 })
  say(session, 'send', '?b')
  say(session, 'receive', '!', { length: 7 })
  say(session, 'receive', '!B')
  expect(rows).toEqual(['->A response 0 -', 'b>B session 0 200'])
  expect(calls[0]).toMatchObject({ responseLength: 7, code: 200, observationPoint: 'c-p' })
  expect(sessions.counters.dropped.orphan).toBe(1)
})

test('Sessions give up after 120 s, a DNS question after 15 s', () => {
  const { rows, calls, sessions } = start()
  const session = sessions.open(connect())
  const dns = sessions.open(connect('client', UDP))
  dns.l7Protocol = DNS
  say(session, 'send', '?a', { time: 0 })
  say(dns, 'send', '?b', { time: 0, id: 1 })
  sessions.tick(15e6 - 1)
  expect(rows).toEqual([])
  sessions.tick(120e6 - 1)
  expect(rows).toEqual(['b>- request 2 -'])
  sessions.tick(120e6)
  expect(rows[1]).toBe('a>- request 2 -')
  expect(calls.map(({ endTime }) => endTime)).toEqual([15e6, 120e6])
  expect(sessions.counters.dropped.timeout).toBe(2)
})

test('Sessions do not pair a late answer with the request after it', () => {
  const { rows, sessions } = start()
  const session = sessions.open(connect())
  say(session, 'send', '?a', { time: 0, tag: 4 })
  sessions.tick(120e6)
  say(session, 'send', '?b', { time: 121e6, tag: 5 })
  session.feeding = 'receive'
  expect(session.pending(-1)).toBe(4)
  say(session, 'receive', '!A', { time: 122e6 })
  say(session, 'receive', '!B', { time: 123e6 })
  expect(rows).toEqual(['a>- request 2 -', '->A response 0 -', `b>B session 0 ${2e6}`])
})

test('Sessions let the parts of an answer go by whose call went out for its time', () => {
  const { rows, sessions } = start()
  const session = sessions.open(connect())
  say(session, 'send', '?a', { time: 0 })
  say(session, 'receive', '!A', { time: 5, last: false })
  sessions.tick(120e6)
  say(session, 'send', '?b', { time: 121e6 })
  say(session, 'receive', '!', { time: 122e6, last: false })
  say(session, 'receive', '!', { time: 123e6 })
  say(session, 'receive', '!B', { time: 124e6 })
  expect(rows).toEqual(['a>A session 0 5', `b>B session 0 ${3e6}`])
})

test('Sessions let the parts of a request, and of an answer by id, go by after their time', () => {
  const { rows, sessions } = start()
  const session = sessions.open(connect())
  say(session, 'send', '?a', { time: 0, id: 1, last: false })
  say(session, 'send', '?b', { time: 1, id: 2 })
  say(session, 'receive', '!B', { time: 2, id: 2, last: false })
  sessions.tick(120e6 + 1)
  say(session, 'send', '?', { time: 121e6, id: 1 })
  say(session, 'receive', '!', { time: 122e6, id: 2 })
  session.close(time)
  sessions.flush()
  sessions.tick(Number.POSITIVE_INFINITY)
  expect(rows).toEqual(['a>- request 2 -', 'b>B session 0 1'])
})

test('Sessions close what waits as unknown when the connection closes, and what is answered as it is', () => {
  const { rows, sessions } = start()
  const session = sessions.open(connect())
  say(session, 'send', '?a', { time: 10 })
  say(session, 'send', '?b', { time: 20 })
  say(session, 'receive', '!A', { time: 30, last: false })
  session.close(99)
  sessions.flush()
  expect(rows).toEqual(['a>A session 0 20', 'b>- request 5 -'])
  sessions.tick(Number.POSITIVE_INFINITY)
  expect(rows.length).toBe(2)
})

test('Sessions set a duration below zero to zero, and count it', () => {
  const { rows, sessions } = start()
  const session = sessions.open(connect())
  say(session, 'send', '?a', { time: 100 })
  say(session, 'receive', '!A', { time: 90 })
  expect(rows).toEqual(['a>A session 0 0'])
  expect(sessions.clamped).toBe(1)
})

test('Sessions let the oldest of more than 1,000 go, and pair none with the wrong answer', () => {
  const { rows, sessions } = start()
  const session = sessions.open(connect())
  for (let i = 0; i < WAITING_MAX + 5; i++) say(session, 'send', `?${i}`)
  expect(rows.length).toBe(5)
  expect(sessions.counters.dropped.too_many).toBe(5)
  for (let i = 0; i < WAITING_MAX + 5; i++) say(session, 'receive', `!${i}`)
  expect(rows.slice(0, 5).every((one) => one.endsWith('request 5 -'))).toBe(true)
  expect(rows.slice(5, 10).map((one) => one.split(' ')[0])).toEqual([
    '->0',
    '->1',
    '->2',
    '->3',
    '->4',
  ])
  expect(rows.slice(10).every((one) => /^(\d+)>\1 session/.test(one))).toBe(true)
  expect(rows.length).toBe(WAITING_MAX + 10)
})

test('Sessions keep a bounded number of requests of all connections', () => {
  const { rows, sessions } = start({ waitingMax: 3 })
  for (const x of ['a', 'b', 'c', 'd']) say(sessions.open(connect()), 'send', `?${x}`)
  expect(rows).toEqual(['a>- request 5 -'])
  expect(sessions.counters.dropped.too_many_in_all).toBe(1)
})

test('Session that lost its way needs turns where more than one request was owed', () => {
  const lose = (waiting: number, before: number): string => {
    const session = start().sessions.open(connect())
    for (let i = 0; i < before; i++) {
      say(session, 'send', '?a')
      say(session, 'receive', '!A')
    }
    for (let i = 0; i < waiting; i++) say(session, 'send', '?b')
    return session.lost(time)
  }
  expect([lose(0, 0), lose(1, 0), lose(2, 0), lose(2, 8), lose(3, 8)]).toEqual([
    'none',
    'none',
    'turns',
    'none',
    'turns',
  ])
})

test('Session begins anew where answers come that nobody was seen to ask for, after a loss', () => {
  const { rows, sessions } = start()
  const session = sessions.open(connect())
  session.lost(time)
  say(session, 'send', '?a')
  expect(say(session, 'receive', '!A')).toBe(true)
  expect(say(session, 'receive', '!B')).toBe(false)
  expect(session.lost(time)).toBe('turns')
  sessions.flush()
  expect(rows).toEqual(['a>A session 0 100'])
})

test('Session begins anew where a client that was met in its midst turns out to pipeline', () => {
  const { rows, sessions } = start()
  const session = sessions.open(connect('client', TCP, false))
  say(session, 'send', '?a')
  say(session, 'send', '?b')
  expect(say(session, 'receive', '!?')).toBe(false)
  expect(rows).toEqual([])
  expect(session.lost(time)).toBe('turns')
  sessions.flush()
  expect(rows).toEqual(['a>- request 5 -', 'b>- request 5 -'])
})

test('Sessions pair an answer by id that was reported up to 10 ms before its request', () => {
  const { rows, sessions } = start()
  const session = sessions.open(connect())
  say(session, 'receive', '!A', { id: 1, time: 1000 })
  say(session, 'receive', '!B', { id: 2, time: 1000 })
  say(session, 'send', '?a', { id: 1, time: 11_000 })
  say(session, 'send', '?b', { id: 2, time: 11_001 })
  expect(rows).toEqual(['a>A session 0 0', '->B response 0 -'])
  say(session, 'receive', '!C', { id: 3, time: 20_000 })
  sessions.tick(30_000)
  expect(rows[2]).toBe('->C response 0 -')
})

/** A datagram socket. `port` is that of the peer a datagram comes from, or goes to; 0: unknown. */
function datagrams(
  session: Session,
  connection: Connection,
): (what: string, port: number, id?: number) => void {
  return (what: string, port: number, id = 1): void => {
    const segment = new Segment()
    segment.addresses = Uint8Array.of(10, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    segment.remotePort = port
    connection.setPeer(segment)
    say(session, what[0] === '?' ? 'receive' : 'send', what, { id })
  }
}

test('Sessions pair equal ids of several peers of a datagram socket by their peers', () => {
  const { rows, calls, sessions } = start()
  const connection = connect('unknown', UDP)
  const moves = datagrams(sessions.open(connection), connection)
  moves('?a', 1001)
  moves('?b', 1002)
  moves('!B', 1002)
  moves('!A', 1001)
  expect(rows.map((one) => one.split(' ')[0])).toEqual(['b>B', 'a>A'])
  expect(calls[0]).toMatchObject({ clientPort: 1002, observationPoint: 's-p' })
})

test('Sessions name the peer of a datagram that capture could not name by its answer', () => {
  const { rows, calls, sessions } = start()
  const connection = connect('unknown', UDP)
  const moves = datagrams(sessions.open(connection), connection)
  moves('?a', 0)
  moves('!A', 1001)
  expect(rows.map((one) => one.split(' ')[0])).toEqual(['a>A'])
  expect(calls[0]).toMatchObject({ clientPort: 1001, serverPort: 40_000 })
})

test('Sessions guess nothing where several unknown peers of a datagram socket ask with one id', () => {
  const { rows, sessions } = start()
  const connection = connect('unknown', UDP)
  const moves = datagrams(sessions.open(connection), connection)
  moves('?a', 0)
  moves('?b', 0)
  moves('?c', 0, 2)
  moves('!A', 1001)
  moves('!C', 1003, 2)
  sessions.tick(time + 10_000)
  expect(rows.map((one) => one.split(' ').slice(0, 3).join(' '))).toEqual([
    'a>- request 5',
    'b>- request 5',
    'c>C session 0',
    '->A response 0',
  ])
  expect(sessions.counters.dropped.ambiguous).toBe(2)
})

test.each([
  [HTTP, 'GET /a/17?x=secret', '/a/17?x=?', '/a/*'],
  [MYSQL, "COM_QUERY select 'secret'", 'select ?', ''],
  [REDIS, 'SET key secret', 'key', ''],
  [DNS, 'A example.org', 'example.org', 'example.org'],
] as const)(
  'Sessions keep of protocol %d and "%s" what may be kept',
  (number, said, kept, endpoint) => {
    const operation = said.slice(0, said.indexOf(' '))
    const resource = said.slice(operation.length + 1)
    for (const redact of [true, false]) {
      const { calls, sessions } = start({ redact })
      const session = sessions.open(connect())
      session.l7Protocol = number
      say(session, 'send', `?${resource}`, { texts: { operation } })
      say(session, 'receive', '!')
      expect(textOf(calls[0]!, 'request_resource')).toBe(redact ? kept : resource)
      expect(textOf(calls[0]!, 'endpoint')).toBe(endpoint)
      expect(textOf(calls[0]!, 'request_type')).toBe(operation)
    }
  },
)

test.each([
  ['AUHT secret', "ERR unknown command 'AUHT'", '', "ERR unknown command 'AUHT'"],
  ['ACL SETUSER bob', "ERR modifier '<secret': no", '', "ERR modifier '?': no"],
  ['SET key secret', "ERR wrong number for 'set'", 'key', "ERR wrong number for 'set'"],
])('Sessions keep of "%s" and "%s" no secret', (said, error, resource, exception) => {
  const { calls, sessions } = start()
  const session = sessions.open(connect())
  session.l7Protocol = REDIS
  const operation = said.slice(0, said.indexOf(' '))
  say(session, 'send', `?${said.slice(operation.length + 1)}`, { texts: { operation } })
  say(session, 'receive', '!', { status: 3, texts: { error } })
  expect(textOf(calls[0]!, 'request_resource')).toBe(resource)
  expect(textOf(calls[0]!, 'response_exception')).toBe(exception)
})

test.each([
  [true, 'INSERT INTO t VALUES (?)', false],
  [false, 'secret', true],
])('Sessions show what is bound to a statement unless they redact: %p', (redact, want, isCut) => {
  const { calls, sessions } = start({ redact })
  const session = sessions.open(connect())
  session.l7Protocol = MYSQL
  const texts = { operation: 'COM_STMT_EXECUTE', values: 'secret' }
  say(session, 'send', "?INSERT INTO t VALUES ('secret')", { texts, valuesTruncated: true })
  say(session, 'receive', '!')
  expect(textOf(calls[0]!, 'request_resource')).toBe(want)
  expect(calls[0]!.isTruncated).toBe(isCut)
})

test("Sessions take a protocol's own endpoint before any other", () => {
  const { calls, sessions } = start()
  const session = sessions.open(connect())
  session.l7Protocol = HTTP
  say(session, 'send', '?/a/b', { texts: { endpoint: 'Cart/Add' } })
  session.close(time)
  sessions.flush()
  expect(textOf(calls[0]!, 'endpoint')).toBe('Cart/Add')
})

test('Sessions mark a call whose text was too long to be kept', () => {
  const { calls, sessions } = start({ redact: false })
  const session = sessions.open(connect())
  say(session, 'send', `?${'x'.repeat(5000)}`)
  session.close(time)
  sessions.flush()
  expect(calls[0]!.isTruncated).toBe(true)
  expect(textOf(calls[0]!, 'request_resource').length).toBe(4096)
})

const LONG = 'x'.repeat(5000)

test.each([
  [HTTP, `/${LONG}?a=b`, {}, true],
  [HTTP, `/a?${'b=1&'.repeat(3000)}`, {}, true],
  [HTTP, `/a?b=${LONG}`, {}, false],
  [MYSQL, `select ${'1,'.repeat(3000)}`, {}, true],
  [MYSQL, `select '${LONG}'`, {}, false],
  [REDIS, `${LONG} secret`, {}, true],
  [HTTP, '/a', { xRequestId: LONG }, true],
  [HTTP, '/a', { proxyClient: LONG }, true],
  [HTTP, '/a', { traceId: LONG }, true],
] as const)(
  'Sessions of protocol %d say that a text was cut, and only then',
  (number, resource, texts, isCut) => {
    const { calls, sessions } = start()
    const session = sessions.open(connect())
    session.l7Protocol = number
    say(session, 'send', `?${resource}`, { texts })
    say(session, 'receive', '!')
    expect(calls[0]!.isTruncated).toBe(isCut)
    expect(textOf(calls[0]!, 'request_resource').length).toBeLessThanOrEqual(4096)
  },
)

test('Sessions say that the X-Request-ID of an answer was too long', () => {
  const { calls, sessions } = start()
  const session = sessions.open(connect())
  say(session, 'send', '?a')
  say(session, 'receive', '!', { texts: { xRequestId: LONG } })
  expect(calls[0]!.isTruncated).toBe(true)
})
