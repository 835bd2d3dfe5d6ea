/** Segments as capture would give them, made by hand: a connection's two sockets' worth of bytes. */
import {
  type Direction,
  type Role,
  Segment,
  type SegmentKind,
  type SegmentSink,
  type Source,
  TCP,
  UDP,
} from '../../../src/model/segment.ts'

export type WireOptions = {
  readonly source?: Source
  readonly key?: number
  readonly role?: Role
  readonly localPort?: number
  readonly remotePort?: number
  readonly isDatagram?: boolean
  readonly remoteAddress?: readonly number[]
  /** Sequence number of the first byte of each direction. */
  readonly first?: number
}

/** What may be said of one segment beside its text. */
export type Said = {
  readonly time?: number
  /** Bytes captured of it; all where absent. */
  readonly captured?: number
  readonly processId?: number
  readonly threadId?: number
  readonly traceId?: number
  readonly remotePort?: number
  readonly before?: 'none' | 'some'
}

const encoder = new TextEncoder()
/** In front of captured bytes, so that nobody takes them to begin at 0. */
const PADDING = 7

/** One end of a connection, as its host sees it. */
export class Wire {
  readonly #sink: SegmentSink
  readonly #segment = new Segment()
  readonly #sequences: Record<Direction, number>
  time = 1_000_000

  constructor(sink: SegmentSink, options: WireOptions = {}) {
    const { first = 1000, localPort = 40_000, remotePort = 80 } = options
    this.#sink = sink
    this.#sequences = { send: first >>> 0, receive: (first + 77_777) >>> 0 }
    const segment = this.#segment
    segment.source = options.source ?? 'socket'
    segment.key = options.key ?? 7
    segment.role = options.role ?? 'unknown'
    segment.protocol = options.isDatagram === true ? UDP : TCP
    segment.localPort = localPort
    segment.remotePort = remotePort
    segment.addresses = new Uint8Array(32)
    segment.addresses.set([10, 0, 0, 1], 0)
    segment.addresses.set(options.remoteAddress ?? [10, 0, 0, 2], 16)
    segment.localAt = 0
    segment.remoteAt = 16
    segment.command = encoder.encode('client\0\0\0\0\0\0\0\0\0\0')
    segment.processId = 11
  }

  /** The sequence number of what `direction` says next. */
  next(direction: Direction): number {
    return this.#sequences[direction]
  }

  open(direction: Direction = 'send'): void {
    this.#give('open', direction, new Uint8Array(0), {})
  }

  close(direction: Direction = 'send', said: Said = {}): void {
    this.#give('close', direction, new Uint8Array(0), said)
  }

  send(data: string | Uint8Array, said: Said = {}): void {
    this.say('send', data, said)
  }

  receive(data: string | Uint8Array, said: Said = {}): void {
    this.say('receive', data, said)
  }

  /** The bytes go by, in `direction`, and are reported. */
  say(direction: Direction, data: string | Uint8Array, said: Said = {}): void {
    const bytes = typeof data === 'string' ? encoder.encode(data) : data
    this.#give('data', direction, bytes, said)
    this.lose(direction, bytes.length)
  }

  /** `size` bytes go by in `direction` and nobody reports them. */
  lose(direction: Direction, size: number): void {
    this.#sequences[direction] = (this.#sequences[direction] + size) >>> 0
  }

  /** Reports bytes at a sequence number of its own: again, late, or overlapping. */
  sayAt(sequence: number, direction: Direction, data: string | Uint8Array, said: Said = {}): void {
    const now = this.#sequences[direction]
    this.#sequences[direction] = sequence >>> 0
    const bytes = typeof data === 'string' ? encoder.encode(data) : data
    this.#give('data', direction, bytes, said)
    this.#sequences[direction] = now
  }

  #give(kind: SegmentKind, direction: Direction, bytes: Uint8Array, said: Said): void {
    const segment = this.#segment
    this.time = said.time ?? this.time + 100
    const captured = Math.min(said.captured ?? bytes.length, bytes.length)
    segment.kind = kind
    segment.direction = direction
    segment.time = this.time
    segment.sequence = segment.protocol === TCP ? this.#sequences[direction] : 0
    segment.before = said.before ?? 'unknown'
    segment.size = bytes.length
    segment.bytes = new Uint8Array(PADDING + captured)
    segment.bytes.set(bytes.subarray(0, captured), PADDING)
    segment.start = PADDING
    segment.end = PADDING + captured
    segment.processId = said.processId ?? 11
    segment.threadId = said.threadId ?? 12
    segment.traceId = said.traceId ?? 0
    if (said.remotePort !== undefined) segment.remotePort = said.remotePort
    this.#sink(segment)
    // What a sink keeps without a copy shows at once.
    segment.bytes.fill(0xee)
  }
}
