/** Lets connections in while there is room for them: files are needed for the log as well. */
import { readdirSync, readFileSync } from 'node:fs'
import type { Timers } from '../../lib/env.ts'
import { log } from '../../lib/log.ts'

/** How often it is looked how many files are open. */
const LOOK_MS = 500
const GRACE_MS = 2000
/** More connections than this are a flood, however many files may be open. */
const FILES_MAX = 32_768
/** Shares of the limit: nobody else comes in; all are hung up on; the door is open again. */
const FULL = 0.8
const FLOODED = 0.95
const CALM = 0.6

const IDLE_SECONDS = 30
/** Bun takes no more. */
const IDLE_SECONDS_MAX = 255

/**
 * How long a connection may be silent: Bun hangs up on who waits for an answer, too, so a query has
 * the time that it may take.
 */
export function idleSeconds(querySeconds: number): number {
  return Math.min(Math.ceil(querySeconds) + IDLE_SECONDS, IDLE_SECONDS_MAX)
}

/** What is behind the door: the part of Bun's server that it needs. */
export type Listener = { readonly url: URL; stop(closeAll?: boolean): Promise<void> }

export type DoorOptions = {
  readonly timers: Timers
  /** Listens at `port`; undefined: the one that was asked for. */
  readonly listen: (port: number | undefined) => Listener
  readonly limit?: number
  readonly openFiles?: () => number
}

/**
 * The runtime accepts until no file can be opened, and then spins on the next connection (Bun
 * 1.4.5); half-open ones stay until they were idle for `idleSeconds`.
 */
export class Door {
  readonly #options: DoorOptions
  readonly #limit: number
  readonly #port: number
  #listener: Listener | undefined
  #last: Listener
  #cancel: () => void = () => undefined

  /** Throws as `listen` does. */
  constructor(options: DoorOptions) {
    this.#options = options
    this.#limit = options.limit ?? Math.min(filesLimit(), FILES_MAX)
    this.#listener = options.listen(undefined)
    this.#last = this.#listener
    this.#port = Number(this.#listener.url.port)
    this.#lookLater()
  }

  get origin(): string {
    return this.#last.url.origin
  }

  /** Requests under way are answered; whoever takes too long to ask is hung up on. */
  async stop(): Promise<void> {
    this.#cancel()
    const cancel = this.#options.timers.after(GRACE_MS, () => void this.#last.stop(true))
    await this.#last.stop()
    cancel()
  }

  #lookLater(): void {
    this.#cancel = this.#options.timers.after(LOOK_MS, () => {
      this.#look()
      this.#lookLater()
    })
  }

  #look(): void {
    const { openFiles = countFiles, listen } = this.#options
    const share = openFiles() / this.#limit
    if (share >= FLOODED) void this.#last.stop(true)
    if (this.#listener && share >= FULL) {
      log('warn', 'Too many connections: nobody else is let in until some are gone')
      if (share < FLOODED) void this.#listener.stop()
      this.#listener = undefined
    } else if (!this.#listener && share < CALM) {
      try {
        this.#listener = listen(this.#port)
        this.#last = this.#listener
        log('info', 'Connections are let in again')
      } catch {
        // Somebody has the port for the moment, or there is no file for it yet: at the next look.
      }
    }
  }
}

/** Files this process has open; all there may be where not even the folder can be opened. */
function countFiles(): number {
  try {
    return readdirSync('/proc/self/fd').length
  } catch {
    return Number.POSITIVE_INFINITY
  }
}

function filesLimit(): number {
  const text = readFileSync('/proc/self/limits', 'utf8')
  return Number(/^Max open files\s+(\d+)/m.exec(text)?.[1] ?? FILES_MAX)
}
