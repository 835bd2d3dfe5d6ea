import type { ClickHouseClient, ClickHouseSettings } from '@clickhouse/client'
import { Counters } from '../../lib/counters.ts'
import type { Clock } from '../../lib/env.ts'
import { ERRORS, type ErrorCode } from '../../lib/errors.ts'
import { type BoundedOptions, bounded } from './bounded.ts'
import type { Catalog } from './catalog.ts'
import { engineError } from './engine-error.ts'
import { contentTypeOf } from './formats.ts'
import { Gate } from './gate.ts'
import { ReadAhead } from './read-ahead.ts'
import { expand } from './resolve.ts'
import { Rows } from './rows.ts'
import type { Slice } from './slice.ts'

export type QueryLimits = {
  /**
   * Rows a JSON answer may have; what is beyond is left out, and the answer says so. The engine's
   * own limit should be the same: it ends an answer in a format, which cannot say so.
   */
  readonly rows: number
  /** Bytes an answer may have, before compression. */
  readonly bytes: number
  readonly running: number
  readonly waiting: number
}
export const QUERY_LIMITS: QueryLimits = {
  rows: 100_000,
  bytes: 64 * 1024 * 1024,
  running: 8,
  waiting: 64,
}

export type QueryDeps = {
  /** A readonly connection whose time, memory and rows are limited by the engine itself. */
  readonly client: ClickHouseClient
  readonly catalog: Catalog
  readonly clock: Clock
  readonly limits?: Partial<QueryLimits>
  /** Sent with each statement, where the connection's own limits are not fixed (readonly = 2). */
  readonly settings?: ClickHouseSettings
}

export type RunOptions = {
  readonly database?: string | undefined
  /** Which points are read where the statement names neither: by second or by minute. */
  readonly precision?: '1s' | '1m' | undefined
  /** Aborted when nobody waits for the answer any more. */
  readonly signal?: AbortSignal | undefined
}

export type Answer = {
  /** What ran. */
  readonly sql: string
  readonly columns: readonly string[]
  readonly types: readonly string[]
  /** Each row as the JSON text of an array: numbers wider than 53 bits stay whole. */
  readonly values: readonly string[]
  /** The row of WITH TOTALS, of all rows: as JSON text, too. */
  readonly totals: string | undefined
  /** True where rows were left out, since there were more than an answer may have. */
  readonly isTruncated: boolean
  readonly elapsedMs: number
}

export type Streamed = {
  readonly contentType: string
  readonly body: ReadableStream<Uint8Array>
}

/** Runs what users write: expanded, fenced, bounded. */
export class Query {
  /** Statements taken, answered (or begun to be streamed), and not answered by cause. */
  readonly counters: Counters<ErrorCode> = new Counters('query', Object.keys(ERRORS) as ErrorCode[])
  readonly #deps: QueryDeps
  readonly #limits: QueryLimits
  readonly #gate: Gate
  readonly #ahead = new ReadAhead()

  constructor(deps: QueryDeps) {
    this.#deps = deps
    this.#limits = { ...QUERY_LIMITS, ...deps.limits }
    this.#gate = new Gate(this.#limits.running, this.#limits.waiting)
  }

  /** ClickHouse's SQL for what a user wrote. Throws a sentence for what is refused. */
  expand(sql: string, { database, precision }: RunOptions = {}, slice?: Slice): string {
    const now = Math.floor(this.#deps.clock.wall() / 1e6)
    return expand(sql, { catalog: this.#deps.catalog, database, precision, now, slice })
  }

  /** Runs a statement and answers its rows, at most as many as the limits allow. */
  run(sql: string, options: RunOptions = {}): Promise<Answer> {
    return this.#counted(async () => {
      const { rows } = this.#limits
      const expanded = this.expand(sql, options, { rows, offset: 0 })
      const start = this.#deps.clock.monotonic()
      const leave = await this.#gate.enter(options.signal)
      try {
        const { answer, isWhole } = await this.#rows(expanded, options.signal)
        const { values, totals, beforeLimit } = answer
        const isFull = values.length >= rows
        // Who counts up to the last row that is wanted does not know whether it was the last.
        const isCut = isFull && (beforeLimit > rows || (await this.#hasMore(sql, options)))
        const isTruncated = !isWhole || isCut
        const elapsedMs = (this.#deps.clock.monotonic() - start) / 1000
        return { sql: expanded, ...answer.head(), values, totals, isTruncated, elapsedMs }
      } finally {
        leave()
      }
    })
  }

  async #counted<T>(answer: () => Promise<T>): Promise<T> {
    this.counters.in++
    try {
      const result = await answer()
      this.counters.out++
      return result
    } catch (thrown) {
      const error = engineError(thrown)
      this.counters.dropped[error.code]++
      throw error
    }
  }

  /** The bytes of an answer, as the engine gives them. */
  async #exec(
    query: string,
    signal: AbortSignal | undefined,
    bounds: Omit<BoundedOptions, 'source' | 'tag'>,
  ): Promise<ReadableStream<Uint8Array>> {
    const { client, settings } = this.#deps
    const { stream, response_headers } = await client.exec({
      query,
      ...(signal && { abort_signal: signal }),
      ...(settings && { clickhouse_settings: settings }),
    })
    const tag = response_headers?.['x-clickhouse-exception-tag']
    return bounded({ source: stream, tag: typeof tag === 'string' ? tag : undefined, ...bounds })
  }

  /** An answer's rows, up to where it has more bytes than it may have. */
  async #rows(
    query: string,
    signal: AbortSignal | undefined,
  ): Promise<{ readonly answer: Rows; readonly isWhole: boolean }> {
    const bytesMax = Number.POSITIVE_INFINITY
    const body = await this.#exec(`${query} FORMAT JSONCompact`, signal, { bytesMax })
    const answer = new Rows()
    const decoder = new TextDecoder()
    let size = 0
    let rest = ''
    for await (const chunk of body) {
      const lines = decoder.decode(chunk, { stream: true }).split('\n')
      lines[0] = rest + lines[0]!
      rest = lines.pop()!
      for (const line of lines) {
        size += line.length
        if (size > this.#limits.bytes) return { answer, isWhole: false }
        answer.line(line)
      }
      // One row alone may be longer than an answer may be.
      if (size + rest.length > this.#limits.bytes) return { answer, isWhole: false }
    }
    return { answer, isWhole: true }
  }

  /** Whether there are rows beyond those that an answer may have. */
  async #hasMore(sql: string, options: RunOptions): Promise<boolean> {
    const next = this.expand(sql, options, { rows: 1, offset: this.#limits.rows })
    return (await this.#rows(next, options.signal)).answer.values.length > 0
  }

  /** Runs a statement and streams its rows in one of ClickHouse's formats. */
  stream(sql: string, format: string, options: RunOptions = {}): Promise<Streamed> {
    return this.#counted(async () => {
      const contentType = contentTypeOf(format)
      const query = `${this.expand(sql, options)} FORMAT ${format}`
      const leave = await this.#gate.enter(options.signal)
      try {
        const bytesMax = this.#limits.bytes
        const body = await this.#exec(query, options.signal, { bytesMax, leave })
        return { contentType, body: this.#ahead.of(body) }
      } catch (thrown) {
        leave()
        throw thrown
      }
    })
  }
}
