import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { Arena } from '../../src/lib/arena.ts'
import { MetaflowError } from '../../src/lib/errors.ts'
import { BLOCK_ROWS_MAX, type BlockColumn } from '../../src/model/block.ts'
import { decodeBlock, encodeBlock } from '../../src/wire/block.ts'
import { type FilledColumn, SAME } from '../../src/wire/columns.ts'
import { packDigits } from '../../src/wire/digits.ts'
import { HEADER_SIZE, numberBlock } from '../../src/wire/header.ts'

const NOBODY = { type: 0, key: '', name: '', processName: '', hostKey: '', hostName: '' }
const HEADER = {
  table: 1,
  rows: 0,
  agent: '00112233445566778899aabbccddeeff',
  lifetime: 'ffeeddccbbaa99887766554433221100',
  lane: 0,
  sequence: 1,
  dropped: 0,
  wall: 1,
  monotonic: 1,
}

function encode(rows: number, columns: readonly (readonly [number, FilledColumn])[]): Uint8Array {
  return encodeBlock({ header: { ...HEADER, rows }, names: [NOBODY], columns: new Map(columns) })
}

function decoded(
  rows: number,
  columns: readonly (readonly [number, FilledColumn])[],
): ReadonlyMap<number, BlockColumn> {
  return decodeBlock(encode(rows, columns)).columns
}

function bodySize(block: Uint8Array): number {
  return new DataView(block.buffer).getUint32(84, true)
}

/** Numbers that lie `spread` apart at most, from anywhere between `min` and `max`. */
function near(min: number, max: number): fc.Arbitrary<number[]> {
  const spreads = fc.constantFrom(0, 1, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32)
  return fc.tuple(fc.maxSafeInteger(), spreads).chain(([at, spread]) => {
    const base = Math.max(min, Math.min(max, at))
    return fc.array(fc.integer({ min: base, max: Math.min(max, base + spread) }), {
      minLength: 1,
      maxLength: 40,
    })
  })
}

