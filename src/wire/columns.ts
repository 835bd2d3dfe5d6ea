import { viewOf } from '../lib/wide.ts'
import type { BlockColumn, Numbers } from '../model/block.ts'
import {
  DIGITS,
  isSize,
  packedBytesOf,
  textBytesOf,
  type Unpacking,
  UUID,
  unpackDigits,
  unpackUuid,
} from './digits.ts'
import { refuse } from './header.ts'
import { packedSize, repeat, unpack32, unpack64, type Width } from './packed.ts'

/*
 * A block's columns, little-endian, each at an 8-aligned offset of the body:
 *
 *   u8 u16 u32 i32   rows × value
 *   wide ip6         rows × 8, 16 bytes
 *   text             rows × index (1, 2 or 4), entry offsets (`extra` + 1) × 4, bytes; or,
 *                    SHARED, indexes only: the dictionary is that of column `extra`, before it
 *   histogram        rows × end (4), `extra` × key (2), `extra` × count (4)
 *
 * where a text's and a histogram's parts are 8-aligned too. What is shorter travels shorter:
 *
 *   CONSTANT         one value or index: all rows have it
 *   PACKED           u32, i32, wide: base and differences (packed.ts)
 *   ROWS             text: rows × size (1 or 2; of ids see digits.ts), the rows' bytes one after
 *                    the other; SHARED, a size of SAME stands for the text that column `extra`
 *                    has in that row
 *
 * The directory has an entry each:
 *
 *   number (2), kind (1), flags + width of index, difference or size (1), offset (4), extra (4)
 */
export const ENTRY = 12
export const SHARED = 0x80
export const ROWS = 0x40
export const PACKED = 0x20
export const CONSTANT = 0x10
const WIDTH = 0x0f
/** Size of a text that is the lender's. */
export const SAME = 0xffff

/** A column as a builder fills it: the last two arrive as another kind. */
export type FilledColumn =
  | BlockColumn
  /** Becomes `wide`: whole numbers of up to 53 bits and sign. */
  | { readonly kind: 'doubles'; readonly values: Float64Array }
  /** Becomes `text`: each row's own, or (SAME) that of column `lender`. */
  | {
      readonly kind: 'rows'
      readonly sizes: Uint16Array
      readonly bytes: Uint8Array
      readonly lender: number | undefined
    }

export const KIND = {
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
  /** Bytes that what travels shorter may still unpack to. */
  readonly room: { left: number }
}

