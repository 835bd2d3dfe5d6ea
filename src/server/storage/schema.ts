/** Tables, dictionaries and migrations, made from the tables' declarations. */
import type { ClickHouseClient } from '@clickhouse/client'
import { MetaflowError } from '../../lib/errors.ts'
import { log } from '../../lib/log.ts'
import { DATABASES } from '../../model/engine.ts'
import { NAME_TYPE } from '../../model/name.ts'
import { tables } from '../../model/tables/registry.ts'
import { type Column, qualifiedName, type Table } from '../../model/tables/table.ts'
import { engineWords, type User } from './remote.ts'

export const NAMES_TABLE = 'flow_tag.names'
/** Dictionaries and which names each holds. */
export const DICTIONARIES: readonly (readonly [name: string, where: string])[] = [
  ['flow_tag.auto_instance_map', ''],
  ['flow_tag.host_map', ` WHERE type = ${NAME_TYPE.host}`],
  ['flow_tag.gprocess_map', ` WHERE type = ${NAME_TYPE.process}`],
]

/** How long rows are kept, in hours, by table; absent: as the table declares. */
export type Retention = Readonly<Record<string, number>>

/**
 * What a part of ours must survive: a power cut after the acknowledgement. Parts go whole when
 * the last of their rows is too old.
 */
const DURABLE = 'fsync_after_insert = 1, fsync_part_directory = 1'
const TABLE_SETTINGS = `${DURABLE}, ttl_only_drop_parts = 1, merge_with_ttl_timeout = 3600`

export function createTable(table: Table, retention: Retention = {}): string {
  const columns = table.columns.filter(isStored)
  const lines = [...columns.map(columnClause), ...columns.flatMap(indexClause)]
  return `CREATE TABLE IF NOT EXISTS ${qualifiedName(table)} (
  ${lines.join(',\n  ')}
) ENGINE = ${table.aggregating ? 'AggregatingMergeTree' : 'MergeTree'}
PARTITION BY ${partitionExpression(table)}
ORDER BY (${table.orderBy.join(', ')})
TTL ${ttlClause(table, retention)}
SETTINGS ${TABLE_SETTINGS}
COMMENT ${text(table.about)}`
}

/** A partition's id is then the number itself, as `Insert.partition` says it. */
export function partitionExpression(table: Table): string {
  return `intDiv(toUnixTimestamp(time), ${table.partitionHours * 3600})`
}

export function ttlClause(table: Table, retention: Retention): string {
  return `time + toIntervalHour(${retention[table.name] ?? table.retentionHours})`
}

function isStored(column: Column): boolean {
  return column.stored !== false
}

function columnClause({ name, type, codec, about, unit }: Column): string {
  const comment = unit === '' ? about : `${about} [${unit}]`
  return `${name} ${type} COMMENT ${text(comment)}${codec === '' ? '' : ` CODEC(${codec})`}`
}

function indexClause({ name, index }: Column): string[] {
  return index === undefined ? [] : [`INDEX ${indexName(name)} ${name} TYPE ${index}`]
}

function indexName(column: string): string {
  return `idx_${column.replace(/^_/, '')}`
}

const NAMES_DDL = `CREATE TABLE IF NOT EXISTS ${NAMES_TABLE} (
  id UInt32,
  type UInt8 COMMENT 'What it is: 0 address, 6 host, 120 process group, 250 agent.',
  key String COMMENT 'What makes it the same thing across restarts.',
  name String,
  process_kname String,
  host_id UInt32 COMMENT 'Number of the host it is on, 0 where unknown.',
  host_key String,
  host String COMMENT 'Name of the host it is on.'
) ENGINE = ReplacingMergeTree ORDER BY id
SETTINGS ${DURABLE}
COMMENT 'Names of all that rows point to, by id.'`

/**
 * Flat arrays by id, since ids are dense. The engine does not reload dictionaries by LIFETIME
 * (measured), so they are told to when names were added. The source is this server itself: named by
 * address, since a confined engine cannot look a name up.
 */
function createDictionary(name: string, where: string, source: User | undefined): string {
  const columns = ['id', 'name', 'type', 'key', 'process_kname', 'host_id', 'host']
  const user =
    source === undefined ? '' : ` USER ${text(source.user)} PASSWORD ${text(source.password)}`
  return `CREATE OR REPLACE DICTIONARY ${name} (
  id UInt64, name String, type UInt8, key String, process_kname String, host_id UInt32, host String
) PRIMARY KEY id
SOURCE(CLICKHOUSE(HOST '127.0.0.1'${user} QUERY ${text(`SELECT ${columns.join(', ')} FROM ${NAMES_TABLE} FINAL${where}`)}))
LAYOUT(HASHED_ARRAY()) LIFETIME(0)`
}

const VERSIONS_DDL = `CREATE TABLE IF NOT EXISTS flow_tag.schema_version (
  version UInt32, applied DateTime DEFAULT now()
) ENGINE = MergeTree ORDER BY version SETTINGS ${DURABLE}
COMMENT 'Versions this schema has had; it only grows.'`

/** The greatest version any column was brought by. */
export const SCHEMA_VERSION: number = Math.max(
  ...tables.flatMap((table) => table.columns.map((column) => column.since)),
)

