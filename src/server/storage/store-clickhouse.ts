/** The store over @clickhouse/client: inserts that commit whole, look-ups by segment, names. */
import { Readable } from 'node:stream'
import { type ClickHouseClient, ClickHouseError } from '@clickhouse/client'
import type { Timers } from '../../lib/env.ts'
import { type ErrorCode, MetaflowError, sentenceOf } from '../../lib/errors.ts'
import { log } from '../../lib/log.ts'
import type { NumberedName } from '../../model/name.ts'
import { tables } from '../../model/tables/registry.ts'
import { qualifiedName, type Table } from '../../model/tables/table.ts'
import type { ClickHouse } from './clickhouse.ts'
import { DICTIONARIES, NAMES_TABLE, partitionExpression, text } from './schema.ts'
import { type Insert, type Store, TAGS_PER_SEGMENT } from './store.ts'

/**
 * Errors that say: the content was read and is not to be had; the same bytes fail again. All else
 * (memory, disk, too many parts, no answer) may pass, or leaves open what happened.
 * https://github.com/ClickHouse/ClickHouse/blob/master/src/Common/ErrorCodes.cpp
 */
const CONTENT_ERRORS = new Set([
  '6', // CANNOT_PARSE_TEXT
  '27', // CANNOT_PARSE_INPUT_ASSERTION_FAILED
  '32', // ATTEMPT_TO_READ_AFTER_EOF
  '33', // CANNOT_READ_ALL_DATA
  '50', // UNKNOWN_TYPE
  '53', // TYPE_MISMATCH
  '69', // ARGUMENT_OUT_OF_BOUND
  '70', // CANNOT_CONVERT_TYPE
  '72', // CANNOT_PARSE_NUMBER
  '117', // INCORRECT_DATA
  '128', // TOO_LARGE_ARRAY_SIZE
  '131', // TOO_LARGE_STRING_SIZE
  '349', // CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
])

/** Dictionaries are read again at most so often, however many names come; later after failures. */
const RELOAD_MS = 1000
const RELOAD_MS_MAX = 60_000
const SLICE_BYTES = 1024 * 1024

export type StoreOptions = {
  readonly clickhouse: Pick<ClickHouse, 'writer' | 'health' | 'restart' | 'way'>
  readonly timers: Timers
}

export class ClickHouseStore implements Store {
  readonly #clickhouse: StoreOptions['clickhouse']
  readonly #timers: Timers
  /** Tables whose last insert's outcome is unknown, and the engine's life it was sent to. */
  readonly #unsettled = new Map<Table, number>()
  #attempts = 0
  #reload: 'none' | 'waiting' | 'running' | 'again' = 'none'
  #reloadFailures = 0

  constructor({ clickhouse, timers }: StoreOptions) {
    this.#clickhouse = clickhouse
    this.#timers = timers
    // Whoever had the tables before us may have left an insert running in another's server.
    if (clickhouse.way === 'url') for (const table of tables) this.#unsettled.set(table, 0)
  }

