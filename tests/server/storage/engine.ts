/** A real engine for tests: libchdb of node_modules in a process of its own, on a new directory. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { realEnv } from '../../../src/lib/env-real.ts'
import {
  type ClickHouse,
  type Limits,
  startClickHouse,
} from '../../../src/server/storage/clickhouse.ts'
import { until } from '../../until.ts'

export const LIBRARY: string = resolve(
  import.meta.dir,
  '../../../node_modules/@chdb/lib-linux-x64-gnu/libchdb.so',
)
export const HAS_ENGINE: boolean = existsSync(LIBRARY)
if (!HAS_ENGINE) process.stderr.write('skipped: libchdb is not installed\n')

/** The program that is the engine mode and nothing else. */
export const ENGINE_COMMAND: [string, string] = [
  process.execPath,
  resolve(import.meta.dir, '../../engine/main.ts'),
]

export type TestEngine = ClickHouse & {
  readonly directory: string
  /** Resolves once it was started again so many times and serves. */
  restarted(times: number): Promise<void>
  /** Stops it and removes its directory. */
  end(): Promise<void>
}

export async function startEngine(
  limits?: Limits,
  directory: string = mkdtempSync(join(tmpdir(), 'mf-engine-')),
): Promise<TestEngine> {
  const clickhouse = await startClickHouse({
    env: realEnv(),
    directory,
    way: { kind: 'embedded', library: LIBRARY, command: ENGINE_COMMAND },
    ...(limits === undefined ? {} : { limits }),
  })
  return {
    ...clickhouse,
    directory,
    restarted: (times) =>
      until(() => {
        const { state, restarts } = clickhouse.health()
        return state === 'up' && restarts >= times
      }, 30),
    async end(): Promise<void> {
      await clickhouse.stop()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

/** All rows of `sql` as arrays of values. */
export async function rowsOf(client: ClickHouse['writer'], sql: string): Promise<unknown[][]> {
  const answer = await client.query({ query: sql, format: 'JSONCompactEachRow' })
  return (await answer.json()) as unknown[][]
}
