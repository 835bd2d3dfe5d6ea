/**
 * Texts once each, as ranges of one arena, found by their bytes: no string is made. Entry 0 is the
 * empty text. `clear` keeps the memory for the next round.
 */
export class TextDictionary {
  /** Entry i is `bytes[offsets[i], offsets[i + 1])`. */
  bytes: Uint8Array = new Uint8Array(4096)
  offsets: Uint32Array = new Uint32Array(257)
  size = 1
  #hashes: Uint32Array = new Uint32Array(256)
  /** Open addressing: entry, or 0 for none (the empty text is never looked up). */
  #slots: Uint32Array = new Uint32Array(SLOTS_MIN)
  #last = 0
  /** Hash and place of what was not found last. */
  #hash = 0
  #slot = 0

  get used(): number {
    return this.offsets[this.size]!
  }

  clear(): void {
    this.size = 1
    this.offsets[1] = 0
    this.#last = 0
    this.#slots.fill(0)
  }

  /** The entry of `bytes[start, end)`, made now if it is new. */
  add(bytes: Uint8Array, start: number, end: number): number {
    const found = this.find(bytes, start, end)
    if (found >= 0) return found
    const slot = this.#slot
    const entry = this.append(bytes, start, end)
    this.#hashes[entry] = this.#hash
    // A slot that is taken stays so: texts whose hashes agree cost memory then, never time.
    if (this.#slots[slot] === 0) this.#slots[slot] = entry
    if (this.size * 2 > this.#slots.length) this.#widen()
    this.#last = entry
    return entry
  }

  /** The entry of `bytes[start, end)`, or -1. */
  find(bytes: Uint8Array, start: number, end: number): number {
    if (end <= start) return 0
    const last = this.#last
    if (last !== 0 && this.#is(last, bytes, start, end)) return last
    const hash = hashOf(bytes, start, end)
    const slots = this.#slots
    const mask = slots.length - 1
    let at = hash & mask
    for (let probe = 0; probe < PROBES_MAX; probe++) {
      const entry = slots[at]!
      if (entry === 0) break
      if (this.#hashes[entry] === hash && this.#is(entry, bytes, start, end)) {
        this.#last = entry
        return entry
      }
      at = (at + 1) & mask
    }
    this.#hash = hash
    this.#slot = at
    return -1
  }

  /** The entry made last where it is equal, else a new one. */
  addOrLast(bytes: Uint8Array, start: number, end: number): number {
    const last = this.size - 1
    return last > 0 && this.#is(last, bytes, start, end) ? last : this.append(bytes, start, end)
  }

  /** A new entry without asking whether there is an equal one. */
  append(bytes: Uint8Array, start: number, end: number): number {
    const entry = this.size
    const at = this.offsets[entry]!
    const size = end - start
    if (entry + 2 > this.offsets.length) this.#grow()
    if (at + size > this.bytes.length) this.#growBytes(at + size)
    this.#copy(bytes, start, at, size)
    this.offsets[entry + 1] = at + size
    this.size = entry + 1
    return entry
  }

  #is(entry: number, bytes: Uint8Array, start: number, end: number): boolean {
    const at = this.offsets[entry]!
    const size = end - start
    if (this.offsets[entry + 1]! - at !== size) return false
    const own = this.bytes
    // From the end: texts that share a size differ there rather than at their beginning.
    for (let i = size - 1; i >= 0; i--) if (own[at + i] !== bytes[start + i]) return false
    return true
  }

  /** Copies a short text: eight bytes a turn are twice as fast as one; `set` is dear below 96. */
  #copy(from: Uint8Array, start: number, at: number, size: number): void {
    const to = this.bytes
    if (size > COPY_MIN) {
      to.set(from.subarray(start, start + size), at)
      return
    }
    let i = 0
    for (; i + 8 <= size; i += 8) {
      const a = at + i
      const b = start + i
      to[a] = from[b]!
      to[a + 1] = from[b + 1]!
      to[a + 2] = from[b + 2]!
      to[a + 3] = from[b + 3]!
      to[a + 4] = from[b + 4]!
      to[a + 5] = from[b + 5]!
      to[a + 6] = from[b + 6]!
      to[a + 7] = from[b + 7]!
    }
    for (; i < size; i++) to[at + i] = from[start + i]!
  }

  #grow(): void {
    const offsets = new Uint32Array((this.offsets.length - 1) * 2 + 1)
    offsets.set(this.offsets)
    this.offsets = offsets
    const hashes = new Uint32Array(this.#hashes.length * 2)
    hashes.set(this.#hashes)
    this.#hashes = hashes
  }

  #growBytes(need: number): void {
    const bytes = new Uint8Array(Math.max(need, this.bytes.length * 2))
    bytes.set(this.bytes)
    this.bytes = bytes
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

const SLOTS_MIN = 512
/** Beyond so many neighbours a text is stored again rather than looked for. */
const PROBES_MAX = 16
/** Of longer texts so many bytes at either end are hashed. */
const HASHED_END = 24

const COPY_MIN = 96

/** Mixes four bytes at a time; never zero cost, never a string. */
export function hashOf(bytes: Uint8Array, start: number, end: number): number {
  const size = end - start
  let hash = size
  if (size > 2 * HASHED_END) {
    hash = mixed(hash, bytes, start, start + HASHED_END)
    hash = mixed(hash, bytes, end - HASHED_END, end)
  } else hash = mixed(hash, bytes, start, end)
  hash ^= hash >>> 15
  hash = Math.imul(hash, 0x2c1b_3c6d)
  return (hash ^ (hash >>> 13)) >>> 0
}

function mixed(seed: number, bytes: Uint8Array, start: number, end: number): number {
  let hash = seed
  let at = start
  for (; at + 4 <= end; at += 4) {
    const word =
      bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    hash = Math.imul(hash ^ word, 0x85eb_ca6b)
    hash ^= hash >>> 16
  }
  for (; at < end; at++) hash = Math.imul(hash ^ bytes[at]!, 0x0100_0193)
  return hash
}