describe('encodeBlock gives back, however they travel,', () => {
  test('numbers of 32 bits', () => {
    const columns = fc.oneof(
      near(0, 2 ** 32 - 1).map((values) => Uint32Array.from(values)),
      near(-(2 ** 31), 2 ** 31 - 1).map((values) => Int32Array.from(values)),
    )
    fc.assert(
      fc.property(columns, (values) => {
        const column = { kind: 'numbers', values } as const
        expect(decoded(values.length, [[901, column]]).get(901)).toEqual(column)
      }),
      { numRuns: 500 },
    )
  })

  test('whole numbers of 53 bits and sign', () => {
    const both = fc.oneof(
      near(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
      near(-1, 2 ** 33),
      fc.array(fc.maxSafeInteger(), { minLength: 1 }),
    )
    fc.assert(
      fc.property(both, (values) => {
        const column = { kind: 'doubles', values: Float64Array.from(values) } as const
        const wide = decoded(values.length, [[901, column]]).get(901)
        const bytes = wide?.kind === 'wide' ? wide.bytes : new Uint8Array(0)
        const got = new BigInt64Array(bytes.buffer, bytes.byteOffset, values.length)
        expect([...got].map(Number)).toEqual(values.map((value) => value + 0))
      }),
      { numRuns: 500 },
    )
  })

  test('texts row by row, and those that are the lender’s', () => {
    const short = fc.string({ maxLength: 9 })
    const rows = fc.array(fc.tuple(short, fc.option(short)), { minLength: 1, maxLength: 40 })
    fc.assert(
      fc.property(rows, (texts) => {
        const lent = texts.map(([text]) => text)
        // null: what the lender has.
        const own = texts.map(([, text]) => text)
        const columns = decoded(texts.length, [
          [901, rowsOf(lent, undefined)],
          [902, rowsOf(own, 901)],
        ])
        expect(textsOf(columns.get(901))).toEqual(lent)
        expect(textsOf(columns.get(902))).toEqual(own.map((text, row) => text ?? lent[row]!))
      }),
      { numRuns: 500 },
    )
  })
})

function rowsOf(texts: readonly (string | null)[], lender: number | undefined): FilledColumn {
  const parts = texts.map((text) => new TextEncoder().encode(text ?? ''))
  const sizes = Uint16Array.from(parts, (part, row) => (texts[row] === null ? SAME : part.length))
  return { kind: 'rows', sizes, bytes: new Uint8Array(Buffer.concat(parts)), lender }
}

function textsOf(column: BlockColumn | undefined): string[] {
  if (column?.kind !== 'text') throw new Error(`not text but ${column?.kind}`)
  const { indexes, offsets, bytes } = column
  return Array.from(indexes, (entry) =>
    new TextDecoder().decode(bytes.subarray(offsets[entry], offsets[entry + 1])),
  )
}

describe('packDigits and decodeBlock', () => {
  const hex = (size: number): fc.Arbitrary<string> =>
    fc
      .array(fc.constantFrom(...'0123456789abcdef'), { minLength: size, maxLength: size })
      .map((digits) => digits.join(''))
  const ids = fc.oneof(
    fc.constantFrom(0, 8, 16, 24, 32, 64).chain(hex),
    fc.uuid(),
    fc.constantFrom(7, 12, 31, 33, 36, 65, 72, 128).chain(hex),
  )
  /** Ids, and ids with one character, whatever it is, in the place of another. */
  const texts = fc.oneof(
    ids,
    fc.tuple(ids, fc.nat(), fc.nat({ max: 127 })).map(([id, at, code]) => {
      const place = id.length === 0 ? 0 : at % id.length
      return `${id.slice(0, place)}${String.fromCharCode(code)}${id.slice(place + 1)}`
    }),
  )

  test('give back ids, and what is nearly one', () => {
    fc.assert(
      fc.property(fc.array(texts, { minLength: 1, maxLength: 20 }), (all) => {
        const column = idsOf(all)
        const got = decoded(all.length, [[901, column.filled]]).get(901)
        expect(textsOf(got)).toEqual(all)
      }),
      { numRuns: 2000 },
    )
  })

  test('take half the bytes of digits in lower case, and of nothing else', () => {
    const id = '0123456789abcdef0123456789abcdef'
    const sizes: readonly (readonly [string, number])[] = [
      [id, 16],
      [id.slice(16), 8],
      ['01234567-89ab-cdef-0123-456789abcdef', 16],
      [id.toUpperCase(), 32],
      [`${id.slice(0, 31)}g`, 32],
      [`o${id.slice(1)}`, 32],
      [`${id.slice(0, 7)}@${id.slice(8)}`, 32],
      ['01234567-89ab-cdef-0123_456789abcdef', 36],
      ['0123456789', 10],
    ]
    for (const [text, size] of sizes) expect([text, idsOf([text]).used]).toEqual([text, size])
  })
})

/** Texts as a column that packs ids fills. */
function idsOf(texts: readonly string[]): { filled: FilledColumn; used: number } {
  const arena = new Arena()
  const sizes = Uint16Array.from(texts, (text) => {
    const bytes = new TextEncoder().encode(`<${text}>`)
    const view = new DataView(bytes.buffer)
    const end = bytes.length - 1
    const packed = packDigits(arena, view, 1, end)
    if (packed === 0) arena.put(view, 1, end)
    return packed === 0 ? end - 1 : packed
  })
  const bytes = arena.bytes.slice(0, arena.used)
  return { filled: { kind: 'rows', sizes, bytes, lender: undefined }, used: arena.used }
}

test('encodeBlock writes once what all rows of a column have, and near numbers in fewer bytes', () => {
  const rows = 1000
  const sizeOf = (column: FilledColumn): number => bodySize(encode(rows, [[901, column]]))
  const head = 16 + 12 + 4
  expect(sizeOf({ kind: 'numbers', values: new Uint16Array(rows).fill(7) })).toBe(head + 8)
  expect(sizeOf({ kind: 'ip6', bytes: new Uint8Array(rows * 16) })).toBe(head + 16)
  const near = Uint32Array.from({ length: rows }, (_, row) => 4_000_000_000 + (row % 256))
  expect(sizeOf({ kind: 'numbers', values: near })).toBe(head + 8 + rows)
  const far = Float64Array.from({ length: rows }, (_, row) => 2 ** 50 + row * 50)
  expect(sizeOf({ kind: 'doubles', values: far })).toBe(head + 8 + rows * 2)
  const texts = Array.from({ length: rows }, (_, row) => String(row % 10))
  expect(sizeOf(rowsOf(texts, undefined))).toBe(head + 8 + rows)
})

describe('decodeBlock refuses', () => {
  const rows = 100
  const numbers = Uint32Array.from({ length: rows }, (_, row) => row)
  const columns: readonly (readonly [number, FilledColumn])[] = [
    [901, { kind: 'numbers', values: numbers }],
    [902, rowsOf(new Array(rows).fill('ab'), undefined)],
    [903, rowsOf(new Array(rows).fill(null), 902)],
    [904, { kind: 'numbers', values: new Uint16Array(rows) }],
    [905, { kind: 'numbers', values: Uint16Array.from(numbers) }],
    [906, idsOf(new Array(rows).fill('01234567')).filled],
  ]
  const flags = (index: number): number => 16 + index * 12 + 3
  const cases: readonly (readonly [string, number, number, string])[] = [
    ['differences of no such width', flags(0), 0x23, '901: its width is 3'],
    ['more differences than there are bytes', flags(0) + 3, 0xff, '901: it is out of bounds'],
    ['differences of a kind that has none', flags(4), 0x21, '905: its kind is never packed'],
    ['sizes of no such width', flags(1), 0x45, '902: its width is 5'],
    ['texts of a lender that has none', flags(2) + 5, 0x85, '903: its dictionary is not there'],
    ['digits that are no eight', at(5), 0x09, "906: a text's size is 32777"],
    ['more digits than an id has', at(5), 0xf8, "906: a text's size is 33016"],
    ['more text than there is', at(1), 0xff, '902: it is out of bounds'],
  ]

  function at(index: number): number {
    const body = Bun.zstdDecompressSync(encode(rows, columns).subarray(HEADER_SIZE))
    return new DataView(body.buffer, body.byteOffset).getUint32(16 + index * 12 + 4, true)
  }

  test.each(cases)('%s', (_, place, value, want) => {
    const bytes = changed(encode(rows, columns), (body) => {
      body[place] = value
    })
    expect(() => decodeBlock(bytes)).toThrow(`Cannot read block: column ${want}`)
  })

  test.each([
    [BLOCK_ROWS_MAX, 100],
    [1024, 900],
  ])('columns of %d rows that unpack to more than a block of them may hold', (rows, count) => {
    const column = { kind: 'doubles', values: new Float64Array(rows).fill(1) } as const
    const few = encode(rows, [[901, column]])
    const body = Bun.zstdDecompressSync(few.subarray(HEADER_SIZE))
    const many = new Uint8Array(16 + count * 12 + 8)
    const view = new DataView(many.buffer)
    view.setUint32(4, count, true)
    for (let i = 0; i < count; i++) {
      many.set(body.subarray(16, 28), 16 + i * 12)
      view.setUint16(16 + i * 12, 901 + i, true)
      view.setUint32(16 + i * 12 + 4, 16 + count * 12, true)
    }
    expect(() => decodeBlock(resealed(few, many))).toThrow('it unpacks to more than a block may')
  })

  test('nothing but what is wrong, whatever was changed', () => {
    const change = fc.tuple(fc.nat(), fc.uint8Array({ minLength: 1, maxLength: 3 }))
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
        const bytes = changed(encode(rows, columns), (body) => {
          for (const [place, noise] of changes) body.set(noise, place % (body.length - 3))
        })
        try {
          for (const column of decodeBlock(bytes).columns.values())
            if (column.kind === 'text') expect(textsOf(column).length).toBe(rows)
        } catch (error) {
          expect(error).toBeInstanceOf(MetaflowError)
        }
      }),
      { numRuns: 2000 },
    )
  })
})

function changed(block: Uint8Array, change: (body: Uint8Array) => void): Uint8Array {
  const body = Bun.zstdDecompressSync(block.subarray(HEADER_SIZE))
  change(body)
  return resealed(block, body)
}

function resealed(block: Uint8Array, body: Uint8Array): Uint8Array {
  const packed = Bun.zstdCompressSync(body)
  const bytes = new Uint8Array(HEADER_SIZE + packed.length)
  bytes.set(block.subarray(0, HEADER_SIZE))
  bytes.set(packed, HEADER_SIZE)
  const view = new DataView(bytes.buffer)
  view.setUint32(84, body.length, true)
  view.setUint32(88, packed.length, true)
  view.setUint32(92, Bun.hash.crc32(packed), true)
  numberBlock(bytes, HEADER)
  return bytes
}
