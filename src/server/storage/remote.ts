/** A ClickHouse server at a URL: not started, only asked now and then whether it is there. */
import { ClickHouseLogLevel, type ClickHouseSettings, createClient } from '@clickhouse/client'
import type { Env } from '../../lib/env.ts'
import { MetaflowError, sentenceOf } from '../../lib/errors.ts'
import { log } from '../../lib/log.ts'
import type { Clients, Limits } from './clickhouse.ts'
import type { Health } from './supervisor.ts'

export type User = { readonly user: string; readonly password: string }
export type RemoteOptions = User & {
  readonly kind: 'url'
  readonly url: string
}

/** How long an insert may take until it counts as lost. */
export const INSERT_MS_MAX = 600_000
const PING_MS = 5000

/**
 * Each insert becomes one part a partition: all of it is there after a crash, or nothing. So it is
 * gathered whole, and neither queued nor spread over threads.
 */
export const WRITER_SETTINGS: ClickHouseSettings = {
  async_insert: 0,
  min_insert_block_size_rows: '100000000',
  min_insert_block_size_bytes: '8589934592',
  max_insert_block_size: '100000000',
  max_insert_threads: '1',
}

/** Limits of one reading statement; with readonly = 1 it cannot raise them itself. */
export function readerSettings(limits: Limits): ClickHouseSettings {
  return {
    max_execution_time: limits.readerSeconds,
    timeout_overflow_mode: 'throw',
    max_memory_usage: String(limits.readerMemoryBytes),
    max_result_rows: String(limits.readerRows),
    max_result_bytes: String(limits.readerBytes),
    result_overflow_mode: 'throw',
    readonly: '1',
  }
}

/** Clients of a server whose own users are not limited: the limits travel with every statement. */
export function remoteClients(url: string, user: User, limits: Limits): Clients {
  const common = {
    url,
    username: user.user,
    password: user.password,
    application: 'metaflow',
    log: { level: ClickHouseLogLevel.OFF },
  }
  return {
    writer: createClient({
      ...common,
      request_timeout: INSERT_MS_MAX,
      clickhouse_settings: WRITER_SETTINGS,
    }),
    reader: createClient({
      ...common,
      request_timeout: (limits.readerSeconds + 5) * 1000,
      clickhouse_settings: readerSettings(limits),
    }),
  }
}

/** Looks after a server that is not ours. */
export class Watch {
  readonly #clients: Clients
  readonly #env: Pick<Env, 'timers'>
  readonly #url: string
  #health: Health = { state: 'starting', sentence: 'ClickHouse was not asked yet', restarts: 0 }
  #cancel: (() => void) | undefined
  #stopped = false

  constructor(options: RemoteOptions, clients: Clients, env: Pick<Env, 'timers'>) {
    this.#clients = clients
    this.#env = env
    this.#url = new URL(options.url).host
  }

  get health(): Health {
    return this.#health
  }

  get processId(): undefined {
    return undefined
  }

  /** Rejects where nobody answers. */
  async start(): Promise<void> {
    await this.#ask()
    if (this.#health.state !== 'up')
      throw new MetaflowError('unavailable', `Cannot use ClickHouse: ${this.#health.sentence}`)
    this.#again()
  }

  /** It is not ours to end. */
  async restart(): Promise<void> {}

  async stop(): Promise<void> {
    this.#stopped = true
    this.#cancel?.()
    this.#health = { state: 'stopped', sentence: 'ClickHouse is not used any more', restarts: 0 }
  }

  #again(): void {
    this.#cancel = this.#env.timers.after(PING_MS, () => {
      void this.#ask().then(() => {
        if (!this.#stopped) this.#again()
      })
    })
  }

  async #ask(): Promise<void> {
    const before = this.#health.state
    const answer = await this.#clients.writer.ping({ select: true })
    if (this.#stopped) return
    this.#health = answer.success
      ? { state: 'up', sentence: `ClickHouse at ${this.#url} is up`, restarts: 0 }
      : {
          state: 'down',
          sentence: `ClickHouse at ${this.#url} does not answer: ${sentenceOf(answer.error)}`,
          restarts: 0,
        }
    if (before !== 'starting' && before !== this.#health.state)
      log(answer.success ? 'info' : 'error', this.#health.sentence)
  }
}
