import { firstOf, fourOf, lessThan } from '../../../lib/words.ts'
import { Message, type Text } from '../../../model/message.ts'
import { readB3, readSw8, readTraceparent, readUberTraceId } from '../../../model/trace-context.ts'
import { type Input, MORE } from '../protocol.ts'

/*
 *   fields      = *( field-line CRLF ) CRLF
 *   field-line  = name ":" OWS value OWS
 *   obs-fold    = OWS CRLF 1*( SP / HTAB )          goes on with the value on the next line
 *
 * A lone LF ends a line as CRLF does (RFC 9112 §2.2). Only fields that are wanted are looked at:
 * three bytes tell whether a line can be one, the rest of its name is compared only then. Cookies
 * and credentials are never among them.
 * https://www.rfc-editor.org/rfc/rfc9112#section-5
 */

/** Answer of `lineEnd`: no end in these bytes. */
export const NO_END = -1
/** Answer of `lineEnd` and `Head.read`: a hole in the captured bytes lies here. */
export const HOLE = -2000
/** A head longer than this is none: servers stop at 8 to 64 KB. */
export const HEAD_BYTES_MAX = 65_536

/** `contentLength` of a head that states none, or one that is no number (RFC 9112 §6.3). */
export const NO_LENGTH = -1
export const BAD_LENGTH = -2

const LENGTH_DIGITS_MAX = 15
const FOLDED_BYTES_MAX = 8192

/** Where the LF of the line at `at` is, or NO_END, or HOLE: no head holds a NUL (RFC 9110 §5.5). */
export function lineEnd(view: DataView, at: number, end: number): number {
  let stop = controlAt(view, at, end)
  while (stop < end) {
    const byte = view.getUint8(stop)
    if (byte === LF) return stop
    if (byte === 0) return HOLE
    stop = controlAt(view, stop + 1, end)
  }
  return NO_END
}

/** Where the first byte up to CR is: a well-formed head holds only CR, LF and HTAB of those. */
function controlAt(view: DataView, at: number, end: number): number {
  let stop = at
  for (; stop + 4 <= end; stop += 4) {
    const low = lessThan(view.getInt32(stop, true), CONTROLS)
    if (low !== 0) return stop + firstOf(low)
  }
  while (stop < end && view.getUint8(stop) > CR) stop++
  return stop
}

/** Whether an empty line, or a hole, lies in the bytes from `from` on, or a little before them. */
export function mayEndHead({ view, end }: Input, from: number): boolean {
  let at = lineEnd(view, Math.max(from - 3, 0), end)
  while (at >= 0) {
    const next = at + 1 < end && view.getUint8(at + 1) === CR ? at + 2 : at + 1
    if (next < end && view.getUint8(next) === LF) return true
    at = lineEnd(view, at + 1, end)
  }
  return at === HOLE
}

/** The fields of one message and what they say of the bytes that follow it (RFC 9112 §6). */
export class Head {
  contentLength: number = NO_LENGTH
  /** A Transfer-Encoding was there, and whether `chunked` is the last of it. */
  encoded = false
  chunked = false
  /** An Upgrade was there, and the protocol that it names where this house has a name for it. */
  upgrades = false
  upgrade = ''
  #message: Message = new Message()
  /** Several formats may name the trace: the highest rank wins. */
  #traceRank = 0
  #isFolded = false
  readonly #folded = new Uint8Array(FOLDED_BYTES_MAX)
  #foldedSize = 0

  /** Reads the fields from `start` on; answers where the head ends, or MORE, HOLE. */
  read({ bytes, view, end }: Input, start: number, message: Message): number {
    this.clear(message)
    let at = start
    while (at < end) {
      const first = view.getUint8(at)
      if (first === LF) return at + 1
      if (first === CR && at + 1 < end && view.getUint8(at + 1) === LF) return at + 2
      const name = fieldAt(view, at, end)
      const value = at + SIZES[name]!
      const control = controlAt(view, value, end)
      if (isPlainEnd(view, control, end)) {
        if (name !== 0) this.#value(name, bytes, skipSpaces(view, value, control), control)
        at = control + 2
        continue
      }
      const line = this.#foldedEnd(view, value, end)
      if (line < 0) return line === HOLE ? HOLE : MORE
      if (name !== 0) this.#field(name, bytes, value, line)
      at = line + 1
    }
    return MORE
  }

