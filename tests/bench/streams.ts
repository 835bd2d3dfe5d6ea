/**
 * What the way from a segment to a call costs: nanoseconds a message, by station. Prints; asserts
 * nothing. Run: bun tests/bench/streams.ts [CONNECTIONS] [HEAD_BYTES]; 0 bytes: bare heads, as of a
 * load generator and a file server.
 */
import { Flow } from '../../src/agent/flow/flow.ts'
import { Pipeline } from '../../src/agent/pipeline.ts'
import { http } from '../../src/agent/protocols/http.ts'
import { Input, type Protocol } from '../../src/agent/protocols/protocol.ts'
import { Message } from '../../src/model/message.ts'
import { Segment, type SegmentSink } from '../../src/model/segment.ts'
import { toy } from '../agent/flow/toy.ts'

const CALLS = 200_000
const ROUNDS = 7
const CONNECTIONS = Number(process.argv[2] ?? 64)
const HEAD_BYTES = Number(process.argv[3] ?? 400)
const WORDS = 'accept: */*\r\nx-filling: '

const REQUEST = fitted(
  'GET /orders/4711/items?page=2 HTTP/1.1\r\nHost: shop.example\r\n',
  'X-Request-ID: 0a1b2c3d-0000-4000-8000-000000000001\r\n' +
    'traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n',
)
const RESPONSE = fitted(
  'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 0\r\n',
  'X-Request-ID: 0a1b2c3d-0000-4000-8000-000000000001\r\n',
)

/** A head of about so many bytes. */
function fitted(bare: string, more: string): Uint8Array {
  const head = HEAD_BYTES === 0 ? bare : bare + more
  const filling = 'f'.repeat(Math.max(HEAD_BYTES - head.length - WORDS.length - 4, 0))
  const last = HEAD_BYTES === 0 ? '' : `${WORDS}${filling}\r\n`
  return new TextEncoder().encode(`${head}${last}\r\n`)
}

/** All segments of one round, from one buffer as a ring or a file would give them. */
class Traffic {
  readonly #segment = new Segment()
  readonly #requests: Uint32Array = new Uint32Array(CONNECTIONS).fill(1)
  readonly #responses: Uint32Array = new Uint32Array(CONNECTIONS).fill(1)
  #time = 1e9

  constructor() {
    const bytes = new Uint8Array(1 << 20)
    bytes.set(REQUEST, 4096)
    bytes.set(RESPONSE, 8192)
    const segment = this.#segment
    segment.bytes = bytes
    segment.addresses = new Uint8Array(32)
    segment.addresses.set([10, 0, 0, 1])
    segment.localAt = 0
    segment.remoteAt = 16
    segment.role = 'server'
    segment.localPort = 80
    segment.remotePort = 40_000
    segment.processId = 7
  }

  round(sink: SegmentSink): void {
    const segment = this.#segment
    for (let call = 0; call < CALLS; call++) {
      const at = call % CONNECTIONS
      segment.key = at + 1
      this.#time += 3
      segment.time = this.#time
      segment.direction = 'receive'
      segment.sequence = this.#requests[at]!
      segment.start = 4096
      segment.size = REQUEST.length
      segment.end = segment.start + segment.size
      this.#requests[at]! += segment.size
      sink(segment)
      segment.time++
      segment.direction = 'send'
      segment.sequence = this.#responses[at]!
      segment.start = 8192
      segment.size = RESPONSE.length
      segment.end = segment.start + segment.size
      this.#responses[at]! += segment.size
      sink(segment)
    }
  }
}

/** Median ns a message of `run`, which takes a whole round. */
function measure(name: string, run: (sink: SegmentSink) => void, sink: SegmentSink): void {
  run(sink)
  const times: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const begin = process.cpuUsage()
    run(sink)
    const { user, system } = process.cpuUsage(begin)
    times.push(((user + system) * 1000) / (CALLS * 2))
  }
  times.sort((a, b) => a - b)
  const median = times[times.length >> 1]!.toFixed(0)
  process.stdout.write(
    `${name.padEnd(28)} ${median.padStart(6)} ns a message (${times[0]!.toFixed(0)} least)\n`,
  )
}

/** A pipeline of one protocol that counts its calls. */
function pipelineOf(protocol: Protocol, redact: boolean): Pipeline {
  return new Pipeline({ onCalls: () => {}, redact, protocols: [protocol] })
}

let sockets = 1e6
const traffic = new Traffic()
const round = (sink: SegmentSink): void => traffic.round(sink)
measure('nothing', round, () => {})
const flow = new Flow({
  setVerdict: () => {},
  openReader: () => ({ take: () => {}, skip: () => {}, close: () => {} }),
})
measure('flow', round, (segment) => flow.segment(segment))
const message = new Message()
const input = new Input()
const conversation = http.open({ datagram: false, pending: () => -1 })
measure('http alone', round, (segment) => {
  message.clear()
  const sender = segment.direction === 'receive' ? 'client' : 'server'
  input.set(segment.bytes, segment.start, segment.end)
  conversation.feed(sender, input, message)
})
measure('http, whole pipeline', round, pipelineOf(http, true).segment)
measure('http, nothing redacted', round, pipelineOf(http, false).segment)
toyRounds()
measure('http, a connection a call', shortLived, pipelineOf(http, true).segment)

/** Every call on a socket of its own, opened and closed. */
function shortLived(sink: SegmentSink): void {
  traffic.round((segment) => {
    segment.key = segment.direction === 'receive' ? ++sockets : sockets
    sink(segment)
    if (segment.direction === 'receive') return
    segment.kind = 'close'
    sink(segment)
    segment.kind = 'data'
  })
}

/** The same with a protocol that costs next to nothing: what is left is streams and sessions. */
function toyRounds(): void {
  const cheap = { ...toy(), claim: () => 90, open: () => ({ feed: cheapFeed, lost: () => {} }) }
  measure('streams and sessions alone', round, pipelineOf(cheap, true).segment)
}

function cheapFeed(sender: string, { bytes, start, end }: Input, into: Message): number {
  into.kind = sender === 'client' ? 'request' : 'response'
  if (sender === 'client') {
    into.operation.set(bytes, start, 3)
    into.resource.set(bytes, start + 4, 25)
    into.domain.set(bytes, start + 46, 12)
    into.xRequestId.set(bytes, start + 70, 36)
  }
  return end - start
}
