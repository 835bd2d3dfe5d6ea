import { Arena, isRepeated } from '../../lib/arena.ts'
import { TextDictionary } from '../../lib/text-dictionary.ts'
import type { BlockColumn, Numbers } from '../../model/block.ts'
import { type FilledColumn, SAME } from '../../wire/columns.ts'
import { packDigits, packedBytesOf, TEXT_SIZE_MAX } from '../../wire/digits.ts'

/*
 * One column each as it fills: arrays that grow by doubling and are used again for every block.
 * The builder sees to `reserve` before a row is written.
 */

/** Numbers of up to 32 bits: write `values[row]`. */
export class NumberColumn {
  values: Numbers

  constructor(values: Numbers) {
    this.values = values
  }

  reserve(rows: number): void {
    const old = this.values
    const grown =
      old instanceof Uint8Array
        ? new Uint8Array(rows)
        : old instanceof Uint16Array
          ? new Uint16Array(rows)
          : old instanceof Uint32Array
            ? new Uint32Array(rows)
            : new Int32Array(rows)
    grown.set(old)
    this.values = grown
  }

  finish(rows: number): BlockColumn {
    return { kind: 'numbers', values: this.values.subarray(0, rows) }
  }

  clear(): void {
    // Every row is written before it is sent.
  }
}

/** Whole numbers of up to 53 bits and sign: write `values[row]`. */
export class WideColumn {
  values: Float64Array = new Float64Array(0)

  reserve(rows: number): void {
    const grown = new Float64Array(rows)
    grown.set(this.values)
    this.values = grown
  }

  finish(rows: number): FilledColumn {
    return { kind: 'doubles', values: this.values.subarray(0, rows) }
  }

  clear(): void {
    // Every row is written before it is sent.
  }
}

/** IPv6 addresses; rows that set none are `::`, and a block without any lacks the column. */
export class Ip6Column {
  #bytes = new Uint8Array(0)
  isUsed = false

