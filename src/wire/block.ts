import { MetaflowError } from '../lib/errors.ts'
import {
  BLOCK_BYTES_MAX,
  BLOCK_ROWS_MAX,
  type Block,
  type BlockColumn,
  type BlockHeader,
  type Numbers,
} from '../model/block.ts'
import { NAMES_MAX, type Name } from '../model/name.ts'
import { tableOf } from '../model/tables/registry.ts'
import type { Physical } from '../model/tables/table.ts'
import { unpack } from './frame.ts'
import { HEADER_SIZE, readHead, refuse, viewOf, writeHead } from './header.ts'
import { decodeNames, encodeName } from './names.ts'

/*
 * A block: head (header.ts), then its body as one zstd frame. The body, little-endian:
 *
 *   names (4), columns (4), size of the names section (4), reserved (4)
 *   directory: columns × { number (2), kind (1), width (1), offset (4), extra (4) }, by offset
 *   names section (names.ts)
 *   columns, each at an 8-aligned offset:
 *     u8 u16 u32 i32   rows × value
 *     wide ip6         rows × 8, 16 bytes
 *     text             rows × index (`width` bytes), entry offsets (`extra` + 1) × 4, bytes;
 *     histogram        rows × end (4), `extra` × key (2), `extra` × count (4)
 *   where a text's and a histogram's parts are 8-aligned too.
 */
const BODY_HEAD = 16
const ENTRY = 12
/** More columns than any table has, fewer than would cost memory. */
const COLUMNS_MAX = 1024

const KIND = { u8: 1, u16: 2, u32: 3, i32: 4, wide: 5, ip6: 6, text: 7, histogram: 8 } as const
type KindName = keyof typeof KIND
const KIND_NAMES: readonly (KindName | undefined)[] = [
  undefined,
  ...(Object.keys(KIND) as KindName[]),
]
/** How each physical type of a table's declaration travels. */
const KIND_OF: Readonly<Record<Physical, KindName>> = {
  u8: 'u8',
  u16: 'u16',
  u32: 'u32',
  i32: 'i32',
  u64: 'wide',
  i64: 'wide',
  text: 'text',
  ip6: 'ip6',
  histogram: 'histogram',
}
/** zstd level: 3 packs 5–8 % smaller than 1 and costs half as much again. */
const LEVEL = 1

let scratch = new Uint8Array(1 << 20)

/**
 * Encodes `block`. `names[0]` is nobody and does not travel. Throws a MetaflowError ('tooLarge')
 * beyond BLOCK_ROWS_MAX rows or BLOCK_BYTES_MAX bytes: who fills blocks sees to that.
 */
export function encodeBlock(block: Block, level: number = LEVEL): Uint8Array {
  const { header, names, columns } = block
  let namesSize = 0
  for (let i = 1; i < names.length; i++) namesSize += encodeName(names[i]!).length
  let size = aligned(BODY_HEAD + columns.size * ENTRY + namesSize)
  for (const column of columns.values()) size += sizeOf(column)
  if (size > BLOCK_BYTES_MAX || header.rows > BLOCK_ROWS_MAX || names.length > NAMES_MAX)
    throw new MetaflowError(
      'tooLarge',
      `Cannot encode block: it has ${header.rows} rows in ${size} bytes`,
    )
  const body = reserve(size)
  const view = viewOf(body)
  view.setUint32(0, names.length - 1, true)
  view.setUint32(4, columns.size, true)
  view.setUint32(8, namesSize, true)
  let at = BODY_HEAD + columns.size * ENTRY
  for (let i = 1; i < names.length; i++) {
    const name = encodeName(names[i]!)
    body.set(name, at)
    at += name.length
  }
  at = aligned(at)
  let entry = BODY_HEAD
  for (const [number, column] of columns) {
    writeEntry(view, entry, { number, column, at })
    writeColumn(body, at, column)
    entry += ENTRY
    at += sizeOf(column)
  }
  return pack(header, body, level)
}

/** The block that stands for `header.dropped` rows which were lost before they could be sent. */
export function encodeDropped(header: Omit<BlockHeader, 'rows'>): Uint8Array {
  return encodeBlock({ header: { ...header, rows: 0 }, names: [NOBODY], columns: new Map() })
}
const NOBODY: Name = { type: 0, key: '', name: '', processName: '', hostKey: '', hostName: '' }

/**
 * Decodes a block; its columns are views into the unpacked body. Whatever the bytes are, the
 * answer is a block whose every index is in bounds, or a MetaflowError ('refused', 'tooLarge')
 * that says why not; memory is bounded by BLOCK_BYTES_MAX.
 */
