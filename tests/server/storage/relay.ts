/** The real engine behind a TCP port, as a ClickHouse server of its own: HTTP in, the child's socket out. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Child, startChild } from '../../../src/lib/process.ts'
import { ENGINE_SOCKET, type EngineOptions } from '../../../src/model/engine.ts'
import { DEFAULT_LIMITS } from '../../../src/server/storage/clickhouse.ts'
import { readerSettings } from '../../../src/server/storage/remote.ts'
import { ENGINE_COMMAND, LIBRARY } from './engine.ts'

type Role = 'writer' | 'reader'

export type RelayOptions = {
  readonly directory: string
  readonly port: number
  /** Whom the engine shall take a user for; undefined: it is not let in. */
  readonly roleOf: (user: string, password: string, url: URL) => Role | undefined
  /** Whether readers have their limits by a profile: whatever setting they send is refused. */
  readonly isReadonlyFixed?: boolean
  /** When the engine is to be killed over an insert: `after` it was stored, yet before it is said. */
  readonly fateOf?: (insert: string) => 'before' | 'amid' | 'after' | undefined
  readonly onLine?: (line: string) => void
}

export type Relay = {
  readonly port: number
  readonly engine: Child
  /** Ends the engine as a power cut of the server would: no answer under way is finished. */
  kill(): Promise<void>
  stop(): Promise<void>
}

/** What ClickHouse itself says, its hints and all. */
function notLetIn(user: string): Response {
  const headers = { 'x-clickhouse-exception-code': '516' }
  return new Response(sentenceOfNotLetIn(user), { status: 403, headers })
}

const sentenceOfNotLetIn = (user: string): string =>
  `Code: 516. DB::Exception: ${user}: Authentication failed: password is incorrect, or there is no user with such name.\n\nIf you use ClickHouse Cloud, the password can be reset at https://clickhouse.cloud/\non the settings page for the corresponding service.\n\n. (AUTHENTICATION_FAILED) (version 26.7.3.1 (official build))\n`

/** Starts the engine on `directory` and lets it be reached at `port` (0: any), until it ends. */
export async function startRelay(options: RelayOptions): Promise<Relay> {
  const { directory, onLine } = options
  const users = { writer: crypto.randomUUID(), reader: crypto.randomUUID() }
  mkdirSync(directory, { recursive: true })
  const file = join(directory, 'options.json')
  const engineOptions: EngineOptions = {
    library: LIBRARY,
    directory,
    parentProcessId: process.pid,
    users,
    writers: 3,
    readers: 4,
    limits: DEFAULT_LIMITS,
  }
  writeFileSync(file, JSON.stringify(engineOptions))
  const ready = Promise.withResolvers<void>()
  const engine = startChild({
    command: [...ENGINE_COMMAND, file],
    name: 'engine',
    onLine(line) {
      if (line.startsWith('{"ready"')) ready.resolve()
      else onLine?.(line)
    },
  })
  void engine.exited.then(() => ready.reject(new Error('the engine ended before it served')))
  await ready.promise
  const socket = join(directory, ENGINE_SOCKET)
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: options.port,
    idleTimeout: 0,
    maxRequestBodySize: 1 << 30,
    fetch: (request) => relayed(request, { ...options, socket, users, kill }),
  })
  async function kill(): Promise<void> {
    engine.signal('SIGKILL')
    await hungUp
  }
  // A server that is gone hangs up on everybody and nobody is let in.
  const hungUp = engine.exited.then(() => server.stop(true))
  return {
    port: server.port!,
    engine,
    kill,
    async stop(): Promise<void> {
      await engine.stop()
      await hungUp
    },
  }
}

/** Settings a reader of the engine has already, and could not set again: it is readonly. */
const FIXED = Object.keys(readerSettings(DEFAULT_LIMITS))

type Inside = RelayOptions & {
  readonly socket: string
  readonly users: Readonly<Record<Role, string>>
  readonly kill: () => Promise<void>
}

async function relayed(request: Request, inside: Inside): Promise<Response> {
  const { socket, users, roleOf } = inside
  const url = new URL(request.url)
  const headers = new Headers(request.headers)
  if (url.pathname !== '/ping') {
    const [user = 'default', password = ''] = credentials(request)
    const role = roleOf(user, password, url)
    if (role === undefined) return notLetIn(user)
    headers.set('authorization', `Basic ${btoa(`${role}:${users[role]}`)}`)
    if (role === 'reader' && !inside.isReadonlyFixed)
      for (const name of FIXED) url.searchParams.delete(name)
  }
  const bytes = request.method === 'POST' ? Buffer.from(await request.arrayBuffer()) : undefined
  const body = bytes?.subarray(0, 64).includes('DICTIONARY')
    ? withoutUser(bytes.toString(), (user, password) => roleOf(user, password, url) === 'writer')
    : bytes
  if (body === '') return notLetIn('the source of a dictionary')
  const insert = url.searchParams.get('query') ?? ''
  const fate = insert.startsWith('INSERT') ? inside.fateOf?.(insert) : undefined
  if (fate === 'before') await inside.kill()
  if (fate === 'amid') setTimeout(inside.kill, 3)
  try {
    const answer = await fetch(`http://engine${url.pathname}${url.search}`, {
      unix: socket,
      method: request.method,
      headers,
      signal: request.signal,
      decompress: false,
      ...(body === undefined ? {} : { body }),
    })
    if (fate === 'after') await inside.kill()
    return answer
  } catch {
    // The engine is gone: so is this connection, in a moment.
    return await new Promise(() => undefined)
  }
}

function credentials(request: Request): string[] {
  const basic = /^Basic (\S+)$/.exec(request.headers.get('authorization') ?? '')?.[1]
  return basic === undefined ? [] : Buffer.from(basic, 'base64').toString().split(/:(.*)/s, 2)
}

/**
 * A dictionary's DDL as it would be by a user who has no name: the engine knows no other. Empty
 * where the source's user is not let in.
 */
function withoutUser(ddl: string, isLetIn: (user: string, password: string) => boolean): string {
  const quoted = String.raw`'((?:[^'\\]|\\.)*)'`
  const found = new RegExp(` USER ${quoted} PASSWORD ${quoted}`).exec(ddl)
  if (found === null) return ddl
  const [all, user = '', password = ''] = found
  const plain = (text: string): string => text.replace(/\\(.)/gs, '$1')
  return isLetIn(plain(user), plain(password)) ? ddl.replace(all, '') : ''
}
