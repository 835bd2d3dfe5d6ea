import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { MetaflowError } from '../../src/lib/errors.ts'
import {
  BLOCK_BYTES_MAX,
  BLOCK_ROWS_MAX,
  type Block,
  type BlockColumn,
} from '../../src/model/block.ts'
import { tables } from '../../src/model/tables/registry.ts'
import { decodeBlock, encodeBlock, encodeDropped } from '../../src/wire/block.ts'
import { HEADER_SIZE, numberBlock, readHeader } from '../../src/wire/header.ts'
import { NAME_BYTES_MAX } from '../../src/wire/names.ts'

const NOBODY = { type: 0, key: '', name: '', processName: '', hostKey: '', hostName: '' }
const REDIS = {
  type: 120,
  key: 'host/redis.service/redis-server',
  name: 'redis-server',
  processName: 'redis-server',
  hostKey: 'host',
  hostName: 'größe',
}
const HEADER = {
  table: 1,
  rows: 3,
  agent: '00112233445566778899aabbccddeeff',
  lifetime: 'ffeeddccbbaa99887766554433221100',
  lane: 2,
  sequence: 2 ** 40 + 7,
  dropped: 0,
  wall: 1_790_000_000_123_456,
  monotonic: 98_765_432_101,
}

const text = {
  kind: 'text' as const,
  indexes: Uint8Array.of(1, 0, 2),
  offsets: Uint32Array.of(0, 0, 4, 7),
  bytes: new TextEncoder().encode('/a/bGET'),
}
/** One column of every kind under numbers table 1 does not know, and two that it does. */
const columns: ReadonlyMap<number, BlockColumn> = new Map<number, BlockColumn>([
  [1, { kind: 'numbers', values: Uint32Array.of(1, 2, 0xffff_ffff) }],
  [22, text],
  [48, { kind: 'numbers', values: Uint32Array.of(0, 1, 1) }],
  [901, { kind: 'numbers', values: Uint8Array.of(1, 2, 255) }],
  [902, { kind: 'numbers', values: Uint16Array.of(1, 2, 65_535) }],
  [903, { kind: 'numbers', values: Int32Array.of(-1, 2, -2_147_483_648) }],
  [904, { kind: 'wide', bytes: new Uint8Array(24).fill(7) }],
  [905, { kind: 'ip6', bytes: new Uint8Array(48).fill(9) }],
  [906, { ...text, bytes: text.bytes.slice(), indexes: Uint16Array.of(2, 1, 0) }],
  [907, { ...text, bytes: text.bytes.slice(), indexes: Uint32Array.of(2, 1, 0) }],
  // Shares the dictionary of column 22.
  [909, { ...text, indexes: Uint16Array.of(0, 0, 2) }],
  [
    908,
    {
      kind: 'histogram',
      ends: Uint32Array.of(1, 1, 3),
      keys: Int16Array.of(-638, 0, 12),
      counts: Uint32Array.of(1, 2, 3),
    },
  ],
])
const block: Block = { header: HEADER, names: [NOBODY, REDIS], columns }

function refusalOf(bytes: Uint8Array): string {
  try {
    decodeBlock(bytes)
    return ''
  } catch (error) {
    if (error instanceof MetaflowError) return `${error.code}: ${error.message}`
    throw error
  }
}

/** `bytes` with its head and checks made to fit again after a change. */
function resealed(change: (body: Uint8Array) => void): Uint8Array {
  const encoded = encodeBlock(block)
  const body = Bun.zstdDecompressSync(encoded.subarray(HEADER_SIZE))
  change(body)
  return reheaded(encoded, Bun.zstdCompressSync(body), body.length)
}

function reheaded(encoded: Uint8Array, packed: Uint8Array, size: number): Uint8Array {
  const bytes = new Uint8Array(HEADER_SIZE + packed.length)
  bytes.set(encoded.subarray(0, HEADER_SIZE))
  bytes.set(packed, HEADER_SIZE)
  const view = new DataView(bytes.buffer)
  view.setUint32(84, size, true)
  view.setUint32(88, packed.length, true)
  view.setUint32(92, Bun.hash.crc32(packed), true)
  numberBlock(bytes, HEADER)
  return bytes
}

