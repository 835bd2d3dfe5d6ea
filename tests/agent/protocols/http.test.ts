import { describe, expect, test } from 'bun:test'
import { http } from '../../../src/agent/protocols/http.ts'
import { ENDLESS, MORE, type Sender, SWITCH, WRONG } from '../../../src/agent/protocols/protocol.ts'
import { bytesOf, TestLink, textOf } from './link.ts'

/** What a message says, in one line: only what is set. */
function show({ message: m }: TestLink, size: number): string {
  if (size <= 0) return `${m.next}${size}`
  const words: (string | number)[] = [m.kind === 'none' ? '-' : m.kind]
  if (m.operation.end) words.push(textOf(m.operation))
  if (m.resource.end) words.push(textOf(m.resource))
  if (m.domain.end) words.push(`host=${textOf(m.domain)}`)
  if (!Number.isNaN(m.code)) words.push(m.code)
  if (m.status) words.push(`status=${m.status}`)
  if (m.error.end) words.push(`"${textOf(m.error)}"`)
  if (m.length >= 0) words.push(`length=${m.length}`)
  if (m.version.end) words.push(`v${textOf(m.version)}`)
  if (m.traceId.end) words.push(`trace=${textOf(m.traceId)}`)
  if (m.spanId.end) words.push(`span=${textOf(m.spanId)}`)
  if (m.xRequestId.end) words.push(`x=${textOf(m.xRequestId)}`)
  if (m.proxyClient.end) words.push(`from=${textOf(m.proxyClient)}`)
  if (!m.last) words.push('…')
  if (m.truncated) words.push('cut')
  return `${words.join(' ')} ${size}`
}

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const SPAN = '00f067aa0ba902b7'

