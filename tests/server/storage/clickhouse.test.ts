import { afterEach, describe, expect, test } from 'bun:test'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { realEnv } from '../../../src/lib/env-real.ts'
import { serverUsersXml, serverXml } from '../../../src/server/storage/binary.ts'
import {
  type ClickHouse,
  DEFAULT_LIMITS,
  startClickHouse,
  type Way,
} from '../../../src/server/storage/clickhouse.ts'
import { until } from '../../until.ts'
import { ENGINE_COMMAND, HAS_ENGINE, LIBRARY, rowsOf, startEngine } from './engine.ts'

const places: string[] = []
function place(): string {
  const directory = mkdtempSync(join(tmpdir(), 'mf-clickhouse-'))
  places.push(directory)
  return directory
}
afterEach(() => {
  for (const directory of places.splice(0)) rmSync(directory, { recursive: true, force: true })
})

function start(way: Way): Promise<ClickHouse> {
  return startClickHouse({ env: realEnv(), directory: place(), way })
}

describe.skipIf(!HAS_ENGINE)('startClickHouse with the embedded engine', () => {
  test('startClickHouse starts the engine again when it dies, and its clients go on', async () => {
    const engine = await startEngine()
    const first = engine.processId()
    expect(engine.health()).toEqual({
      state: 'up',
      sentence: 'the embedded ClickHouse engine is up',
      restarts: 0,
    })
    process.kill(first!, 'SIGKILL')
    await until(() => engine.health().state === 'down')
    expect(engine.health().sentence).toBe(
      'the embedded ClickHouse engine is down: it was ended by SIGKILL',
    )
    await engine.restarted(1)
    expect(engine.processId()).not.toBe(first)
    expect(await rowsOf(engine.reader, 'SELECT 1')).toEqual([[1]])
    await engine.restart()
    expect(engine.health().restarts).toBe(2)
    expect(await rowsOf(engine.writer, 'SELECT 1')).toEqual([[1]])
    await engine.end()
    expect(engine.health().state).toBe('stopped')
  }, 30_000)

  test('startClickHouse ends the engine cleanly: nothing is left of it', async () => {
    const engine = await startEngine()
    const child = engine.processId()!
    await engine.end()
    expect(() => process.kill(child, 0)).toThrow('ESRCH')
  })

  test('startClickHouse says why the engine cannot start, in its own words', async () => {
    const way: Way = { kind: 'embedded', library: '/nowhere/libchdb.so', command: ENGINE_COMMAND }
    expect(start(way)).rejects.toThrow(
      /^Cannot start the embedded ClickHouse engine: it ended with code 1: .*\/nowhere\/libchdb.so/,
    )
    expect(start({ ...way, library: LIBRARY, command: ['/bin/true'] })).rejects.toThrow(
      'it ended with code 0: it said nothing',
    )
  })
})

/** Stands for a clickhouse program: reads its configuration and answers pings. */
function stub(behaviour: string): string {
  const path = join(place(), 'clickhouse')
  writeFileSync(
    path,
    `#!${process.execPath}
const file = process.argv.find((arg) => arg.startsWith('--config-file=')).slice('--config-file='.length)
const config = await Bun.file(file).text()
console.error('2026.01.01 00:00:00 [ 1 ] {} <Error> Application: arguments ' + process.argv.slice(2).join(' '))
${behaviour}
Bun.serve({ hostname: '127.0.0.1', port: Number(/<http_port>(\\d+)</.exec(config)[1]), fetch: async (request) => {
  if (request.url.endsWith('/ping')) return new Response('Ok.')
  return new Response(request.url + ' ' + request.headers.get('authorization') + ' ' + await request.text())
} })
`,
  )
  chmodSync(path, 0o755)
  return path
}

