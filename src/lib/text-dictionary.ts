import { Arena } from './arena.ts'

/**
 * Texts once each, as ranges of one arena, found by their bytes: no string is made. Entry 0 is the
 * empty text. `clear` keeps the memory for the next round.
 */
export class TextDictionary {
  /** Entry i is [offsets[i], offsets[i + 1]) of the arena. */
  readonly arena: Arena = new Arena()
  offsets: Uint32Array = new Uint32Array(257)
  size = 1
  #hashes: Uint32Array = new Uint32Array(256)
  /** Open addressing: entry, or 0 for none (the empty text is never looked up). */
  #slots: Uint32Array = new Uint32Array(SLOTS_MIN)
  /** Entries by a few of their bytes: where a text is found nearly always, before it is hashed. */
  readonly #recent: Uint32Array = new Uint32Array(RECENT)
  /** Hash and place of what was not found last. */
  #hash = 0
  #slot = 0

  clear(): void {
    this.size = 1
    this.arena.used = 0
    this.offsets[1] = 0
    this.#slots.fill(0)
  }

  /** The entry of `from[start, end)`, made now if it is new. */
  add(from: DataView, start: number, end: number): number {
    const found = this.find(from, start, end)
    if (found >= 0) return found
    const slot = this.#slot
    const entry = this.append(from, start, end)
    this.#hashes[entry] = this.#hash
    // A slot that is taken stays so: texts whose hashes agree cost memory then, never time.
    if (this.#slots[slot] === 0) this.#slots[slot] = entry
    if (this.size * 2 > this.#slots.length) this.#widen()
    return entry
  }

  /** The entry of `from[start, end)`, or -1. */
  find(from: DataView, start: number, end: number): number {
    const size = end - start
    if (size <= 0) return 0
    // What was found there before; also an entry of another round, as long as it says the same.
    const place = placeOf(from, start, size)
    const recent = this.#recent[place]!
    if (recent !== 0 && recent < this.size && this.#is(recent, from, start, end)) return recent
    const found = this.#search(from, start, end)
    this.#recent[place] = found < 0 ? this.size : found
    return found
  }

  #search(from: DataView, start: number, end: number): number {
    const hash = hashOf(from, start, end)
    const slots = this.#slots
    const mask = slots.length - 1
    let at = hash & mask
    for (let probe = 0; probe < PROBES_MAX; probe++) {
      const entry = slots[at]!
      if (entry === 0) break
      if (this.#hashes[entry] === hash && this.#is(entry, from, start, end)) return entry
      at = (at + 1) & mask
    }
    this.#hash = hash
    this.#slot = at
    return -1
  }

  /** A new entry without asking whether there is an equal one. */
  append(from: DataView, start: number, end: number): number {
    const entry = this.size
    if (entry + 2 > this.offsets.length) this.#grow()
    this.arena.put(from, start, end)
    this.offsets[entry + 1] = this.arena.used
    this.size = entry + 1
    return entry
  }

  #is(entry: number, from: DataView, start: number, end: number): boolean {
    const at = this.offsets[entry]!
    const size = end - start
    return this.offsets[entry + 1]! - at === size && this.arena.has(at, from, start, size)
  }

  #grow(): void {
    const offsets = new Uint32Array((this.offsets.length - 1) * 2 + 1)
    offsets.set(this.offsets)
    this.offsets = offsets
    const hashes = new Uint32Array(this.#hashes.length * 2)
    hashes.set(this.#hashes)
    this.#hashes = hashes
  }

  #widen(): void {
    const slots = new Uint32Array(this.#slots.length * 2)
    const mask = slots.length - 1
    for (const entry of this.#slots) {
      if (entry === 0) continue
      let at = this.#hashes[entry]! & mask
      while (slots[at] !== 0) at = (at + 1) & mask
      slots[at] = entry
    }
    this.#slots = slots
  }
}

const RECENT = 256
const SLOTS_MIN = 512
/** Beyond so many neighbours a text is stored again rather than looked for. */
const PROBES_MAX = 16
/** Of longer texts so many bytes at either end are hashed. */
const HASHED_END = 24

/** Mixes four bytes at a time; never zero cost, never a string. */
export function hashOf(from: DataView, start: number, end: number): number {
  const size = end - start
  let hash = size
  if (size > 2 * HASHED_END) {
    hash = mixed(hash, from, start, start + HASHED_END)
    hash = mixed(hash, from, end - HASHED_END, end)
  } else hash = mixed(hash, from, start, end)
  hash ^= hash >>> 15
  hash = Math.imul(hash, 0x2c1b_3c6d)
  return (hash ^ (hash >>> 13)) >>> 0
}

function mixed(seed: number, from: DataView, start: number, end: number): number {
  let hash = seed
  let at = start
  for (; at + 4 <= end; at += 4) {
    hash = Math.imul(hash ^ from.getInt32(at, true), 0x85eb_ca6b)
    hash ^= hash >>> 16
  }
  for (; at < end; at++) hash = Math.imul(hash ^ from.getUint8(at), 0x0100_0193)
  return hash
}

/** A place in RECENT by the size and the bytes at both ends and in the middle. */
function placeOf(from: DataView, start: number, size: number): number {
  let word = size
  if (size < 4) word ^= from.getUint8(start) ^ (from.getUint8(start + size - 1) << 4)
  else {
    word = Math.imul(word ^ from.getInt32(start, true), 0x85eb_ca6b)
    word ^= from.getInt32(start + size - 4, true)
    if (size > 8) {
      word = Math.imul(word, 0xc2b2_ae35) ^ from.getInt32(start + 4, true)
      word ^= Math.imul(from.getInt32(start + (size >> 1), true), 0x27d4_eb2f)
    }
  }
  return Math.imul(word ^ (word >>> 15), 0x9e37_79b1) >>> 24
}
