import { describe, expect, test } from 'bun:test'
import { dns } from '../../../src/agent/protocols/dns.ts'
import { MORE, type Sender, WRONG } from '../../../src/agent/protocols/protocol.ts'
import { bytesOf, TestLink, textOf } from './link.ts'

const u16 = (value: number): string => String.fromCharCode(value >> 8, value & 255)
/** Labels of a name written with dots, ended by a zero. */
const name = (text: string): string =>
  `${text
    .split('.')
    .map((label) => String.fromCharCode(label.length) + label)
    .join('')}\0`
const ask = (text: string, type: number, group = 1): string => name(text) + u16(type) + u16(group)
const head = (id: number, flags: number, counts: readonly number[]): string =>
  u16(id) + u16(flags) + counts.map(u16).join('')
/** A record owned by the name at offset 12: the question's. */
const record = (type: number, data: string): string =>
  `\xc0\x0c${u16(type)}${u16(1)}\0\0\x01\x2c${u16(data.length)}${data}`
const RR = { a: 1, ns: 2, cname: 5, soa: 6, mx: 15, txt: 16, aaaa: 28, srv: 33, opt: 41, any: 255 }

function show({ message: m }: TestLink, size: number): string {
  if (size <= 0) return String(size)
  const words: (string | number)[] = [m.kind, m.id, textOf(m.operation), textOf(m.resource)]
  if (m.domain.end) words.push(`domain=${textOf(m.domain)}`)
  if (textOf(m.endpoint) !== textOf(m.resource)) words.push(`endpoint=${textOf(m.endpoint)}`)
  if (!Number.isNaN(m.code)) words.push(m.code)
  if (m.status) words.push(`status=${m.status}`)
  if (m.error.end) words.push(`"${textOf(m.error)}"`)
  if (m.result.end) words.push(`[${textOf(m.result)}]`)
  if (m.truncated) words.push('cut')
  if (!m.last) words.push('…')
  return words.join(' ')
}

const QUERY = head(7, 0x0100, [1, 0, 0, 0])
const answered = (answers: number, others = 0, flags = 0x8180): string =>
  head(7, flags, [1, answers, 0, others])
const A_B = ask('a.b', RR.a)
const OPT_BADVERS = `\0${u16(RR.opt)}\x04\xd0\x01\0\0\0\0\0`

