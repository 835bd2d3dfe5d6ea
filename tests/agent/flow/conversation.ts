/** Conversations over a simulated wire that loses, cuts, repeats and swaps what is reported of it. */
import type { Direction, SegmentSink, Source } from '../../../src/model/segment.ts'
import { encode, type Said } from './toy.ts'
import { Wire } from './wire.ts'

export type Plan = {
  readonly seed: number
  readonly source: Source
  readonly style: 'sequential' | 'pipelined' | 'ids'
  readonly calls: number
  /** Which end reports: requests are sent, or received. */
  readonly isClient: boolean
  readonly parts: boolean
  /** Shares of reports that are lost, cut, repeated, swapped with the next. */
  readonly lost: number
  readonly cut: number
  readonly repeated: number
  readonly swapped: number
}

/** One report of bytes that went by. */
type Report = {
  readonly direction: Direction
  readonly at: number
  readonly bytes: Uint8Array
  time: number
}

const FIRST = 4_294_967_000
const THINKING = 2_000_000

/** A seeded random number in [0, 1): mulberry32. */
export function dice(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** How a request, or its response, of this number is said. */
export type Speech = (
  what: 'request' | 'response',
  number: number,
  roll: () => number,
) => Uint8Array

/** What the two said, in time; and how many of the first reports must not be spoilt. */
export class Talk {
  readonly reports: Report[] = []
  safe = 0
  readonly #plan: Plan
  readonly #roll: () => number
  readonly #speech: Speech
  readonly #places: Record<Direction, number> = { send: 0, receive: 0 }
  #time = 5_000_000

  constructor(plan: Plan, speech?: Speech) {
    this.#plan = plan
    this.#speech = speech ?? ((what, number) => this.#inToy(what, number))
    this.#roll = dice(plan.seed)
    let number = 1
    // A pipelining client is one that was seen to do so, without a loss until then.
    if (plan.style === 'pipelined' && plan.calls > 1) {
      this.#say('request', [1, 2])
      this.#say('response', [1, 2])
      number = 3
      this.safe = this.reports.length
    }
    while (number <= plan.calls) {
      if (this.#roll() < 0.1) this.#time += THINKING
      const burst = plan.style === 'sequential' ? 1 : 1 + Math.floor(this.#roll() * 6)
      number = this.#burst(number, Math.min(burst, plan.calls + 1 - number))
    }
  }

  /** Requests together, then their responses; with a window, the next requests between them. */
  #burst(first: number, count: number): number {
    const { style } = this.#plan
    let asked = first
    let answered = first
    const end = first + count
    while (answered < end) {
      const isAsking = asked < end && (asked === answered || this.#roll() < 0.6)
      if (isAsking) {
        const together = style === 'sequential' ? 1 : 1 + Math.floor(this.#roll() * 3)
        const to = Math.min(asked + together, end)
        this.#say('request', range(asked, to))
        asked = to
      } else {
        const together = 1 + Math.floor(this.#roll() * 3)
        const to = Math.min(answered + together, asked)
        this.#say('response', this.#order(range(answered, to)))
        answered = to
      }
    }
    return end
  }

  #order(numbers: number[]): number[] {
    return this.#plan.style === 'ids' && this.#roll() < 0.5 ? numbers.reverse() : numbers
  }

  /** Messages in one stretch of bytes, moved by one call or by several. */
  #say(what: 'request' | 'response', numbers: readonly number[]): void {
    const bytes = Buffer.concat(numbers.map((number) => this.#speech(what, number, this.#roll)))
    const direction = (what === 'request') === this.#plan.isClient ? 'send' : 'receive'
    let from = 0
    while (from < bytes.length) {
      const isWhole = this.#roll() < 0.6
      const to = isWhole
        ? bytes.length
        : from + 1 + Math.floor(this.#roll() * (bytes.length - from))
      const at = this.#places[direction]
      this.#time += 20 + Math.floor(this.#roll() * 3000)
      this.reports.push({ direction, at, bytes: bytes.subarray(from, to), time: this.#time })
      this.#places[direction] += to - from
      from = to
    }
  }

  #inToy(what: 'request' | 'response', number: number): Uint8Array {
    const kind = what === 'request' ? 'Q' : 'R'
    const id = this.#plan.style === 'ids' ? { id: 100 + (number % 50) } : {}
    const size = () => (this.#roll() < 0.2 ? 2000 : Math.floor(this.#roll() * 60))
    const said: Said[] = []
    while (this.#plan.parts && said.length < 3 && this.#roll() < 0.4)
      said.push({ kind, number, ...id, size: size(), isPart: true })
    said.push({ kind, number, ...id, size: size() })
    return Buffer.concat(said.map(encode))
  }
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i)
}

/** What was done to a talk on its way. */
export type Spoilt = {
  /** Anything was lost or cut. */
  readonly isSpoilt: boolean
  /** A direction's first or last report was lost: nothing around it tells of it. */
  readonly isEdge: boolean
}

/** Reports `talk` to `sink` as the plan spoils it. */
export function report(talk: Talk, plan: Plan, sink: SegmentSink): Spoilt {
  const roll = dice(plan.seed ^ 0x5bd1e995)
  const role = plan.isClient ? 'client' : 'server'
  const wire = new Wire(sink, { source: plan.source, role, first: FIRST })
  if (plan.source === 'packet') for (const way of WAYS) wire.open(way)
  const base = { send: wire.next('send'), receive: wire.next('receive') }
  const reports: Fated[] = talk.reports.map((one, i) => {
    const isSafe = i < talk.safe
    const isLost = !isSafe && roll() < plan.lost
    const share = !isSafe && roll() < plan.cut ? roll() : 1
    return { ...one, isSafe, isLost, captured: Math.floor(share * one.bytes.length) }
  })
  swap(reports, plan, roll)
  for (const { direction, at, bytes, time, isLost, captured } of reports) {
    if (isLost) continue
    const before = at === 0 ? 'none' : 'some'
    wire.sayAt(base[direction] + at, direction, bytes, { time, captured, before })
    if (plan.source === 'packet' && roll() < plan.repeated)
      wire.sayAt(base[direction] + at, direction, bytes, { time: time + 1 })
  }
  const isSpoilt = reports.some(({ isLost, captured, bytes }) => isLost || captured < bytes.length)
  return { isSpoilt, isEdge: WAYS.some((way) => isEdgeLost(reports, way)) }
}

const WAYS = ['send', 'receive'] as const
/** A report and what becomes of it. */
type Fated = Report & {
  readonly isSafe: boolean
  readonly isLost: boolean
  readonly captured: number
}

function isEdgeLost(reports: readonly Fated[], way: Direction): boolean {
  const own = reports.filter(({ direction }) => direction === way).sort((a, b) => a.at - b.at)
  return own.length === 0 || own[0]!.isLost || own.at(-1)!.isLost
}

/**
 * A later report comes before its elder, as two threads' hooks, or two packets, may do. Beside a
 * loss an answer that came before its request is like the answer to the one before, which nobody
 * can tell apart: there only reports of one direction are swapped.
 */
function swap(reports: Fated[], plan: Plan, roll: () => number): void {
  for (let i = 0; i + 1 < reports.length; i++) {
    const [one, next] = [reports[i]!, reports[i + 1]!]
    // Where a socket's stream begins is known by its first report alone.
    if (one.direction === next.direction && one.at === 0) continue
    if (one.direction !== next.direction && plan.lost + plan.cut > 0) continue
    if (next.time - one.time > 9000 || one.isSafe || roll() >= plan.swapped) continue
    reports[i] = next
    reports[i + 1] = one
    if (plan.source === 'socket') {
      // A hook stamps when it runs: the times are those of the reports.
      const { time } = one
      one.time = next.time
      next.time = time
    }
    i++
  }
}
