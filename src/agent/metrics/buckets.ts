import { INDEX_MAX, INDEX_MIN } from '../../lib/histogram.ts'
import type { Point } from '../../model/point.ts'

const INDEXES = INDEX_MAX - INDEX_MIN + 1
/** From so many buckets on, new ones are those of schema 0 (a power of 2 each): few of them. */
export const FINE_BUCKETS_MAX = 131_072
const COARSE = 32
const SLOTS_MIN = 512

/**
 * Latency buckets of many points in one sparse table. A bucket is two words, owner + 1 and count,
 * where its hash says: to count costs one cache line. `sort` then puts them by point.
 */
export class Buckets {
  #size = 0
  #slots = new Uint32Array(SLOTS_MIN * 2)
  /** Sorted: buckets of point p are [starts[p], starts[p + 1]) of keys and counts. */
  #starts = new Uint32Array(64)
  #keys = new Int16Array(256)
  #counts = new Uint32Array(256)

  clear(): void {
    this.#size = 0
    this.#slots.fill(0)
  }

  /** Adds `count` to bucket `index` of `point`. */
  add(point: number, index: number, count: number): void {
    const owner = point * INDEXES + index - INDEX_MIN + 1
    const slots = this.#slots
    const mask = slots.length - 2
    let at = hashOf(owner) & mask
    for (let slot = slots[at]!; slot !== 0; slot = slots[at]!) {
      if (slot === owner) {
        slots[at + 1]! += count
        return
      }
      at = (at + 2) & mask
    }
    if (this.#size >= FINE_BUCKETS_MAX && index % COARSE !== 0 && index < INDEX_MAX) {
      this.add(point, Math.min(Math.ceil(index / COARSE) * COARSE, INDEX_MAX), count)
      return
    }
    slots[at] = owner
    slots[at + 1] = count
    this.#size++
    if (this.#size * 4 > slots.length) this.#widen()
  }

  /** Puts the buckets of `points` points in order; nothing may be added afterwards. */
  sort(points: number): void {
    this.#reserve(points)
    const starts = this.#starts
    const slots = this.#slots
    starts.fill(0, 0, points + 2)
    // Counted two places further on, starts[p + 1] serves as p's next free place, and is its end.
    for (let at = 0; at < slots.length; at += 2)
      if (slots[at] !== 0) starts[Math.floor((slots[at]! - 1) / INDEXES) + 2]!++
    for (let point = 2; point < points + 2; point++) starts[point]! += starts[point - 1]!
    for (let at = 0; at < slots.length; at += 2) {
      if (slots[at] === 0) continue
      const owner = slots[at]! - 1
      const place = starts[Math.floor(owner / INDEXES) + 1]!++
      this.#keys[place] = (owner % INDEXES) + INDEX_MIN
      this.#counts[place] = slots[at + 1]!
    }
    for (let point = 0; point < points; point++) this.#order(starts[point]!, starts[point + 1]!)
  }

  /** Adds the buckets of `point`, sorted before, to those of `to` in `other`. */
  addTo(point: number, other: Buckets, to: number): void {
    for (let i = this.#starts[point]!; i < this.#starts[point + 1]!; i++)
      other.add(to, this.#keys[i]!, this.#counts[i]!)
  }

  /** Writes the buckets of `point`, sorted before, into `out` in rising order. */
  fill(point: number, out: Point): void {
    const start = this.#starts[point]!
    const size = this.#starts[point + 1]! - start
    while (out.keys.length < size) growPoint(out)
    for (let i = 0; i < size; i++) {
      out.keys[i] = this.#keys[start + i]!
      out.counts[i] = this.#counts[start + i]!
    }
    out.buckets = size
  }

  /** Sorts [start, end) by key, by insertion: a point's buckets are few. */
  #order(start: number, end: number): void {
    const keys = this.#keys
    const counts = this.#counts
    for (let from = start + 1; from < end; from++) {
      const key = keys[from]!
      const count = counts[from]!
      let at = from
      for (; at > start && keys[at - 1]! > key; at--) {
        keys[at] = keys[at - 1]!
        counts[at] = counts[at - 1]!
      }
      keys[at] = key
      counts[at] = count
    }
  }

  #reserve(points: number): void {
    if (this.#starts.length < points + 2) this.#starts = new Uint32Array((points + 2) * 2)
    if (this.#keys.length >= this.#size) return
    this.#keys = new Int16Array(this.#size * 2)
    this.#counts = new Uint32Array(this.#size * 2)
  }

  #widen(): void {
    const old = this.#slots
    const slots = new Uint32Array(old.length * 2)
    const mask = slots.length - 2
    for (let from = 0; from < old.length; from += 2) {
      if (old[from] === 0) continue
      let at = hashOf(old[from]!) & mask
      while (slots[at] !== 0) at = (at + 2) & mask
      slots[at] = old[from]!
      slots[at + 1] = old[from + 1]!
    }
    this.#slots = slots
  }
}

/** Its lowest bit is not used: a bucket is two words. */
function hashOf(owner: number): number {
  const hash = Math.imul(owner, 0x9e37_79b1)
  return hash ^ (hash >>> 15)
}

function growPoint(point: Point): void {
  const keys = new Int16Array(point.keys.length * 2)
  keys.set(point.keys)
  point.keys = keys
  const counts = new Uint32Array(keys.length)
  counts.set(point.counts)
  point.counts = counts
}
