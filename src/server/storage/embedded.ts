/** The embedded engine as the server's child: our own executable in another mode. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { Agent, type AgentOptions } from 'node:http'
import { join } from 'node:path'
import { ClickHouseLogLevel, createClient } from '@clickhouse/client'
import type { Env } from '../../lib/env.ts'
import { LEVELS, type Level, log } from '../../lib/log.ts'
import { ownCommand, startChild } from '../../lib/process.ts'
import { ENGINE_SOCKET, type EngineOptions } from '../../model/engine.ts'
import type { Clients, Limits } from './clickhouse.ts'
import { INSERT_MS_MAX } from './remote.ts'
import { Supervisor } from './supervisor.ts'

export type EmbeddedOptions = {
  readonly kind: 'embedded'
  /** Where libchdb.so lies. */
  readonly library: string
  /** The program that serves `--mode=engine`; by default our own. */
  readonly command?: readonly [string, ...string[]]
}

const WRITERS = 3
const READERS = 4

export function superviseEmbedded(
  way: EmbeddedOptions,
  directory: string,
  env: Env,
  limits: Limits,
): { readonly supervisor: Supervisor; readonly clients: Clients } {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const users = { writer: secret(env), reader: secret(env) }
  const command = way.command ?? ownCommand(['--mode=engine'])
  const supervisor = new Supervisor({
    name: 'the embedded ClickHouse engine',
    env,
    start() {
      const file = join(directory, 'options.json')
      const options: EngineOptions = {
        library: way.library,
        directory,
        parentProcessId: process.pid,
        users,
        writers: WRITERS,
        readers: READERS,
        limits,
      }
      writeFileSync(file, JSON.stringify(options), { mode: 0o600 })
      const ready = Promise.withResolvers<void>()
      let last = 'it said nothing'
      const child = startChild({
        command: [...command, file],
        name: 'engine',
        onLine(line, from) {
          if (from === 'stdout' && line.startsWith('{"ready"')) return ready.resolve()
          last = line
          relay(line)
        },
      })
      return { child, ready: ready.promise, lastLine: () => last }
    },
  })
  return { supervisor, clients: clientsOf(join(directory, ENGINE_SOCKET), users, limits) }
}

function secret(env: Env): string {
  return Buffer.from(env.random.bytes(32)).toString('hex')
}

/** The child's log lines already have a level: they keep it. */
export function relay(line: string): void {
  const [, level, sentence] = /^\S+ (debug|info|warn|error) +(.*)$/.exec(line) ?? []
  if (level !== undefined && (LEVELS as readonly string[]).includes(level))
    log(level as Level, sentence ?? '')
  else if (line !== '') log('info', `engine: ${line}`)
}

/** node:http's Agent hands its options to every request it makes; its types do not say so. */
type SocketAgentOptions = AgentOptions & { readonly socketPath: string }

function clientsOf(
  socketPath: string,
  users: { readonly writer: string; readonly reader: string },
  limits: Limits,
): Clients {
  const make = (username: 'writer' | 'reader', connections: number, timeoutMs: number) => {
    // Without `maxSockets`: an agent that queues requests throws from nowhere, without end, once
    // the engine is gone (Bun 1.4.5: removeSocket connects for the next one, and nobody listens).
    const options: SocketAgentOptions = { keepAlive: true, socketPath }
    return createClient({
      url: 'http://engine',
      username,
      password: users[username],
      application: 'metaflow',
      http_agent: new Agent(options),
      max_open_connections: connections,
      request_timeout: timeoutMs,
      log: { level: ClickHouseLogLevel.OFF },
    })
  }
  return {
    writer: make('writer', 16, INSERT_MS_MAX),
    reader: make('reader', 64, (limits.readerSeconds + 5) * 1000),
  }
}
