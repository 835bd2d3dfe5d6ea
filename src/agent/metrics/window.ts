import { TextDictionary } from '../../lib/text-dictionary.ts'
import { viewOf } from '../../lib/wide.ts'
import type { Point } from '../../model/point.ts'
import { Buckets } from './buckets.ts'

/*
 * A key is 12 words: what tells one point of a window from another.
 *
 *   0     observation point (1), IPv4 (1), protocol (8), l7 protocol (8), signal source (8)
 *   1     server port
 *   2 3   name of client and server
 *   4-7   address of the client, 8-11 of the server (IPv4 in the first word)
 *
 * and the endpoint, which the window holds once.
 */
export const KEY_WORDS = 12
export const KIND = 0
export const PORT = 1
export const CLIENT_NAME = 2
export const SERVER_NAME = 3
export const CLIENT_ADDRESS = 4
export const SERVER_ADDRESS = 8
const ENDPOINT = 12
const HASH = 13

/** What is counted of each point, in the order of its sums; what most calls add to comes first. */
export const REQUEST = 0
export const RESPONSE = 1
export const RRT_SUM = 2
export const RRT_COUNT = 3
export const RRT_MAX = 4
export const RESPONSE_LENGTH = 5
export const REQUEST_LENGTH = 6
export const CLIENT_ERROR = 7
export const SERVER_ERROR = 8
export const TIMEOUT = 9
const SUMS = 10

/**
 * Key and sums of a point lie side by side, so that to count a call costs few cache lines: 14 words
 * (the key, the endpoint, the hash), then 10 doubles.
 */
const SUMS_AT = 7
const DOUBLES = SUMS_AT + SUMS
const WORDS = DOUBLES * 2

const OTHER = viewOf(new TextEncoder().encode('(other)'))
const NONE = -1
let rounds = 0

/**
 * The points of one second or minute. Their number is bounded: beyond it, what is new is folded,
 * first into the endpoint '(other)', then also away from who the client is, and then into one point
 * for each protocol, so that sums stay right whatever comes.
 */
export class Window {
  /** Its beginning, UTC seconds. */
  time = 0
  /** Another number after each `begin`, and in each window. */
  round = 0
  size = 0
  readonly #max: number
  /** Sums of point i: sums[sumsAt(i) + …]. */
  sums: Float64Array = new Float64Array(64 * DOUBLES)
  #words: Uint32Array = new Uint32Array(this.sums.buffer)
  readonly buckets: Buckets = new Buckets()
  readonly #endpoints = new TextDictionary()
  /** Point + 1, or 0. */
  #slots: Uint32Array = new Uint32Array(256)
  readonly #folded = new Uint32Array(KEY_WORDS)
  /** Calls that were counted under a folded key. */
  folded = 0

  constructor(max: number) {
    this.#max = max
  }

  begin(time: number): void {
    this.time = time
    this.round = ++rounds
    this.size = 0
    this.#slots.fill(0)
    this.buckets.clear()
    this.#endpoints.clear()
  }

  /** The point with this key, made now if it is new, or what it folds into. */
  point(key: Uint32Array, from: DataView, start: number, end: number): number {
    const endpoints = this.#endpoints
    const isFull = endpoints.size > this.#max
    const endpoint = isFull ? endpoints.find(from, start, end) : endpoints.add(from, start, end)
    const found = endpoint === NONE ? NONE : this.#find(key, endpoint, this.#max)
    return found === NONE ? this.#fold(key) : found
  }

  /** Whether the endpoint of `point` is `from[start, end)`. */
  hasEndpoint(point: number, from: DataView, start: number, end: number): boolean {
    const { arena, offsets } = this.#endpoints
    const endpoint = this.#words[point * WORDS + ENDPOINT]!
    const at = offsets[endpoint]!
    const size = end - start
    return offsets[endpoint + 1]! - at === size && arena.has(at, from, start, size)
  }

  /** Where the sums of `point` begin. */
  sumsAt(point: number): number {
    return point * DOUBLES + SUMS_AT
  }

  /** Adds `point` to that point of `other` which has this key and its endpoint. */
  addTo(point: number, other: Window, key: Uint32Array): void {
    const endpoint = this.#words[point * WORDS + ENDPOINT]!
    const { arena, offsets } = this.#endpoints
    const target = other.point(key, arena.view, offsets[endpoint]!, offsets[endpoint + 1]!)
    const from = this.sumsAt(point)
    const to = other.sumsAt(target)
    for (let i = 0; i < SUMS; i++) {
      const value = this.sums[from + i]!
      if (i !== RRT_MAX) other.sums[to + i]! += value
      else if (value > other.sums[to + i]!) other.sums[to + i] = value
    }
    this.buckets.addTo(point, other.buckets, target)
  }

