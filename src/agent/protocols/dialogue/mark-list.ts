import type { Mark } from '../../../model/connection.ts'
import type { Segment } from '../../../model/segment.ts'

/** Socket calls that a buffer remembers apart; further ones count to the last. */
const MARKS_MAX = 32

/** The socket calls whose bytes lie in a buffer, by the place where each begins. */
export class MarkList {
  readonly #places = new Int32Array(MARKS_MAX)
  readonly #times = new Float64Array(MARKS_MAX)
  readonly #traceIds = new Float64Array(MARKS_MAX)
  readonly #sequences = new Int32Array(MARKS_MAX)
  readonly #processIds = new Int32Array(MARKS_MAX)
  readonly #threadIds = new Int32Array(MARKS_MAX)
  #count = 0

  add(place: number, segment: Segment, start: number): void {
    if (this.#count === MARKS_MAX) return
    const i = this.#count++
    this.#places[i] = place
    this.#times[i] = segment.time
    this.#traceIds[i] = segment.traceId
    this.#sequences[i] = segment.sequence + start - segment.start
    this.#processIds[i] = segment.processId
    this.#threadIds[i] = segment.threadId
  }

  read(place: number, mark: Mark): void {
    let i = this.#count - 1
    while (i > 0 && this.#places[i]! > place) i--
    if (i < 0) return
    mark.time = this.#times[i]!
    mark.traceId = this.#traceIds[i]!
    mark.sequence = (this.#sequences[i]! + place - this.#places[i]!) >>> 0
    mark.processId = this.#processIds[i]!
    mark.threadId = this.#threadIds[i]!
  }

  /** The buffer's first `size` bytes are gone: so are the marks that only they had. */
  shift(size: number): void {
    let gone = 0
    while (gone + 1 < this.#count && this.#places[gone + 1]! <= size) gone++
    for (let i = gone; i < this.#count; i++) {
      const to = i - gone
      this.#places[to] = this.#places[i]! - size
      this.#times[to] = this.#times[i]!
      this.#traceIds[to] = this.#traceIds[i]!
      this.#sequences[to] = this.#sequences[i]!
      this.#processIds[to] = this.#processIds[i]!
      this.#threadIds[to] = this.#threadIds[i]!
    }
    this.#count -= gone
  }

  clear(): void {
    this.#count = 0
  }
}