  /** The end of the line at `at` with those that go on with it, or NO_END, HOLE. */
  #foldedEnd(view: DataView, at: number, end: number): number {
    let line = lineEnd(view, at, end)
    this.#isFolded = line >= 0 && isFold(view, line + 1, end)
    while (line >= 0 && isFold(view, line + 1, end)) line = lineEnd(view, line + 1, end)
    return line
  }

  clear(message: Message): void {
    this.#message = message
    this.contentLength = NO_LENGTH
    this.encoded = false
    this.chunked = false
    this.upgrades = false
    this.upgrade = ''
    this.#traceRank = 0
    this.#foldedSize = 0
  }

  #field(name: number, bytes: Uint8Array, start: number, end: number): void {
    if (this.#isFolded) this.#unfold(name, bytes, start, end)
    else this.#trim(name, bytes, start, end)
  }

  #trim(name: number, bytes: Uint8Array, start: number, end: number): void {
    let from = start
    let to = end
    while (from < to && bytes[from]! <= SP) from++
    while (to > from && bytes[to - 1]! <= SP) to--
    this.#value(name, bytes, from, to)
  }

  /** Puts a folded value on one line, each fold as spaces: RFC 9112 §5.2. */
  #unfold(name: number, bytes: Uint8Array, start: number, end: number): void {
    const from = this.#foldedSize
    this.#copy(bytes, start, end)
    this.#trim(name, this.#folded, from, this.#foldedSize)
  }

  #copy(bytes: Uint8Array, start: number, end: number): void {
    const from = this.#foldedSize
    const to = Math.min(from + end - start, FOLDED_BYTES_MAX)
    for (let i = from; i < to; i++) this.#folded[i] = Math.max(bytes[start + i - from]!, SP)
    this.#foldedSize = to
  }

  /** Adds to a list: several fields of one name are one list, in their order (RFC 9110 §5.3). */
  #join(text: Text, bytes: Uint8Array, start: number, end: number): void {
    if (text.end === text.start) {
      text.set(bytes, start, end - start)
      return
    }
    const isLast = text.bytes === this.#folded && text.end === this.#foldedSize
    const from = isLast ? text.start : this.#foldedSize
    if (!isLast) this.#copy(text.bytes, text.start, text.end)
    this.#copy(LIST, 0, LIST.length)
    this.#copy(bytes, start, end)
    text.set(this.#folded, from, this.#foldedSize - from)
  }

  #value(name: number, bytes: Uint8Array, start: number, end: number): void {
    const message = this.#message
    switch (name) {
      case HOST:
        keep(message.domain, bytes, start, end)
        break
      case CONTENT_LENGTH:
        this.#length(bytes, start, end)
        break
      case TRANSFER_ENCODING:
        this.encoded = true
        this.chunked = endsWithChunked(bytes, start, end)
        break
      case UPGRADE:
        this.upgrades = true
        this.upgrade = upgradeOf(bytes, start, end)
        break
      case X_REQUEST_ID:
        keep(message.xRequestId, bytes, start, end)
        break
      case X_FORWARDED_FOR:
        this.#join(message.proxyClient, bytes, start, end)
        break
      default:
        this.#trace(name, bytes, start, end)
    }
  }

  /** A list of equal numbers counts as one (RFC 9110 §8.6); anything else is no length. */
  #length(bytes: Uint8Array, start: number, end: number): void {
    let at = start
    do {
      const digits = skip(DIGITS, bytes, at, end)
      const value = numberIn(bytes, at, digits)
      const isOther = this.contentLength !== NO_LENGTH && this.contentLength !== value
      at = skip(SPACES, bytes, digits, end)
      const isList = at === end || bytes[at] === COMMA
      this.contentLength = isOther || !isList ? BAD_LENGTH : value
      at = skip(SPACES, bytes, at + 1, end)
    } while (at < end && this.contentLength !== BAD_LENGTH)
  }

  #trace(name: number, bytes: Uint8Array, start: number, end: number): void {
    const message = this.#message
    const rank = RANKS[name]!
    if (rank < this.#traceRank) return
    let found = true
    if (name === TRACEPARENT) found = readTraceparent(bytes, start, end, message)
    else if (name === SW8) found = readSw8(bytes, start, end, message)
    else if (name === B3) found = readB3(bytes, start, end, message)
    else if (name === UBER_TRACE_ID) found = readUberTraceId(bytes, start, end, message)
    else if (name === X_B3_TRACE_ID) keep(message.traceId, bytes, start, end)
    else keep(message.spanId, bytes, start, end)
    if (found) this.#traceRank = rank
  }
}

