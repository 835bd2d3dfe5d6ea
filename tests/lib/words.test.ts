import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { areHex, firstOf, fourOf, lessThan, wordsOf } from '../../src/lib/words.ts'

const four = fc.uint8Array({ minLength: 4, maxLength: 4 })

test('lessThan and firstOf find the first lesser byte of a word, for any bytes and any bound', () => {
  fc.assert(
    fc.property(four, fc.integer({ min: 1, max: 128 }), (bytes, bound) => {
      const mask = lessThan(wordsOf(bytes).getInt32(0, true), fourOf(bound))
      const first = bytes.findIndex((byte) => byte < bound)
      expect(mask === 0 ? -1 : firstOf(mask)).toBe(first)
    }),
    { numRuns: 5000 },
  )
})

test('areHex tells words of hexadecimal digits from all others, for every byte at every place', () => {
  for (let at = 0; at < 4; at++)
    for (let byte = 0; byte < 256; byte++) {
      const bytes = new TextEncoder().encode('0aF9').with(at, byte)
      const isHex = /^[0-9a-fA-F]{4}$/.test(String.fromCharCode(...bytes))
      expect(areHex(wordsOf(bytes).getInt32(0, true))).toBe(isHex)
    }
})

test('wordsOf is of the bytes that it is asked for, and begins where they do', () => {
  const bytes = Uint8Array.of(9, 1, 2, 3, 4)
  const inner = bytes.subarray(1)
  expect(wordsOf(inner).getUint8(0)).toBe(1)
  expect(wordsOf(bytes).getUint8(0)).toBe(9)
  expect(wordsOf(inner).byteLength).toBe(4)
  inner[0] = 7
  expect(wordsOf(inner).getUint8(0)).toBe(7)
})
