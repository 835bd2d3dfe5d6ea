import { MORE, WRONG } from '../protocol.ts'

/*
 *   line      = [+-:_#,(] text CR LF                  simple, error, number, null, boolean, …
 *   bulk      = [$!=] size CR LF bytes CR LF          text, error, verbatim; size -1 is null
 *   group     = [*~>] count CR LF value{count}        array, set, push; count -1 is null
 *   map       = %     count CR LF value{2 count}
 *   attribute = |     count CR LF value{2 count}      and then the value that it belongs to
 *   streamed  = [*~>%|] ? CR LF value* . CR LF  /  $ ? CR LF ( ; size CR LF bytes CR LF )* ;0 CR LF
 *
 * https://redis.io/docs/latest/develop/reference/protocol-spec/
 */

/** Answer where a hole in the captured bytes begins: no value begins with a zero. */
export const HOLE = -2000
/** What `numberAt` answers for -1, for `?`, and for what is no number. */
export const NULL = -1
export const STREAMED = -2
export const NO_NUMBER = -3

const LINE_BYTES_MAX = 16_384
const NUMBER_BYTES_MAX = 16
/** Values of one message, and streams in streams: more is no message of a server. */
const VALUES_MAX = 2 ** 40
const STREAMS_MAX = 16

/**
 * Where the line that begins at `at` ends, past its CR LF, or MORE, WRONG, HOLE. It was read up to
 * `from` before.
 */
export function lineEnd(bytes: Uint8Array, at: number, max: number, from: number = at): number {
  const stop = Math.min(bytes.length, at + max)
  for (let end = from; end < stop; end++) {
    const byte = bytes[end]!
    if (byte > CR) continue
    if (byte === LF) return end > at && bytes[end - 1] === CR ? end + 1 : WRONG
    if (byte === 0) return HOLE
  }
  return stop < at + max ? MORE : WRONG
}

/** Where the line of a size or count ends: it is short. */
export function numberEnd(bytes: Uint8Array, at: number): number {
  return lineEnd(bytes, at, NUMBER_BYTES_MAX)
}

/** The number on the line at `at` that ends at `end`: 0 and more, or NULL, STREAMED, NO_NUMBER. */
export function numberAt(bytes: Uint8Array, at: number, end: number): number {
  const first = bytes[at + 1]
  const stop = end - 2
  if (first === QUESTION) return stop === at + 2 ? STREAMED : NO_NUMBER
  if (first === MINUS) return stop === at + 3 && bytes[at + 2] === ZERO + 1 ? NULL : NO_NUMBER
  if (stop === at + 1) return NO_NUMBER
  let value = 0
  for (let i = at + 1; i < stop; i++) {
    const digit = bytes[i]! - ZERO
    if (digit < 0 || digit > 9) return NO_NUMBER
    value = value * 10 + digit
  }
  return value
}

/** A size's value and where its line ends, as `readSize` left them. */
export const size: { value: number; end: number } = { value: 0, end: 0 }

/** Reads the plain size of the bulk at `at`, by far the most frequent line; false: look closer. */
export function readSize(bytes: Uint8Array, at: number): boolean {
  const stop = Math.min(at + NUMBER_BYTES_MAX, bytes.length - 1)
  let value = 0
  let end = at + 1
  while (end < stop) {
    const digit = bytes[end]! - ZERO
    if (digit < 0 || digit > 9) break
    value = value * 10 + digit
    end++
  }
  if (end === at + 1 || end >= stop || bytes[end] !== CR || bytes[end + 1] !== LF) return false
  size.value = value
  size.end = end + 2
  return true
}

/** How far one sender's value has gone by. Nesting needs no stack: values are only counted. */
export class Values {
  /** Values that are still to come, 0 between messages. */
  left = 0
  /** What is left around each stream that is open. */
  readonly #around: number[] = []
  /** Bytes of the line where the last skip stopped that did not hold its end. */
  #seen = 0

  clear(): void {
    this.again()
    this.#seen = 0
  }

  /** Forgets a message that must be read again from its beginning. */
  again(): void {
    this.left = 0
    this.#around.length = 0
  }

  /** Begins an attribute, whose value is a message of its own; answers where its pairs begin. */
  attribute(bytes: Uint8Array, start: number): number {
    const end = numberEnd(bytes, start)
    if (end <= 0) return end
    const count = numberAt(bytes, start, end)
    if (count > VALUES_MAX || count === NO_NUMBER) return WRONG
    this.left = count === STREAMED ? Number.POSITIVE_INFINITY : 2 * Math.max(count, 0)
    if (count === STREAMED) this.#around.push(0)
    return end
  }

  /**
   * Lets the values from `start` on go by. Answers how many bytes that took, perhaps more than
   * there are, or MORE, WRONG, HOLE where not one could be read.
   */
  skip(bytes: Uint8Array, start: number): number {
    let at = start
    let next = at
    while (this.left > 0 && at < bytes.length) {
      if (bytes[at] === DOLLAR && readSize(bytes, at)) {
        this.left--
        next = bulkEnd(bytes, size.end, size.value)
      } else next = this.#value(bytes, at)
      if (next <= 0) break
      at = next
    }
    return at > start ? at - start : next <= 0 ? next : MORE
  }

