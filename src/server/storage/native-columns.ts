/**
 * The data of Native columns, from columns of blocks. A column's data is that of all parts one
 * after the other, in each of the pieces its type is made of.
 * https://clickhouse.com/docs/interfaces/formats/Native, SerializationNullable, …Map, …LowCardinality
 */
import type { BlockColumn, Numbers } from '../../model/block.ts'
import type { NativeBuffer } from './native-buffer.ts'
import type { Part } from './store.ts'

/** One part's share of a column: absent where an older agent does not send it. */
export type Share = {
  readonly part: Part
  readonly column: BlockColumn | undefined
  /** Rows that go in. */
  readonly size: number
}

/** Fixed-width values, `width` bytes each; `absent` stands where an agent does not send them. */
export function putFixed(
  to: NativeBuffer,
  shares: readonly Share[],
  width: number,
  absent = 0,
): void {
  for (const { part, column, size } of shares) {
    if (column?.kind === 'numbers') to.putArray(chosen(column.values, part.rows))
    else if (column?.kind === 'wide' || column?.kind === 'ip6')
      to.put(chosenBytes(column.bytes, part.rows, width))
    else putAbsent(to, size, width, absent)
  }
}

function putAbsent(to: NativeBuffer, size: number, width: number, absent: number): void {
  const start = to.take(size * width)
  to.bytes.fill(0, start, to.at)
  if (absent === 0) return
  const view = new DataView(to.bytes.buffer)
  for (let at = start; at < to.at; at += width)
    if (width === 8) view.setBigInt64(at, BigInt(absent), true)
    else view.setInt32(at, absent, true)
}

/**
 * Nullable: a byte a row that says NULL, then the values; `nullAs` is NULL on the wire. It is
 * searched by its bytes: a wide value is NULL where all of its words are.
 */
export function putNullable(
  to: NativeBuffer,
  shares: readonly Share[],
  width: number,
  nullAs: number,
): void {
  const rows = shares.reduce((sum, share) => sum + share.size, 0)
  const map = to.take(rows)
  const values = to.at
  putFixed(to, shares, width, nullAs)
  const words = new Uint32Array(to.bytes.slice(values, to.at).buffer)
  const low = nullAs >>> 0
  const { bytes } = to
  if (width === 4) for (let r = 0; r < rows; r++) bytes[map + r] = words[r] === low ? 1 : 0
  else {
    const high = nullAs < 0 ? 0xffff_ffff : 0
    for (let r = 0; r < rows; r++)
      bytes[map + r] = words[2 * r] === low && words[2 * r + 1] === high ? 1 : 0
  }
}

/** Map(Int16, UInt64): where each row ends (8 bytes), the keys (2), the values (8). */
export function putHistogram(to: NativeBuffer, shares: readonly Share[]): void {
  const histograms = shares.map(({ part, column, size }) =>
    column?.kind === 'histogram' ? chosenBuckets(column, part.rows) : emptyBuckets(size),
  )
  let before = 0
  for (const { ends } of histograms) {
    const wide = new Uint32Array(ends.length * 2)
    for (let r = 0; r < ends.length; r++) wide[2 * r] = before + ends[r]!
    before += ends.at(-1) ?? 0
    to.putArray(wide)
  }
  for (const { keys } of histograms) to.putArray(keys)
  for (const { counts } of histograms) {
    const wide = new Uint32Array(counts.length * 2)
    for (let i = 0; i < counts.length; i++) wide[2 * i] = counts[i]!
    to.putArray(wide)
  }
}

type Histogram = Extract<BlockColumn, { kind: 'histogram' }>
type Buckets = Pick<Histogram, 'ends' | 'keys' | 'counts'>

function emptyBuckets(rows: number): Buckets {
  return { ends: new Uint32Array(rows), keys: new Int16Array(0), counts: new Uint32Array(0) }
}

function chosenBuckets(column: Histogram, rows: Uint32Array | undefined): Buckets {
  if (rows === undefined) return column
  const { ends, keys, counts } = column
  const chosenEnds = new Uint32Array(rows.length)
  const chosenKeys: number[] = []
  const chosenCounts: number[] = []
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i]!
    for (let b = row === 0 ? 0 : ends[row - 1]!; b < ends[row]!; b++) {
      chosenKeys.push(keys[b]!)
      chosenCounts.push(counts[b]!)
    }
    chosenEnds[i] = chosenKeys.length
  }
  return {
    ends: chosenEnds,
    keys: Int16Array.from(chosenKeys),
    counts: Uint32Array.from(chosenCounts),
  }
}

type Text = Extract<BlockColumn, { kind: 'text' }>