/** A field that comes again replaces what it said before. */
function keep(text: Text, bytes: Uint8Array, start: number, end: number): void {
  text.set(bytes, start, end - start)
}

/** Whether the line ends with the CR at `at`, no space before it, and is not folded: most do. */
function isPlainEnd(view: DataView, at: number, end: number): boolean {
  return (
    at + 2 < end &&
    view.getUint16(at) === CR_LF &&
    view.getUint8(at + 2) !== SP &&
    view.getUint8(at + 2) !== HTAB &&
    view.getUint8(at - 1) > SP
  )
}

/** Where a value begins. */
function skipSpaces(view: DataView, start: number, end: number): number {
  let at = start
  while (at < end && view.getUint8(at) <= SP) at++
  return at
}

/** Whether the line at `at` goes on with the one before it. */
function isFold(view: DataView, at: number, end: number): boolean {
  if (at >= end) return false
  const byte = view.getUint8(at)
  return byte === SP || byte === HTAB
}

function endsWithChunked(bytes: Uint8Array, start: number, end: number): boolean {
  const at = end - CHUNKED.length
  if (at < start || !isWord(bytes, at, CHUNKED)) return false
  const before = bytes[at - 1]
  return at === start || before === COMMA || before === SP || before === HTAB
}

function upgradeOf(bytes: Uint8Array, start: number, end: number): string {
  for (const [word, name] of UPGRADES)
    if (end - start === word.length && isWord(bytes, start, word)) return name
  return ''
}

/** Which wanted field the line at `at` is: its first three letters rule out nearly all others. */
function fieldAt(view: DataView, at: number, end: number): number {
  if (at + 4 > end) return 0
  const name = SLOTS[slotOf(view.getInt32(at, true) | LOWERS)]!
  return name === 0 ? 0 : nameAt(view, at, end, name)
}

function nameAt(view: DataView, at: number, end: number, first: number): number {
  let name = first
  while (name !== 0 && !isName(view, at, end, name)) name = NEXT[name]!
  return name
}

/** Whether the bytes at `at` are the name of that number, in either case. */
function isName(view: DataView, at: number, end: number, name: number): boolean {
  const size = SIZES[name]!
  if (at + size > end || view.getUint8(at + size - 1) !== COLON) return false
  if (name === B3) return ((view.getInt32(at, true) | LOWERS) & 0xff_ffff) === B3_COLON
  for (let i = 0; i < size; i += 4) {
    const word = view.getInt32(at + Math.min(i, size - 4), true) | LOWERS
    if (word !== WORDS[name * WORDS_MAX + (i >> 2)]) return false
  }
  return true
}

/** A hash of a word's first three letters. */
function slotOf(word: number): number {
  return Math.imul(word << 8, 0x9e37_79b1) >>> 26
}

