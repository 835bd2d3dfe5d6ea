import type { Arena } from '../lib/arena.ts'

/*
 * Ids are hexadecimal digits, mostly, and take half the bytes without their letters. Four digits
 * are a word of four bytes, and two words one: a byte has digit i, and above it digit i + 4.
 *
 *   DIGITS + n   n digits, lower case, n a multiple of 8: n / 2 bytes
 *   UUID         8-4-4-4-12 digits with dashes (RFC 9562 §4): 16 bytes
 *
 * zstd, which only finds out that digits have four bits each, takes half the time then.
 */
export const DIGITS = 0x8000
export const UUID = 0xc000
/** The size of a text as it is says no more than this. */
export const TEXT_SIZE_MAX = 0x7fff
const DIGITS_MAX = 64
const UUID_SIZE = 36
const UUID_BYTES = 16
/** Where a UUID has four digits in a row. */
const UUID_WORDS = Uint8Array.of(0, 4, 9, 14, 19, 24, 28, 32)
const DASH = 0x2d
const ONES = 0x0101_0101
const VALUES = 0x0f0f_0f0f
const ZEROS = 0x3030_3030
/** From the value of a digit beyond 9 to its letter, over what the digits before it need. */
const LETTERS = 0x27

/** Whether a text may have this size, whoever says so. */
export function isSize(size: number): boolean {
  return size <= DIGITS || size === UUID || ((size & 7) === 0 && size <= DIGITS + DIGITS_MAX)
}

/** How many bytes stand for the text that has this size. */
export function packedBytesOf(size: number): number {
  if (size === UUID) return UUID_BYTES
  return size > DIGITS ? (size - DIGITS) >> 1 : size
}

/** How many bytes the text that has this size is long. */
export function textBytesOf(size: number): number {
  if (size === UUID) return UUID_SIZE
  return size > DIGITS ? size - DIGITS : size
}

/** Appends `from[start, end)` to `arena` in half its bytes; answers its size as above, or 0. */
export function packDigits(arena: Arena, from: DataView, start: number, end: number): number {
  const size = end - start
  arena.reserve(DIGITS_MAX)
  if (size === UUID_SIZE) return packUuid(arena, from, start)
  if ((size & 7) !== 0 || size === 0 || size > DIGITS_MAX) return 0
  const { view, used } = arena
  let wrong = 0
  for (let i = 0; i < size; i += 8) {
    const low = from.getInt32(start + i, true)
    const high = from.getInt32(start + i + 4, true)
    const lows = valuesOf(low)
    const highs = valuesOf(high)
    wrong |= (digitsOf(lows) ^ low) | (digitsOf(highs) ^ high) | ((lows | highs) & ~VALUES)
    view.setInt32(used + (i >> 1), lows | (highs << 4), true)
  }
  if (wrong !== 0) return 0
  arena.used = used + (size >> 1)
  return DIGITS + size
}

function packUuid(arena: Arena, from: DataView, start: number): number {
  const { view, used } = arena
  let wrong =
    (from.getUint8(start + 8) ^ DASH) |
    (from.getUint8(start + 13) ^ DASH) |
    (from.getUint8(start + 18) ^ DASH) |
    (from.getUint8(start + 23) ^ DASH)
  for (let i = 0; i < UUID_WORDS.length; i += 2) {
    const low = from.getInt32(start + UUID_WORDS[i]!, true)
    const high = from.getInt32(start + UUID_WORDS[i + 1]!, true)
    const lows = valuesOf(low)
    const highs = valuesOf(high)
    wrong |= (digitsOf(lows) ^ low) | (digitsOf(highs) ^ high) | ((lows | highs) & ~VALUES)
    view.setInt32(used + 2 * i, lows | (highs << 4), true)
  }
  if (wrong !== 0) return 0
  arena.used = used + UUID_BYTES
  return UUID
}

/** The values of four digits, a byte each; what is no digit has none that lead back to it. */
function valuesOf(digits: number): number {
  return (digits & VALUES) + Math.imul((digits >>> 6) & ONES, 9)
}

/** Four values of 0 to 15 as digits. */
function digitsOf(values: number): number {
  return (values + ZEROS + Math.imul(((values + 0x0606_0606) >>> 4) & ONES, LETTERS)) | 0
}

/** Where a text lies that is unpacked, and where it goes. */
export type Unpacking = {
  readonly from: DataView
  start: number
  readonly to: DataView
  end: number
}

/** Writes the digits of the next `count` bytes. */
export function unpackDigits({ from, start, to, end }: Unpacking, count: number): void {
  for (let i = 0; i < count; i += 4) {
    const word = from.getInt32(start + i, true)
    to.setInt32(end + 2 * i, digitsOf(word & VALUES), true)
    to.setInt32(end + 2 * i + 4, digitsOf((word >>> 4) & VALUES), true)
  }
}

/** The same for a UUID. */
export function unpackUuid({ from, start, to, end }: Unpacking): void {
  for (let i = 0; i < UUID_WORDS.length; i += 2) {
    const word = from.getInt32(start + 2 * i, true)
    to.setInt32(end + UUID_WORDS[i]!, digitsOf(word & VALUES), true)
    to.setInt32(end + UUID_WORDS[i + 1]!, digitsOf((word >>> 4) & VALUES), true)
  }
  for (let dash = 8; dash <= 23; dash += 5) to.setUint8(end + dash, DASH)
}