describe('encodeBlock and decodeBlock', () => {
  test('give back header, names and columns of every kind as they went in', () => {
    const decoded = decodeBlock(encodeBlock(block))
    expect(decoded.header).toEqual(HEADER)
    expect(decoded.names).toEqual([NOBODY, REDIS])
    expect([...decoded.columns]).toEqual([...columns])
  })

  test('give back columns as views of one buffer, but those that travelled shorter', () => {
    const decoded = decodeBlock(encodeBlock(block))
    const buffers = new Set<ArrayBufferLike>()
    for (const [number, column] of decoded.columns)
      if (![903, 904, 905].includes(number))
        buffers.add(column.kind === 'numbers' ? column.values.buffer : partOf(column).buffer)
    expect(buffers.size).toBe(1)
  })

  test('carry no rows but a count where the sender had to drop them', () => {
    const { rows: _, ...header } = HEADER
    const decoded = decodeBlock(encodeDropped({ ...header, dropped: 70_000 }))
    expect(decoded.header).toEqual({ ...HEADER, rows: 0, dropped: 70_000 })
    expect(decoded.columns.size).toBe(0)
  })

  test('cut a name that is too long between two characters', () => {
    const name = `${'x'.repeat(NAME_BYTES_MAX - 1)}ü and more`
    const decoded = decodeBlock(encodeBlock({ ...block, names: [NOBODY, { ...REDIS, name }] }))
    expect(decoded.names[1]!.name).toBe('x'.repeat(NAME_BYTES_MAX - 1))
  })

  test('refuse to encode more than a block may hold', () => {
    const bytes = new Uint8Array(BLOCK_BYTES_MAX)
    const big: Block = { ...block, columns: new Map([[904, { kind: 'wide', bytes }]]) }
    expect(() => encodeBlock(big)).toThrow(/^Cannot encode block: it has 3 rows in 8388\d+ bytes$/)
    const many = { ...block, header: { ...HEADER, rows: BLOCK_ROWS_MAX + 1 } }
    expect(() => encodeBlock(many)).toThrow('Cannot encode block: it has 65537 rows')
  })
})

function partOf(column: BlockColumn): Uint8Array {
  if (column.kind === 'histogram') return new Uint8Array(column.counts.buffer)
  return column.kind === 'numbers' ? new Uint8Array(0) : column.bytes
}

describe('readHeader', () => {
  test('reads the head alone', () => {
    expect(readHeader(encodeBlock(block).slice(0, HEADER_SIZE))).toEqual(HEADER)
  })

  test('reads the number that a sender gave later', () => {
    const encoded = encodeBlock({ ...block, header: { ...HEADER, sequence: 0, lane: 0 } })
    numberBlock(encoded, { ...HEADER, lane: 9, sequence: 41 })
    expect(readHeader(encoded)).toEqual({ ...HEADER, lane: 9, sequence: 41 })
    expect(decodeBlock(encoded).names).toEqual([NOBODY, REDIS])
  })
})

const CHANGES: readonly (readonly [string, (body: Uint8Array) => void, string])[] = [
  ['many columns', (b) => b.fill(0xff, 4, 8), 'its directory is out of bounds'],
  ['many names', (b) => b.fill(0xff, 0, 3), 'its directory is out of bounds'],
  ['one name too many', (b) => b.fill(2, 0, 1), 'its names are cut short'],
  ['a column twice', (b) => b.fill(1, 28, 29), 'it has column 1 twice'],
  ['an unknown kind', (b) => b.fill(99, 18, 19), 'column 1: its kind is unknown'],
  [
    'another kind than declared',
    (b) => b.fill(4, 18, 19),
    'column 1: it is i32, its table has u32',
  ],
  ['an odd offset', (b) => b.fill(1, 20, 21), 'column 1: it is out of bounds'],
  ['a far offset', (b) => b.fill(0xf8, 20, 24), 'column 1: it is out of bounds'],
  ['a wide index', (b) => b.fill(3, 31, 32), 'column 22: its width is 3'],
  ['many entries', (b) => b.fill(0xff, 36, 40), 'column 22: it is out of bounds'],
  ['one entry fewer', (b) => b.fill(2, 36, 37), 'column 22: '],
  ['a name that is not there', (b) => b.fill(2, at(b, 48), at(b, 48) + 1), 'column 48: it points'],
  ['an index beyond', (b) => b.fill(3, at(b, 22), at(b, 22) + 1), 'column 22: it points outside'],
  ['offsets that fall', (b) => b.fill(9, at(b, 22) + 12, at(b, 22) + 13), 'column 22: its offsets'],
  ['ends that fall', (b) => b.fill(2, at(b, 908), at(b, 908) + 1), 'column 908: its buckets'],
  ['a shared index beyond', (b) => b.fill(3, at(b, 909), at(b, 909) + 1), 'column 909: it points'],
  [
    'nobody to share with',
    (b) => b.fill(9, entry(909) + 8, entry(909) + 9),
    'column 909: its dict',
  ],
  ['no text to share', (b) => b.fill(1, entry(909) + 8, entry(909) + 9), 'column 909: its dict'],
  ['fewer buckets', (b) => b.fill(2, entry(908) + 8, entry(908) + 9), 'column 908: its buck'],
]

function entry(number: number): number {
  return 16 + [...columns.keys()].indexOf(number) * 12
}

