import { INDEX_MAX, INDEX_MIN } from '../../lib/histogram.ts'
import type { Point } from '../../model/point.ts'

const INDEXES = INDEX_MAX - INDEX_MIN + 1
/** From so many buckets on, new ones are those of schema 0 (a power of 2 each): few of them. */
export const FINE_BUCKETS_MAX = 131_072
const COARSE = 32
const NONE = -1

/**
 * Latency buckets of many points in one sparse table: a bucket is found by (point, index) and
 * chained to its point's others.
 */
export class Buckets {
  size = 0
  #owners: Uint32Array = new Uint32Array(256)
  #counts: Uint32Array = new Uint32Array(256)
  #nexts: Int32Array = new Int32Array(256)
  /** Bucket + 1, or 0. */
  #slots: Uint32Array = new Uint32Array(512)

  clear(): void {
    this.size = 0
    this.#slots.fill(0)
  }

  /** Adds `count` to bucket `index` of `point`, whose chain begins at `heads[point]`. */
  add(heads: Int32Array, point: number, index: number, count: number): void {
    const owner = point * INDEXES + index - INDEX_MIN
    const slots = this.#slots
    const mask = slots.length - 1
    let at = hashOf(owner) & mask
    for (let slot = slots[at]!; slot !== 0; slot = slots[at]!) {
      if (this.#owners[slot - 1] === owner) {
        this.#counts[slot - 1]! += count
        return
      }
      at = (at + 1) & mask
    }
    if (this.size >= FINE_BUCKETS_MAX && index % COARSE !== 0 && index < INDEX_MAX) {
      this.add(heads, point, Math.min(Math.ceil(index / COARSE) * COARSE, INDEX_MAX), count)
      return
    }
    const bucket = this.size++
    if (bucket >= this.#owners.length) this.#grow()
    this.#owners[bucket] = owner
    this.#counts[bucket] = count
    this.#nexts[bucket] = heads[point]!
    heads[point] = bucket
    slots[at] = bucket + 1
    if (this.size * 2 > slots.length) this.#widen()
  }

  /** Adds the buckets of the chain that begins at `head` to those of `point` in `other`. */
  addTo(head: number, other: Buckets, heads: Int32Array, point: number): void {
    for (let at = head; at !== NONE; at = this.#nexts[at]!)
      other.add(heads, point, (this.#owners[at]! % INDEXES) + INDEX_MIN, this.#counts[at]!)
  }

  /** Writes the chain that begins at `head` into `point`, in rising order. */
  fill(head: number, point: Point): void {
    let size = 0
    for (let at = head; at !== NONE; at = this.#nexts[at]!) {
      if (size >= point.keys.length) growPoint(point)
      const key = (this.#owners[at]! % INDEXES) + INDEX_MIN
      let place = size++
      // Insertion: chains are short, and durations of one endpoint lie near each other.
      for (; place > 0 && point.keys[place - 1]! > key; place--) {
        point.keys[place] = point.keys[place - 1]!
        point.counts[place] = point.counts[place - 1]!
      }
      point.keys[place] = key
      point.counts[place] = this.#counts[at]!
    }
    point.buckets = size
  }

  #grow(): void {
    const size = this.#owners.length * 2
    const owners = new Uint32Array(size)
    const counts = new Uint32Array(size)
    const nexts = new Int32Array(size)
    owners.set(this.#owners)
    counts.set(this.#counts)
    nexts.set(this.#nexts)
    this.#owners = owners
    this.#counts = counts
    this.#nexts = nexts
  }

  #widen(): void {
    const slots = new Uint32Array(this.#slots.length * 2)
    const mask = slots.length - 1
    for (let bucket = 0; bucket < this.size; bucket++) {
      let at = hashOf(this.#owners[bucket]!) & mask
      while (slots[at] !== 0) at = (at + 1) & mask
      slots[at] = bucket + 1
    }
    this.#slots = slots
  }
}

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