/** Heads on their own: sender, bytes, what is read, and how far the size passes the bytes. */
const HEADS: readonly (readonly [string, Sender, string, string])[] = [
  ['a request', 'client', 'GET /a HTTP/1.1\r\nHost: h\r\n\r\n', 'request GET /a host=h v1.1'],
  ['no Host in 1.0', 'client', 'GET / HTTP/1.0\r\n\r\n', 'request GET / v1.0'],
  [
    'a body by length, not all here',
    'client',
    'POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\nhe',
    'request POST /a length=5 v1.1 +3',
  ],
  [
    'names in any case, white space around values',
    'client',
    'GET / HTTP/1.1\r\nhOST:\t h:80 \t\r\n\r\n',
    'request GET / host=h:80 v1.1',
  ],
  ['a method of its own', 'client', 'M-SEARCH * HTTP/1.1\r\n\r\n', 'request M-SEARCH * v1.1'],
  [
    'asterisk-form',
    'client',
    'OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n',
    'request OPTIONS * host=h v1.1',
  ],
  [
    'absolute-form, whose host counts (RFC 9112 §3.2.2)',
    'client',
    'GET http://a.b:8/c?d HTTP/1.1\r\nHost: other\r\n\r\n',
    'request GET /c?d host=a.b:8 v1.1',
  ],
  [
    'absolute-form without a path',
    'client',
    'GET http://a.b HTTP/1.1\r\nHost: a.b\r\n\r\n',
    'request GET / host=a.b v1.1',
  ],
  [
    'absolute-form with a password, which is not read (RFC 9110 §4.2.4)',
    'client',
    'GET http://bob:SECRET@a.b:8/c HTTP/1.1\r\nHost: a.b:8\r\n\r\n',
    'request GET /c host=a.b:8 v1.1',
  ],
  [
    'a list in several fields as one (RFC 9110 §5.3)',
    'client',
    'GET / HTTP/1.1\r\nX-Forwarded-For: a\r\nX-Forwarded-For: b,\r\n c\r\nx-forwarded-for: d\r\n\r\n',
    'request GET / v1.1 from=a, b,   c, d',
  ],
  [
    'authority-form',
    'client',
    'CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n',
    'request CONNECT h:443 host=h:443 v1.1',
  ],
  ['lone LF (RFC 9112 §2.2)', 'client', 'GET / HTTP/1.1\nHost: h\n\n', 'request GET / host=h v1.1'],
  [
    'a folded value as one line (RFC 9112 §5.2)',
    'client',
    'GET / HTTP/1.1\r\nX-Forwarded-For: a,\r\n  b\r\nHost: h\r\n\r\n',
    'request GET / host=h v1.1 from=a,    b',
  ],
  [
    'a folded Content-Length',
    'client',
    'PUT / HTTP/1.1\r\nContent-Length:\r\n 3\r\n\r\nabc',
    'request PUT / length=3 v1.1',
  ],
  [
    'a list of equal lengths (RFC 9110 §8.6)',
    'client',
    'PUT / HTTP/1.1\r\nContent-Length: 3, 3\r\n\r\nabc',
    'request PUT / length=3 v1.1',
  ],
  ['lengths that differ', 'client', 'PUT / HTTP/1.1\r\nContent-Length: 3, 4\r\n\r\n', '-1'],
  [
    'two Content-Lengths',
    'client',
    'PUT / HTTP/1.1\nContent-Length: 3\nContent-Length: 4\n\n',
    '-1',
  ],
  ['a length that is none', 'client', 'PUT / HTTP/1.1\r\nContent-Length: -3\r\n\r\n', '-1'],
  [
    'a length beyond sense',
    'client',
    'PUT / HTTP/1.1\nContent-Length: 99999999999999999\n\n',
    '-1',
  ],
  [
    'a coding without chunked in a request',
    'client',
    'PUT / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n',
    '-1',
  ],
  [
    'the ids of a rich request',
    'client',
    `GET / HTTP/1.1\r\nX-Request-ID: r-1\r\ntraceparent: 00-${TRACE}-${SPAN}-01\r\n\r\n`,
    `request GET / v1.1 trace=${TRACE} span=${SPAN} x=r-1`,
  ],
  [
    'a traceparent of a later version',
    'client',
    `GET / HTTP/1.1\r\ntraceparent: cc-${TRACE}-${SPAN}-01-what\r\n\r\n`,
    `request GET / v1.1 trace=${TRACE} span=${SPAN}`,
  ],
  [
    'no traceparent of version ff',
    'client',
    `GET / HTTP/1.1\r\ntraceparent: ff-${TRACE}-${SPAN}-01\r\n\r\n`,
    'request GET / v1.1',
  ],
  [
    'no traceparent of zeros',
    'client',
    `GET / HTTP/1.1\r\ntraceparent: 00-${'0'.repeat(32)}-${SPAN}-01\r\n\r\n`,
    'request GET / v1.1',
  ],
  [
    'sw8, decoded',
    'client',
    'GET / HTTP/1.1\r\nsw8: 1-YWJj-c2Vn-3-PGE+-PGE+-PGE+-PGE+\r\n\r\n',
    'request GET / v1.1 trace=abc span=seg-3',
  ],
  [
    'b3 in one field',
    'client',
    `GET / HTTP/1.1\r\nb3: ${TRACE}-${SPAN}-1-${SPAN}\r\n\r\n`,
    `request GET / v1.1 trace=${TRACE} span=${SPAN}`,
  ],
  ['b3 that only decides', 'client', 'GET / HTTP/1.1\r\nb3: 0\r\n\r\n', 'request GET / v1.1'],
  [
    'b3 in several fields',
    'client',
    `GET / HTTP/1.1\r\nX-B3-TraceId: ${TRACE}\r\nX-B3-SpanId: ${SPAN}\r\n\r\n`,
    `request GET / v1.1 trace=${TRACE} span=${SPAN}`,
  ],
  [
    'uber-trace-id',
    'client',
    'GET / HTTP/1.1\r\nuber-trace-id: 3f:a1%3A0%3A1\r\n\r\n',
    'request GET / v1.1 trace=3f span=a1',
  ],
  [
    'W3C before all others, in any order',
    'client',
    `GET / HTTP/1.1\r\ntraceparent: 00-${TRACE}-${SPAN}-01\r\nuber-trace-id: 3f:a1:0:1\r\n\r\n`,
    `request GET / v1.1 trace=${TRACE} span=${SPAN}`,
  ],
  ['HTTP/0.9 as nothing of ours', 'client', 'GET /\r\n', '-1'],
  ['the preface of HTTP/2 as nothing of ours', 'client', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', '-1'],
  ['RTSP as nothing of ours', 'client', 'OPTIONS rtsp://a RTSP/1.0\r\n\r\n', '-1'],
  ['a response from a client as nothing', 'client', 'HTTP/1.1 200 OK\r\n\r\n', '-1'],
  ['a request from a server as nothing', 'server', 'GET / HTTP/1.1\r\n\r\n', '-1'],
  ['empty lines before a request', 'client', '\r\n\r\nGET / HTTP/1.1\r\n\r\n', '- -18'],
  [
    'a response',
    'server',
    'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Request-Id: q\r\n\r\nhi',
    'response 200 length=2 v1.1 x=q',
  ],
  ['no reason phrase', 'server', 'HTTP/1.1 204\r\n\r\n', 'response 204 v1.1'],
  ['a redirect as ok', 'server', 'HTTP/1.1 302 Found\r\n\r\n', 'response 302 v1.1'],
  [
    "a client's error, in the registry's words",
    'server',
    'HTTP/1.1 404 nope\r\nContent-Length: 0\r\n\r\n',
    'response 404 status=4 "Not Found" length=0 v1.1',
  ],
  [
    "a server's error without a registered reason",
    'server',
    'HTTP/1.1 599 Odd thing\r\nContent-Length: 0\r\n\r\n',
    'response 599 status=3 "Odd thing" length=0 v1.1',
  ],
  ['no code', 'server', 'HTTP/1.1 2x0 OK\r\n\r\n', '-1'],
  ['a code of two digits', 'server', 'HTTP/1.1 20\r\n\r\n', '-1'],
  ['100 Continue', 'server', 'HTTP/1.1 100 Continue\r\n\r\n', '-'],
  ['103 Early Hints', 'server', 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n', '-'],
]

test.each(HEADS)('http reads %s', (_, sender, input, want) => {
  const link = new TestLink(http)
  const bytes = bytesOf(input)
  const size = link.feed(sender, bytes)
  const beyond = size - bytes.length
  const got = show(link, size).replace(/ \d+$/, '')
  expect(size > 0 && beyond !== 0 ? `${got} ${beyond > 0 ? '+' : ''}${beyond}` : got).toBe(want)
})

test('http never reads what is secret: no text of a message touches it', () => {
  const link = new TestLink(http)
  const input = bytesOf(
    'GET /a HTTP/1.1\r\nCookie: s=SECRET\r\nAuthorization: Basic SECRET\r\nHost: h\r\n\r\n',
  )
  link.feed('client', input)
  const texts = Object.values(link.message).filter((value) => value?.bytes)
  expect(texts.length).toBeGreaterThan(8)
  for (const text of texts) expect(textOf(text)).not.toContain('SECRET')
})

type Step = readonly [sender: Sender, input: string, want: readonly string[]]
const GET = 'GET / HTTP/1.1\r\n\r\n'
const ZEROS = '\0'.repeat(300)

const TALKS: Record<string, readonly Step[]> = {
  'pipelined requests and responses, several in one read': [
    ['client', GET + GET, ['request GET / v1.1 18', 'request GET / v1.1 18']],
    [
      'server',
      'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n',
      ['response 200 length=3 v1.1 41', 'response 404 status=4 "Not Found" length=0 v1.1 37'],
    ],
  ],
  'a chunked response with extensions and trailers': [
    ['client', GET, ['request GET / v1.1 18']],
    [
      'server',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5;a="b"\r\nhello\r\n' +
        '00A\r\n0123456789\r\n0;last\r\nDigest: x\r\nContent-Length: 9\r\n\r\nHTTP/1.1 204 x\r\n\r\n',
      [
        'response 200 length=0 v1.1 … 53',
        'response length=5 … 16',
        'response length=10 … 17',
        'response length=0 40',
        'response 204 v1.1 18',
      ],
    ],
  ],
  'a chunked request, and a response that does not wait for its end': [
    [
      'client',
      'PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n',
      ['request PUT / length=0 v1.1 … 46', 'request length=2 … 7'],
    ],
    [
      'server',
      'HTTP/1.1 413 x\r\nContent-Length: 0\r\n\r\n',
      ['response 413 status=4 "Content Too Large" length=0 v1.1 37'],
    ],
    ['client', '0\r\n\r\n', ['request length=0 5']],
  ],
  'Transfer-Encoding before Content-Length (RFC 9112 §6.3)': [
    ['client', GET, ['request GET / v1.1 18']],
    [
      'server',
      'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      ['response 200 length=0 v1.1 … 66', 'response length=0 5'],
    ],
  ],
  'a chunk size that ends in a lone LF, or is none, as lost framing': [
    ['client', GET, ['request GET / v1.1 18']],
    [
      'server',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n',
      ['response 200 length=0 v1.1 … 47', '-1'],
    ],
    ['server', 'xyz\r\n', ['-1']],
    ['server', `${'f'.repeat(13)}\r\n`, ['-1']],
  ],
  'HEAD without a body, whatever its length says': [
    [
      'client',
      `HEAD / HTTP/1.1\r\n\r\n${GET}`,
      ['request HEAD / v1.1 19', 'request GET / v1.1 18'],
    ],
    [
      'server',
      'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx',
      ['response 200 length=99 v1.1 39', 'response 200 length=1 v1.1 39'],
    ],
  ],
  '304 without a body, whatever its length says': [
    ['client', GET, ['request GET / v1.1 18']],
    [
      'server',
      'HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n',
      ['response 304 length=99 v1.1 49'],
    ],
  ],
  'a body until the connection closes': [
    ['client', GET, ['request GET / v1.1 18']],
    ['server', 'HTTP/1.0 200 OK\r\n\r\nall', [`response 200 v1.0 … ${ENDLESS + 19}`]],
  ],
  'a coding without chunked in a response: until it closes': [
    ['client', GET, ['request GET / v1.1 18']],
    [
      'server',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n',
      [`response 200 v1.1 … ${ENDLESS + 44}`],
    ],
  ],
  'an interim response before the final one': [
    [
      'client',
      'PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n',
      ['request PUT / length=2 v1.1 61'],
    ],
    [
      'server',
      'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n',
      ['- 25', 'response 201 length=0 v1.1 43'],
    ],
  ],
  'an upgrade: each sender switches at its own place': [
    ['client', 'GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n', ['request GET /ws v1.1 40']],
    [
      'server',
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x00',
      ['response 101 v1.1 56', `WebSocket${SWITCH}`],
    ],
    ['client', '\x81\x80', [`WebSocket${SWITCH}`]],
  ],
  'an upgrade that was refused: HTTP goes on': [
    ['client', 'GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n', ['request GET / v1.1 32']],
    ['server', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', ['response 200 length=0 v1.1 38']],
    ['client', GET, ['request GET / v1.1 18']],
  ],
  'a tunnel': [
    ['client', 'CONNECT h:1 HTTP/1.1\r\n\r\n', ['request CONNECT h:1 v1.1 24']],
    ['server', 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n', ['response 200 length=9 v1.1 38']],
    ['client', '\x16\x03\x01', [`${SWITCH}`]],
    ['server', '\x16\x03\x01', [`${SWITCH}`]],
  ],
  'methods that begin like CONNECT and HEAD (RFC 3253)': [
    ['client', 'CHECKIN /a HTTP/1.1\r\n\r\n', ['request CHECKIN /a v1.1 23']],
    ['server', 'HTTP/1.1 201 x\r\nContent-Length: 2\r\n\r\nok', ['response 201 length=2 v1.1 39']],
    ['client', 'HELP / HTTP/1.1\r\n\r\n', ['request HELP / v1.1 19']],
    ['server', 'HTTP/1.1 200 x\r\nContent-Length: 2\r\n\r\nok', ['response 200 length=2 v1.1 39']],
    ['client', GET, ['request GET / v1.1 18']],
  ],
  'a tunnel that was refused': [
    ['client', 'CONNECT h:1 HTTP/1.1\r\n\r\n', ['request CONNECT h:1 v1.1 24']],
    [
      'server',
      'HTTP/1.1 407 x\r\nContent-Length: 2\r\n\r\nno',
      ['response 407 status=4 "Proxy Authentication Required" length=2 v1.1 39'],
    ],
    ['client', GET, ['request GET / v1.1 18']],
  ],
  'a response to an unseen HEAD without taking the next one for its body': [
    [
      'server',
      'HTTP/1.1 200 OK\r\nContent-Length: 38\r\n\r\nHTTP/1.1 204 x\r\n\r\n',
      ['response 200 length=38 v1.1 39', 'response 204 v1.1 18'],
    ],
  ],
  'a head that runs into a hole, and the next one after it': [
    [
      'client',
      `GET /a HTTP/1.1\r\nHost: h\r\nCookie: ${ZEROS}`,
      ['request GET /a host=h v1.1 cut 334'],
    ],
    ['server', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', ['response 200 length=0 v1.1 38']],
    ['client', GET, ['request GET / v1.1 18']],
    [
      'server',
      `HTTP/1.1 500 x\r\nSet-Cookie: ${ZEROS}`,
      ['response 500 status=3 "Internal Server Error" v1.1 cut 328'],
    ],
    ['server', 'body of unknown length', ['- 22']],
    ['client', GET, ['request GET / v1.1 18']],
    ['server', 'HTTP/1.1 204 x\r\n\r\n', ['response 204 v1.1 18']],
  ],
  'a start line in pieces behind a hole': [
    ['client', `GET /a HTTP/1.1\r\nCookie: ${ZEROS}`, ['request GET /a v1.1 cut 325']],
    ['server', `HTTP/1.1 200 OK\r\nServer: ${ZEROS}`, ['response 200 v1.1 cut 325']],
    ['client', 'GE', ['0']],
    ['client', GET, ['request GET / v1.1 18']],
    ['server', 'HT', ['0']],
    ['server', 'HTTP/1.1 204 x\r\n\r\n', ['response 204 v1.1 18']],
  ],
  'a target that runs into a hole': [
    ['client', `GET /long${ZEROS}`, ['request GET /long cut 309']],
    ['client', 'Host: h\r\nA: b\r\n\r\n', ['- 17']],
    ['server', 'HTTP/1.1 204 x\r\n\r\n', ['response 204 v1.1 18']],
    ['client', GET, ['request GET / v1.1 18']],
  ],
  'a request behind a hole whose response is not seen as lost framing: another may answer it': [
    ['client', `GET /a HTTP/1.1\r\nCookie: ${ZEROS}`, ['request GET /a v1.1 cut 325']],
    ['client', 'rest of the cookie\r\n\r\n', ['- 22']],
    ['client', GET, [`${WRONG}`]],
  ],
  'a chunk size in a hole: the response ends, the next is found': [
    ['client', GET, ['request GET / v1.1 18']],
    [
      'server',
      `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n${ZEROS}`,
      ['response 200 length=0 v1.1 … 47', 'response length=5 … 10', 'response length=0 cut 300'],
    ],
    ['server', '0\r\n\r\n', ['- 5']],
    ['client', GET, ['request GET / v1.1 18']],
    ['server', 'HTTP/1.1 204 x\r\n\r\n', ['response 204 v1.1 18']],
  ],
  'a hole while several wait as lost framing: the next cannot be told': [
    ['client', GET + GET, ['request GET / v1.1 18', 'request GET / v1.1 18']],
    ['server', `HTTP/1.1 200 OK\r\nServer: ${ZEROS}`, ['response 200 v1.1 cut 325']],
    ['server', 'HTTP/1.1 204 x\r\n\r\n', [`${WRONG}`]],
  ],
}

describe('http follows', () => {
  test.each(Object.entries(TALKS))('%s', (_, steps) => {
    const link = new TestLink(http)
    for (const [sender, input, want] of steps)
      expect(link.feedAll(sender, bytesOf(input), show)).toEqual([...want])
  })

  test('fresh bytes after lost framing', () => {
    const link = new TestLink(http)
    link.feed('client', bytesOf('PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n'))
    link.conversation.lost()
    expect(show(link, link.feed('client', bytesOf(GET)))).toBe('request GET / v1.1 18')
  })

  test('nothing by datagram: what UPnP sends is answered by nobody', () => {
    const link = new TestLink(http, true)
    expect(link.feed('client', bytesOf('NOTIFY * HTTP/1.1\r\nHost: h\r\n\r\n'))).toBe(WRONG)
    expect(link.feed('server', bytesOf('HTTP/1.1 200 OK\r\n\r\n'))).toBe(WRONG)
  })

  test('a head up to 64 KB, and none that is longer', () => {
    const link = new TestLink(http)
    const begun = `GET / HTTP/1.1\r\nA: ${'x'.repeat(65_000)}`
    expect(link.feed('client', bytesOf(begun))).toBe(MORE)
    expect(link.feed('client', bytesOf(`${begun}${'x'.repeat(600)}`))).toBe(WRONG)
  })
})

test.each([
  ['client', GET, 95],
  ['client', 'GET /a', 60],
  ['client', 'GET key\r\n', 0],
  ['client', 'SET /a b\r\n', 0],
  ['client', 'PRI * HTTP/2.0\r\n\r\n', 0],
  ['client', 'HTTP/1.1 200 OK\r\n', 0],
  ['server', 'HTTP/1.1 200 OK\r\n', 95],
  ['server', 'HTTP/2.0 200 OK\r\n', 0],
  ['server', GET, 0],
] as const)('http claims of a %s %p: %i', (sender, input, want) => {
  expect(http.claim(bytesOf(input), sender)).toBe(want)
})
