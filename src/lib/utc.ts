import type { Clock } from './env.ts'

/** How long an offset is believed, µs: the wall clock is stepped or slewed meanwhile. */
const VALID = 10_000_000

/** Turns monotonic µs into UTC µs; wall − monotonic is measured again every 10 s. */
export class Utc {
  readonly #clock: Clock
  #offset: number
  #until: number

  constructor(clock: Clock) {
    this.#clock = clock
    this.#offset = Math.round(clock.wall() - clock.monotonic())
    this.#until = clock.monotonic() + VALID
  }

  /** UTC − monotonic, µs; `now` is a recent monotonic time. */
  offset(now: number): number {
    if (now >= this.#until) this.measure()
    return this.#offset
  }

  measure(): void {
    this.#offset = Math.round(this.#clock.wall() - this.#clock.monotonic())
    this.#until = this.#clock.monotonic() + VALID
  }
}
