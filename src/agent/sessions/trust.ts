/** Calls one after the other that show a client to wait for each answer. */
const SEQUENTIAL_MIN = 8

/** What must be seen after a loss before order can pair again: see `Listener.lost`. */
export type Caution = 'none' | 'turns' | 'silence'

/**
 * How far order can be trusted to pair on one connection. A client that always waits for its answer
 * owes nothing when it asks again; one that pipelines may owe answers to requests nobody saw.
 */
export class Trust {
  /** Two requests were seen to wait at once, and to be answered. */
  isPipelined = false
  /** Reading began where answers may have been owed. */
  #isDoubtful: boolean
  #isSuspect = false
  #hasAsked = false
  /** Calls one after the other: since reading began, and in all. */
  #sequential = 0
  #record = 0
  #lastAsked = -1

  constructor(isFresh: boolean) {
    this.#isDoubtful = !isFresh
  }

  /** A request of `time` while `open` others wait: together with the last, both in one call. */
  asked(time: number, open: number): void {
    if (open > 0 && time === this.#lastAsked) this.isPipelined = true
    this.#lastAsked = time
    this.#hasAsked = true
  }

  /** A response is there, `open` requests waited. */
  answered(open: number): void {
    if (open > 1) {
      this.isPipelined = true
      return
    }
    this.#record++
    if (++this.#sequential >= SEQUENTIAL_MIN) this.#isDoubtful = false
  }

  /**
   * Whether the response at hand may answer another request than the oldest of `open`, or, where
   * none waits, one that was not seen: after a loss, or where a connection was met in its midst,
   * answers tell that more was owed.
   */
  isInDoubt(open: number): boolean {
    if (!this.#isDoubtful || open === 1 || (open === 0 && !this.#hasAsked)) return false
    this.#isSuspect = true
    return true
  }

  /** Framing is lost while `open` requests wait. */
  lost(open: number): Caution {
    const isSuspect = this.#isSuspect || open > 2 || (open === 2 && this.#record < SEQUENTIAL_MIN)
    const caution = this.isPipelined ? 'silence' : isSuspect ? 'turns' : 'none'
    this.#isDoubtful = !this.isPipelined
    this.#isSuspect = false
    this.#hasAsked = false
    this.#sequential = 0
    return caution
  }
}
