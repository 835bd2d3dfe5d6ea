import type { BlockColumn, Numbers } from '../model/block.ts'
import { refuse } from './header.ts'

/*
 * A block's columns, little-endian, each at an 8-aligned offset of the body:
 *
 *   u8 u16 u32 i32   rows × value
 *   wide ip6         rows × 8, 16 bytes
 *   text             rows × index (`width` bytes), entry offsets (`extra` + 1) × 4, bytes; or,
 *                    where the width's highest bit is set, indexes only: the dictionary is that
 *                    of column `extra`, which comes before
 *   histogram        rows × end (4), `extra` × key (2), `extra` × count (4)
 *
 * where a text's and a histogram's parts are 8-aligned too. The directory has an entry each:
 *
 *   number (2), kind (1), width (1), offset (4), extra (4)
 */
export const ENTRY = 12
const SHARED = 0x80

const KIND = {
  u8: 1,
  u16: 2,
  u32: 3,
  i32: 4,
  wide: 5,
  ip6: 6,
  text: 7,
  histogram: 8,
} as const
export type KindName = keyof typeof KIND
export const KIND_NAMES: readonly (KindName | undefined)[] = [
  undefined,
  ...(Object.keys(KIND) as KindName[]),
]
/** Where a column lies and what it is, as the directory says it: nothing of it is to be trusted. */
export type Place = {
  readonly number: number
  readonly kind: KindName | undefined
  readonly width: number
  readonly at: number
  readonly extra: number
  readonly rows: number
}

/** A column as views into the body; refuses one that does not lie in it. */
export function readColumn(
  body: Uint8Array,
  place: Place,
  before: ReadonlyMap<number, BlockColumn>,
): BlockColumn {
  const { kind, at, rows, extra } = place
  switch (kind) {
    case 'u8':
      return { kind: 'numbers', values: part(body, place, at, rows) }
    case 'u16':
      return { kind: 'numbers', values: words16(part(body, place, at, rows * 2)) }
    case 'u32':
      return { kind: 'numbers', values: words32(part(body, place, at, rows * 4)) }
    case 'i32': {
      const bytes = part(body, place, at, rows * 4)
      return { kind: 'numbers', values: new Int32Array(bytes.buffer, bytes.byteOffset, rows) }
    }
    case 'wide':
      return { kind, bytes: part(body, place, at, rows * 8) }
    case 'ip6':
      return { kind, bytes: part(body, place, at, rows * 16) }
    case 'text':
      return place.width & SHARED
        ? readSharing(body, place, before.get(extra))
        : readText(body, place)
    case 'histogram': {
      const ends = words32(part(body, place, at, rows * 4))
      const keysAt = at + aligned(rows * 4)
      const keys = part(body, place, keysAt, extra * 2)
      const counts = words32(part(body, place, keysAt + aligned(extra * 2), extra * 4))
      if (!isRising(ends, 0, extra)) bad(place, 'its buckets are out of order')
      return { kind, ends, keys: new Int16Array(keys.buffer, keys.byteOffset, extra), counts }
    }
    default:
      return bad(place, 'its kind is unknown')
  }
}

function readText(body: Uint8Array, place: Place): BlockColumn {
  const { at, rows, extra, width } = place
  const offsetsAt = at + aligned(rows * width)
  const indexes = readIndexes(body, place, width)
  const offsets = words32(part(body, place, offsetsAt, (extra + 1) * 4))
  const size = offsets[extra]!
  const bytes = part(body, place, offsetsAt + aligned((extra + 1) * 4), size)
  if (offsets[0] !== 0 || !isRising(offsets, 0, size)) bad(place, 'its offsets are out of order')
  if (!isBelow(indexes, extra)) bad(place, 'it points outside its dictionary')
  return { kind: 'text', indexes, offsets, bytes }
}

/** A text column that points into the dictionary of one before it. */
function readSharing(body: Uint8Array, place: Place, lender: BlockColumn | undefined): BlockColumn {
  if (lender?.kind !== 'text') return bad(place, 'its dictionary is not there')
  const { offsets, bytes } = lender
  const indexes = readIndexes(body, place, place.width & ~SHARED)
  if (!isBelow(indexes, offsets.length - 1)) bad(place, 'it points outside its dictionary')
  return { kind: 'text', indexes, offsets, bytes }
}

function readIndexes(
  body: Uint8Array,
  place: Place,
  width: number,
): Uint8Array | Uint16Array | Uint32Array {
  if (width !== 1 && width !== 2 && width !== 4) bad(place, `its indexes are ${width} bytes wide`)
  const raw = part(body, place, place.at, place.rows * width)
  return width === 1 ? raw : width === 2 ? words16(raw) : words32(raw)
}

