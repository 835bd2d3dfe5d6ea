import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { TextDictionary } from '../../src/lib/text-dictionary.ts'

const encoder = new TextEncoder()

function textAt({ arena, offsets }: TextDictionary, entry: number): string {
  return new TextDecoder().decode(arena.bytes.subarray(offsets[entry], offsets[entry + 1]))
}

function viewOf(text: string): DataView {
  return new DataView(encoder.encode(text).buffer)
}

const texts = fc.array(fc.string({ unit: 'binary', maxLength: 120 }), { maxLength: 300 })

test('TextDictionary gives equal texts one entry and others their own, round after round', () => {
  const dictionary = new TextDictionary()
  fc.assert(
    fc.property(texts, (round) => {
      dictionary.clear()
      const entries = new Map<string, number>([['', 0]])
      for (const text of [...round, ...round]) {
        const from = viewOf(`<${text}>`)
        const entry = dictionary.add(from, 1, from.byteLength - 1)
        expect(entry).toBe(entries.get(text) ?? entries.size)
        entries.set(text, entry)
        expect(dictionary.find(from, 1, from.byteLength - 1)).toBe(entry)
        expect(textAt(dictionary, entry)).toBe(text)
      }
      expect(dictionary.size).toBe(entries.size)
      for (const [text, entry] of entries) expect(textAt(dictionary, entry)).toBe(text)
    }),
  )
})

test('TextDictionary finds no text that was not added', () => {
  const dictionary = new TextDictionary()
  dictionary.add(viewOf('/a'), 0, 2)
  expect(dictionary.find(viewOf('/b'), 0, 2)).toBe(-1)
  expect(dictionary.size).toBe(2)
})

test('TextDictionary stays right where all texts have one hash', () => {
  // Only both ends of long texts are hashed: these differ in the middle.
  const dictionary = new TextDictionary()
  const bytes = new Uint8Array(100)
  for (let i = 0; i < 300; i++) {
    const from = new DataView(bytes.buffer)
    from.setUint32(48, i)
    const entry = dictionary.add(from, 0, bytes.length)
    const { offsets, arena } = dictionary
    expect(arena.bytes.subarray(offsets[entry], offsets[entry + 1])).toEqual(bytes)
  }
})

test('TextDictionary.append makes an entry also of a text that is there', () => {
  const dictionary = new TextDictionary()
  const from = viewOf('again')
  expect([dictionary.append(from, 0, 5), dictionary.append(from, 0, 5)]).toEqual([1, 2])
  expect(dictionary.arena.used).toBe(10)
})
