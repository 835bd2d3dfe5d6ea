/** Keeps a child process running: starts it, waits until it serves, and again when it dies. */
import type { Env } from '../../lib/env.ts'
import { MetaflowError, sentenceOf } from '../../lib/errors.ts'
import { log } from '../../lib/log.ts'
import type { Child } from '../../lib/process.ts'

/** How long a child may take until it serves. */
export const START_MS_MAX = 120_000
const DELAY_MS_MIN = 100
const DELAY_MS_MAX = 10_000
/** After so long without trouble the next restart is quick again. */
const CALM_MS = 60_000

export type Health = {
  readonly state: 'up' | 'starting' | 'down' | 'stopped'
  /** One sentence for a person. */
  readonly sentence: string
  readonly restarts: number
}

export type Supervised = {
  readonly name: string
  readonly env: Pick<Env, 'clock' | 'timers'>
  /**
   * Starts the child; `ready` resolves once it serves. What it says last is told where it ends
   * before that.
   */
  start(): { readonly child: Child; readonly ready: Promise<void>; lastLine(): string }
}

export class Supervisor {
  readonly #of: Supervised
  #child: Child | undefined
  #state: Health['state'] = 'starting'
  #sentence: string
  #restarts = 0
  #failures = 0
  #stopping = false
  #cancelDelay: (() => void) | undefined
  /** Resolves when the child under way serves; replaced at each start. */
  #up: Promise<void> = Promise.resolve()

  constructor(of: Supervised) {
    this.#of = of
    this.#sentence = `${of.name} is starting`
  }

  get health(): Health {
    return { state: this.#state, sentence: this.#sentence, restarts: this.#restarts }
  }

  get processId(): number | undefined {
    return this.#child?.processId
  }

  /** Resolves once the child serves; rejects with its own last words where it ends instead. */
  async start(): Promise<void> {
    this.#up = this.#begin()
    await this.#up
  }

  /** Ends the child without ceremony, if it still runs, and resolves once another one serves. */
  async restart(): Promise<void> {
    const before = this.#restarts
    this.#child?.signal('SIGKILL')
    while (this.#restarts === before && !this.#stopping) await this.#after(10)
    await this.#up
  }

  async stop(): Promise<void> {
    this.#stopping = true
    this.#cancelDelay?.()
    await this.#child?.stop()
    this.#state = 'stopped'
    this.#sentence = `${this.#of.name} was stopped`
  }

  async #begin(): Promise<void> {
    const { name, env } = this.#of
    const { child, ready, lastLine } = this.#launch()
    this.#child = child
    this.#state = 'starting'
    this.#sentence = `${name} is starting`
    const began = env.clock.monotonic()
    let serves = false
    const ended = child.exited.then(({ code, signal }) => {
      const how = signal === null ? `it ended with code ${code}` : `it was ended by ${signal}`
      const words = serves ? '' : `: ${lastLine()}`
      this.#state = 'down'
      this.#sentence = `${name} is down: ${how}${words}`
      if (this.#stopping) return
      if (serves) {
        if (env.clock.monotonic() - began > CALM_MS * 1000) this.#failures = 0
        log('error', `${name} died: ${how}; it is started again`)
        this.#again()
      } else throw new MetaflowError('unavailable', `Cannot start ${name}: ${how}${words}`)
    })
    const late = Promise.withResolvers<never>()
    const cancel = env.timers.after(START_MS_MAX, () => {
      child.signal('SIGKILL')
      late.reject(
        new MetaflowError('unavailable', `Cannot start ${name}: it did not serve in time`),
      )
    })
    late.promise.catch(() => {})
    ended.catch(() => {})
    try {
      await Promise.race([ready, ended, late.promise])
    } finally {
      cancel()
    }
    serves = true
    this.#state = 'up'
    this.#sentence = `${name} is up`
  }

  /** Starts the child; what keeps it from starting at all (a full disk) is told as a sentence. */
  #launch(): ReturnType<Supervised['start']> {
    try {
      return this.#of.start()
    } catch (cause) {
      throw this.#cannotStart(cause)
    }
  }

  #cannotStart(cause: unknown): MetaflowError {
    const sentence = `Cannot start ${this.#of.name}: ${sentenceOf(cause)}`
    return new MetaflowError('unavailable', sentence, cause)
  }

  #again(): void {
    const delay = Math.min(DELAY_MS_MIN * 2 ** this.#failures, DELAY_MS_MAX)
    this.#failures++
    this.#cancelDelay = this.#of.env.timers.after(delay, () => {
      if (this.#stopping) return
      this.#restarts++
      this.#up = this.#begin()
      this.#up.catch((error) => {
        log('error', sentenceOf(error))
        if (!this.#stopping) this.#again()
      })
    })
  }

  #after(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#of.env.timers.after(ms, resolve)
    })
  }
}