/** Whether the bytes at `at` are `word`, in either case; `word` is in lower case. */
function isWord(bytes: Uint8Array, at: number, word: Uint8Array): boolean {
  for (let i = 0; i < word.length; i++) if ((bytes[at + i]! | LOWER) !== word[i]) return false
  return true
}

/** The number of the digits [start, end), or BAD_LENGTH. */
function numberIn(bytes: Uint8Array, start: number, end: number): number {
  if (end === start || end - start > LENGTH_DIGITS_MAX) return BAD_LENGTH
  let value = 0
  for (let at = start; at < end; at++) value = value * 10 + bytes[at]! - ZERO
  return value
}

/** Where the run of bytes of a table that begins at `start` ends. */
function skip(table: Uint8Array, bytes: Uint8Array, start: number, end: number): number {
  let at = start
  while (at < end && table[bytes[at]!] === 1) at++
  return at
}

const HTAB = 0x09
const LF = 0x0a
const CR = 0x0d
const CR_LF = 0x0d0a
const SP = 0x20
/** All bytes up to CR. */
const CONTROLS = fourOf(CR + 1)
const LOWER = 0x20
const LOWERS = fourOf(LOWER)
const COMMA = 0x2c
const ZERO = 0x30
const COLON = 0x3a

const SPACES = new Uint8Array(256)
SPACES[HTAB] = SPACES[SP] = 1
const DIGITS = new Uint8Array(256).fill(1, ZERO, ZERO + 10)

const encoder = new TextEncoder()
const CHUNKED = encoder.encode('chunked')
const LIST = encoder.encode(', ')
/** Protocols that go on after 101 under a name of this house. */
const UPGRADES: readonly (readonly [Uint8Array, string])[] = [
  [encoder.encode('websocket'), 'WebSocket'],
  [encoder.encode('h2c'), 'HTTP2'],
]

const B3 = 1
const CONTENT_LENGTH = 2
const HOST = 3
const SW8 = 4
const TRACEPARENT = 5
const TRANSFER_ENCODING = 6
const UBER_TRACE_ID = 7
const UPGRADE = 8
const X_REQUEST_ID = 9
const X_FORWARDED_FOR = 10
const X_B3_TRACE_ID = 11
// The number after it is X-B3-SpanId's.

/** Wanted names by number, all but the first of four bytes at least. */
const NAMES: readonly Uint8Array[] = [
  '',
  'b3:',
  'content-length:',
  'host:',
  'sw8:',
  'traceparent:',
  'transfer-encoding:',
  'uber-trace-id:',
  'upgrade:',
  'x-request-id:',
  'x-forwarded-for:',
  'x-b3-traceid:',
  'x-b3-spanid:',
].map((name) => encoder.encode(name))
const SIZES = Uint8Array.from(NAMES, (name) => name.length)
/** Each name as words; the last ends with the name, over bytes of the one before it. */
const WORDS_MAX = 5
const WORDS = new Int32Array(NAMES.length * WORDS_MAX)
/** Names by their first three letters, as a list for each hash. */
const SLOTS = new Uint8Array(64)
const NEXT = new Uint8Array(NAMES.length)
const B3_COLON = 0x3a_33_62
for (let name = B3; name < NAMES.length; name++) {
  const size = SIZES[name]!
  const view = new DataView(new ArrayBuffer(WORDS_MAX * 4))
  for (const [at, byte] of NAMES[name]!.entries()) view.setUint8(at, byte)
  for (let i = 0; i < size; i += 4)
    WORDS[name * WORDS_MAX + (i >> 2)] = view.getInt32(Math.max(Math.min(i, size - 4), 0), true)
  const slot = slotOf(WORDS[name * WORDS_MAX]!)
  NEXT[name] = SLOTS[slot]!
  SLOTS[slot] = name
}
/** How much a trace format is preferred: W3C's, SkyWalking's, Zipkin's two, Jaeger's. */
const RANKS = Uint8Array.of(0, 3, 0, 0, 4, 5, 0, 1, 0, 0, 0, 2, 2)
