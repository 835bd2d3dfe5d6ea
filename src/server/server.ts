/** The server on one page: blocks in, synced, tagged, stored; questions answered; pages served. */
import { version } from '../../package.json' with { type: 'json' }
import { splitListen } from '../config/rules.ts'
import type { ServerConfig } from '../config/settings.ts'
import { engineLibrary } from '../engine/extract.ts'
import { type Sample, sampleOf, samplesOf } from '../lib/counters.ts'
import { takeDataDirectory } from '../lib/data-directory.ts'
import type { Env } from '../lib/env.ts'
import { realEnv } from '../lib/env-real.ts'
import { MetaflowError, sentenceOf } from '../lib/errors.ts'
import { log } from '../lib/log.ts'
import { tables } from '../model/tables/registry.ts'
import { buildApp } from './apis/app.ts'
import { Bodies } from './apis/body.ts'
import { Door, idleSeconds } from './apis/door.ts'
import { readAssets } from './assets.ts'
import { catalogOf } from './query/catalog.ts'
import { describeCatalog } from './query/describe.ts'
import { Query } from './query/query.ts'
import { Receiver } from './receiver/receiver.ts'
import { type ClickHouse, DEFAULT_LIMITS, startClickHouse, type Way } from './storage/clickhouse.ts'
import { Inserter } from './storage/inserter.ts'
import { encodeNative } from './storage/native.ts'
import { diskBytes, Retention, type RetentionOptions } from './storage/retention.ts'
import { migrate } from './storage/schema.ts'
import { SetAside } from './storage/set-aside.ts'
import { ClickHouseStore } from './storage/store-clickhouse.ts'
import { Tagging } from './tagging/tagging.ts'

export type RunningServer = {
  /** Where it is reached. */
  readonly url: string
  stop(): Promise<void>
}

/** The receiver's log takes at most this part of what all of MetaFlow's files may take. */
const LOG_SHARE = 0.25
const LOG_BYTES_MAX = 8 * 1024 ** 3
const LISTEN_STATES: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the port is in use',
  EADDRNOTAVAIL: 'this host has no such address',
  EACCES: 'this user may not listen there',
}

/** Starts everything in the order of the journey's end to its beginning; a sentence on failure. */
export async function startServer(config: ServerConfig): Promise<RunningServer> {
  const env = realEnv()
  const { dataDir } = config
  const startedAt = env.clock.wall() / 1000
  takeDataDirectory(env, dataDir, { part: 'server', folder: 'log' })
  // Who has the port already is told of before an engine is unpacked and started.
  await listen(config, () => new Response(null, { status: 503 })).stop(true)
  const clickhouse = await timed(env, 'ClickHouse is ready', () => openClickHouse(config, env))
  await timed(env, 'Tables are ready', () =>
    migrate(clickhouse.writer, retentionOf(config), clickhouse.source),
  )
  const intake = await openIntake(config, env, clickhouse)
  const others = (): number => intake.bytes() + folderBytes(env, `${dataDir}/spool`)
  const retention = new Retention(retentionOptions(config, env, clickhouse, others))
  retention.start()
  const catalog = catalogOf(tables)
  const limits = { rows: config.query.maxRows }
  const query = new Query({ client: clickhouse.reader, catalog, clock: env.clock, limits })
  const bodies = new Bodies()
  const samples = (): Sample[] => [
    ...intake.samples(),
    ...engineSamples(clickhouse),
    ...retentionSamples(retention),
    ...samplesOf(query.counters),
    sampleOf('bodies_refused_total', 'Requests of blocks, too many at a time.', bodies.refused),
  ]
  const app = buildApp({
    clock: env.clock,
    token: config.server.token,
    query,
    catalog: describeCatalog(catalog),
    takeBlocks: (body, authorization) => intake.receiver.take(body, authorization),
    engine: () => {
      const { state, sentence } = clickhouse.health()
      return { healthy: state === 'up', sentence }
    },
    server: () => ({ version, startedAt, ...cost(), samples: samples() }),
    samples,
    bodies,
    assets: readAssets(),
  })
  const fetch = app.fetch as (request: Request) => Promise<Response>
  const door = new Door({ timers: env.timers, listen: (port) => listen(config, fetch, port) })
  log('info', `Listening on ${door.origin}`)
  return {
    url: door.origin,
    async stop(): Promise<void> {
      await door.stop()
      retention.stop()
      await intake.stop()
      await clickhouse.stop()
    },
  }
}