  /** Copies the key of `point`. */
  keyOf(point: number, key: Uint32Array): void {
    const at = point * WORDS
    for (let i = 0; i < KEY_WORDS; i++) key[i] = this.#words[at + i]!
  }

  /** Writes endpoint, sums and buckets of `point` into `out`; the key is the caller's to write. */
  fill(point: number, out: Point): void {
    const { sums } = this
    const at = this.sumsAt(point)
    const endpoint = this.#words[point * WORDS + ENDPOINT]!
    const { arena, offsets } = this.#endpoints
    out.time = this.time
    out.endpoint.set(arena.bytes, offsets[endpoint]!, offsets[endpoint + 1]! - offsets[endpoint]!)
    out.request = sums[at + REQUEST]!
    out.response = sums[at + RESPONSE]!
    out.rrtSum = sums[at + RRT_SUM]!
    out.rrtCount = sums[at + RRT_COUNT]!
    out.rrtMax = sums[at + RRT_MAX]!
    out.clientError = sums[at + CLIENT_ERROR]!
    out.serverError = sums[at + SERVER_ERROR]!
    out.timeout = sums[at + TIMEOUT]!
    out.requestLength = sums[at + REQUEST_LENGTH]!
    out.responseLength = sums[at + RESPONSE_LENGTH]!
    this.buckets.fill(point, out)
  }

  /** The point, or NONE where it is new and there are `max` already. */
  #find(key: Uint32Array, endpoint: number, max: number): number {
    const hash = hashOf(key, endpoint)
    const slots = this.#slots
    const mask = slots.length - 1
    let at = hash & mask
    for (let slot = slots[at]!; slot !== 0; slot = slots[at]!) {
      if (this.#is(slot - 1, hash, key, endpoint)) return slot - 1
      at = (at + 1) & mask
    }
    if (this.size >= max) return NONE
    const point = this.size++
    const to = point * WORDS
    if (to >= this.#words.length) this.#grow()
    slots[at] = point + 1
    for (let i = 0; i < KEY_WORDS; i++) this.#words[to + i] = key[i]!
    this.#words[to + ENDPOINT] = endpoint
    this.#words[to + HASH] = hash
    const sums = this.sumsAt(point)
    this.sums.fill(0, sums, sums + SUMS)
    if (this.size * 2 > slots.length) this.#widen()
    return point
  }

  #fold(key: Uint32Array): number {
    this.folded++
    const max = this.#max
    const folded = this.#folded
    folded.set(key)
    const other = this.#endpoints.add(OTHER, 0, OTHER.byteLength)
    let point = this.#find(folded, other, max + max / 2)
    if (point !== NONE) return point
    folded[CLIENT_NAME] = 0
    folded.fill(0, CLIENT_ADDRESS, SERVER_ADDRESS)
    point = this.#find(folded, other, max * 2)
    if (point !== NONE) return point
    folded.fill(0, PORT, KEY_WORDS)
    return this.#find(folded, other, Number.POSITIVE_INFINITY)
  }

  #is(point: number, hash: number, key: Uint32Array, endpoint: number): boolean {
    const words = this.#words
    const at = point * WORDS
    if (words[at + HASH] !== hash || words[at + ENDPOINT] !== endpoint) return false
    for (let i = 0; i < KEY_WORDS; i++) if (words[at + i] !== key[i]) return false
    return true
  }

  #grow(): void {
    const sums = new Float64Array(this.sums.length * 2)
    const words = new Uint32Array(sums.buffer)
    // As words: a double that is no number need not keep its bits.
    words.set(this.#words)
    this.sums = sums
    this.#words = words
  }

  #widen(): void {
    const slots = new Uint32Array(this.#slots.length * 2)
    const mask = slots.length - 1
    for (let point = 0; point < this.size; point++) {
      let at = this.#words[point * WORDS + HASH]! & mask
      while (slots[at] !== 0) at = (at + 1) & mask
      slots[at] = point + 1
    }
    this.#slots = slots
  }
}

function hashOf(key: Uint32Array, endpoint: number): number {
  let hash = Math.imul(endpoint + 1, 0x9e37_79b1)
  for (let i = 0; i < KEY_WORDS; i++) {
    hash = Math.imul(hash ^ key[i]!, 0x85eb_ca6b)
    hash ^= hash >>> 15
  }
  return hash >>> 0
}
