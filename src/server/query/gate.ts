import { MetaflowError } from '../../lib/errors.ts'

/** Lets so many run at once and so many wait; whoever comes beyond is sent away. */
export class Gate {
  readonly #running: number
  readonly #waiting: number
  readonly #queue: (() => void)[] = []
  #inside = 0

  constructor(running: number, waiting: number) {
    this.#running = running
    this.#waiting = waiting
  }

  /** Resolves when there is room, with what gives the room back (once). */
  async enter(): Promise<() => void> {
    if (this.#inside >= this.#running) {
      if (this.#queue.length >= this.#waiting)
        throw new MetaflowError(
          'tooMany',
          `Cannot run the query: ${this.#inside} run and ${this.#queue.length} wait already`,
        )
      await new Promise<void>((resolve) => this.#queue.push(resolve))
    } else this.#inside++
    let isInside = true
    return () => {
      if (!isInside) return
      isInside = false
      const next = this.#queue.shift()
      if (next) next()
      else this.#inside--
    }
  }
}
