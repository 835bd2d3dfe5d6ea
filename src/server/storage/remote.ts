/** A ClickHouse server at a URL: not started, only asked now and then whether it is there. */
import {
  type ClickHouseClient,
  ClickHouseError,
  ClickHouseLogLevel,
  type ClickHouseSettings,
  createClient,
} from '@clickhouse/client'
import type { Env } from '../../lib/env.ts'
import { type ErrorCode, MetaflowError, sentenceOf } from '../../lib/errors.ts'
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
 * More than are ever used at once: an agent that queues requests throws without end once the
 * server is gone (Bun 1.4.5).
 */
const CONNECTIONS_MAX = 64
/** The first release that knows every setting a reader is sent with. */
const OLDEST = '23.6'

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

/**
 * Limits of one reading statement; with readonly = 1 it cannot raise them itself. Times without a
 * zone are UTC whatever the server's own is, and what nobody waits for any more is ended.
 */
export function readerSettings(limits: Limits): ClickHouseSettings {
  return {
    max_execution_time: limits.readerSeconds,
    timeout_overflow_mode: 'throw',
    max_memory_usage: String(limits.readerMemoryBytes),
    max_result_rows: String(limits.readerRows),
    max_result_bytes: String(limits.readerBytes),
    result_overflow_mode: 'throw',
    session_timezone: 'UTC',
    cancel_http_readonly_queries_on_client_close: 1,
    readonly: '1',
  }
}

/** Clients of a server whose own users are not limited: the limits travel with every statement. */
export function remoteClients(url: string, user: User, limits: Limits): Clients {
  return {
    writer: writerOf(url, user),
    reader: readerOf(url, user, limits, readerSettings(limits)),
  }
}

export function writerOf(url: string, user: User): ClickHouseClient {
  return clientOf(url, user, INSERT_MS_MAX, WRITER_SETTINGS)
}

/** `settings` must be none where the user's own are readonly: whatever is sent is then refused. */
export function readerOf(
  url: string,
  user: User,
  limits: Limits,
  settings: ClickHouseSettings,
): ClickHouseClient {
  return clientOf(url, user, (limits.readerSeconds + 5) * 1000, settings)
}

function clientOf(
  url: string,
  { user, password }: User,
  timeoutMs: number,
  settings: ClickHouseSettings,
): ClickHouseClient {
  return createClient({
    url,
    username: user,
    password,
    application: 'metaflow',
    max_open_connections: CONNECTIONS_MAX,
    request_timeout: timeoutMs,
    clickhouse_settings: settings,
    log: { level: ClickHouseLogLevel.OFF },
  })
}

/** Looks after a server that is not ours. */
export class Watch {
  readonly #clients: Clients
  readonly #env: Pick<Env, 'timers'>
  readonly #user: string
  readonly #name: string
  #health: Health = { state: 'starting', sentence: 'ClickHouse was not asked yet', restarts: 0 }
  #cancel: (() => void) | undefined
  #stopped = false

  constructor(options: RemoteOptions, clients: Clients, env: Pick<Env, 'timers'>) {
    this.#clients = clients
    this.#env = env
    this.#user = options.user
    this.#name = `ClickHouse at ${new URL(options.url).host}`
  }

  get health(): Health {
    return this.#health
  }

  get processId(): undefined {
    return undefined
  }

  /** Rejects where nobody answers, or not as is needed. */
  async start(): Promise<void> {
    await this.#ask()
    if (this.#health.state !== 'up') throw cannotUse('unavailable', this.#health.sentence)
    await this.#clients.reader.command({ query: 'SELECT 1' }).catch((error: Error) => {
      throw cannotUse('unsupported', this.#wrong(error), error)
    })
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
      ? { state: 'up', sentence: `${this.#name} is up`, restarts: 0 }
      : { state: 'down', sentence: this.#wrong(answer.error), restarts: 0 }
    if (before !== 'starting' && before !== this.#health.state)
      log(answer.success ? 'info' : 'error', this.#health.sentence)
  }

  /** What is wrong, as a sentence for whoever set the URL. */
  #wrong(error: Error): string {
    const said = engineWords(error)
    const code = codeOf(error)
    if (code === undefined) return `${this.#name} does not answer: ${said}`
    if (NOT_LET_IN.has(code))
      return `${this.#name} does not let user ${this.#user} in: the password is wrong, or there is no such user (clickhouse.user, clickhouse.password)`
    if (code === UNKNOWN_SETTING)
      return `${this.#name} is older than ${OLDEST}, which is the least that serves: ${said}`
    return `${this.#name} does not serve: ${said}`
  }
}

function cannotUse(code: ErrorCode, state: string, cause?: unknown): MetaflowError {
  return new MetaflowError(code, `Cannot use ClickHouse: ${state}`, cause)
}

/** UNKNOWN_USER, WRONG_PASSWORD, REQUIRED_PASSWORD, AUTHENTICATION_FAILED */
const NOT_LET_IN = new Set(['192', '193', '194', '516'])
const UNKNOWN_SETTING = '115'

/** ClickHouse's code of an error, where it was ClickHouse that spoke. */
function codeOf(error: Error): string | undefined {
  if (error instanceof ClickHouseError) return error.code
  return /^Code: (\d+)/.exec(error.message)?.[1]
}

/** The first line of what ClickHouse said: what follows are hints about its files, or its stack. */
export function engineWords(error: unknown): string {
  return sentenceOf(error)
    .split('\n', 1)[0]!
    .replace(/^Code: \d+(?:\. |, e\.displayText\(\) = )DB::Exception: /, '')
    .replace(/, e\.what\(\) = .*$/, '')
    .trim()
}
