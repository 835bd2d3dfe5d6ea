import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { crc32c } from '../../src/lib/crc32c.ts'
import { readRecords, recordOf } from '../../src/lib/records.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const joined = (parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts))

function payloads(file: Uint8Array, onSpoilt?: (at: number) => void): string[] {
  const found: string[] = []
  readRecords(
    file,
    0,
    (payload) => {
      found.push(new TextDecoder().decode(payload))
      return true
    },
    onSpoilt,
  )
  return found
}

/** Check values of RFC 3720 §B.4 and of the CRC catalogue. */
test.each([
  ['123456789', bytes('123456789'), 0xe3069283],
  ['32 zeros', new Uint8Array(32), 0x8a9136aa],
  ['32 ones', new Uint8Array(32).fill(0xff), 0x62a8ab43],
  ['nothing', new Uint8Array(0), 0],
])('crc32c of %s', (_, input, want) => {
  expect(crc32c(input)).toBe(want)
})

test('crc32c goes on from what came before, wherever it is cut', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(), (input, cut) => {
      const at = cut % (input.length + 1)
      expect(crc32c(input.subarray(at), crc32c(input.subarray(0, at)))).toBe(crc32c(input))
    }),
  )
})

test('readRecords reads whole records up to any cut, and none of a torn one', () => {
  const records = [recordOf(bytes('one')), recordOf(bytes('t'), bytes('wo')), recordOf(bytes(''))]
  const file = joined(records)
  const ends = [records[0]!.length, records[0]!.length + records[1]!.length, file.length]
  for (let size = 0; size <= file.length; size++)
    expect(payloads(file.subarray(0, size))).toEqual(
      ['one', 'two', ''].slice(0, ends.filter((end) => end <= size).length),
    )
})

test('readRecords reads no zeros, which a crash leaves behind, as records', () => {
  expect(payloads(joined([recordOf(bytes('one')), new Uint8Array(64)]))).toEqual(['one'])
})

test('readRecords stops at a spoilt record, or passes it over where that is asked', () => {
  const file = joined(['one', 'two', 'three'].map((text) => recordOf(bytes(text))))
  const at = recordOf(bytes('one')).length
  for (let i = at + 4; i < at + 11; i++) {
    const spoilt = file.with(i, file[i]! ^ 1)
    expect(payloads(spoilt)).toEqual(['one'])
    const told: number[] = []
    expect(payloads(spoilt, (place) => told.push(place))).toEqual(['one', 'three'])
    expect(told).toEqual([at])
  }
})

test('readRecords answers noise in bounds and without throwing', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (noise) => {
      const end = readRecords(noise, 0, () => true)
      expect(end).toBeWithin(0, noise.length + 1)
    }),
  )
})
