import type { ClickHouseClient, ClickHouseSettings } from '@clickhouse/client'
import { Counters } from '../../lib/counters.ts'
import type { Clock } from '../../lib/env.ts'
import { ERRORS, type ErrorCode } from '../../lib/errors.ts'
import { bounded } from './bounded.ts'
import type { Catalog } from './catalog.ts'
import { engineError } from './engine-error.ts'
import { contentTypeOf } from './formats.ts'
import { Gate } from './gate.ts'
import { expand } from './resolve.ts'

export type QueryLimits = {
  /** Rows a JSON answer may have; what is beyond is left out, and the answer says so. */
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

  constructor(deps: QueryDeps) {
    this.#deps = deps
    this.#limits = { ...QUERY_LIMITS, ...deps.limits }
    this.#gate = new Gate(this.#limits.running, this.#limits.waiting)
  }

  /** ClickHouse's SQL for what a user wrote. Throws a sentence for what is refused. */
  expand(sql: string, { database, precision }: RunOptions = {}): string {
    const now = Math.floor(this.#deps.clock.wall() / 1e6)
    return expand(sql, { catalog: this.#deps.catalog, database, precision, now })
  }

  /** Runs a statement and answers its rows, at most as many as the limits allow. */
  run(sql: string, options: RunOptions = {}): Promise<Answer> {
    return this.#counted(async () => {
      const expanded = this.expand(sql, options)
      const start = this.#deps.clock.monotonic()
      const leave = await this.#gate.enter()
      try {
        const rows = await this.#rows(expanded, options.signal)
        const elapsedMs = (this.#deps.clock.monotonic() - start) / 1000
        return { sql: expanded, ...rows, elapsedMs }
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

  #params(signal: AbortSignal | undefined): {
    abort_signal?: AbortSignal
    clickhouse_settings?: ClickHouseSettings
  } {
    const { settings } = this.#deps
    return {
      ...(signal && { abort_signal: signal }),
      ...(settings && { clickhouse_settings: settings }),
    }
  }

  async #rows(
    query: string,
    signal: AbortSignal | undefined,
  ): Promise<Pick<Answer, 'columns' | 'types' | 'values' | 'isTruncated'>> {
    const result = await this.#deps.client.query({
      query,
      format: 'JSONCompactEachRowWithNamesAndTypes',
      ...this.#params(signal),
    })
    const lines: string[] = []
    let size = 0
    let isTruncated = false
    for await (const batch of result.stream()) {
      for (const { text } of batch) {
        size += text.length
        if (lines.length >= this.#limits.rows + 2 || size > this.#limits.bytes) isTruncated = true
        else lines.push(text)
      }
      if (isTruncated) break
    }
    result.close()
    const [columns = '[]', types = '[]', ...values] = lines
    return { columns: JSON.parse(columns), types: JSON.parse(types), values, isTruncated }
  }

  /** Runs a statement and streams its rows in one of ClickHouse's formats. */
  stream(sql: string, format: string, options: RunOptions = {}): Promise<Streamed> {
    return this.#counted(async () => {
      const contentType = contentTypeOf(format)
      const query = `${this.expand(sql, options)} FORMAT ${format}`
      const leave = await this.#gate.enter()
      try {
        const result = await this.#deps.client.exec({ query, ...this.#params(options.signal) })
        const tag = result.response_headers?.['x-clickhouse-exception-tag']
        const bytesMax = this.#limits.bytes
        const mark = typeof tag === 'string' ? tag : undefined
        return { contentType, body: bounded({ source: result.stream, bytesMax, tag: mark, leave }) }
      } catch (thrown) {
        leave()
        throw thrown
      }
    })
  }
}