/** The `size` bytes at `at`, which must be 8-aligned and inside the body. */
function part(body: Uint8Array, place: Place, at: number, size: number): Uint8Array {
  if (at % 8 !== 0 || at + size > body.length) bad(place, 'it is out of bounds')
  return body.subarray(at, at + size)
}

function words16(bytes: Uint8Array): Uint16Array {
  return new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2)
}

function words32(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
}

function isRising(values: Uint32Array, from: number, to: number): boolean {
  let last = from
  for (const value of values) {
    if (value < last) return false
    last = value
  }
  return last <= to
}

export function isBelow(values: Numbers, limit: number): boolean {
  for (let i = 0; i < values.length; i++) if (values[i]! >= limit) return false
  return true
}

/** Ends the reading with what is wrong with a column. */
export function bad({ number }: Place, state: string): never {
  refuse(`column ${number}: ${state}`)
}

/** The next place that is 8-aligned. */
export function aligned(size: number): number {
  return (size + 7) & ~7
}

/** Text columns whose dictionary is the very one of a column before: by number, whose. */
export function lendersOf(columns: ReadonlyMap<number, BlockColumn>): Map<number, number> {
  const lenders = new Map<number, number>()
  const own: [number: number, bytes: Uint8Array, entries: number][] = []
  for (const [number, column] of columns) {
    if (column.kind !== 'text') continue
    const { bytes, offsets } = column
    const lender = own.find(
      ([, other, entries]) =>
        other.buffer === bytes.buffer &&
        other.byteOffset === bytes.byteOffset &&
        entries === offsets.length,
    )
    if (lender) lenders.set(number, lender[0])
    else own.push([number, bytes, offsets.length])
  }
  return lenders
}

/** Bytes the column takes in the body. */
export function sizeOf(column: BlockColumn, isSharing: boolean): number {
  if (isSharing && column.kind === 'text') return aligned(column.indexes.byteLength)
  switch (column.kind) {
    case 'numbers':
      return aligned(column.values.byteLength)
    case 'wide':
    case 'ip6':
      return column.bytes.length
    case 'text':
      return (
        aligned(column.indexes.byteLength) +
        aligned(column.offsets.byteLength) +
        aligned(column.bytes.length)
      )
    case 'histogram':
      return (
        aligned(column.ends.byteLength) +
        aligned(column.keys.byteLength) +
        aligned(column.counts.byteLength)
      )
  }
}

/** Writes the column's entry of the directory. */
export function writeEntry(
  view: DataView,
  entry: number,
  place: {
    readonly number: number
    readonly column: BlockColumn
    readonly at: number
    readonly lender: number | undefined
  },
): void {
  const { number, column, at, lender } = place
  const width = column.kind === 'text' ? column.indexes.BYTES_PER_ELEMENT : 0
  view.setUint16(entry, number, true)
  view.setUint8(entry + 2, KIND[kindOf(column)])
  view.setUint8(entry + 3, lender === undefined ? width : width | SHARED)
  view.setUint32(entry + 4, at, true)
  view.setUint32(entry + 8, lender ?? extraOf(column), true)
}

function kindOf(column: BlockColumn): KindName {
  if (column.kind !== 'numbers') return column.kind
  if (column.values instanceof Int32Array) return 'i32'
  const width = column.values.BYTES_PER_ELEMENT
  return width === 1 ? 'u8' : width === 2 ? 'u16' : 'u32'
}

function extraOf(column: BlockColumn): number {
  if (column.kind === 'text') return column.offsets.length - 1
  return column.kind === 'histogram' ? column.keys.length : 0
}

/** Writes the column at `at`; of one that shares its dictionary the indexes only. */
export function writeColumn(
  body: Uint8Array,
  at: number,
  column: BlockColumn,
  isSharing: boolean,
): void {
  switch (column.kind) {
    case 'numbers':
      put(body, at, column.values)
      return
    case 'wide':
    case 'ip6':
      body.set(column.bytes, at)
      return
    case 'text': {
      const offsetsAt = put(body, at, column.indexes)
      if (!isSharing) body.set(column.bytes, put(body, offsetsAt, column.offsets))
      return
    }
    case 'histogram':
      put(body, put(body, put(body, at, column.ends), column.keys), column.counts)
  }
}

/** Copies `values` to `at`; answers where the next part begins. */
function put(body: Uint8Array, at: number, values: Numbers | Int16Array): number {
  body.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), at)
  return at + aligned(values.byteLength)
}
