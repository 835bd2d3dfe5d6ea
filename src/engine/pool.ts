/** The engine's connections, each in its own Worker, and the statements that wait for one. */
import { MetaflowError } from '../lib/errors.ts'
import { startWorker } from '../lib/worker.ts'
import { EngineError } from './chdb.ts'
import type { Order, Part, Reply, Role, Statement } from './messages.ts'

/** Statements that may wait for a connection; more are refused. */
export const WAITING_MAX = 256

export type PoolOptions = {
  readonly role: Role
  readonly size: number
  readonly library: string
  readonly args: readonly string[]
  /** Ends a statement that runs, by the mark it begins with. */
  readonly kill: (mark: string) => void
  /** A Worker broke: nothing good comes of this process any more. */
  readonly broken: (sentence: string) => void
  /** How long a statement may go on once it was killed; beyond, the Worker counts as broken. */
  readonly endMs?: number
}

/** A result as it is read: the first part is there, the others are asked for. */
export type Run = {
  readonly first: Part
  next(): Promise<Part>
  /** Frees the connection, ending the statement if it still runs. Safe to call again. */
  end(): void
}

export class Pool {
  readonly #options: PoolOptions
  readonly #connections: Connection[] = []
  readonly #idle: Connection[] = []
  readonly #waiting: ((connection: Connection) => void)[] = []
  /** The mark of the statement that a connection works at. */
  readonly #running = new Map<Connection, string>()
  #marks = 0

  constructor(options: PoolOptions) {
    this.#options = options
  }

  /** Opens the connections and answers the engine's version. */
  async open(): Promise<string> {
    const { role, size, library, args, broken } = this.#options
    let version = ''
    for (let i = 0; i < size; i++) {
      const connection = new Connection(broken)
      const reply = await connection.ask({ kind: 'open', library, args, role })
      if (reply.kind !== 'open') throw failure(reply)
      version = reply.version
      this.#connections.push(connection)
      this.#idle.push(connection)
    }
    return version
  }

  /** Runs a statement when a connection is free. Throws EngineError with the engine's sentence. */
  async run(
    statement: Statement,
    rows: Uint8Array<ArrayBuffer> | undefined,
    gone: AbortSignal,
  ): Promise<Run> {
    const connection = await this.#take(gone)
    const mark = statement.kind === 'insert' ? '' : `/* ${this.#options.role} ${++this.#marks} */ `
    this.#running.set(connection, mark)
    const kill = (): void => {
      if (this.#running.get(connection) === mark) this.#kill(connection)
    }
    gone.addEventListener('abort', kill, { once: true })
    let open = true
    const end = (): void => {
      if (!open) return
      open = false
      gone.removeEventListener('abort', kill)
      kill()
      void this.#finish(connection)
    }
    const part = async (reply: Promise<Reply>): Promise<Part> => {
      const answer = await reply
      if (open && (answer.kind !== 'part' || answer.last)) {
        open = false
        gone.removeEventListener('abort', kill)
        this.#give(connection)
      }
      if (answer.kind !== 'part') throw failure(answer)
      return answer
    }
    const order: Order = { kind: 'run', statement, mark, ...(rows === undefined ? {} : { rows }) }
    const first = await part(connection.ask(order, rows === undefined ? [] : [rows.buffer]))
    const next = (): Promise<Part> => {
      if (!open) throw leftAlone()
      return part(connection.ask({ kind: 'more' }))
    }
    return { first, next, end }
  }

  /**
   * Closes every connection once its statement ended, which is hastened unless it is an insert;
   * with `shutdown` the engine as well.
   */
  async close(shutdown: boolean): Promise<boolean> {
    let clean = true
    for (const connection of this.#running.keys()) this.#kill(connection)
    for (const [i, connection] of this.#connections.entries()) {
      const last = shutdown && i === this.#connections.length - 1
      const reply = await connection.ask({ kind: 'close', shutdown: last })
      clean &&= reply.kind === 'closed' && reply.clean
      connection.terminate()
    }
    return clean
  }

  async #take(gone: AbortSignal): Promise<Connection> {
    const idle = this.#idle.pop()
    if (idle !== undefined) return idle
    if (this.#waiting.length >= WAITING_MAX)
      throw new EngineError(
        `Code: 202. DB::Exception: Cannot run the statement: ${WAITING_MAX} wait already. (TOO_MANY_SIMULTANEOUS_QUERIES)`,
      )
    if (gone.aborted) throw leftAlone()
    return await new Promise((resolve, reject) => {
      const wait = (connection: Connection): void => {
        gone.removeEventListener('abort', leave)
        resolve(connection)
      }
      const leave = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(wait), 1)
        reject(leftAlone())
      }
      this.#waiting.push(wait)
      gone.addEventListener('abort', leave, { once: true })
    })
  }

  #kill(connection: Connection): void {
    const mark = this.#running.get(connection)
    if (!mark || !connection.isBusy) return
    const { kill, broken, endMs } = this.#options
    kill(mark)
    if (endMs === undefined) return
    setTimeout(() => {
      if (this.#running.get(connection) === mark && connection.isBusy)
        broken('a statement that was to end goes on')
    }, endMs).unref()
  }

  #give(connection: Connection): void {
    this.#running.delete(connection)
    const next = this.#waiting.shift()
    if (next === undefined) this.#idle.push(connection)
    else next(connection)
  }

  /** Waits for the part under way, if any, and drops the rest. */
  async #finish(connection: Connection): Promise<void> {
    await connection.quiet()
    await connection.ask({ kind: 'cancel' })
    this.#give(connection)
  }
}

class Connection {
  readonly #worker = startWorker('engine/connection.worker.ts')
  #settle: ((reply: Reply) => void) | undefined
  #pending: Promise<unknown> = Promise.resolve()

  constructor(broken: (sentence: string) => void) {
    this.#worker.onmessage = ({ data }: MessageEvent<Reply>) => {
      const settle = this.#settle
      this.#settle = undefined
      settle?.(data)
    }
    this.#worker.onerror = ({ message }) => broken(message)
  }

  get isBusy(): boolean {
    return this.#settle !== undefined
  }

  /** Resolves when it works at nothing. */
  async quiet(): Promise<void> {
    await this.#pending
  }

  /** Gives an order, once the one before is answered, and waits for its reply. */
  async ask(order: Order, transfer: ArrayBuffer[] = []): Promise<Reply> {
    await this.#pending
    const reply = new Promise<Reply>((resolve) => {
      this.#settle = resolve
    })
    this.#pending = reply
    this.#worker.postMessage(order, transfer)
    return await reply
  }

  terminate(): void {
    this.#worker.terminate()
  }
}

function leftAlone(): EngineError {
  return new EngineError('Code: 210. DB::Exception: The client went away. (NETWORK_ERROR)')
}

function failure(reply: Reply): Error {
  return reply.kind === 'failed'
    ? new EngineError(reply.sentence)
    : new MetaflowError('failed', `Cannot read an engine worker's reply: it is ${reply.kind}`)
}