/** The share is of the file system the tables are on: at a URL of ClickHouse's, not of ours. */
function retentionOptions(
  { server: { diskShare }, dataDir }: ServerConfig,
  env: Env,
  { writer: client, way }: ClickHouse,
  others: () => number,
): RetentionOptions {
  if (way === 'url') {
    const limit = async (): Promise<number> => (await diskBytes(client)) * diskShare
    return { env, client, limit, others: () => 0 }
  }
  return { env, client, limit: () => env.files.space(dataDir).total * diskShare, others }
}

type Intake = {
  readonly receiver: Receiver
  /** Bytes on disk: the log, ids, and what was set aside. */
  bytes(): number
  samples(): Sample[]
  stop(): Promise<void>
}

/** From blocks to stored rows: the receiver's log, ids, one inserter a table. */
async function openIntake(config: ServerConfig, env: Env, clickhouse: ClickHouse): Promise<Intake> {
  const { dataDir } = config
  const store = new ClickHouseStore({ clickhouse, timers: env.timers })
  const tagging = await Tagging.open({ env, directory: `${dataDir}/ids`, store })
  const receiver = await Receiver.open({
    env,
    directory: `${dataDir}/log`,
    tables: tables.map(({ number }) => number),
    greatestStored: await store.greatestSegment(),
    maxBytes: logBytes(config, env),
    ...(config.server.token === undefined ? {} : { token: config.server.token }),
  })
  const setAside = new SetAside(env, `${dataDir}/set-aside`)
  const inserters = tables.map(
    (table) =>
      new Inserter({
        env,
        table,
        source: receiver,
        store,
        encode: encodeNative,
        resolve: (agent, names) => tagging.resolve(agent, names),
        setAside,
      }),
  )
  const wake = (): void => {
    for (const inserter of inserters) inserter.wake()
  }
  receiver.onSealed = wake
  wake()
  return {
    receiver,
    bytes: () =>
      [`${dataDir}/log`, `${dataDir}/ids`, `${dataDir}/set-aside`].reduce(
        (sum, folder) => sum + folderBytes(env, folder),
        0,
      ),
    samples: () => [
      ...samplesOf(receiver.counters),
      sampleOf('receiver_repeats_total', 'Blocks that had been taken before.', receiver.repeats),
      sampleOf('receiver_log_bytes', "Bytes of the receiver's log.", receiver.size.bytes),
      sampleOf('receiver_log_segments', 'Segments not stored yet.', receiver.size.segments),
      ...samplesOf(tagging.counters),
      sampleOf('tagging_names', 'Names that have an id.', tagging.size),
      ...inserters.flatMap((inserter) => inserterSamples(inserter)),
      sampleOf('set_aside_total', 'Blocks the tables would not have.', setAside.blocks),
    ],
    async stop(): Promise<void> {
      await receiver.stop()
      wake()
      await Promise.all(inserters.map((inserter) => inserter.stop()))
      await receiver.close()
      tagging.close()
    },
  }
}

async function openClickHouse(config: ServerConfig, env: Env): Promise<ClickHouse> {
  const { query, dataDir } = config
  const limits = {
    ...DEFAULT_LIMITS,
    readerSeconds: query.maxSeconds,
    readerMemoryBytes: query.maxMemory,
    readerRows: query.maxRows,
  }
  const way = await wayOf(config)
  return await startClickHouse({ env, directory: `${dataDir}/clickhouse`, way, limits })
}