const CASES: readonly (readonly [string, Sender, string, string])[] = [
  ['a question', 'client', QUERY + A_B, 'request 7 A a.b domain=a.b'],
  ['no domain where no address is asked', 'client', QUERY + ask('a.b', RR.mx), 'request 7 MX a.b'],
  ['the root', 'client', `${QUERY}\0${u16(RR.ns)}\0\x01`, 'request 7 NS .'],
  ['a type without a name', 'client', QUERY + ask('a', 4711), 'request 7 TYPE4711 a'],
  [
    'a name in mixed case: one endpoint (RFC 4343)',
    'client',
    QUERY + ask('wWw.eX', RR.any),
    'request 7 ANY wWw.eX endpoint=www.ex',
  ],
  [
    'what is not printable in a name, escaped (RFC 1035 §5.1)',
    'client',
    `${QUERY}\x03a.\xff\0${u16(RR.txt)}\0\x01`,
    'request 7 TXT a\\046\\255',
  ],
  [
    'a question with EDNS',
    'client',
    `${head(7, 0x0120, [1, 0, 0, 1])}${A_B}\0${u16(RR.opt)}\x04\xd0\0\0\0\0\0\0`,
    'request 7 A a.b domain=a.b',
  ],
  [
    'a question of cookies alone (RFC 7873 §5.4)',
    'client',
    `${head(7, 0, [0, 0, 0, 1])}\0${u16(RR.opt)}\x04\xd0\0\0\0\0\0\0`,
    'request 7  ',
  ],
  [
    'a question without recursion',
    'client',
    head(7, 0, [1, 0, 0, 0]) + A_B,
    'request 7 A a.b domain=a.b',
  ],
  ['NOTIFY', 'client', head(7, 0x2400, [1, 0, 0, 0]) + ask('z', RR.soa), 'request 7 NOTIFY z'],
  [
    'addresses',
    'server',
    answered(2) + A_B + record(RR.a, '\x01\x02\x03\x04') + record(RR.a, '\xff\0\0\x01'),
    'response 7 A a.b domain=a.b 0 [A=1.2.3.4; A=255.0.0.1]',
  ],
  [
    'an IPv6 address (RFC 5952)',
    'server',
    `${answered(1)}${ask('a', RR.aaaa)}${record(RR.aaaa, '\x20\x01\x0d\xb8\0\0\0\0\0\x01\0\0\0\0\0\x01')}`,
    'response 7 AAAA a domain=a 0 [AAAA=2001:db8::1:0:0:1]',
  ],
  [
    'the loopback address',
    'server',
    `${answered(1)}${ask('a', RR.aaaa)}${record(RR.aaaa, `${'\0'.repeat(15)}\x01`)}`,
    'response 7 AAAA a domain=a 0 [AAAA=::1]',
  ],
  [
    'an alias by a compressed name',
    'server',
    `${answered(1)}${A_B}${record(RR.cname, '\x01x\xc0\x0e')}`,
    'response 7 A a.b domain=a.b 0 [CNAME=x.b]',
  ],
  [
    'ranked records and text',
    'server',
    `${answered(3)}${ask('a', RR.any)}${record(RR.mx, '\0\x0a\x01m\0')}` +
      `${record(RR.srv, '\0\x01\0\x02\x01\xbb\x01s\0')}${record(RR.txt, '\x02hi\x01!')}`,
    'response 7 ANY a 0 [MX=10 m; SRV=1 2 443 s; TXT=hi!]',
  ],
  [
    'no such name',
    'server',
    `${answered(0, 0, 0x8183)}${A_B}`,
    'response 7 A a.b domain=a.b 3 status=4 "Non-Existent Domain"',
  ],
  [
    'a format error without a question',
    'server',
    head(7, 0x8181, [0, 0, 0, 0]),
    'response 7   1 status=4 "Format Error"',
  ],
  [
    'a failure',
    'server',
    `${answered(0, 0, 0x8182)}${A_B}`,
    'response 7 A a.b domain=a.b 2 status=3 "Server Failure"',
  ],
  [
    'a refusal',
    'server',
    `${answered(0, 0, 0x8185)}${A_B}`,
    'response 7 A a.b domain=a.b 5 status=3 "Query Refused"',
  ],
  [
    'a code that EDNS extends',
    'server',
    `${answered(0, 1)}${A_B}${OPT_BADVERS}`,
    'response 7 A a.b domain=a.b 16 status=3 "Bad OPT Version or TSIG Signature Failure"',
  ],
  [
    'a truncated answer as an answer',
    'server',
    `${answered(0, 0, 0x8380)}${A_B}`,
    'response 7 A a.b domain=a.b 0',
  ],
  [
    'records that were not captured',
    'server',
    `${answered(2)}${A_B}${record(RR.a, '\x01\x02\x03\x04')}${'\0'.repeat(30)}`,
    'response 7 A a.b domain=a.b 0 [A=1.2.3.4] cut',
  ],
  [
    'an address of a wrong size as nothing to tell',
    'server',
    `${answered(1)}${A_B}${record(RR.a, '\x01')}`,
    'response 7 A a.b domain=a.b 0',
  ],
  ['a name that points at itself', 'client', `${QUERY}\xc0\x0c\0\x01\0\x01`, '-1'],
  ['a name that points forward', 'client', `${QUERY}\xc0\x20\0\x01\0\x01${'\0'.repeat(20)}`, '-1'],
  [
    'an answer whose names go in circles',
    'server',
    `${answered(1)}${A_B}${record(RR.cname, '\x01x\xc0\x21')}`,
    'response 7 A a.b domain=a.b 0',
  ],
  ['a label of 64', 'client', `${QUERY}\x40${'x'.repeat(64)}\0\0\x01\0\x01`, '-1'],
  ['a name of 256', 'client', `${QUERY}${`\x3f${'x'.repeat(63)}`.repeat(4)}\0\0\x01\0\x01`, '-1'],
  ['a question that is cut', 'client', `${QUERY}\x01a\0\0`, '-1'],
  ['a header that is cut', 'client', QUERY.slice(0, 11), '-1'],
  ['an operation that is none', 'client', head(7, 0x1800, [1, 0, 0, 0]) + A_B, '-1'],
  ['more questions than sense', 'client', head(7, 0x0100, [65535, 0, 0, 0]) + A_B, '-1'],
]

