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

  /**
   * Resolves when there is room, with what gives the room back (once). Whose signal is aborted
   * waits no longer, and keeps nobody else from waiting.
   */
  async enter(signal?: AbortSignal): Promise<() => void> {
    if (this.#inside >= this.#running) {
      if (this.#queue.length >= this.#waiting)
        throw new MetaflowError(
          'tooMany',
          `Cannot run the query: ${this.#inside} run and ${this.#queue.length} wait already`,
        )
      await this.#wait(signal)
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

  #wait(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const enter = (): void => {
        signal?.removeEventListener('abort', giveUp)
        resolve()
      }
      const giveUp = (): void => {
        this.#queue.splice(this.#queue.indexOf(enter), 1)
        reject(new MetaflowError('unavailable', 'Cannot run the query: nobody waits for it'))
      }
      this.#queue.push(enter)
      signal?.addEventListener('abort', giveUp, { once: true })
    })
  }
}