  get #client(): ClickHouseClient {
    return this.#clickhouse.writer
  }

  async insert({ table, partition, segment, native }: Insert): Promise<void> {
    const life = this.#clickhouse.health().restarts
    const id = `${idPrefix(table)}${partition}-${segment}-${++this.#attempts}`
    try {
      const { stream } = await this.#client.exec({
        query: `INSERT INTO ${qualifiedName(table)} (${columnsOf(table)}) FORMAT Native`,
        values: Readable.from(slicesOf(native), { objectMode: false }),
        query_id: id,
      })
      for await (const _ of stream);
    } catch (error) {
      const what = `insert into ${table.name}`
      if (error instanceof ClickHouseError && CONTENT_ERRORS.has(error.code))
        throw failed(what, error, 'refused')
      this.#unsettled.set(table, life)
      throw failed(what, error)
    }
  }

  async greatestByPartition(
    table: Table,
    from: number,
    to: number,
  ): Promise<ReadonlyMap<number, number>> {
    await this.#settle(table)
    const rows = await this.#rows<{ partition: number; segment: string }>(
      `SELECT ${partitionExpression(table)} AS partition, toString(max(_segment)) AS segment
       FROM ${qualifiedName(table)} WHERE _segment BETWEEN ${from} AND ${to} GROUP BY partition`,
    )
    return new Map(rows.map(({ partition, segment }) => [partition, Number(segment)]))
  }

  async greatestSegment(): Promise<number> {
    let greatest = 0
    for (const table of tables) {
      const [row] = await this.#rows<{ segment: string }>(
        `SELECT toString(max(_segment)) AS segment FROM ${qualifiedName(table)}`,
      )
      greatest = Math.max(greatest, Number(row?.segment ?? 0))
    }
    return Math.floor(greatest / TAGS_PER_SEGMENT)
  }

  async insertNames(names: readonly NumberedName[]): Promise<void> {
    if (names.length === 0) return
    try {
      await this.#client.insert({
        table: NAMES_TABLE,
        values: names.map(rowOf),
        format: 'JSONEachRow',
      })
    } catch (error) {
      throw failed('write names', error)
    }
    this.#reloadSoon()
  }

  async countNames(): Promise<number> {
    const [row] = await this.#rows<{ names: string }>(
      `SELECT toString(uniqExact(id)) AS names FROM ${NAMES_TABLE}`,
    )
    return Number(row?.names ?? 0)
  }

  async readNames(): Promise<NumberedName[]> {
    const rows = await this.#rows<NameRow>(`SELECT * FROM ${NAMES_TABLE} FINAL ORDER BY id`)
    return rows.map(nameOf)
  }

  /** Ends or waits for an insert whose answer did not come, so that what is read stays true. */
  async #settle(table: Table): Promise<void> {
    const life = this.#unsettled.get(table)
    if (life === undefined) return
    if (this.#clickhouse.way === 'url')
      await this.#client.command({
        query: `KILL QUERY WHERE startsWith(query_id, ${text(idPrefix(table))}) SYNC`,
      })
    // A single-shot insert of the embedded engine cannot be interrupted, its process can.
    else if (this.#clickhouse.health().restarts === life) await this.#clickhouse.restart()
    this.#unsettled.delete(table)
  }

  #reloadSoon(): void {
    if (this.#reload === 'running') this.#reload = 'again'
    if (this.#reload !== 'none') return
    this.#reload = 'waiting'
    const ms = Math.min(RELOAD_MS * 2 ** this.#reloadFailures, RELOAD_MS_MAX)
    this.#timers.after(ms, () => void this.#reloadNow())
  }

  /** While the engine is away there is nothing to read again: it reads them when it starts. */
  async #reloadNow(): Promise<void> {
    this.#reload = 'running'
    let again = false
    try {
      if (this.#clickhouse.health().state === 'up')
        for (const [name] of DICTIONARIES)
          await this.#client.command({ query: `SYSTEM RELOAD DICTIONARY ${name}` })
      this.#reloadFailures = 0
    } catch (error) {
      this.#reloadFailures++
      again = this.#clickhouse.health().state === 'up'
      if (again) log('warn', `Cannot read dictionaries again: ${sentenceOf(error)}`)
    }
    again ||= (this.#reload as string) === 'again'
    this.#reload = 'none'
    if (again) this.#reloadSoon()
  }

  async #rows<Row>(query: string): Promise<Row[]> {
    try {
      return await (await this.#client.query({ query, format: 'JSONEachRow' })).json<Row>()
    } catch (error) {
      throw failed('ask ClickHouse', error)
    }
  }
}

/** Names the inserts of a table among all queries. */
function idPrefix({ database, name }: Table): string {
  return `metaflow-insert-${database}.${name}-`
}

function columnsOf(table: Table): string {
  return table.columns
    .filter(({ stored }) => stored !== false)
    .map(({ name }) => name)
    .join(', ')
}

function* slicesOf(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += SLICE_BYTES)
    yield bytes.subarray(at, Math.min(at + SLICE_BYTES, bytes.length))
}

function failed(what: string, error: unknown, code: ErrorCode = 'unavailable'): MetaflowError {
  return new MetaflowError(code, `Cannot ${what}: ${sentenceOf(error)}`, error)
}

type NameRow = {
  readonly id: number
  readonly type: number
  readonly key: string
  readonly name: string
  readonly process_kname: string
  readonly host_id: number
  readonly host_key: string
  readonly host: string
}

function rowOf(name: NumberedName): NameRow {
  return {
    id: name.id,
    type: name.type,
    key: name.key,
    name: name.name,
    process_kname: name.processName,
    host_id: name.hostId,
    host_key: name.hostKey,
    host: name.hostName,
  }
}

function nameOf(row: NameRow): NumberedName {
  return {
    id: row.id,
    type: row.type,
    key: row.key,
    name: row.name,
    processName: row.process_kname,
    hostId: row.host_id,
    hostKey: row.host_key,
    hostName: row.host,
  }
}