describe('startClickHouse with a binary', () => {
  test('startClickHouse runs the binary with its configuration and two users, and again when it dies', async () => {
    const binary = stub('')
    const clickhouse = await start({ kind: 'binary', binary })
    const asked = async (client: ClickHouse['writer']): Promise<string> => {
      const { stream } = await client.exec({ query: 'SELECT 1' })
      let text = ''
      for await (const chunk of stream) text += chunk
      return text
    }
    const user = (text: string): string =>
      atob(/Basic (\S+)/.exec(text)?.[1] ?? '').split(':')[0] ?? ''
    expect(user(await asked(clickhouse.writer))).toBe('metaflow_writer')
    expect(user(await asked(clickhouse.reader))).toBe('metaflow_reader')
    expect(clickhouse.source?.user).toBe('metaflow_writer')
    process.kill(clickhouse.processId()!, 'SIGKILL')
    await until(() => clickhouse.health().restarts === 1 && clickhouse.health().state === 'up', 20)
    expect(user(await asked(clickhouse.reader))).toBe('metaflow_reader')
    const child = clickhouse.processId()!
    await clickhouse.stop()
    expect(() => process.kill(child, 0)).toThrow('ESRCH')
  }, 30_000)

  test('startClickHouse says what the binary said when it does not serve', async () => {
    const binary = stub("console.error('<Error> no space'); process.exit(70)")
    expect(start({ kind: 'binary', binary })).rejects.toThrow(
      'Cannot start clickhouse: it ended with code 70: <Error> no space',
    )
    expect(start({ kind: 'binary', binary: 'no-such-clickhouse' })).rejects.toThrow(
      'Cannot start no-such-clickhouse: there is no such program',
    )
  })

  test('serverXml and serverUsersXml listen on loopback alone and give each user the least', () => {
    const config = {
      directory: '/data/clickhouse',
      port: 4711,
      writer: { user: 'w', password: 'secret' },
      reader: { user: 'r', password: 'secret too' },
      limits: DEFAULT_LIMITS,
    }
    const xml = serverXml(config)
    expect(xml.match(/<listen_host>.*<\/listen_host>/g)).toEqual([
      '<listen_host>127.0.0.1</listen_host>',
    ])
    expect(xml.match(/_port>/g)).toEqual(['_port>', '_port>'])
    expect(xml).toContain('<http_port>4711</http_port>')
    const users = serverUsersXml(config)
    expect(users).not.toContain('secret')
    expect(users).toContain(new Bun.CryptoHasher('sha256').update('secret').digest('hex'))
    expect(users).toContain('<max_execution_time>30</max_execution_time>')
    expect(users).toContain('<readonly>1</readonly>')
    const reader = users.slice(users.indexOf('<r>'), users.indexOf('</r>'))
    expect([...reader.matchAll(/<query>.*<\/query>/g)].map(([query]) => query)).toEqual(
      ['flow_log', 'flow_metrics', 'flow_tag'].map(
        (name) => `<query>GRANT SELECT, dictGet ON ${name}.*</query>`,
      ),
    )
  })
})

describe('startClickHouse with a URL', () => {
  test('startClickHouse asks the server at a URL, with limits on every statement of the reader', async () => {
    let healthy = true
    const asked: URL[] = []
    const server = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch(request) {
        asked.push(new URL(request.url))
        return new Response('Ok.\n', { status: healthy ? 200 : 500 })
      },
    })
    const clickhouse = await start({
      kind: 'url',
      url: server.url.origin,
      user: 'u',
      password: 'p',
    })
    expect(clickhouse.health()).toMatchObject({ state: 'up', restarts: 0 })
    expect(clickhouse.processId()).toBeUndefined()
    await clickhouse.reader.command({ query: 'SELECT 1' })
    const { searchParams } = asked.at(-1)!
    expect(searchParams.get('readonly')).toBe('1')
    expect(searchParams.get('max_execution_time')).toBe('30')
    expect(searchParams.get('session_timezone')).toBe('UTC')
    expect(searchParams.get('cancel_http_readonly_queries_on_client_close')).toBe('1')
    expect(clickhouse.source).toEqual({ user: 'u', password: 'p' })
    healthy = false
    await until(() => clickhouse.health().state === 'down', 20)
    expect(clickhouse.health().sentence).toContain(
      `ClickHouse at 127.0.0.1:${server.port} does not answer`,
    )
    await clickhouse.stop()
    await server.stop(true)
  }, 30_000)

  test.each([
    [
      "Code: 115. DB::Exception: Unknown setting 'session_timezone'. (UNKNOWN_SETTING)",
      "is older than 23.6, which is the least that serves: Unknown setting 'session_timezone'.",
    ],
    [
      'Code: 516. DB::Exception: u: Authentication failed: password is incorrect.\n\nSee users.xml\n\n. (AUTHENTICATION_FAILED)',
      'does not let user u in: the password is wrong, or there is no such user (clickhouse.user, clickhouse.password)',
    ],
    [
      'Code: 193, e.displayText() = DB::Exception: Wrong password for user u, e.what() = DB::Exception\n',
      'does not let user u in: the password is wrong, or there is no such user (clickhouse.user, clickhouse.password)',
    ],
    [
      'Code: 159. DB::Exception: Timeout exceeded.\nStack trace: 0. main. (TIMEOUT_EXCEEDED)',
      'does not serve: Timeout exceeded.',
    ],
  ])('startClickHouse says what is wrong there (%#)', async (said, sentence) => {
    const server = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch: ({ url }) =>
        // Only a reader's statement has settings that an old server may not know.
        said.includes('115') && !url.includes('readonly')
          ? new Response('1\n')
          : new Response(said, { status: 500 }),
    })
    const way: Way = { kind: 'url', url: server.url.origin, user: 'u', password: 'p' }
    const failure = await start(way).catch((error: Error) => error.message)
    expect(failure).toBe(
      `Cannot use ClickHouse: ClickHouse at 127.0.0.1:${server.port} ${sentence}`,
    )
    await server.stop(true)
  })

  test('startClickHouse says that nobody answers there', () => {
    expect(
      start({ kind: 'url', url: 'http://127.0.0.1:1', user: 'u', password: '' }),
    ).rejects.toThrow('Cannot use ClickHouse: ClickHouse at 127.0.0.1:1 does not answer: ')
  })
})