/**
 * Brings the database to this program's schema: makes what is absent, adds columns and indexes
 * that are new, never drops or changes one. Refuses a database that a later program has written.
 * Dictionaries read their table as `source`, where the server has users.
 */
export async function migrate(
  client: ClickHouseClient,
  retention: Retention = {},
  source?: User,
): Promise<void> {
  await bringUp(client, retention, source).catch((cause) => {
    throw cannot('make the tables in ClickHouse', cause, source)
  })
}

async function bringUp(
  client: ClickHouseClient,
  retention: Retention,
  source: User | undefined,
): Promise<void> {
  await makeDatabases(client)
  await client.command({ query: VERSIONS_DDL })
  const [{ version = 0 } = {}] = await rowsOf<{ version: number }>(
    client,
    'SELECT max(version) AS version FROM flow_tag.schema_version',
  )
  if (version > SCHEMA_VERSION)
    throw new MetaflowError(
      'unsupported',
      `Cannot use this data: its schema is version ${version}, this program knows ${SCHEMA_VERSION}; start the later program again`,
    )
  for (const table of tables) await migrateTable(client, table, retention)
  await client.command({ query: NAMES_DDL })
  for (const [name, where] of DICTIONARIES) await makeDictionary(client, name, where, source)
  if (version < SCHEMA_VERSION)
    await client.command({
      query: `INSERT INTO flow_tag.schema_version (version) VALUES (${SCHEMA_VERSION})`,
    })
}

/** Those that are there are left alone: whoever runs the server may have made them for us. */
async function makeDatabases(client: ClickHouseClient): Promise<void> {
  const list = DATABASES.map(text).join(', ')
  const present = await names(client, `SELECT name FROM system.databases WHERE name IN (${list})`)
  for (const database of DATABASES)
    if (!present.has(database))
      await client.command({ query: `CREATE DATABASE IF NOT EXISTS ${database}` })
}

/** Where the source is a user it is read at once: what keeps it from that is told at the start. */
async function makeDictionary(
  client: ClickHouseClient,
  name: string,
  where: string,
  source: User | undefined,
): Promise<void> {
  await client.command({ query: createDictionary(name, where, source) })
  if (source === undefined) return
  await client.command({ query: `SYSTEM RELOAD DICTIONARY ${name}` }).catch((cause) => {
    const as = `as user ${source.user} from 127.0.0.1, as its dictionaries do`
    throw cannot(`read names in ClickHouse ${as}`, cause, source)
  })
}

/** ClickHouse may quote the statement it could not read: a password in it is nobody's business. */
function cannot(what: string, cause: unknown, source: User | undefined): MetaflowError {
  if (cause instanceof MetaflowError) return cause
  let words = engineWords(cause)
  for (const secret of secretsOf(source)) words = words.replaceAll(secret, '…')
  return new MetaflowError('unavailable', `Cannot ${what}: ${words}`, cause)
}

function secretsOf(source: User | undefined): string[] {
  if (source === undefined || source.password === '') return []
  return [text(source.password).slice(1, -1), source.password]
}

async function migrateTable(
  client: ClickHouseClient,
  table: Table,
  retention: Retention,
): Promise<void> {
  await client.command({ query: createTable(table, retention) })
  const where = `database = ${text(table.database)} AND table = ${text(table.name)}`
  const known = await names(client, `SELECT name FROM system.columns WHERE ${where}`)
  const indexes = await names(
    client,
    `SELECT name FROM system.data_skipping_indices WHERE ${where}`,
  )
  const changes: string[] = []
  for (const column of table.columns.filter(isStored)) {
    if (!known.has(column.name)) changes.push(`ADD COLUMN ${columnClause(column)}`)
    if (column.index !== undefined && !indexes.has(indexName(column.name)))
      changes.push(`ADD ${indexClause(column)[0]}`)
  }
  if (changes.length > 0) {
    log('info', `Adding to ${qualifiedName(table)}: ${changes.length} columns and indexes`)
    await client.command({ query: `ALTER TABLE ${qualifiedName(table)} ${changes.join(', ')}` })
  }
  await adjustTtl(client, table, retention)
}

/** A retention that was set anew applies to what is already stored. */
async function adjustTtl(
  client: ClickHouseClient,
  table: Table,
  retention: Retention,
): Promise<void> {
  const where = `database = ${text(table.database)} AND name = ${text(table.name)}`
  const [{ engine_full = '' } = {}] = await rowsOf<{ engine_full: string }>(
    client,
    `SELECT engine_full FROM system.tables WHERE ${where}`,
  )
  const ttl = ttlClause(table, retention)
  if (engine_full.includes(`TTL ${ttl} `)) return
  log('info', `Keeping rows of ${qualifiedName(table)} as long as is set: ${ttl}`)
  await client.command({ query: `ALTER TABLE ${qualifiedName(table)} MODIFY TTL ${ttl}` })
}

async function names(client: ClickHouseClient, query: string): Promise<Set<string>> {
  return new Set((await rowsOf<{ name: string }>(client, query)).map(({ name }) => name))
}

/** The rows of `query`. */
export async function rowsOf<Row>(client: ClickHouseClient, query: string): Promise<Row[]> {
  return await (await client.query({ query, format: 'JSONEachRow' })).json<Row>()
}

/** `value` as an SQL string. */
export function text(value: string): string {
  return `'${value.replace(/[\\']/g, '\\$&')}'`
}
