import { Call } from '../../model/call.ts'
import type { Session } from './session.ts'

/** A hook may report an answer before its request by as much, µs. */
export const MERGE_US = 10_000

/** More parts of the request follow. */
export const GROWING = 1
/** The response has begun; more parts of it follow. */
export const ANSWERING = 2
/** The response is whole, only the request is not. */
export const ANSWERED = 4
/** Nothing answers it. */
export const ONE_WAY = 8
/** A response whose request nobody saw. */
export const ORPHAN = 16
/** An orphan whose request may be reported a moment later. */
export const EARLY = 64
/** The peer of the request's datagram is not known. */
export const NO_PEER = 32

/**
 * A request that waits for its response. One whose time is over, or that gave way, has no call any
 * more but keeps its place where order pairs: its response may still come.
 */
export class Waiting {
  call: Call | undefined
  id = 0
  tag = 0
  flags = 0
  deadline = 0
  session: Session | undefined
  list: WaitingList | undefined
  next: Waiting | undefined
  previous: Waiting | undefined
  /** Whose time is measured with it. */
  queue: Queue | undefined
  newer: Waiting | undefined
  older: Waiting | undefined
}

/** What waits on one sender's requests, in their order. */
export class WaitingList {
  first: Waiting | undefined
  last: Waiting | undefined
  /** Those that have a call, and those that only keep a place. */
  calls = 0
  ghosts = 0
  /** How many have no whole response yet, ghosts and orphans among them. */
  open = 0
  growing = 0
  early = 0

  add(waiting: Waiting): void {
    waiting.list = this
    waiting.previous = this.last
    waiting.next = undefined
    if (this.last === undefined) this.first = waiting
    else this.last.next = waiting
    this.last = waiting
  }

  remove(waiting: Waiting): void {
    const { previous, next } = waiting
    if (previous === undefined) this.first = next
    else previous.next = next
    if (next === undefined) this.last = previous
    else next.previous = previous
    waiting.list = undefined
    waiting.previous = undefined
    waiting.next = undefined
  }
}

/** Those of all connections that may wait equally long, oldest first. */
export class Queue {
  readonly timeout: number
  oldest: Waiting | undefined
  #newest: Waiting | undefined
  size = 0

  constructor(timeout: number) {
    this.timeout = timeout
  }

  add(waiting: Waiting): void {
    waiting.queue = this
    waiting.older = this.#newest
    waiting.newer = undefined
    if (this.#newest === undefined) this.oldest = waiting
    else this.#newest.newer = waiting
    this.#newest = waiting
    this.size++
  }

  remove(waiting: Waiting): void {
    const { older, newer } = waiting
    if (older === undefined) this.oldest = newer
    else older.newer = newer
    if (newer === undefined) this.#newest = older
    else newer.older = older
    waiting.queue = undefined
    waiting.older = undefined
    waiting.newer = undefined
    this.size--
  }
}

/** Objects used again and again, so that a call costs no garbage. */
export class Pool {
  readonly #calls: Call[] = []
  readonly #waiting: Waiting[] = []
  readonly #spareMax: number

  constructor(spareMax: number) {
    this.#spareMax = spareMax
  }

  call(): Call {
    const call = this.#calls.pop() ?? new Call()
    call.clear()
    return call
  }

  giveCall(call: Call): void {
    if (this.#calls.length < this.#spareMax) this.#calls.push(call)
  }

  waiting(): Waiting {
    return this.#waiting.pop() ?? new Waiting()
  }

  giveWaiting(waiting: Waiting): void {
    waiting.call = undefined
    waiting.session = undefined
    if (this.#waiting.length < this.#spareMax) this.#waiting.push(waiting)
  }
}
