import { TextDictionary } from '../../lib/text-dictionary.ts'
import type { BlockColumn, Numbers } from '../../model/block.ts'

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

const WORD = 0x1_0000_0000

/** Whole numbers of up to 53 bits and sign, 64 bits on the wire. */
export class WideColumn {
  #words = new Uint32Array(0)

  reserve(rows: number): void {
    const grown = new Uint32Array(rows * 2)
    grown.set(this.#words)
    this.#words = grown
  }

  set(row: number, value: number): void {
    const words = this.#words
    words[row * 2] = value
    // Two's complement: the high word of -1 is all ones. Typed arrays take a number modulo 2^32.
    words[row * 2 + 1] = value >= 0 && value < WORD ? 0 : highOf(value)
  }

  finish(rows: number): BlockColumn {
    return { kind: 'wide', bytes: new Uint8Array(this.#words.buffer, 0, rows * 8) }
  }

  clear(): void {
    // Every row is written before it is sent.
  }
}

/** The word above the lowest 32 bits; nearly always it is asked of -1, which stands for NULL. */
function highOf(value: number): number {
  return value === -1 ? -1 : Math.floor(value / WORD)
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

/** After so many texts a column asks whether they repeat at all. */
const TRIAL = 512
/** Where more than this share of texts is new, looking for equals is given up for the block. */
const NEW_SHARE_MAX = 0.7

/**
 * Text: indexes into a dictionary of the block, its own or one that it shares with a column that
 * mostly says the same. A dictionary may hold equal entries, never a wrong one.
 */
export class TextColumn {
  readonly texts: TextDictionary
  readonly #lender: TextColumn | undefined
  #indexes = new Uint32Array(0)
  #asked = 0
  #new = 0
  /** Whether texts are no longer looked for, only added. */
  isPlain = false
  #narrow8 = new Uint8Array(0)
  #narrow16 = new Uint16Array(0)

  constructor(lender?: TextColumn) {
    this.#lender = lender
    this.texts = lender?.texts ?? new TextDictionary()
  }

  /** Bytes the dictionary takes in the block. */
  get size(): number {
    return this.#lender ? 0 : this.texts.used + this.texts.size * 4
  }

  reserve(rows: number): void {
    const grown = new Uint32Array(rows)
    grown.set(this.#indexes)
    this.#indexes = grown
  }

  set(row: number, bytes: Uint8Array, start: number, end: number): void {
    if (end <= start) {
      this.#indexes[row] = 0
      return
    }
    const { texts } = this
    const lender = this.#lender
    if (lender?.isPlain) this.#indexes[row] = texts.addOrLast(bytes, start, end)
    else if (this.isPlain) this.#indexes[row] = texts.append(bytes, start, end)
    else this.#indexes[row] = this.#look(bytes, start, end)
  }

  #look(bytes: Uint8Array, start: number, end: number): number {
    const { texts } = this
    const before = texts.size
    const entry = texts.add(bytes, start, end)
    if (this.#lender) return entry
    if (texts.size > before) this.#new++
    if (++this.#asked === TRIAL) this.isPlain = this.#new > TRIAL * NEW_SHARE_MAX
    return entry
  }

  finish(rows: number): BlockColumn | undefined {
    const { size, offsets, bytes, used } = this.texts
    if (size === 1) return undefined
    return {
      kind: 'text',
      indexes: this.#narrowed(rows, size),
      offsets: offsets.subarray(0, size + 1),
      bytes: bytes.subarray(0, used),
    }
  }

  clear(): void {
    this.texts.clear()
    this.#asked = 0
    this.#new = 0
    this.isPlain = false
  }

  #narrowed(rows: number, size: number): Uint8Array | Uint16Array | Uint32Array {
    const indexes = this.#indexes.subarray(0, rows)
    if (size > 0x1_0000) return indexes
    if (size > 0x100) {
      if (this.#narrow16.length < rows) this.#narrow16 = new Uint16Array(this.#indexes.length)
      this.#narrow16.set(indexes)
      return this.#narrow16.subarray(0, rows)
    }
    if (this.#narrow8.length < rows) this.#narrow8 = new Uint8Array(this.#indexes.length)
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
