import type { Clock, Random, Timers } from '../../src/lib/env.ts'

/** Chance from a seed (mulberry32): the same seed tells the same story. */
export class Chance {
  #state: number

  constructor(seed: number) {
    this.#state = seed | 0
  }

  /** A number in [0, 1). */
  fraction(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000
  }

  /** Whether what happens once in 1 / `probability` happens now. */
  is(probability: number): boolean {
    return probability > 0 && this.fraction() < probability
  }

  /** A whole number in [from, to]. */
  between(from: number, to: number): number {
    return from + Math.floor(this.fraction() * (to - from + 1))
  }

  of<T>(items: readonly T[]): T {
    return items[this.between(0, items.length - 1)]!
  }
}

type Event = { readonly at: number; readonly order: number; readonly run: () => void }

/** Time that passes only from event to event. */
export class World {
  readonly chance: Chance
  /** µs since the world began. */
  now = 0
  readonly #events: Event[] = []
  #order = 0

  constructor(seed: number) {
    this.chance = new Chance(seed)
  }

  /** Calls `run` after `us`; the answer cancels it. */
  after(us: number, run: () => void): () => void {
    let isCancelled = false
    const at = this.now + Math.max(0, Math.ceil(us))
    const event = { at, order: this.#order++, run: () => void (isCancelled || run()) }
    let place = this.#events.length
    while (place > 0 && isBefore(event, this.#events[place - 1]!)) place--
    this.#events.splice(place, 0, event)
    return () => {
      isCancelled = true
    }
  }

  /** Lives until `end` µs, or until `isOver` holds. Answers whether it held. */
  async live(end: number, isOver: () => boolean = () => false): Promise<boolean> {
    await drained()
    while (!isOver()) {
      const event = this.#events[0]
      if (!event || event.at > end) {
        this.now = Math.max(this.now, end)
        return false
      }
      this.#events.shift()
      this.now = Math.max(this.now, event.at)
      event.run()
      await drained()
    }
    return true
  }
}

function isBefore(one: Event, other: Event): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order)
}

/** Resolves when all that promises have to do now is done. */
function drained(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** 2026-11-24: whatever, but some way into a partition. */
const EPOCH_US = 1_795_500_000 * 1e6

/** One life of a program in the world: when it died, nothing of it happens any more. */
export class Life {
  isAlive = true
  onDeath: () => void = () => undefined
  readonly world: World
  readonly #wallOffset: number

  /** `wallOffset` µs is how wrong its clock is. */
  constructor(world: World, wallOffset = 0) {
    this.world = world
    this.#wallOffset = wallOffset
  }

  die(): void {
    if (!this.isAlive) return
    this.isAlive = false
    this.onDeath()
  }

  /** Ends the life here and now, in the middle of what it does. */
  dieNow(): never {
    this.die()
    throw new Error('Cannot go on: the process is dead')
  }

  /** Throws where the process is dead: it does nothing any more. */
  check(): void {
    if (!this.isAlive) this.dieNow()
  }

  /** Resolves after a while; never, if the process dies first. */
  wait(us: number): Promise<void> {
    return new Promise((resolve) => {
      this.world.after(us, () => this.isAlive && resolve())
    })
  }

  readonly clock: Clock = {
    wall: () => EPOCH_US + this.#wallOffset + this.world.now,
    monotonic: () => this.world.now,
  }

  readonly timers: Timers = {
    after: (ms, run) => this.world.after(ms * 1000, () => this.isAlive && run()),
  }

  readonly random: Random = {
    bytes: (size) => Uint8Array.from({ length: size }, () => this.world.chance.between(0, 255)),
    fraction: () => this.world.chance.fraction(),
  }
}
