/** ClickHouse, three ways behind one client: embedded, a binary of the host's, or somewhere else. */
import type { ClickHouseClient } from '@clickhouse/client'
import type { Env } from '../../lib/env.ts'
import { type EmbeddedOptions, superviseEmbedded } from './embedded.ts'
import type { Health } from './supervisor.ts'

export type Limits = {
  /** Memory of the whole engine, bytes. */
  readonly memoryBytes: number
  /** What one reader's statement may take. */
  readonly readerSeconds: number
  readonly readerMemoryBytes: number
  readonly readerRows: number
  readonly readerBytes: number
}
export const DEFAULT_LIMITS: Limits = {
  memoryBytes: 4 * 1024 ** 3,
  readerSeconds: 30,
  readerMemoryBytes: 1024 ** 3,
  readerRows: 1_000_000,
  readerBytes: 256 * 1024 ** 2,
}

export type ClickHouseOptions = {
  readonly env: Env
  /** The engine's own directory, below the server's data directory. */
  readonly directory: string
  readonly way: EmbeddedOptions
  readonly limits?: Limits
}

export type Clients = { readonly writer: ClickHouseClient; readonly reader: ClickHouseClient }

export type ClickHouse = Clients & {
  readonly way: 'embedded' | 'binary' | 'url'
  health(): Health
  /** The child's process, to be muted by the agent; undefined where there is none of ours. */
  processId(): number | undefined
  /** Ends whatever still runs in the engine, and resolves once it serves again. */
  restart(): Promise<void>
  stop(): Promise<void>
}

/** Resolves once it serves. Rejects with one sentence where it cannot be started. */
export async function startClickHouse(options: ClickHouseOptions): Promise<ClickHouse> {
  const limits = options.limits ?? DEFAULT_LIMITS
  const { supervisor, clients } = superviseEmbedded(
    options.way,
    options.directory,
    options.env,
    limits,
  )
  await supervisor.start()
  return {
    ...clients,
    way: options.way.kind,
    health: () => supervisor.health,
    processId: () => supervisor.processId,
    restart: () => supervisor.restart(),
    async stop(): Promise<void> {
      await clients.reader.close()
      await clients.writer.close()
      await supervisor.stop()
    },
  }
}