const frame = (text: string): string => u16(text.length) + text
const soa = (serial: number): string =>
  record(RR.soa, `\xc0\x0c\xc0\x0c${u16(0)}${u16(serial)}${'\0'.repeat(16)}`)
const host = (last: number): string => record(RR.a, `\x0a\0\0${String.fromCharCode(last)}`)
/** A message of a transfer with id 7; only the first repeats the question. */
const part = (question: string, ...records: readonly string[]): string =>
  frame(
    head(7, 0x8400, [question === '' ? 0 : 1, records.length, 0, 0]) + question + records.join(''),
  )
const ZONE = ask('z', 252)
const DIFFERENCES = ask('z', 251)

/** A question about a zone and the messages that answer it: how each of them is told. */
const TRANSFERS: Record<string, readonly [string, readonly string[], readonly string[]]> = {
  'a zone in several messages': [
    ZONE,
    [part(ZONE, soa(9), host(1)), part('', host(2), host(3)), part('', host(4), soa(9))],
    ['response 7 AXFR z 0 [SOA=z; A=10.0.0.1] …', 'response 7   0 …', 'response 7   0'],
  ],
  'a zone in messages of a record each': [
    ZONE,
    [part(ZONE, soa(9)), part('', host(2)), part('', soa(9))],
    ['response 7 AXFR z 0 [SOA=z] …', 'response 7   0 …', 'response 7   0'],
  ],
  'a zone in one message': [
    ZONE,
    [part(ZONE, soa(9), host(1), soa(9))],
    ['response 7 AXFR z 0 [SOA=z; A=10.0.0.1; SOA=z]'],
  ],
  'differences: the new SOA comes once more before what it adds': [
    DIFFERENCES,
    [
      part(DIFFERENCES, soa(9), soa(7), host(1)),
      part('', soa(8), host(2), soa(8), soa(9)),
      part('', host(3), soa(9)),
    ],
    ['response 7 IXFR z 0 [SOA=z; SOA=z; A=10.0.0.1] …', 'response 7   0 …', 'response 7   0'],
  ],
  'a whole zone where differences were asked for': [
    DIFFERENCES,
    [part(DIFFERENCES, soa(9), host(1)), part('', soa(9))],
    ['response 7 IXFR z 0 [SOA=z; A=10.0.0.1] …', 'response 7   0'],
  ],
  'no differences': [DIFFERENCES, [part(DIFFERENCES, soa(9))], ['response 7 IXFR z 0 [SOA=z]']],
  'a refusal': [
    ZONE,
    [frame(head(7, 0x8405, [1, 0, 0, 0]) + ZONE)],
    ['response 7 AXFR z 5 status=3 "Query Refused"'],
  ],
  'an answer without records': [ZONE, [part(ZONE)], ['response 7 AXFR z 0']],
  'a part that was not captured: its end is not known': [
    ZONE,
    [part(ZONE, soa(9), host(1)), part('', '\0'.repeat(26), '\0'.repeat(26))],
    ['response 7 AXFR z 0 [SOA=z; A=10.0.0.1] …', 'response 7   0 …'],
  ],
}

describe('dns follows a transfer (RFC 5936, RFC 1995)', () => {
  test.each(Object.entries(TRANSFERS))('%s', (_, [question, parts, want]) => {
    const link = new TestLink(dns)
    const asked = frame(head(7, 0, [1, 0, 0, 0]) + question)
    for (const round of [1, 2]) {
      link.feed('client', bytesOf(asked))
      const told = link.feedAll('server', bytesOf(parts.join('')), show)
      expect([round, ...told]).toEqual([round, ...want])
    }
    link.feed('client', bytesOf(frame(head(8, 0, [1, 0, 0, 0]) + A_B)))
    const answer = frame(head(8, 0x8400, [1, 0, 0, 0]) + A_B)
    expect(link.feedAll('server', bytesOf(answer), show)).toEqual(['response 8 A a.b domain=a.b 0'])
  })
})