  reserve(rows: number): void {
    const grown = new Uint8Array(rows * 16)
    grown.set(this.#bytes)
    this.#bytes = grown
  }

  set(row: number, bytes: Uint8Array, at: number): void {
    this.isUsed = true
    const to = row * 16
    for (let i = 0; i < 16; i++) this.#bytes[to + i] = bytes[at + i]!
  }

  /** Makes a row that was written once hold no address. */
  unset(row: number): void {
    if (this.isUsed) this.#bytes.fill(0, row * 16, row * 16 + 16)
  }

  finish(rows: number): BlockColumn | undefined {
    return this.isUsed ? { kind: 'ip6', bytes: this.#bytes.subarray(0, rows * 16) } : undefined
  }

  clear(rows: number): void {
    if (this.isUsed) this.#bytes.fill(0, 0, rows * 16)
    this.isUsed = false
  }
}

/** How many texts a block must have for what it says about the next. */
const TRIAL = 512
/** Where more than this share of texts is new, looking for equals is given up. */
const NEW_SHARE_MAX = 0.7
/** After so many blocks without looking for equals they are looked for again. */
const PLAIN_BLOCKS_MAX = 16

/** How a text column is filled. */
export type TextOptions = {
  /** Each row has its own text: equals are never looked for. */
  readonly isUnique?: boolean
  /** A column, with its number, that mostly says the same: this one follows its ways. */
  readonly lender?: { readonly number: number; readonly column: TextColumn } | undefined
}

/**
 * Text, in one of two ways that a block keeps to: indexes into a dictionary, which a column may
 * share with another; or, where texts seldom repeat, one after the other. A dictionary may hold
 * equal entries, never a wrong one.
 */
export class TextColumn {
  readonly #isUnique: boolean
  readonly #lender: TextColumn | undefined
  readonly #lenderNumber: number | undefined
  /** Whether texts lie one after the other. */
  isPlain: boolean
  readonly #texts: TextDictionary
  /** Entry, or where the text begins in the arena. */
  #places = new Uint32Array(0)
  /** Of texts that lie one after the other: the size, or SAME. */
  #sizes = new Uint16Array(0)
  #arena = new Arena()
  #spare: Arena | undefined
  /** What was written last: where a column that mostly says the same looks first. */
  #lastRow = -1
  #lastFrom: DataView | undefined
  #lastStart = 0
  #lastEnd = 0
  /** The last text of up to four bytes, and its entry. */
  #lastWord = 0
  #lastSize = 0
  #lastEntry = 0
  /** Texts that are not empty; those that were new to the dictionary. */
  asked = 0
  #new = 0
  #plainBlocks = 0
  /** Whether a row was written twice, so that the arena is not as the rows are. */
  #isMixed = false
  #narrow8 = new Uint8Array(0)
  #narrow16 = new Uint16Array(0)

  constructor({ isUnique = false, lender }: TextOptions = {}) {
    this.#isUnique = isUnique
    this.isPlain = isUnique || (lender?.column.isPlain ?? false)
    this.#lender = lender?.column
    this.#lenderNumber = lender?.number
    this.#texts = lender ? lender.column.#texts : new TextDictionary()
  }

  /** Bytes the texts take in the block. */
  get size(): number {
    if (this.isPlain) return this.#arena.used
    return this.#lender ? 0 : this.#texts.arena.used + this.#texts.size * 4
  }

  reserve(rows: number): void {
    const places = new Uint32Array(rows)
    places.set(this.#places)
    this.#places = places
    const sizes = new Uint16Array(rows)
    sizes.set(this.#sizes)
    this.#sizes = sizes
  }

  /** Writes `row`: the empty text. */
  unset(row: number): void {
    this.#places[row] = 0
    this.#sizes[row] = 0
    this.#lastRow = -1
  }

  /** Writes `row`: `from[start, end)`, which is not empty. */
  set(row: number, from: DataView, start: number, end: number): void {
    this.asked++
    if (this.isPlain) this.#put(row, from, start, end)
    else this.#places[row] = this.#look(from, start, end)
  }

  /** Some row will be written again. */
  mix(): void {
    this.#isMixed = true
  }

  #put(row: number, from: DataView, start: number, end: number): void {
    const lender = this.#lender
    if (lender !== undefined) {
      if (lender.#isLast(row, from, start, end)) {
        this.#sizes[row] = SAME
        return
      }
    } else {
      this.#lastRow = row
      this.#lastFrom = from
      this.#lastStart = start
      this.#lastEnd = end
    }
    const arena = this.#arena
    this.#places[row] = arena.used
    const packed = this.#isUnique ? packDigits(arena, from, start, end) : 0
    if (packed === 0) this.#putText(row, from, start, end)
    else this.#sizes[row] = packed
  }

  #putText(row: number, from: DataView, start: number, end: number): void {
    // No text of a call is so long that it is cut here.
    const size = Math.min(end - start, TEXT_SIZE_MAX)
    this.#arena.put(from, start, start + size)
    this.#sizes[row] = size
  }

  /** Whether this is what was written last, in this row. */
  #isLast(row: number, from: DataView, start: number, end: number): boolean {
    return (
      this.#lastRow === row &&
      this.#lastFrom === from &&
      this.#lastEnd - this.#lastStart === end - start &&
      isRepeated(from, this.#lastStart, start, end - start)
    )
  }

  #look(from: DataView, start: number, end: number): number {
    const size = end - start
    if (size > 4 || start + 4 > from.byteLength) return this.#add(from, start, end)
    // A method, a version, a command: mostly what it was the last time.
    const word = (from.getInt32(start, true) << (32 - 8 * size)) | 0
    if (word !== this.#lastWord || size !== this.#lastSize) {
      this.#lastEntry = this.#add(from, start, end)
      this.#lastWord = word
      this.#lastSize = size
    }
    return this.#lastEntry
  }

  #add(from: DataView, start: number, end: number): number {
    const texts = this.#texts
    const before = texts.size
    const entry = texts.add(from, start, end)
    if (texts.size > before) this.#new++
    return entry
  }