function at(body: Uint8Array, number: number): number {
  return new DataView(body.buffer, body.byteOffset).getUint32(entry(number) + 4, true)
}

describe('decodeBlock refuses', () => {
  test.each(CHANGES)('%s', (_, change, want) => {
    expect(refusalOf(resealed(change))).toStartWith(`refused: Cannot read block: ${want}`)
  })

  test('every cut of a block', () => {
    const encoded = encodeBlock(block)
    for (let size = 0; size < encoded.length; size++)
      expect(refusalOf(encoded.subarray(0, size))).toStartWith('refused: Cannot read block: ')
  })

  test('every block with one bit changed', () => {
    const encoded = encodeBlock(block)
    for (let bit = 0; bit < encoded.length * 8; bit++) {
      const changed = encoded.with(bit >> 3, encoded[bit >> 3]! ^ (1 << (bit & 7)))
      expect(refusalOf(changed)).toContain(': Cannot read block: ')
    }
  })

  test('bytes after the end, and a second frame', () => {
    const encoded = encodeBlock(block)
    const packed = encoded.subarray(HEADER_SIZE)
    const size = Bun.zstdDecompressSync(packed).length
    for (const tail of [Uint8Array.of(0), packed]) {
      const longer = new Uint8Array([...packed, ...tail])
      expect(refusalOf(reheaded(encoded, longer, size))).toBe(
        'refused: Cannot read block: its body is cut short or has bytes after its end',
      )
    }
  })

  test('a bomb, by what its frame says and by what its head says', () => {
    const encoded = encodeBlock(block)
    const bomb = Bun.zstdCompressSync(new Uint8Array(256 << 20))
    expect(refusalOf(reheaded(encoded, bomb, 4096))).toBe(
      'refused: Cannot read block: its body unpacks to another size than its head says',
    )
    expect(refusalOf(reheaded(encoded, bomb, 256 << 20))).toStartWith('tooLarge: ')
  })

  test('a frame that does not say its size, or lies about it', () => {
    const encoded = encodeBlock(block)
    const packed = Bun.zstdCompressSync(new Uint8Array(70_000))
    const lying = Uint8Array.from(packed)
    // Content size of 4 bytes follows magic, descriptor and window.
    expect(packed[4]! >> 6).toBe(2)
    const sizeAt = packed[4]! & 0x20 ? 5 : 6
    new DataView(lying.buffer).setUint32(sizeAt, 4096, true)
    expect(refusalOf(reheaded(encoded, lying, 4096))).toBe(
      'refused: Cannot read block: its body does not unpack',
    )
    const silent = Uint8Array.of(...packed.subarray(0, 4), 0, packed[5]!, 0, 0, 0)
    expect(refusalOf(reheaded(encoded, silent, 0))).toContain('Cannot read block: its body ')
  })

  test('whatever is no block, and says nothing else than that, in bounded memory', () => {
    const noise = fc.uint8Array({ maxLength: 400 })
    const bodies = fc.tuple(noise, fc.nat(), fc.constantFrom(...tables)).map(([bytes, at, table]) =>
      resealed((body) => {
        body.set(bytes.subarray(0, 16), at % (body.length - 16))
        body[body.length - 1] = table.number
      }),
    )
    const framed = noise.map((packed) => reheaded(encodeBlock(block), packed, packed.length * 3))
    fc.assert(
      fc.property(fc.oneof(noise, bodies, framed), (bytes) => {
        expect(() => refusalOf(bytes)).not.toThrow()
      }),
      { numRuns: 3000 },
    )
  })
})

test('encodeBlock writes a dictionary once that two columns share', () => {
  const bodySize = (columns: Block['columns']): number =>
    new DataView(encodeBlock({ ...block, columns }).buffer).getUint32(84, true)
  const other = { ...text, bytes: text.bytes.slice() }
  const shared = bodySize(
    new Map([
      [22, text],
      [909, text],
    ]),
  )
  // 4 offsets and 7 bytes, 8-aligned.
  expect(
    bodySize(
      new Map([
        [22, text],
        [909, other],
      ]),
    ),
  ).toBe(shared + 16 + 8)
})

test('decodeBlock answers blocks whose every index is in bounds, whatever was changed', () => {
  const change = fc.tuple(fc.nat(), fc.uint8Array({ minLength: 1, maxLength: 4 }))
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
      const bytes = resealed((body) => {
        for (const [at, noise] of changes) body.set(noise, at % (body.length - 4))
      })
      if (refusalOf(bytes)) return
      const decoded = decodeBlock(bytes)
      for (const column of decoded.columns.values())
        if (column.kind === 'text')
          for (const index of column.indexes)
            expect(column.offsets[index + 1]!).toBeLessThanOrEqual(column.bytes.length)
    }),
    { numRuns: 3000 },
  )
})
