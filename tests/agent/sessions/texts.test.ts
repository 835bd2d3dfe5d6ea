import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { ENDPOINT, TEXT_BYTES_MAX, Texts } from '../../../src/model/call.ts'

/** Bytes that read as numbers of every kind, those that are none among them. */
const eight = fc.oneof(
  fc.constantFrom(
    [1, 0, 0, 0, 0, 0, 0xf0, 0x7f],
    [1, 2, 3, 4, 5, 6, 0xff, 0xff],
    [0, 0, 0, 0, 0, 0, 0, 0x80],
    [5, 0, 0, 0, 0, 0, 0, 0],
    [0, 0, 0, 0, 0, 0, 0xf8, 0x7f],
  ),
  fc.array(fc.nat(255), { minLength: 8, maxLength: 8 }),
)
const stretches = fc
  .tuple(fc.array(eight, { maxLength: 80 }), fc.nat(9), fc.nat(9))
  .map(([parts, start, less]) => {
    const bytes = Uint8Array.from([...Array(start).fill(7), ...parts.flat()])
    return { bytes, start, end: Math.max(bytes.length - less, start) }
  })

test('Texts keeps every byte of what is copied, whatever it reads as, and nothing beside it', () => {
  const texts = new Texts()
  fc.assert(
    fc.property(fc.array(stretches, { minLength: 1, maxLength: 4 }), (copied) => {
      texts.clear()
      const places = copied.map(({ bytes, start, end }) => texts.keep(bytes, start, end))
      for (const [i, { bytes, start, end }] of copied.entries())
        expect(texts.bytes.slice(places[i]!, places[i]! + end - start)).toEqual(
          bytes.slice(start, end),
        )
    }),
    { numRuns: 3000 },
  )
})

test('Texts cuts what is longer than a text may be, and says so', () => {
  const texts = new Texts()
  const long = new Uint8Array(TEXT_BYTES_MAX + 1).fill(0x61)
  expect(texts.set(ENDPOINT, long, 0, TEXT_BYTES_MAX)).toBe(false)
  expect(texts.set(ENDPOINT, long, 0, long.length)).toBe(true)
  expect(texts.size(ENDPOINT)).toBe(TEXT_BYTES_MAX)
})
