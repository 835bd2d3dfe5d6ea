import type { Numbers } from '../model/block.ts'
import {
  aligned,
  CONSTANT,
  ENTRY,
  type FilledColumn,
  KIND,
  type KindName,
  PACKED,
  ROWS,
  SHARED,
} from './columns.ts'
import { isConstant, pack32, pack64, packedSize, write64 } from './packed.ts'

/** Text columns whose dictionary is the very one of a column before: by number, whose. */
export function lendersOf(columns: ReadonlyMap<number, FilledColumn>): Map<number, number> {
  const lenders = new Map<number, number>()
  const own: [number: number, bytes: Uint8Array, entries: number][] = []
  for (const [number, column] of columns) {
    if (column.kind === 'rows' && column.lender !== undefined) lenders.set(number, column.lender)
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

/** Bytes the column takes at most in the body, and once it is read. */
export function sizeOf(column: FilledColumn, isSharing: boolean): number {
  if (isSharing && column.kind === 'text') return aligned(column.indexes.byteLength)
  switch (column.kind) {
    case 'numbers':
      return aligned(column.values.byteLength)
    case 'doubles':
      return column.values.byteLength
    case 'wide':
    case 'ip6':
      return column.bytes.length
    case 'text':
      return (
        aligned(column.indexes.byteLength) +
        aligned(column.offsets.byteLength) +
        aligned(column.bytes.length)
      )
    case 'rows':
      return aligned(column.sizes.length * 8 + 8) + aligned(column.bytes.length)
    case 'histogram':
      return (
        aligned(column.ends.byteLength) +
        aligned(column.keys.byteLength) +
        aligned(column.counts.byteLength)
      )
  }
}

/** Writes columns into a body, one after the other, each with its entry of the directory. */
export class ColumnWriter {
  /** Where the next column begins. */
  at: number
  readonly #body: Uint8Array
  readonly #view: DataView
  #entry: number

  constructor(body: Uint8Array, entry: number, at: number) {
    this.#body = body
    this.#view = new DataView(body.buffer, body.byteOffset, body.byteLength)
    this.#entry = entry
    this.at = at
  }

  /** Writes a column; `lender` is the one whose dictionary it shares. */
  write(number: number, column: FilledColumn, lender: number | undefined): void {
    const { at } = this
    const shared = lender === undefined ? 0 : SHARED
    const flags = this.#column(column, lender !== undefined) | shared
    const view = this.#view
    const entry = this.#entry
    view.setUint16(entry, number, true)
    view.setUint8(entry + 2, KIND[kindOf(column)])
    view.setUint8(entry + 3, flags)
    view.setUint32(entry + 4, at, true)
    view.setUint32(entry + 8, lender ?? extraOf(column), true)
    this.#entry = entry + ENTRY
  }

  /** Writes the column's data; answers its flags and width. */
  #column(column: FilledColumn, isSharing: boolean): number {
    switch (column.kind) {
      case 'numbers':
        return this.#numbers(column.values)
      case 'doubles':
        return this.#doubles(column.values)
      case 'wide':
        return this.#fixed(column.bytes, 8)
      case 'ip6':
        return this.#fixed(column.bytes, 16)
      case 'rows':
        return this.#rows(column.sizes, column.bytes)
      case 'text': {
        const width = column.indexes.BYTES_PER_ELEMENT
        const flags = this.#fixed(bytesOf(column.indexes), width) | width
        if (isSharing) return flags
        this.#put(bytesOf(column.offsets))
        this.#put(column.bytes)
        return flags
      }
      case 'histogram':
        this.#put(bytesOf(column.ends))
        this.#put(bytesOf(column.keys))
        this.#put(bytesOf(column.counts))
        return 0
    }
  }

  #numbers(values: Numbers): number {
    const bytes = bytesOf(values)
    const { BYTES_PER_ELEMENT: size, length } = values
    if (size !== 4 || isConstant(bytes, size)) return this.#fixed(bytes, size)
    const signed = new Int32Array(values.buffer, values.byteOffset, length)
    const width = pack32(this.#body, this.at, signed)
    if (width === undefined) return this.#put(bytes)
    this.#advance(packedSize(width, length))
    return PACKED | width
  }

  #doubles(values: Float64Array): number {
    const { length } = values
    if (length === 0) return 0
    if (isConstant(bytesOf(values), 8)) {
      write64(
        new Uint32Array(this.#body.buffer, this.#body.byteOffset + this.at, 2),
        values.subarray(0, 1),
      )
      this.at += 8
      return CONSTANT
    }
    const width = pack64(this.#body, this.at, values)
    if (width !== undefined) {
      this.#advance(packedSize(width, length))
      return PACKED | width
    }
    write64(new Uint32Array(this.#body.buffer, this.#body.byteOffset + this.at, length * 2), values)
    this.at += length * 8
    return 0
  }

  #rows(sizes: Uint16Array, bytes: Uint8Array): number {
    let all = 0
    for (let i = 0; i < sizes.length; i++) all |= sizes[i]!
    const narrow = all < 0x100 ? Uint8Array.from(sizes) : sizes
    const width = narrow.BYTES_PER_ELEMENT
    const flags = this.#fixed(bytesOf(narrow), width)
    this.#put(bytes)
    return ROWS | flags | width
  }

  /** Values of `size` bytes: the first alone where all are equal. */
  #fixed(bytes: Uint8Array, size: number): number {
    if (!isConstant(bytes, size)) return this.#put(bytes)
    this.#put(bytes.subarray(0, size))
    return CONSTANT
  }

  #put(bytes: Uint8Array): 0 {
    this.#body.set(bytes, this.at)
    this.#advance(bytes.length)
    return 0
  }

  /** Goes on `size` bytes further and then to where the next part may begin. */
  #advance(size: number): void {
    const end = this.at + size
    this.at = aligned(end)
    this.#body.fill(0, end, this.at)
  }
}

function kindOf(column: FilledColumn): KindName {
  if (column.kind === 'doubles') return 'wide'
  if (column.kind === 'rows') return 'text'
  if (column.kind !== 'numbers') return column.kind
  if (column.values instanceof Int32Array) return 'i32'
  const width = column.values.BYTES_PER_ELEMENT
  return width === 1 ? 'u8' : width === 2 ? 'u16' : 'u32'
}

function extraOf(column: FilledColumn): number {
  if (column.kind === 'text') return column.offsets.length - 1
  return column.kind === 'histogram' ? column.keys.length : 0
}

function bytesOf(values: Numbers | Int16Array | Float64Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
}
