import { viewOf } from '../lib/wide.ts'
import { wordsOf } from '../lib/words.ts'
import { NO_CODE, NO_COUNT, NO_ID, STATUS, type Text } from './message.ts'

/** The numbers of `type` in `flow_log.l7_flow_log`. */
export const CALL_TYPE = { request: 0, response: 1, session: 2 } as const
/** Where a call was seen: at the client's process or the server's. */
export type ObservationPoint = 'c-p' | 's-p'
/** The numbers of `signal_source`. */
export const SIGNAL_SOURCE = { packet: 0, ebpf: 3 } as const

/** A call's texts, by their column in `flow_log.l7_flow_log`. The order is that of `Texts`. */
export const CALL_TEXTS = [
  'request_type',
  'request_domain',
  'request_resource',
  'endpoint',
  'version',
  'response_exception',
  'response_result',
  'http_proxy_client',
  'x_request_id_0',
  'x_request_id_1',
  'trace_id',
  'span_id',
] as const
export type CallText = (typeof CALL_TEXTS)[number]
export const REQUEST_TYPE = 0
export const REQUEST_DOMAIN = 1
export const REQUEST_RESOURCE = 2
export const ENDPOINT = 3
export const VERSION = 4
export const RESPONSE_EXCEPTION = 5
export const RESPONSE_RESULT = 6
export const PROXY_CLIENT = 7
export const X_REQUEST_ID_0 = 8
export const X_REQUEST_ID_1 = 9
export const TRACE_ID = 10
export const SPAN_ID = 11

const ARENA_SIZE = 512
/** No text of a call is kept beyond this; what is longer is cut and the call marked truncated. */
export const TEXT_BYTES_MAX = 4096

/** Copied a byte at a time up to here: a view of other bytes costs as much as these do. */
const WORDS_MIN = 32
/** From here on the runtime's own copy is cheaper, with the view that it takes. */
const WORDS_MAX = 512

/** The texts of one call, copied out of captured bytes into an arena that is used again. */
export class Texts {
  bytes: Uint8Array = new Uint8Array(ARENA_SIZE)
  /** The same bytes, for who reads words at any place. */
  view: DataView = viewOf(this.bytes)
  readonly starts: Uint32Array = new Uint32Array(CALL_TEXTS.length)
  readonly ends: Uint32Array = new Uint32Array(CALL_TEXTS.length)
  #used = 0

  clear(): void {
    const { starts, ends } = this
    // Dearer with fill(): 62 against 12 ns.
    for (let field = 0; field < CALL_TEXTS.length; field++) {
      starts[field] = 0
      ends[field] = 0
    }
    this.#used = 0
  }

  size(field: number): number {
    return this.ends[field]! - this.starts[field]!
  }

  /** Copies `bytes[start, end)`, at most TEXT_BYTES_MAX of it; answers whether it was cut. */
  set(field: number, bytes: Uint8Array, start: number, end: number): boolean {
    const cut = end - start > TEXT_BYTES_MAX
    const size = cut ? TEXT_BYTES_MAX : end - start
    const at = this.keep(bytes, start, start + size)
    this.starts[field] = at
    this.ends[field] = at + size
    return cut
  }

  copy(field: number, text: Text): boolean {
    return text.end > text.start ? this.set(field, text.bytes, text.start, text.end) : false
  }

  /** Copies a stretch of bytes that several texts lie in; answers where it begins in the arena. */
  keep(bytes: Uint8Array, start: number, end: number): number {
    const size = end - start
    const at = this.#reserve(size)
    if (size > WORDS_MAX) this.bytes.set(bytes.subarray(start, end), at)
    else if (size > WORDS_MIN) this.#copyWords(wordsOf(bytes), start, at, size)
    else {
      const to = this.bytes
      for (let i = 0; i < size; i++) to[at + i] = bytes[start + i]!
    }
    return at
  }