/** String: the size of each row's text (LEB128), then its bytes. */
export function putStrings(to: NativeBuffer, shares: readonly Share[]): void {
  for (const { part, column, size } of shares) {
    if (column?.kind === 'text') putTextRows(to, column, part.rows, size)
    else to.bytes.fill(0, to.take(size), to.at)
  }
}

function putTextRows(
  to: NativeBuffer,
  { indexes, offsets, bytes }: Text,
  rows: Uint32Array | undefined,
  size: number,
): void {
  let total = 0
  for (let i = 0; i < size; i++) {
    const entry = indexes[rows === undefined ? i : rows[i]!]!
    const length = offsets[entry + 1]! - offsets[entry]!
    total += length + (length < 0x80 ? 1 : length < 0x4000 ? 2 : 5)
  }
  const start = to.take(total)
  const out = to.bytes
  let at = start
  for (let i = 0; i < size; i++) {
    const entry = indexes[rows === undefined ? i : rows[i]!]!
    const from = offsets[entry]!
    const end = offsets[entry + 1]!
    let length = end - from
    while (length >= 0x80) {
      out[at++] = (length & 0x7f) | 0x80
      length >>>= 7
    }
    out[at++] = length
    // Beyond this a copy by the runtime costs less than one byte by byte.
    if (end - from > 64) {
      out.set(bytes.subarray(from, end), at)
      at += end - from
    } else for (let b = from; b < end; b++) out[at++] = bytes[b]!
  }
  // Texts of 16 KB and more took fewer bytes for their sizes than was reckoned with.
  to.at = at
}

/** Bits of a LowCardinality column's state: keys come with the block, not in a dictionary apart. */
const HAS_ADDITIONAL_KEYS = 1 << 9
const NEED_UPDATE_DICTIONARY = 1 << 10
/** Layout of its dictionary: SharedDictionariesWithAdditionalKeys. */
const LOW_CARDINALITY_VERSION = 1

/** Entries of the dictionaries of all parts together. */
export function entriesOf(shares: readonly Share[]): number {
  let entries = 0
  for (const { column } of shares)
    entries += column?.kind === 'text' ? column.offsets.length - 1 : 1
  return entries
}

/** LowCardinality(String): the blocks' dictionaries one after the other, then an index a row. */
export function putLowCardinality(to: NativeBuffer, shares: readonly Share[]): void {
  const entries = entriesOf(shares)
  const type = entries <= 0x100 ? 0 : entries <= 0x1_0000 ? 1 : 2
  to.putU64(LOW_CARDINALITY_VERSION)
  to.putU64(type | HAS_ADDITIONAL_KEYS | NEED_UPDATE_DICTIONARY)
  to.putU64(entries)
  let rows = 0
  for (const { column, size } of shares) {
    rows += size
    if (column?.kind === 'text') putEntries(to, column)
    else to.putVarint(0)
  }
  to.putU64(rows)
  let base = 0
  for (const share of shares) {
    to.putArray(indexesOf(share, base, type))
    base += share.column?.kind === 'text' ? share.column.offsets.length - 1 : 1
  }
}

function indexesOf({ part, column, size }: Share, base: number, type: 0 | 1 | 2): Indexes {
  const answer =
    type === 0 ? new Uint8Array(size) : type === 1 ? new Uint16Array(size) : new Uint32Array(size)
  if (column?.kind !== 'text') return answer.fill(base)
  const { indexes } = column
  const { rows } = part
  if (rows === undefined) for (let i = 0; i < size; i++) answer[i] = base + indexes[i]!
  else for (let i = 0; i < size; i++) answer[i] = base + indexes[rows[i]!]!
  return answer
}
type Indexes = Uint8Array | Uint16Array | Uint32Array

function putEntries(to: NativeBuffer, { offsets, bytes }: Text): void {
  for (let entry = 0; entry + 1 < offsets.length; entry++) {
    to.putVarint(offsets[entry + 1]! - offsets[entry]!)
    to.put(bytes.subarray(offsets[entry]!, offsets[entry + 1]!))
  }
}

function chosen(values: Numbers, rows: Uint32Array | undefined): Numbers {
  if (rows === undefined) return values
  const answer = values.slice(0, rows.length)
  for (let i = 0; i < rows.length; i++) answer[i] = values[rows[i]!]!
  return answer
}

function chosenBytes(bytes: Uint8Array, rows: Uint32Array | undefined, width: number): Uint8Array {
  if (rows === undefined) return bytes
  const answer = new Uint8Array(rows.length * width)
  for (let i = 0; i < rows.length; i++) {
    const from = rows[i]! * width
    const to = i * width
    for (let b = 0; b < width; b++) answer[to + b] = bytes[from + b]!
  }
  return answer
}
