/** Keeps all that MetaFlow stores within its share of the file system: the oldest gives way. */
import type { ClickHouseClient } from '@clickhouse/client'
import type { Env } from '../../lib/env.ts'
import { sentenceOf } from '../../lib/errors.ts'
import { log } from '../../lib/log.ts'
import { tables } from '../../model/tables/registry.ts'
import { qualifiedName, type Table } from '../../model/tables/table.ts'
import { rowsOf, text } from './schema.ts'

export type RetentionOptions = {
  readonly env: Pick<Env, 'clock' | 'timers'>
  readonly client: ClickHouseClient
  /** Bytes that log, spool and tables may take together. */
  readonly limit: () => number | Promise<number>
  /** Bytes that log and spool take now. */
  readonly others: () => number
}

const CHECK_MS = 30_000
/** It is made room for a little more than is missing, or each check would drop something. */
const LOW_MARK = 0.95

/** What can be dropped at once: a partition, or, of the one that is still filled, a part. */
type Piece = {
  readonly table: Table
  readonly kind: 'PARTITION ID' | 'PART'
  readonly id: string
  readonly bytes: number
  readonly rows: number
  /** Its youngest row, seconds. */
  readonly youngest: number
}

export class Retention {
  /** Dropped to keep within the limit, since the start. */
  readonly dropped = { pieces: 0, rows: 0, bytes: 0 }
  /** Bytes of all tables at the last check. */
  tableBytes = 0
  readonly #options: RetentionOptions
  #cancel: (() => void) | undefined
  #stopped = false

  constructor(options: RetentionOptions) {
    this.#options = options
  }

  /** Checks now and from time to time. */
  start(): void {
    void this.#round()
  }

  stop(): void {
    this.#stopped = true
    this.#cancel?.()
  }

  /** Drops what is oldest while the limit is exceeded. */
  async check(): Promise<void> {
    const { limit, others } = this.#options
    this.tableBytes = await this.#bytes()
    const allowed = (await limit()) - others()
    if (this.tableBytes <= allowed) return
    for (const piece of inOrder(await this.#pieces(), this.#options.env.clock.wall() / 1e6)) {
      await this.#drop(piece)
      if (this.tableBytes <= allowed * LOW_MARK) return
    }
  }

  async #round(): Promise<void> {
    try {
      await this.check()
    } catch (error) {
      log('warn', `Cannot check how much is stored: ${sentenceOf(error)}`)
    }
    if (!this.#stopped)
      this.#cancel = this.#options.env.timers.after(CHECK_MS, () => void this.#round())
  }

  async #drop({ table, kind, id, bytes, rows, youngest }: Piece): Promise<void> {
    await this.#options.client.command({
      query: `ALTER TABLE ${qualifiedName(table)} DROP ${kind} ${text(id)}`,
    })
    this.tableBytes -= bytes
    this.dropped.pieces++
    this.dropped.rows += rows
    this.dropped.bytes += bytes
    const until = new Date(youngest * 1000).toISOString()
    log(
      'warn',
      `Dropped the oldest rows of ${qualifiedName(table)} to keep within the disk share`,
      {
        rows,
        bytes,
        until,
      },
    )
  }

  /** Parts that were merged into others lie on the disk for some minutes yet: they count. */
  async #bytes(): Promise<number> {
    const [row] = await this.#rows<{ bytes: string }>(
      `SELECT toString(sum(bytes_on_disk)) AS bytes FROM system.parts WHERE ${OURS}`,
    )
    return Number(row?.bytes ?? 0)
  }

  async #pieces(): Promise<Piece[]> {
    type Row = {
      readonly whole: string
      readonly id: string
      readonly part: string
      readonly bytes: string
      readonly rows: string
      readonly youngest: number
    }
    const rows = await this.#rows<Row>(
      `SELECT concat(database, '.', table) AS whole, partition_id AS id, name AS part,
         toString(bytes_on_disk) AS bytes, toString(rows) AS rows,
         toUnixTimestamp(max_time) AS youngest
       FROM system.parts WHERE active AND ${OURS}`,
    )
    const now = this.#options.env.clock.wall() / 1e6
    const pieces = new Map<string, Piece>()
    for (const { whole, id: partition, part, bytes, rows: count, youngest } of rows) {
      const table = tables.find((one) => `${one.database}.${one.name}` === whole)
      if (table === undefined) continue
      const isFilled = Number(partition) >= Math.floor(now / (table.partitionHours * 3600))
      const [kind, id] = isFilled
        ? (['PART', part] as const)
        : (['PARTITION ID', partition] as const)
      const known = pieces.get(`${whole} ${id}`)
      pieces.set(`${whole} ${id}`, {
        table,
        kind,
        id,
        bytes: Number(bytes) + (known?.bytes ?? 0),
        rows: Number(count) + (known?.rows ?? 0),
        youngest: Math.max(youngest, known?.youngest ?? 0),
      })
    }
    return [...pieces.values()]
  }

  #rows<Row>(query: string): Promise<Row[]> {
    return rowsOf<Row>(this.#options.client, query)
  }
}

/** Bytes of the disks that ClickHouse keeps tables on, where they are not this host's. */
export async function diskBytes(client: ClickHouseClient): Promise<number> {
  // An object store says the greatest number there is. Who may not see disks drops nothing.
  const [row] = await rowsOf<{ bytes: string }>(
    client,
    `SELECT toString(sum(toFloat64(total_space))) AS bytes FROM system.disks WHERE name IN (
       SELECT arrayJoin(disks) FROM system.storage_policies WHERE policy_name = 'default')`,
  )
  return Number(row?.bytes) || Number.POSITIVE_INFINITY
}

const OURS = `database IN (${[...new Set(tables.map(({ database }) => text(database)))].join(', ')})`

/** Rows and 1 s points give way before 1 m points, partitions before parts, old before new. */
function inOrder(pieces: readonly Piece[], now: number): Piece[] {
  const rank = ({ table, kind, youngest }: Piece): number =>
    (table.name.endsWith('.1m') ? 2 : 0) * 1e12 +
    (kind === 'PART' ? 1e12 : 0) -
    Math.max(now - youngest, 0)
  return [...pieces].sort((a, b) => rank(a) - rank(b))
}