/** A column, as views into the body where it can; refuses one that does not lie in it. */
export function readColumn(
  body: Uint8Array,
  place: Place,
  before: ReadonlyMap<number, BlockColumn>,
): BlockColumn {
  const { kind, at, rows, extra, width } = place
  switch (kind) {
    case 'u8':
      return { kind: 'numbers', values: readFixed(body, place, 1) }
    case 'u16':
      return { kind: 'numbers', values: words16(readFixed(body, place, 2)) }
    case 'u32':
      return { kind: 'numbers', values: words32(readFixed(body, place, 4)) }
    case 'i32': {
      const bytes = readFixed(body, place, 4)
      return { kind: 'numbers', values: new Int32Array(bytes.buffer, bytes.byteOffset, rows) }
    }
    case 'wide':
      return { kind, bytes: readFixed(body, place, 8) }
    case 'ip6':
      return { kind, bytes: readFixed(body, place, 16) }
    case 'text':
      if (width & ROWS) return readRows(body, place, before.get(extra))
      return width & SHARED ? readSharing(body, place, before.get(extra)) : readText(body, place)
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

/** A column of `size` bytes a row. */
function readFixed(body: Uint8Array, place: Place, size: 1 | 2 | 4 | 8 | 16): Uint8Array {
  const { at, rows, width } = place
  if (width & CONSTANT) {
    const bytes = unpacked(place, rows * size)
    bytes.set(part(body, place, at, size).subarray(0, bytes.length))
    repeat(bytes, size)
    return bytes
  }
  if (!(width & PACKED)) return part(body, place, at, rows * size)
  const difference = widthOf(place)
  const packed = part(body, place, at, packedSize(difference, rows))
  const bytes = unpacked(place, rows * size)
  if (size === 4) unpack32(packed, difference, new Int32Array(bytes.buffer))
  else if (size === 8) unpack64(packed, difference, words32(bytes))
  else bad(place, 'its kind is never packed')
  return bytes
}

/** Bytes for what a column unpacks to: all of a block's together are bounded. */
function unpacked(place: Place, size: number): Uint8Array {
  place.room.left -= size
  if (place.room.left < 0) bad(place, 'it unpacks to more than a block may hold')
  return new Uint8Array(size)
}

function readText(body: Uint8Array, place: Place): BlockColumn {
  const { at, rows, extra, width } = place
  const offsetsAt = at + aligned((width & CONSTANT ? 1 : rows) * widthOf(place))
  const indexes = readIndexes(body, place)
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
  const indexes = readIndexes(body, place)
  if (!isBelow(indexes, offsets.length - 1)) bad(place, 'it points outside its dictionary')
  return { kind: 'text', indexes, offsets, bytes }
}

/** Texts that lie row after row, as a dictionary: the lender's and, behind it, their own. */
function readRows(body: Uint8Array, place: Place, lender: BlockColumn | undefined): BlockColumn {
  const { rows, width, at } = place
  const isSharing = (width & SHARED) !== 0
  if (isSharing && lender?.kind !== 'text') return bad(place, 'its dictionary is not there')
  const sizes = readIndexes(body, place)
  const from = isSharing && lender?.kind === 'text' ? lender : EMPTY
  const same = isSharing ? SAME : -1
  const offsets = words32(unpacked(place, (from.offsets.length + rows) * 4))
  const indexes = words32(unpacked(place, rows * 4))
  offsets.set(from.offsets)
  let entry = from.offsets.length - 1
  let end = from.bytes.length
  let packed = 0
  for (let r = 0; r < rows; r++) {
    const size = sizes[r]!
    if (size === 0) continue
    if (size === same) {
      indexes[r] = from.indexes[r]!
      continue
    }
    if (!isSize(size)) bad(place, `a text's size is ${size}`)
    end += textBytesOf(size)
    packed += packedBytesOf(size)
    indexes[r] = entry++
    offsets[entry] = end
  }
  const sizesEnd = at + aligned((width & CONSTANT ? 1 : rows) * widthOf(place))
  const own = part(body, place, sizesEnd, packed)
  if (packed === 0) return { kind: 'text', indexes, offsets: from.offsets, bytes: from.bytes }
  const used = offsets.subarray(0, entry + 1)
  if (from.bytes.length === 0 && end === packed)
    return { kind: 'text', indexes, offsets: used, bytes: own }
  const bytes = unpacked(place, end)
  bytes.set(from.bytes)
  if (end - from.bytes.length === packed) bytes.set(own, from.bytes.length)
  else unpackTexts(own, sizes, bytes, from.bytes.length)
  return { kind: 'text', indexes, offsets: used, bytes }
}

/** Writes the texts that have these sizes to `at` of `to`. */
function unpackTexts(own: Uint8Array, sizes: Indexes, to: Uint8Array, at: number): void {
  const next: Unpacking = { from: viewOf(own), start: 0, to: viewOf(to), end: at }
  for (let r = 0; r < sizes.length; r++) {
    const size = sizes[r]!
    if (size === 0 || size === SAME) continue
    const packed = packedBytesOf(size)
    if (size === UUID) unpackUuid(next)
    else if (size > DIGITS) unpackDigits(next, packed)
    else to.set(own.subarray(next.start, next.start + packed), next.end)
    next.start += packed
    next.end += textBytesOf(size)
  }
}
/** A dictionary with the empty text alone. */
const EMPTY = {
  indexes: new Uint32Array(0),
  offsets: new Uint32Array(2),
  bytes: new Uint8Array(0),
} as const

type Indexes = Uint8Array | Uint16Array | Uint32Array

/** Indexes, or sizes, of as many bytes as `width` says. */
function readIndexes(body: Uint8Array, place: Place): Indexes {
  const { at, rows } = place
  const width = widthOf(place)
  const raw = part(body, place, at, (place.width & CONSTANT ? 1 : rows) * width)
  if (!(place.width & CONSTANT))
    return width === 1 ? raw : width === 2 ? words16(raw) : words32(raw)
  const bytes = unpacked(place, rows * width)
  bytes.set(raw.subarray(0, bytes.length))
  repeat(bytes, width)
  return width === 1 ? bytes : width === 2 ? words16(bytes) : words32(bytes)
}

function widthOf(place: Place): Width {
  const width = place.width & WIDTH
  if (width !== 1 && width !== 2 && width !== 4) bad(place, `its width is ${width}`)
  return width
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