  #value(bytes: Uint8Array, at: number): number {
    const first = bytes[at]!
    const shape = SHAPES[first]!
    if (shape === 0) return first === 0 ? HOLE : WRONG
    const isLong = shape === LINE
    const end = isLong ? this.#line(bytes, at) : numberEnd(bytes, at)
    if (end <= 0) return end
    if (isLong) {
      this.left--
      return isLine(bytes, at, end) ? end : WRONG
    }
    if (shape === END) return end === at + 3 && this.#endStream() ? end : WRONG
    const count = numberAt(bytes, at, end)
    if (count === NO_NUMBER || count > VALUES_MAX) return WRONG
    if (shape === BULK && count !== STREAMED) {
      this.left--
      return count === NULL ? end : bulkEnd(bytes, end, count)
    }
    if (shape === CHUNK) return this.#chunk(bytes, end, count)
    return this.#group(shape, count) ? end : WRONG
  }

  /** A long line may come in many pieces: each is read once. */
  #line(bytes: Uint8Array, at: number): number {
    const end = lineEnd(bytes, at, LINE_BYTES_MAX, at + this.#seen)
    this.#seen = end === MORE ? bytes.length - at : 0
    return end
  }

  #group(shape: number, count: number): boolean {
    if (count === STREAMED) return this.#beginStream(shape)
    this.left += Math.max(count, 0) * CHILDREN[shape]! - (shape === ATTRIBUTE ? 0 : 1)
    return this.left <= VALUES_MAX || this.#around.length > 0
  }

  /** A piece of a streamed text: the empty one is its last. */
  #chunk(bytes: Uint8Array, start: number, length: number): number {
    if (this.#around.length === 0 || length < 0) return WRONG
    if (length > 0) return bulkEnd(bytes, start, length)
    this.#endStream()
    return start
  }

  /** An attribute that streams is followed by its value; anything else is a value itself. */
  #beginStream(shape: number): boolean {
    if (this.#around.length === STREAMS_MAX) return false
    this.#around.push(shape === ATTRIBUTE ? this.left : this.left - 1)
    this.left = Number.POSITIVE_INFINITY
    return true
  }

  #endStream(): boolean {
    const around = this.#around.pop()
    this.left = around ?? 0
    return around !== undefined
  }
}

/** Where a bulk of `length` bytes ends, or WRONG where that ends no line; zeros are a hole. */
function bulkEnd(bytes: Uint8Array, start: number, length: number): number {
  const end = start + length + 2
  if (end > bytes.length) return end
  const isEnd = bytes[end - 2] === CR && bytes[end - 1] === LF
  return isEnd || (bytes[end - 2] === 0 && bytes[end - 1] === 0) ? end : WRONG
}

/** Lines of few shapes are looked at more closely, so that noise is not taken for a value. */
function isLine(bytes: Uint8Array, at: number, end: number): boolean {
  const length = end - at - 3
  switch (bytes[at]) {
    case COLON:
      return length > 0 && length <= 20 && isInteger(bytes, at + 1, end - 2)
    case HASH:
      return length === 1 && (bytes[at + 1] === LETTER_T || bytes[at + 1] === LETTER_F)
    case UNDERSCORE:
      return length === 0
    default:
      return true
  }
}

function isInteger(bytes: Uint8Array, start: number, end: number): boolean {
  const sign = bytes[start]
  for (let at = sign === MINUS || sign === PLUS ? start + 1 : start; at < end; at++)
    if (bytes[at]! < ZERO || bytes[at]! > ZERO + 9) return false
  return true
}

const LF = 0x0a
const CR = 0x0d
const HASH = 0x23
const DOLLAR = 0x24
const PLUS = 0x2b
const MINUS = 0x2d
const ZERO = 0x30
const COLON = 0x3a
const QUESTION = 0x3f
const UNDERSCORE = 0x5f
const LETTER_F = 0x66
const LETTER_T = 0x74

const LINE = 1
const BULK = 2
const GROUP = 3
const MAP = 4
const ATTRIBUTE = 5
const CHUNK = 6
const END = 7
/** How many values follow per unit of the count, by shape. */
const CHILDREN = [0, 0, 0, 1, 2, 2]

/** Shape of a value by its first byte; 0 where no value begins so. */
const SHAPES = new Uint8Array(256)
for (const [shape, firsts] of [
  [LINE, '+-:_#,('],
  [BULK, '$!='],
  [GROUP, '*~>'],
  [MAP, '%'],
  [ATTRIBUTE, '|'],
  [CHUNK, ';'],
  [END, '.'],
] as const)
  for (const first of firsts) SHAPES[first.charCodeAt(0)] = shape
