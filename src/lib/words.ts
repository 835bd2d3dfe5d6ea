import { viewOf } from './wide.ts'

/*
 * Four bytes at a time, at any place: a quarter of the reads that a loop over bytes does. Who looks
 * for something in a word gets a mask with bit 7 of each byte that has it; where several may have
 * it, only the lowest bit that is set is sure (the borrow of a subtraction runs upwards).
 * https://graphics.stanford.edu/~seander/bithacks.html#ZeroInWord
 */

const HIGH = 0x8080_8080 | 0
const LOWER = 0x2020_2020

let bytesOfView: Uint8Array = new Uint8Array(0)
let view: DataView = viewOf(bytesOfView)

/** A view of `bytes`; making one costs as much as reading a line, so the latest is kept. */
export function wordsOf(bytes: Uint8Array): DataView {
  if (bytes !== bytesOfView) {
    bytesOfView = bytes
    view = viewOf(bytes)
  }
  return view
}

/** Where `byte` is first in `bytes[start, end)`, or -1: nothing behind the end is searched. */
export function find(bytes: Uint8Array, byte: number, start: number, end: number): number {
  for (let at = start; at < end; at++) if (bytes[at] === byte) return at
  return -1
}

/** A word whose bytes are all `byte`. */
export function fourOf(byte: number): number {
  return Math.imul(byte, 0x0101_0101)
}

/** The mask of those bytes of `word` that are less than those of `four`, which are 1 to 128. */
export function lessThan(word: number, four: number): number {
  return (word - four) & ~word & HIGH
}

/** The number, 0 to 3, of the lowest byte that `mask` has. */
export function firstOf(mask: number): number {
  return (31 - Math.clz32(mask & -mask)) >> 3
}

/** Whether all bytes of `word` are hexadecimal digits; no sum passes into the next byte. */
export function areHex(word: number): boolean {
  const letter = word | LOWER
  const digits = (word + 0x5050_5050) & ~(word + 0x4646_4646)
  const letters = (letter + 0x1f1f_1f1f) & ~(letter + 0x1919_1919)
  return (word & HIGH) === 0 && ((digits | letters) & HIGH) === HIGH
}
