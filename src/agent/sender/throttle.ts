import { Counters } from '../../lib/counters.ts'
import type { Call } from '../../model/call.ts'
import { STATUS } from '../../model/message.ts'

const SECOND = 1_000_000
/** Errors and slow calls may take so much more where no ordinary row is left to give way. */
const RESERVE = 0.1
/** A call is slow that takes so many times as long as nine of ten calls; that time is followed. */
const SLOW_FACTOR = 2
const SLOW_SHARE = 0.1
const SLOW_STEP = 0.02

/**
 * Decides which calls become rows: so many a second, by the second of their end. Beyond that an
 * error or slow call takes the place of an ordinary one in the block that is being filled, and the
 * ordinary ones are an even sample of their second.
 */
export class Throttle {
  static readonly APPEND = -1
  static readonly DROP = -2

  readonly counters: Counters<'ordinary' | 'important'> = new Counters('rows', [
    'ordinary',
    'important',
  ])
  readonly #limit: number
  readonly #onSecond: () => void
  #second = -1
  #used = 0
  #ordinarySeen = 0
  /** How many there were in the second before. */
  #expected = 0
  /** Rows of this second in the open block that may give way, those never replaced first. */
  #ordinary: Uint32Array = new Uint32Array(0)
  #ordinarySize = 0
  #firstSize = 0
  /** About the time, µs, that nine of ten calls do not exceed. */
  #usual = 0
  #seed = 0x9e37_79b9
  #important = false

  /** `onSecond` is called before the first call of another second is placed. */
  constructor(rowsPerSecond: number, onSecond: () => void) {
    this.#limit = rowsPerSecond
    this.#onSecond = onSecond
    if (rowsPerSecond !== Number.POSITIVE_INFINITY)
      this.#ordinary = new Uint32Array(Math.ceil(rowsPerSecond))
  }

  /** APPEND, DROP, or the row of the open block that the call's row replaces. */
  place(call: Call): number {
    this.counters.in++
    const limit = this.#limit
    if (limit === Number.POSITIVE_INFINITY) {
      this.counters.out++
      return Throttle.APPEND
    }
    const second = Math.floor(call.endTime / SECOND)
    if (second > this.#second) this.#begin(second)
    this.#important = this.#isImportant(call)
    if (!this.#important) this.#ordinarySeen++
    if (this.#used < limit) {
      this.#used++
      this.counters.out++
      return Throttle.APPEND
    }
    return this.#important ? this.#placeImportant() : this.#placeOrdinary()
  }

  /** Notes that the call placed last became row `row`. */
  placed(row: number): void {
    if (this.#important || this.#ordinarySize === this.#ordinary.length) return
    this.#ordinary[this.#ordinarySize++] = row
    this.#firstSize = this.#ordinarySize
  }

  /** The open block is gone: none of its rows can give way any more. */
  forget(): void {
    this.#ordinarySize = 0
    this.#firstSize = 0
  }

  /** Whether calls of the second that is being filled may still come; `now` is monotonic µs. */
  isFilling(now: number): boolean {
    return this.#second >= Math.floor(now / SECOND)
  }

  #begin(second: number): void {
    this.#onSecond()
    this.forget()
    this.#second = second
    this.#used = 0
    this.#expected = this.#ordinarySeen
    this.#ordinarySeen = 0
  }

  #isImportant(call: Call): boolean {
    if (call.status !== STATUS.ok) return true
    if (!call.hasDuration) return false
    const { duration } = call
    const usual = this.#usual
    if (usual === 0) this.#usual = duration
    else this.#usual *= 1 + SLOW_STEP * (duration > usual ? 1 - SLOW_SHARE : -SLOW_SHARE)
    return duration > usual * SLOW_FACTOR && usual > 0
  }

  #placeImportant(): number {
    const { dropped } = this.counters
    if (this.#ordinarySize > 0) {
      const at = this.#chance(this.#ordinarySize)
      const row = this.#ordinary[at]!
      this.#ordinary[at] = this.#ordinary[--this.#ordinarySize]!
      this.#firstSize = Math.min(this.#firstSize, this.#ordinarySize)
      dropped.ordinary++
      return row
    }
    if (this.#used < Math.floor(this.#limit * (1 + RESERVE))) {
      this.#used++
      this.counters.out++
      return Throttle.APPEND
    }
    dropped.important++
    return Throttle.DROP
  }

  /**
   * Reservoir sampling: the nth ordinary call stays with a chance of rows / n. That replaces
   * rows · ln(n / rows) of them; where as many as in the second before are to come, each stays with
   * its final chance and replaces one of the first, so that no row is written a third time.
   */
  #placeOrdinary(): number {
    this.counters.dropped.ordinary++
    const seen = this.#ordinarySeen
    const at = this.#chance(Math.max(seen, this.#expected))
    if (at >= this.#ordinarySize) return Throttle.DROP
    return seen < this.#expected && this.#firstSize > 0 ? this.#replaceFirst() : this.#ordinary[at]!
  }

  #replaceFirst(): number {
    const ordinary = this.#ordinary
    const at = this.#chance(this.#firstSize)
    const row = ordinary[at]!
    ordinary[at] = ordinary[--this.#firstSize]!
    ordinary[this.#firstSize] = row
    return row
  }

  /** A whole number in [0, limit): chance enough for a sample, and the same in every run. */
  #chance(limit: number): number {
    let seed = this.#seed
    seed ^= seed << 13
    seed ^= seed >>> 17
    seed ^= seed << 5
    this.#seed = seed
    return Math.floor(((seed >>> 0) / 0x1_0000_0000) * limit)
  }
}
