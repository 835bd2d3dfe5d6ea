/** A server that only has an engine: prints the engine's process id and waits to be killed. */
import { realEnv } from '../../src/lib/env-real.ts'
import { print } from '../../src/lib/log.ts'
import { startClickHouse } from '../../src/server/storage/clickhouse.ts'
import { ENGINE_COMMAND, LIBRARY } from '../server/storage/engine.ts'

const clickhouse = await startClickHouse({
  env: realEnv(),
  directory: process.argv[2]!,
  way: { kind: 'embedded', library: LIBRARY, command: ENGINE_COMMAND },
})
print(`${clickhouse.processId()}\n`)
await new Promise(() => undefined)
