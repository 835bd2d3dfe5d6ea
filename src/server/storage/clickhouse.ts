/** ClickHouse, three ways behind one client: embedded, a binary of the host's, or elsewhere. */
import type { ClickHouseClient } from '@clickhouse/client'
import type { Env } from '../../lib/env.ts'
import type { EngineLimits } from '../../model/engine.ts'
import { type BinaryOptions, superviseBinary } from './binary.ts'
import { type EmbeddedOptions, superviseEmbedded } from './embedded.ts'
import { type RemoteOptions, remoteClients, type User, Watch } from './remote.ts'
import type { Health } from './supervisor.ts'

export type Limits = EngineLimits
export const DEFAULT_LIMITS: Limits = {
  memoryBytes: 4 * 1024 ** 3,
  readerSeconds: 30,
  readerMemoryBytes: 1024 ** 3,
  readerRows: 1_000_000,
  readerBytes: 256 * 1024 ** 2,
}

export type Way = EmbeddedOptions | BinaryOptions | RemoteOptions

export type ClickHouseOptions = {
  readonly env: Env
  /** The engine's own directory, below the server's data directory. */
  readonly directory: string
  readonly way: Way
  readonly limits?: Limits
}

export type Clients = { readonly writer: ClickHouseClient; readonly reader: ClickHouseClient }

export type ClickHouse = Clients & {
  readonly way: Way['kind']
  /** Whom dictionaries read their table as; the embedded engine has no users. */
  readonly source: User | undefined
  health(): Health
  /** The child's process, to be muted by the agent; undefined where there is none of ours. */
  processId(): number | undefined
  /** Ends whatever still runs in the engine, and resolves once it serves again. */
  restart(): Promise<void>
  stop(): Promise<void>
}

/** Resolves once it serves. Rejects with one sentence where it cannot be started or reached. */
export async function startClickHouse(options: ClickHouseOptions): Promise<ClickHouse> {
  const { keeper, clients, source } = await prepare(options)
  await keeper.start()
  return {
    ...clients,
    way: options.way.kind,
    source,
    health: () => keeper.health,
    processId: () => keeper.processId,
    restart: () => keeper.restart(),
    async stop(): Promise<void> {
      await clients.reader.close()
      await clients.writer.close()
      await keeper.stop()
    },
  }
}

/** Who looks after it: a supervisor of a child of ours, or a watch over somebody else's. */
type Keeper = {
  readonly health: Health
  readonly processId: number | undefined
  start(): Promise<void>
  restart(): Promise<void>
  stop(): Promise<void>
}

async function prepare(options: ClickHouseOptions): Promise<{
  readonly keeper: Keeper
  readonly clients: Clients
  readonly source: User | undefined
}> {
  const { way, directory, env, limits = DEFAULT_LIMITS } = options
  switch (way.kind) {
    case 'embedded': {
      const { supervisor, clients } = superviseEmbedded(way, directory, env, limits)
      return { keeper: supervisor, clients, source: undefined }
    }
    case 'binary': {
      const { supervisor, clients, writer } = await superviseBinary(way, directory, env, limits)
      return { keeper: supervisor, clients, source: writer }
    }
    case 'url': {
      const clients = remoteClients(way.url, way, limits)
      const source = { user: way.user, password: way.password }
      return { keeper: new Watch(way, clients, env), clients, source }
    }
  }
}
