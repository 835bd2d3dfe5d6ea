/**
 * What each protocol costs: CPU time of one `feed` of a usual message, with clearing the message.
 * Run by hand: `bun tests/bench/protocols.ts`; prints a line a message, lowest of several rounds.
 */
import { Input, type Sender } from '../../src/agent/protocols/protocol.ts'
import { protocols } from '../../src/agent/protocols/registry.ts'
import { print } from '../../src/lib/log.ts'
import { Message, NO_TAG } from '../../src/model/message.ts'
import { bytesOf } from '../agent/protocols/link.ts'

const ROUNDS = 15
const MESSAGES = 50_000

const bulk = (text: string): string => `$${text.length}\r\n${text}\r\n`
const packet = (number: number, payload: string): string =>
  String.fromCharCode(payload.length & 255, payload.length >> 8, 0, number) + payload
const column = '\x03def\x01d\x01t\x01t\x01a\x01a\x0c\x21\0\0\x04\0\0\xfd\0\0\0\0\0'
const row = packet(4, '\x0212\x08a row of\x0a2026-11-24')

type Case = {
  readonly protocol: string
  readonly name: string
  readonly sender: Sender
  /** What a response answers. */
  readonly tag: number
  readonly datagram?: boolean
  readonly text: string
}

const CASES: readonly Case[] = [
  {
    protocol: 'HTTP',
    name: 'rich request',
    sender: 'client',
    tag: NO_TAG,
    text:
      'GET /api/v1/orders/12345?expand=items HTTP/1.1\r\nHost: shop-api.default.svc:8080\r\n' +
      'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\nAccept: */*\r\n' +
      'Accept-Encoding: gzip, deflate, br\r\nConnection: keep-alive\r\n' +
      'Authorization: Bearer abcdefghijklmnopqrstuvwxyz0123456789\r\n' +
      'X-Request-ID: 9f1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9\r\n' +
      'traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n',
  },
  {
    protocol: 'HTTP',
    name: 'rich response',
    sender: 'server',
    tag: 0,
    text:
      'HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Tue, 24 Nov 2026 05:43:00 GMT\r\n' +
      'Content-Type: application/json; charset=utf-8\r\nContent-Length: 0\r\n' +
      'Connection: keep-alive\r\nX-Request-ID: 9f1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9\r\n' +
      'Cache-Control: no-store\r\nVary: Accept-Encoding\r\nX-Content-Type-Options: nosniff\r\n' +
      'Strict-Transport-Security: max-age=31536000; includeSubDomains\r\nX-Frame: deny\r\n\r\n',
  },
  {
    protocol: 'HTTP',
    name: 'least request',
    sender: 'client',
    tag: NO_TAG,
    text: 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n',
  },
  {
    protocol: 'DNS',
    name: 'question',
    sender: 'client',
    tag: NO_TAG,
    datagram: true,
    text: '\0\x01\x01\0\0\x01\0\0\0\0\0\0\x08shop-api\x07default\x03svc\0\0\x01\0\x01',
  },
  {
    protocol: 'DNS',
    name: 'answer, 2 addresses',
    sender: 'server',
    tag: 0,
    datagram: true,
    text:
      '\0\x01\x81\x80\0\x01\0\x02\0\0\0\0\x08shop-api\x07default\x03svc\0\0\x01\0\x01' +
      '\xc0\x0c\0\x01\0\x01\0\0\0\x05\0\x04\x0a\0\0\x01\xc0\x0c\0\x01\0\x01\0\0\0\x05\0\x04\x0a\0\0\x02',
  },
  {
    protocol: 'Redis',
    name: 'SET',
    sender: 'client',
    tag: NO_TAG,
    text: `*3\r\n${bulk('SET')}${bulk('session:12345')}${bulk('a value of some length')}`,
  },
  {
    protocol: 'Redis',
    name: 'bulk',
    sender: 'server',
    tag: 0,
    text: bulk('a value of some length'),
  },
  {
    protocol: 'Redis',
    name: 'array of 100',
    sender: 'server',
    tag: 0,
    text: `*100\r\n${bulk('member').repeat(100)}`,
  },
  {
    protocol: 'MySQL',
    name: 'statement',
    sender: 'client',
    tag: NO_TAG,
    text: packet(
      0,
      '\x03SELECT id, name, price FROM products WHERE category = 7 ORDER BY price LIMIT 20',
    ),
  },
  {
    protocol: 'MySQL',
    name: 'OK',
    sender: 'server',
    tag: 3,
    text: packet(1, '\0\x01\0\x02\0\0\0'),
  },
  {
    protocol: 'MySQL',
    name: '3 columns, 20 rows',
    sender: 'server',
    tag: 3,
    text:
      packet(1, '\x03') +
      [2, 3, 4].map((number) => packet(number, column)).join('') +
      packet(5, '\xfe\0\0\x02\0') +
      Array.from(
        { length: 20 },
        (_, i) => row.slice(0, 3) + String.fromCharCode(6 + i) + row.slice(4),
      ).join('') +
      packet(26, '\xfe\0\0\x02\0'),
  },
]

const message = new Message()
for (const { protocol: name, name: what, sender, tag, datagram = false, text } of CASES) {
  const bytes = bytesOf(text)
  const input = new Input()
  input.set(bytes, 0, bytes.length)
  const protocol = protocols.find((one) => one.name === name)!
  const conversation = protocol.open({ datagram, pending: () => tag })
  let least = Number.POSITIVE_INFINITY
  for (let round = 0; round < ROUNDS; round++) {
    const start = process.cpuUsage()
    for (let i = 0; i < MESSAGES; i++) {
      message.clear()
      if (conversation.feed(sender, input, message) !== bytes.length)
        throw new Error(`Cannot measure ${name} ${what}: it is not read whole`)
    }
    const { user, system } = process.cpuUsage(start)
    least = Math.min(least, ((user + system) * 1000) / MESSAGES)
  }
  print(
    `${name.padEnd(6)} ${what.padEnd(20)} ${String(bytes.length).padStart(5)} bytes ${least.toFixed(0).padStart(6)} ns\n`,
  )
}