export function decodeBlock(bytes: Uint8Array): Block {
  const { header, ...head } = readHead(bytes)
  const packed = bytes.subarray(HEADER_SIZE)
  if (packed.length !== head.packedSize)
    refuse(`its body has ${packed.length} bytes, its head says ${head.packedSize}`)
  if (Bun.hash.crc32(packed) !== head.bodyCheck) refuse('the check of its body is wrong')
  const body = alignedView(unpack(packed, head.bodySize))
  if (body.length !== head.bodySize || body.length < BODY_HEAD) refuse('its body is too short')
  const view = viewOf(body)
  const nameCount = view.getUint32(0, true)
  const columnCount = view.getUint32(4, true)
  const namesAt = BODY_HEAD + columnCount * ENTRY
  const namesEnd = namesAt + view.getUint32(8, true)
  if (columnCount > COLUMNS_MAX || nameCount >= NAMES_MAX || namesEnd > body.length)
    refuse('its directory is out of bounds')
  const names = decodeNames(body, namesAt, namesEnd, nameCount)
  const columns = new Map<number, BlockColumn>()
  for (let i = 0; i < columnCount; i++) {
    const at = BODY_HEAD + i * ENTRY
    const number = view.getUint16(at, true)
    if (columns.has(number)) refuse(`it has column ${number} twice`)
    const place: Place = {
      number,
      kind: KIND_NAMES[body[at + 2]!],
      width: body[at + 3]!,
      at: view.getUint32(at + 4, true),
      extra: view.getUint32(at + 8, true),
      rows: header.rows,
    }
    columns.set(number, readColumn(body, place))
    checkDeclared(header.table, place, columns, names.length)
  }
  return { header, names, columns }
}

/** Where a column lies and what it is, as the directory says it: nothing of it is to be trusted. */
type Place = {
  readonly number: number
  readonly kind: KindName | undefined
  readonly width: number
  readonly at: number
  readonly extra: number
  readonly rows: number
}

function readColumn(body: Uint8Array, place: Place): BlockColumn {
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
      return readText(body, place)
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
  if (width !== 1 && width !== 2 && width !== 4) bad(place, `its indexes are ${width} bytes wide`)
  const raw = part(body, place, at, rows * width)
  const indexes = width === 1 ? raw : width === 2 ? words16(raw) : words32(raw)
  const offsetsAt = at + aligned(rows * width)
  const offsets = words32(part(body, place, offsetsAt, (extra + 1) * 4))
  const size = offsets[extra]!
  const bytes = part(body, place, offsetsAt + aligned((extra + 1) * 4), size)
  if (offsets[0] !== 0 || !isRising(offsets, 0, size)) bad(place, 'its offsets are out of order')
  if (!isBelow(indexes, extra)) bad(place, 'it points outside its dictionary')
  return { kind: 'text', indexes, offsets, bytes }
}

/** A known column must be of the kind its table declares, and point to names that are there. */
function checkDeclared(
  table: number,
  place: Place,
  columns: ReadonlyMap<number, BlockColumn>,
  names: number,
): void {
  const declared = tableOf.get(table)?.columns.find(({ number }) => number === place.number)
  if (!declared) return
  const kind = declared.wire && KIND_OF[declared.wire]
  if (place.kind !== kind) bad(place, `it is ${place.kind}, its table has ${kind ?? 'no such'}`)
  const column = columns.get(place.number)
  if (declared.stored === false && column?.kind === 'numbers' && !isBelow(column.values, names))
    bad(place, 'it points outside the names')
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

function isBelow(values: Numbers, limit: number): boolean {
  for (let i = 0; i < values.length; i++) if (values[i]! >= limit) return false
  return true
}

function bad({ number }: Place, state: string): never {
  refuse(`column ${number}: ${state}`)
}

/** The same bytes at an 8-aligned place; they are there already unless the runtime changes. */
function alignedView(bytes: Uint8Array): Uint8Array {
  return bytes.byteOffset % 8 === 0
    ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    : new Uint8Array(bytes)
}

function pack(header: BlockHeader, body: Uint8Array, level: number): Uint8Array {
  const packed = Bun.zstdCompressSync(body, { level })
  const bytes = new Uint8Array(HEADER_SIZE + packed.length)
  bytes.set(packed, HEADER_SIZE)
  writeHead(bytes, {
    header,
    bodySize: body.length,
    packedSize: packed.length,
    bodyCheck: Bun.hash.crc32(packed),
  })
  return bytes
}

/** `size` bytes of the scratch: what the padding holds does not matter, but never leaves old data. */
function reserve(size: number): Uint8Array {
  if (scratch.length < size)
    scratch = new Uint8Array(Math.min(BLOCK_BYTES_MAX, Math.max(size, scratch.length * 2)))
  return scratch.subarray(0, size).fill(0)
}

function aligned(size: number): number {
  return (size + 7) & ~7
}

function sizeOf(column: BlockColumn): number {
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

function writeEntry(
  view: DataView,
  entry: number,
  place: { readonly number: number; readonly column: BlockColumn; readonly at: number },
): void {
  const { number, column, at } = place
  view.setUint16(entry, number, true)
  view.setUint8(entry + 2, KIND[kindOf(column)])
  view.setUint8(entry + 3, column.kind === 'text' ? column.indexes.BYTES_PER_ELEMENT : 0)
  view.setUint32(entry + 4, at, true)
  view.setUint32(entry + 8, extraOf(column), true)
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

function writeColumn(body: Uint8Array, at: number, column: BlockColumn): void {
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
      body.set(column.bytes, put(body, offsetsAt, column.offsets))
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