  /**
   * Eight bytes at a time as a number, which any bytes are, but that all NaN may become one: those
   * go by words (65 against 100 ns for a head). The last eight lie over those before them.
   */
  #copyWords(from: DataView, start: number, at: number, size: number): void {
    const to = this.view
    const last = size - 8
    for (let i = 0; i < last; i += 8) {
      const eight = from.getFloat64(start + i, true)
      if (Number.isNaN(eight)) copyEight(from, start + i, to, at + i)
      else to.setFloat64(at + i, eight, true)
    }
    copyEight(from, start + last, to, at + last)
  }

  /** Sets a text to `[start, end)` of the arena: bytes that were kept. */
  point(field: number, start: number, end: number): void {
    this.starts[field] = start
    this.ends[field] = end
  }

  /** Where `size` bytes of the arena may be written; it grows, and is kept for the next call. */
  #reserve(size: number): number {
    const at = this.#used
    const need = at + size
    if (need > this.bytes.length) {
      const grown = new Uint8Array(Math.max(need, this.bytes.length * 2))
      grown.set(this.bytes)
      this.bytes = grown
      this.view = viewOf(grown)
    }
    this.#used = need
    return at
  }
}

function copyEight(from: DataView, start: number, to: DataView, at: number): void {
  to.setInt32(at, from.getInt32(start, true), true)
  to.setInt32(at + 4, from.getInt32(start + 4, true), true)
}

/**
 * A request with its response, or one of them alone. Calls are pooled: who gets one keeps it only
 * until it returns. Times are monotonic µs; the block builder turns them into UTC.
 */
export class Call {
  type: number = CALL_TYPE.session
  observationPoint: ObservationPoint = 's-p'
  signalSource: number = SIGNAL_SOURCE.ebpf
  /** Number of the protocol: `l7_protocol`. */
  l7Protocol = 0
  /** TCP or UDP. */
  protocol = 6
  isTls = false
  isTruncated = false
  isIpv4 = true
  /** Client and server address, 16 bytes each (IPv4 in the first 4). */
  readonly addresses: Uint8Array = new Uint8Array(32)
  clientPort = 0
  serverPort = 0
  /** The connection's number, unique for an agent's lifetime. */
  flowId = 0
  startTime = 0
  endTime = 0
  /** µs, clamped at zero; 0 too where there is none (see `hasDuration`). */
  duration = 0
  hasDuration = false
  status: number = STATUS.ok
  code: number = NO_CODE
  requestId: number = NO_ID
  requestLength: number = NO_COUNT
  responseLength: number = NO_COUNT
  affectedRows: number = NO_COUNT
  capturedRequestBytes = 0
  capturedResponseBytes = 0
  requestSequence = 0
  responseSequence = 0
  requestTraceId = 0
  responseTraceId = 0
  requestThreadId = 0
  responseThreadId = 0
  /** Process ids of client and server, 0 where the process is not of this host or not known. */
  clientProcessId = 0
  serverProcessId = 0
  /** Index of each end's name in the agent's `NameTable`; 0: none known. */
  clientName = 0
  serverName = 0
  readonly texts: Texts = new Texts()

  clear(): void {
    this.type = CALL_TYPE.session
    this.observationPoint = 's-p'
    this.signalSource = SIGNAL_SOURCE.ebpf
    this.l7Protocol = 0
    this.protocol = 6
    this.isTls = false
    this.isTruncated = false
    this.isIpv4 = true
    this.clientPort = 0
    this.serverPort = 0
    this.flowId = 0
    this.startTime = 0
    this.endTime = 0
    this.duration = 0
    this.hasDuration = false
    this.status = STATUS.ok
    this.code = NO_CODE
    this.requestId = NO_ID
    this.requestLength = NO_COUNT
    this.responseLength = NO_COUNT
    this.affectedRows = NO_COUNT
    this.capturedRequestBytes = 0
    this.capturedResponseBytes = 0
    this.requestSequence = 0
    this.responseSequence = 0
    this.requestTraceId = 0
    this.responseTraceId = 0
    this.requestThreadId = 0
    this.responseThreadId = 0
    this.clientProcessId = 0
    this.serverProcessId = 0
    this.clientName = 0
    this.serverName = 0
    this.texts.clear()
  }
}

export type CallSink = (call: Call) => void
/** Takes the first `size` of `calls`, in their order. */
export type CallsSink = (calls: readonly Call[], size: number) => void
