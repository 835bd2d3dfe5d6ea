/** A clickhouse program of the host's, run as our child with a configuration of our making. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { basename, join } from 'node:path'
import type { Env } from '../../lib/env.ts'
import { MetaflowError } from '../../lib/errors.ts'
import { log } from '../../lib/log.ts'
import { startChild } from '../../lib/process.ts'
import { DATABASES } from '../../model/engine.ts'
import type { Clients, Limits } from './clickhouse.ts'
import { readerOf, readerSettings, type User, writerOf } from './remote.ts'
import { Supervisor } from './supervisor.ts'

export type BinaryOptions = {
  readonly kind: 'binary'
  /** Path, or a name on PATH. */
  readonly binary: string
}

const PING_MS = 100

export type BinaryConfig = {
  readonly directory: string
  readonly port: number
  readonly writer: User
  readonly reader: User
  readonly limits: Limits
}

/** Starts nothing yet: chooses a port and passwords, and answers who would look after the child. */
export async function superviseBinary(
  way: BinaryOptions,
  directory: string,
  env: Env,
  limits: Limits,
): Promise<{ readonly supervisor: Supervisor; readonly clients: Clients; readonly writer: User }> {
  const program = Bun.which(way.binary)
  if (program === null)
    throw new MetaflowError('absent', `Cannot start ${way.binary}: there is no such program`)
  for (const part of ['data', 'tmp', 'none'])
    mkdirSync(join(directory, part), { recursive: true, mode: 0o700 })
  const port = await freePort()
  const secret = (): string => Buffer.from(env.random.bytes(32)).toString('hex')
  const writer = { user: 'metaflow_writer', password: secret() }
  const reader = { user: 'metaflow_reader', password: secret() }
  const config = { directory, port, writer, reader, limits }
  const url = `http://127.0.0.1:${port}`
  // The reader's limits stand in its profile, where no statement can change them.
  const clients = { writer: writerOf(url, writer), reader: readerOf(url, reader, limits, {}) }
  const supervisor = new Supervisor({
    name: basename(program),
    env,
    start() {
      const file = join(directory, 'config.xml')
      writeFileSync(file, serverXml(config), { mode: 0o600 })
      writeFileSync(join(directory, 'users.xml'), serverUsersXml(config), { mode: 0o600 })
      let last = 'it said nothing'
      const child = startChild({
        command: [
          program,
          ...(basename(program) === 'clickhouse-server' ? [] : ['server']),
          `--config-file=${file}`,
        ],
        name: 'clickhouse',
        directory: join(directory, 'none'),
        // It would start itself as a child of its own, to look after it: that is what we do.
        environment: { CLICKHOUSE_WATCHDOG_ENABLE: '0' },
        onLine(line) {
          last = line
          log(levelOf(line), `clickhouse: ${line}`)
        },
      })
      let ended = false
      void child.exited.then(() => {
        ended = true
      })
      const ready = answered(clients, env, () => ended)
      return { child, ready, lastLine: () => last }
    },
  })
  return { supervisor, clients, writer }
}

/** ClickHouse writes `{query id} <Error> Part: …`. */
function levelOf(line: string): 'error' | 'warn' | 'info' {
  const level = /<(Fatal|Critical|Error|Warning)>/.exec(line)?.[1]
  if (level === undefined) return 'info'
  return level === 'Warning' ? 'warn' : 'error'
}

/** Resolves when it answers; never, where it ended. */
async function answered(clients: Clients, env: Env, ended: () => boolean): Promise<void> {
  while (!(await clients.writer.ping()).success) {
    if (ended()) return await new Promise(() => undefined)
    await new Promise<void>((resolve) => {
      env.timers.after(PING_MS, resolve)
    })
  }
}

/** A port of loopback that nobody has; it stays the same when the child is started again. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}

/** Loopback HTTP and nothing else; every file in our directory. */
export function serverXml({ directory, port, limits }: BinaryConfig): string {
  return `<clickhouse>
  <logger><level>warning</level><console>1</console></logger>
  <listen_host>127.0.0.1</listen_host>
  <http_port>${port}</http_port>
  <path>${directory}/data/</path>
  <tmp_path>${directory}/tmp/</tmp_path>
  <user_files_path>${directory}/none/</user_files_path>
  <format_schema_path>${directory}/none/</format_schema_path>
  <user_directories><users_xml><path>${directory}/users.xml</path></users_xml></user_directories>
  <timezone>UTC</timezone>
  <max_server_memory_usage>${limits.memoryBytes}</max_server_memory_usage>
  <mark_cache_size>134217728</mark_cache_size>
  <uncompressed_cache_size>0</uncompressed_cache_size>
  <default_database>default</default_database>
  <max_concurrent_queries>100</max_concurrent_queries>
</clickhouse>
`
}

/** Two users, each with what it needs; limits of the reader that it cannot lift. */
export function serverUsersXml({ writer, reader, limits }: BinaryConfig): string {
  const settings = Object.entries(readerSettings(limits))
  const grants = DATABASES.map((database) => `GRANT ALL ON ${database}.*`)
  const reads = DATABASES.map((database) => `GRANT SELECT, dictGet ON ${database}.*`)
  return `<clickhouse>
  <profiles>
    <default/>
    <reader>
${settings.map(([name, value]) => `      <${name}>${value}</${name}>`).join('\n')}
    </reader>
  </profiles>
  <quotas><default/></quotas>
  <users>
${userXml(writer, 'default', [
  ...grants,
  'GRANT SELECT ON system.*',
  'GRANT SYSTEM RELOAD DICTIONARY, KILL QUERY ON *.*',
])}
${userXml(reader, 'reader', reads)}
  </users>
</clickhouse>
`
}

function userXml({ user, password }: User, profile: string, grants: readonly string[]): string {
  const digest = new Bun.CryptoHasher('sha256').update(password).digest('hex')
  return `    <${user}>
      <password_sha256_hex>${digest}</password_sha256_hex>
      <networks><ip>127.0.0.1</ip></networks>
      <profile>${profile}</profile>
      <quota>default</quota>
      <grants>
${grants.map((grant) => `        <query>${grant}</query>`).join('\n')}
      </grants>
    </${user}>`
}
