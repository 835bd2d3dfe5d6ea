/** Writes a capture of rich HTTP: many connections, keep-alive, tracing headers, varied paths. */
import { closeSync, openSync, writeSync } from 'node:fs'

const CONNECTIONS = 500
const SERVERS = 8
const PIECE = 4 << 20
/** Frame in front of the payload: record, Ethernet, IPv4, TCP. */
const RECORD = 16
const HEADERS = 14 + 20 + 20
const SYN = 2
const ACK = 16
const PUSH = 8

const RESOURCES = ['users', 'orders', 'items', 'carts', 'payments', 'stock', 'reviews', 'search']
const AGENT = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/156.0 Safari/537.36'
const encoder = new TextEncoder()

/** A packet of a connection; `time` is µs after the capture's beginning. */
type Sent = {
  readonly fromClient: boolean
  readonly flags: number
  readonly time: number
  readonly text?: string
}

type Connection = {
  readonly client: number
  readonly port: number
  readonly server: number
  sent: number
  received: number
}

/** Writes about `bytes` of capture to `path`; answers how many calls are in it. */
export function writeCapture(path: string, bytes: number): number {
  const out = new Output(path)
  const connections = Array.from({ length: CONNECTIONS }, (_, i): Connection => {
    const connection = { client: 1 + (i % 200), port: 20_000 + i, server: 1 + (i % SERVERS) }
    return { ...connection, sent: 1000 + i, received: 900_000 + i }
  })
  let time = 0
  for (const connection of connections) {
    out.packet(connection, { fromClient: true, flags: SYN, time })
    out.packet(connection, { fromClient: false, flags: SYN | ACK, time: time + 50 })
    time += 100
  }
  let calls = 0
  while (out.size < bytes) {
    const connection = connections[(calls * 7919) % CONNECTIONS]!
    const id = idOf(calls)
    const flags = PUSH | ACK
    const text = request(calls, connection.server, id)
    const answered = time + 200 + ((calls * 131) % 3000)
    out.packet(connection, { fromClient: true, flags, time, text })
    out.packet(connection, {
      fromClient: false,
      flags,
      time: answered,
      text: response(id, statusOf(calls)),
    })
    // A second of the capture has 100,000 calls.
    time += 10
    calls++
  }
  out.close()
  return calls
}

function statusOf(n: number): string {
  if (n % 97 === 0) return '500 Internal Server Error'
  return n % 41 === 0 ? '404 Not Found' : '200 OK'
}

function request(n: number, server: number, id: string): string {
  const resource = RESOURCES[n % RESOURCES.length]!
  return (
    `GET /api/${resource}/${(n * 2_654_435_761) % 1_000_000}/details?page=${n % 50} HTTP/1.1\r\n` +
    `Host: shop-${server}.example.com\r\nUser-Agent: ${AGENT}\r\nAccept: application/json\r\n` +
    `X-Request-ID: ${id}\r\ntraceparent: 00-${id.replaceAll('-', '')}-${id.slice(0, 8)}${id.slice(24, 32)}-01\r\n` +
    `Accept-Encoding: gzip, br\r\nConnection: keep-alive\r\n\r\n`
  )
}

function response(id: string, status: string): string {
  return (
    `HTTP/1.1 ${status}\r\nServer: nginx/1.22.1\r\nDate: Tue, 22 Sep 2026 14:13:20 GMT\r\n` +
    `Content-Type: application/json; charset=utf-8\r\nContent-Length: 120\r\n` +
    `X-Request-ID: ${id}\r\nCache-Control: no-store\r\nVary: Accept-Encoding\r\nConnection: keep-alive\r\n\r\n${BODY}`
  )
}
const BODY = `{"status":"ok","items":[${'1,'.repeat(46)}2]}`.padEnd(120)

/** A UUID that looks random and is the same in every run. */
function idOf(n: number): string {
  let seed = (n + 1) * 0x9e37_79b1
  let hex = ''
  for (let i = 0; i < 4; i++) {
    seed = Math.imul(seed ^ (seed >>> 15), 0x85eb_ca6b)
    seed ^= seed >>> 13
    hex += (Math.imul(seed, 0xc2b2_ae35) >>> 0).toString(16).padStart(8, '0')
  }
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

/** A classic capture file that grows in pieces. */
class Output {
  size = 0
  readonly #file: number
  readonly #bytes = new Uint8Array(PIECE + 65_536)
  readonly #view = new DataView(this.#bytes.buffer)
  #at = 24

  constructor(path: string) {
    this.#file = openSync(path, 'w')
    this.#view.setUint32(0, 0xa1b2_c3d4, true)
    this.#view.setUint32(4, 0x0004_0002, true)
    this.#view.setUint32(16, 262_144, true)
    this.#view.setUint32(20, 1, true)
  }

  packet(connection: Connection, { fromClient, flags, time, text = '' }: Sent): void {
    const view = this.#view
    const start = this.#at + RECORD + HEADERS
    const { written } = encoder.encodeInto(text, this.#bytes.subarray(start))
    const length = HEADERS + written
    view.setUint32(this.#at, 1_790_000_000 + Math.floor(time / 1e6), true)
    view.setUint32(this.#at + 4, time % 1e6, true)
    view.setUint32(this.#at + 8, length, true)
    view.setUint32(this.#at + 12, length, true)
    this.#bytes.fill(0, this.#at + RECORD, start)
    const ip = this.#at + RECORD + 14
    view.setUint16(ip - 2, 0x0800)
    view.setUint16(ip, 0x4500)
    view.setUint16(ip + 2, 40 + written)
    view.setUint16(ip + 8, 0x4006)
    const client = 0x0a00_0000 + connection.client
    const server = 0x0a01_0000 + connection.server
    view.setUint32(ip + 12, fromClient ? client : server)
    view.setUint32(ip + 16, fromClient ? server : client)
    view.setUint16(ip + 20, fromClient ? connection.port : 8080)
    view.setUint16(ip + 22, fromClient ? 8080 : connection.port)
    view.setUint32(ip + 24, fromClient ? connection.sent : connection.received)
    view.setUint32(ip + 28, fromClient ? connection.received : connection.sent)
    view.setUint16(ip + 32, 0x5000 | flags)
    const taken = written + (flags & SYN ? 1 : 0)
    if (fromClient) connection.sent += taken
    else connection.received += taken
    this.size += RECORD + length
    this.#at = start + written
    if (this.#at >= PIECE) this.#write()
  }

  close(): void {
    this.#write()
    closeSync(this.#file)
  }

  #write(): void {
    writeSync(this.#file, this.#bytes, 0, this.#at)
    this.#at = 0
  }
}