describe('dns reads', () => {
  test.each(CASES)('%s', (_, sender, input, want) => {
    const link = new TestLink(dns, true)
    const bytes = bytesOf(input)
    const size = link.feed(sender, bytes)
    expect(show(link, size)).toBe(want)
    if (size !== WRONG) expect(size).toBe(bytes.length)
    const byTcp = new TestLink(dns)
    expect(show(byTcp, byTcp.feed(sender, bytesOf(u16(input.length) + input)))).toBe(want)
  })

  test('by datagram the kind that the flags say, whoever sent it; on a stream only what fits', () => {
    const datagram = new TestLink(dns, true)
    expect(show(datagram, datagram.feed('server', bytesOf(QUERY + A_B)))).toStartWith('request')
    const stream = new TestLink(dns)
    const framed = bytesOf(u16(QUERY.length + A_B.length) + QUERY + A_B)
    expect(stream.feed('server', framed)).toBe(WRONG)
  })

  test('several questions on a stream, answered in another order', () => {
    const link = new TestLink(dns)
    const one = frame(head(1, 0x0100, [1, 0, 0, 0]) + A_B)
    const two = frame(head(2, 0x0100, [1, 0, 0, 0]) + ask('c', RR.mx))
    expect(link.feedAll('client', bytesOf(one + two), show)).toEqual([
      'request 1 A a.b domain=a.b',
      'request 2 MX c',
    ])
    const back = frame(head(2, 0x8183, [1, 0, 0, 0]) + ask('c', RR.mx))
    expect(link.feedAll('server', bytesOf(back), show)).toEqual([
      'response 2 MX c 3 status=4 "Non-Existent Domain"',
    ])
  })

  test('what multicast DNS asks as a message that nobody need answer (RFC 6762 §18)', () => {
    const asked = (id: number, flags: number): string => {
      const link = new TestLink(dns, true)
      return show(link, link.feed('client', bytesOf(head(id, flags, [1, 0, 0, 0]) + A_B)))
    }
    expect(asked(0, 0)).toStartWith('oneway')
    expect(asked(0, 0x0200)).toStartWith('oneway')
    expect(asked(0, 0x0100)).toStartWith('request')
    expect(asked(0, 0x0010)).toStartWith('request')
    expect(asked(1, 0)).toStartWith('request')
    const stream = new TestLink(dns)
    const framed = frame(head(0, 0, [1, 0, 0, 0]) + A_B)
    expect(show(stream, stream.feed('client', bytesOf(framed)))).toStartWith('request')
  })

  test('a size that comes alone as the beginning of a message, and none below a header', () => {
    const link = new TestLink(dns)
    expect(link.feed('client', bytesOf('\0'))).toBe(MORE)
    expect(link.feed('client', bytesOf('\0\x20'))).toBe(MORE)
    expect(link.feed('client', bytesOf('\0\x0b'))).toBe(WRONG)
  })
})

test.each([
  ['client', QUERY + A_B, 90],
  ['client', u16(QUERY.length + A_B.length) + QUERY + A_B, 90],
  ['client', (u16(QUERY.length + A_B.length) + QUERY + A_B).slice(0, 16), 40],
  ['client', QUERY + ask('a.b', RR.a, 2), 0],
  ['client', QUERY, 0],
  ['server', QUERY + A_B, 0],
  ['server', answered(0) + A_B, 90],
  ['client', answered(0) + A_B, 0],
  ['client', 'GET / HTTP/1.1\r\nHost: h\r\n\r\n', 0],
] as const)('dns claims of a %s %p: %i', (sender, input, want) => {
  expect(dns.claim(bytesOf(input), sender)).toBe(want)
})
