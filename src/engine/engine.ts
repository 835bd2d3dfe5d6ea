/**
 * The managed child: libchdb behind ClickHouse's HTTP interface on a unix socket, confined by the
 * kernel to its own directory. In order: the parent's death, the lock, the confinement, the
 * engine's connections, the socket.
 */
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { type Command, whenStopped } from '../lib/command.ts'
import { MetaflowError } from '../lib/errors.ts'
import { log, print } from '../lib/log.ts'
import { IS_BUILT } from '../lib/worker.ts'
import { ENGINE_SOCKET, type EngineOptions } from '../model/engine.ts'
import { configXml, readerArgs, usersXml, writerArgs } from './config.ts'
import { BODY_BYTES_MAX, handler } from './http.ts'
import { Pool } from './pool.ts'
import { confine, dieWithParent, exitAtOnce, lockFile } from './system.ts'

/**
 * How long a reader's statement may go on once it was killed, at most. It looks whether it is to
 * end between blocks only: one function over one block may take hours (editDistance of 1,000 texts
 * of 60 KB), and nobody would read any more once all readers are at such.
 */
const END_MS_MAX = 15_000
/** How long answers under way may take when it stops. */
const STOP_MS = 2000

/** The kernel takes no longer path of a socket (sockaddr_un), its NUL counted. */
const SOCKET_PATH_BYTES_MAX = 107

function socketPath(directory: string): string {
  return join(directory, ENGINE_SOCKET)
}

/** `--mode=engine OPTIONS_FILE`: serves until it is told to stop or its parent is gone. */
export const runEngine: Command = async (args, stop) => {
  const options = readOptions(args[0])
  dieWithParent()
  if (process.ppid !== options.parentProcessId) return 0
  prepare(options)
  confineTo(options)
  const { writer, reader, control, version } = await openPools(options)
  const socket = socketPath(options.directory)
  rmSync(socket, { force: true })
  const server = Bun.serve({
    unix: socket,
    maxRequestBodySize: BODY_BYTES_MAX,
    // The runtime's own page of an error shows our insides.
    development: false,
    fetch: handler(options.users, { writer, reader }),
  })
  chmodSync(socket, 0o600)
  print(`${JSON.stringify({ ready: version })}\n`)
  await whenStopped(stop)
  // Nobody new is let in; who is being answered has a little time, who only stays connected none.
  const stopped = server.stop()
  await Promise.race([stopped, Bun.sleep(STOP_MS)])
  await reader.close(false)
  await control.close(false)
  // Merges may leave threads that do not end: all is on disk, so nothing is waited for.
  if (!(await writer.close(true))) exitAtOnce(0)
  return 0
}

function readOptions(path: string | undefined): EngineOptions {
  if (path === undefined)
    throw new MetaflowError('misuse', 'Cannot start the engine: a server starts it, no one else')
  const options = JSON.parse(readFileSync(path, 'utf8')) as EngineOptions
  rmSync(path)
  return options
}

/** Takes the directory and writes the configuration into it. */
function prepare({ directory, limits }: EngineOptions): void {
  if (Buffer.byteLength(socketPath(directory)) > SOCKET_PATH_BYTES_MAX)
    throw new MetaflowError(
      'misuse',
      `Cannot open a socket in ${directory}: its path would be longer than ${SOCKET_PATH_BYTES_MAX} bytes; choose a shorter data directory`,
    )
  for (const part of ['data', 'tmp', 'none'])
    mkdirSync(join(directory, part), { recursive: true, mode: 0o700 })
  if (!lockFile(join(directory, 'lock')))
    throw new MetaflowError(
      'conflict',
      `Cannot open ${directory}: another engine has it; only one may at a time`,
    )
  writeFileSync(join(directory, 'config.xml'), configXml(directory, limits), { mode: 0o600 })
  writeFileSync(join(directory, 'users.xml'), usersXml(), { mode: 0o600 })
  // The engine would read ./config.xml of any other place.
  process.chdir(join(directory, 'none'))
}

function confineTo({ directory, library }: EngineOptions): void {
  const abi = confine({
    writable: [directory, '/dev/null', '/dev/shm'],
    readable: [
      // Not /proc/self as a whole: its environ is nobody's business.
      ...['io', 'maps', 'mountinfo', 'mounts', 'cgroup', 'stat', 'statm', 'status'].map(
        (file) => `/proc/self/${file}`,
      ),
      ...['cpuinfo', 'meminfo', 'stat', 'loadavg', 'uptime', 'vmstat'].map(
        (file) => `/proc/${file}`,
      ),
      '/proc/sys/kernel',
      '/proc/sys/vm',
      '/sys/devices/system',
      '/sys/fs/cgroup',
      '/sys/kernel/mm',
      '/dev/urandom',
      '/dev/random',
      '/dev/zero',
      '/usr/share/zoneinfo',
    ],
    executable: ['/lib', '/lib64', '/usr/lib', dirname(library), ...ourselves()],
  })
  if (abi === 0)
    log('warn', 'This kernel has no Landlock: the engine is not confined to its own directory')
}

/** Where our own code lies: Workers are started from it. */
function ourselves(): string[] {
  return IS_BUILT ? [process.execPath] : [process.execPath, resolve(import.meta.dir, '..')]
}

async function openPools(options: EngineOptions): Promise<{
  readonly writer: Pool
  readonly reader: Pool
  readonly control: Pool
  readonly version: string
}> {
  const { library, directory, limits } = options
  const common = [`--path=${directory}/data`, `--config-file=${directory}/config.xml`]
  const broken = (sentence: string): void => {
    log('error', `An engine worker broke: ${sentence}`)
    exitAtOnce(1)
  }
  const kill = (mark: string): void => {
    const sql = `KILL QUERY WHERE startsWith(query, '${mark}') ASYNC`
    const statement = {
      sql,
      kind: 'other',
      format: 'Null',
      database: 'default',
      settings: {},
    } as const
    control
      .run(statement, undefined, new AbortController().signal)
      .catch((error) => log('warn', `Cannot end a statement: ${String(error)}`))
  }
  const writers = [...common, ...writerArgs()]
  const shared = { library, kill, broken }
  const control = new Pool({ ...shared, role: 'writer', size: 1, args: writers })
  const writer = new Pool({ ...shared, role: 'writer', size: options.writers, args: writers })
  const reader = new Pool({
    ...shared,
    role: 'reader',
    size: options.readers,
    args: [...common, ...readerArgs(limits)],
    endMs: Math.min(limits.readerSeconds * 1000, END_MS_MAX),
  })
  const version = await control.open()
  await writer.open()
  await reader.open()
  return { writer, reader, control, version }
}