  finish(rows: number): FilledColumn | undefined {
    if (this.isPlain) return this.#finishRows(rows)
    const { size, offsets, arena } = this.#texts
    if (size === 1) return undefined
    return {
      kind: 'text',
      indexes: this.#narrowed(rows, size),
      offsets: offsets.subarray(0, size + 1),
      bytes: arena.bytes.subarray(0, arena.used),
    }
  }

  #finishRows(rows: number): FilledColumn | undefined {
    if (this.asked === 0) return undefined
    if (this.#isMixed) this.#unmix(rows)
    const { bytes, used } = this.#arena
    return {
      kind: 'rows',
      sizes: this.#sizes.subarray(0, rows),
      bytes: bytes.subarray(0, used),
      lender: (this.#lender?.asked ?? 0) > 0 ? this.#lenderNumber : undefined,
    }
  }

  /** Puts the texts in the order of their rows; those of rows written again are gone. */
  #unmix(rows: number): void {
    const old = this.#arena
    const arena = this.#spare ?? new Arena()
    arena.used = 0
    for (let row = 0; row < rows; row++) {
      const size = this.#sizes[row]!
      const at = this.#places[row]!
      if (size > 0 && size !== SAME)
        this.#places[row] = arena.put(old.view, at, at + packedBytesOf(size))
    }
    this.#arena = arena
    this.#spare = old
  }

  clear(): void {
    if (!this.#lender) this.#choose()
    else this.isPlain = this.#lender.isPlain
    this.#texts.clear()
    this.#arena.used = 0
    this.#isMixed = false
    this.#lastRow = -1
    this.#lastSize = 0
    this.asked = 0
    this.#new = 0
  }

  /** Whether the next block's equals are looked for. */
  #choose(): void {
    if (this.#isUnique) return
    if (this.isPlain) this.isPlain = ++this.#plainBlocks < PLAIN_BLOCKS_MAX
    else if (this.asked >= TRIAL) this.isPlain = this.#new > this.asked * NEW_SHARE_MAX
    if (!this.isPlain) this.#plainBlocks = 0
  }

  #narrowed(rows: number, size: number): Uint8Array | Uint16Array | Uint32Array {
    const indexes = this.#places.subarray(0, rows)
    if (size > 0x1_0000) return indexes
    if (size > 0x100) {
      if (this.#narrow16.length < rows) this.#narrow16 = new Uint16Array(this.#places.length)
      this.#narrow16.set(indexes)
      return this.#narrow16.subarray(0, rows)
    }
    if (this.#narrow8.length < rows) this.#narrow8 = new Uint8Array(this.#places.length)
    this.#narrow8.set(indexes)
    return this.#narrow8.subarray(0, rows)
  }
}

/** Buckets of a histogram: rows are written in order. */
export class HistogramColumn {
  #ends = new Uint32Array(0)
  #keys = new Int16Array(1024)
  #counts = new Uint32Array(1024)
  #used = 0

  get size(): number {
    return this.#used * 6
  }

  reserve(rows: number): void {
    const grown = new Uint32Array(rows)
    grown.set(this.#ends)
    this.#ends = grown
  }

  /** Writes `row`, which follows the row written last. */
  set(row: number, keys: Int16Array, counts: Uint32Array, buckets: number): void {
    const at = this.#used
    const need = at + buckets
    if (need > this.#keys.length) this.#growTo(need)
    for (let i = 0; i < buckets; i++) {
      this.#keys[at + i] = keys[i]!
      this.#counts[at + i] = counts[i]!
    }
    this.#used = need
    this.#ends[row] = need
  }

  finish(rows: number): BlockColumn | undefined {
    if (this.#used === 0) return undefined
    return {
      kind: 'histogram',
      ends: this.#ends.subarray(0, rows),
      keys: this.#keys.subarray(0, this.#used),
      counts: this.#counts.subarray(0, this.#used),
    }
  }

  clear(): void {
    this.#used = 0
  }

  #growTo(need: number): void {
    const size = Math.max(need, this.#keys.length * 2)
    const keys = new Int16Array(size)
    keys.set(this.#keys)
    this.#keys = keys
    const counts = new Uint32Array(size)
    counts.set(this.#counts)
    this.#counts = counts
  }
}