/** Whose ClickHouse it is: somebody else's, a program of this host's, or the one we carry. */
async function wayOf({ clickhouse, dataDir }: ServerConfig): Promise<Way> {
  const { url, cluster, user, password, binary } = clickhouse
  if (cluster !== undefined)
    throw new MetaflowError(
      'unsupported',
      'Cannot use clickhouse.cluster: tables of a cluster are not made yet; leave it out',
    )
  if (url !== undefined) return { kind: 'url', url, user, password }
  if (binary !== undefined) return { kind: 'binary', binary }
  return { kind: 'embedded', library: await engineLibrary(`${dataDir}/engine`) }
}

function listen(
  config: ServerConfig,
  fetch: (request: Request) => Promise<Response> | Response,
  givenPort?: number,
): Bun.Server<undefined> {
  const at = config.server.listen
  const { host: hostname, port } = splitListen(at)
  try {
    return Bun.serve({
      hostname,
      port: givenPort ?? port,
      idleTimeout: idleSeconds(config.query.maxSeconds),
      // The runtime's own page of an error shows our insides. Without it ports would be shared.
      development: false,
      reusePort: false,
      fetch,
    })
  } catch (error) {
    throw cannotListen(at, error)
  }
}

function cannotListen(at: string, error: unknown): MetaflowError {
  const state = LISTEN_STATES[(error as NodeJS.ErrnoException).code ?? ''] ?? sentenceOf(error)
  return new MetaflowError('failed', `Cannot listen on ${at}: ${state}`, error)
}

/** Bytes of a folder's files; an agent of this host keeps its spool beside our log. */
function folderBytes({ files }: Env, folder: string): number {
  try {
    return files.list(folder).reduce((sum, name) => sum + files.size(`${folder}/${name}`), 0)
  } catch {
    return 0
  }
}

function retentionOf({ server }: ServerConfig): Record<string, number> {
  const { rowsHours, secondsHours, minutesHours } = server.retention
  return Object.fromEntries(
    tables.map(({ name }) => {
      if (name.endsWith('.1s')) return [name, secondsHours]
      return [name, name.endsWith('.1m') ? minutesHours : rowsHours]
    }),
  )
}

function logBytes({ server, dataDir }: ServerConfig, env: Env): number {
  const { total } = env.files.space(dataDir)
  return Math.min(total * server.diskShare * LOG_SHARE, LOG_BYTES_MAX)
}

function cost(): { cpuSeconds: number; memoryBytes: number } {
  const { user, system } = process.cpuUsage()
  return { cpuSeconds: (user + system) / 1e6, memoryBytes: process.memoryUsage.rss() }
}

function inserterSamples(inserter: Inserter): Sample[] {
  const { counters, clamped, found, inserts, unknownColumns } = inserter
  const { station } = counters
  return [
    ...samplesOf(counters),
    sampleOf(`${station}_inserts_total`, 'Inserts sent.', inserts),
    sampleOf(`${station}_found_total`, 'Inserts found stored when sent again.', found),
    sampleOf(`${station}_clamped_total`, 'Rows whose time was set to within a day.', clamped),
    sampleOf(`${station}_unknown_columns_total`, 'Columns of later agents.', unknownColumns),
  ].map((one) => ({
    ...one,
    name: one.name.replace(station, 'inserter'),
    labels: { ...one.labels, table: station.slice('inserter_'.length) },
  }))
}

function engineSamples(clickhouse: ClickHouse): Sample[] {
  const { state, restarts } = clickhouse.health()
  return [
    sampleOf('engine_up', '1 while ClickHouse answers.', state === 'up' ? 1 : 0),
    sampleOf('engine_restarts_total', 'Times ClickHouse was started again.', restarts),
  ]
}

function retentionSamples({ dropped, tableBytes }: Retention): Sample[] {
  return [
    sampleOf('storage_bytes', 'Bytes of all tables.', tableBytes),
    sampleOf('storage_rows_dropped_total', 'Rows dropped for want of room.', dropped.rows),
  ]
}

async function timed<T>(env: Env, sentence: string, run: () => Promise<T>): Promise<T> {
  const from = env.clock.monotonic()
  const value = await run()
  log('info', sentence, { ms: Math.round((env.clock.monotonic() - from) / 1000) })
  return value
}
