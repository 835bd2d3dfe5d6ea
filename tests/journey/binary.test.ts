/** A server that looks after a ClickHouse program of the host's: one with the real engine in it. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { l7FlowLog } from '../../src/model/tables/l7-flow-log.ts'
import { numberBlock } from '../../src/wire/header.ts'
import { missing } from '../needs.ts'
import { HAS_ENGINE } from '../server/storage/engine.ts'
import { blockOf } from '../simulation/blocks.ts'
import { until } from '../until.ts'
import { expectNoInsides, type Process, processes, ServerPart } from './bad-input.ts'

const reason = missing('executable') ?? (HAS_ENGINE ? '' : 'libchdb is not installed')
if (reason) process.stderr.write(`skipped, since ${reason}: a ClickHouse program of the host's\n`)

describe.skipIf(reason !== '')("a server with a ClickHouse program of the host's", () => {
  const directory = mkdtempSync(join(tmpdir(), 'mf-program-'))
  const program = join(directory, 'clickhouse')
  const data = join(directory, 'server')
  const lifetime = 'd'.repeat(32)
  let rows = 0
  let server: ServerPart

  const start = (at = 0): Promise<ServerPart> =>
    ServerPart.start(data, ['--clickhouse-binary', program], at)
  beforeAll(async () => {
    const main = resolve(import.meta.dir, 'clickhouse-main.ts')
    writeFileSync(program, `#!/bin/sh\nexec '${process.execPath}' '${main}' "$@"\n`)
    chmodSync(program, 0o755)
    server = await start()
  }, 90_000)
  afterAll(async () => {
    await server?.child.stop()
    rmSync(directory, { recursive: true, force: true })
  }, 30_000)

  async function send(): Promise<void> {
    const id = `row ${++rows}`
    const body = blockOf(l7FlowLog, [{ id, time: Math.floor(Date.now() / 1000) }], 'nginx')
    numberBlock(body, { agent: 'a'.repeat(32), lifetime, lane: 0, sequence: rows })
    const response = await server.get('/v1/blocks', { method: 'POST', body: body.slice() })
    expect(response?.status).toBe(200)
  }

  async function expectAllStored(): Promise<void> {
    const sql =
      "SELECT toString(count()) || ' of ' || toString(uniqExact(endpoint)) FROM l7_flow_log"
    const all = `${rows} of ${rows}`
    await until(async () => (await server.value(sql).catch(String)) === all, 60).catch(async () =>
      expect(await server.value(sql)).toBe(all),
    )
  }

  /** The program under our server, and the engine under that. */
  const family = (): Process[] => {
    const all = processes()
    const below = (pid: number): Process[] =>
      all.filter(({ parent }) => parent === pid).flatMap((one) => [one, ...below(one.pid)])
    return below(server.child.processId)
  }
  const childOf = (): number =>
    family().find(({ command }) => command.includes('clickhouse-main.ts'))!.pid
  const alive = (pids: readonly number[]): number[] =>
    pids.filter((pid) => processes().some((one) => one.pid === pid))

  test('stores rows and answers SQL by it, with names', async () => {
    for (let i = 0; i < 5; i++) await send()
    await expectAllStored()
    await until(async () => {
      const name = await server.value('SELECT DISTINCT gprocess_0 FROM l7_flow_log').catch(() => '')
      return name === 'nginx'
    }, 20)
    const health = await (await server.get('/healthz'))?.text()
    expect(health).toContain('"engine":"clickhouse is up"')
    expect(server.words).toContain('warn  server: clickhouse: 2026.01.01 00:00:00')
    expect(server.words).toContain('<Warning> Application: Ready for connections')
  }, 60_000)

  test('is started again when it dies, each time later, and nothing is lost', async () => {
    const first = childOf()
    await Promise.all([send(), send(), send()])
    process.kill(first, 'SIGKILL')
    await server.says(/clickhouse died: it was ended by SIGKILL; it is started again/)
    await until(async () => (await server.get('/healthz'))?.status === 200, 20)
    const second = childOf()
    expect(second).not.toBe(first)
    process.kill(second, 'SIGKILL')
    await send()
    await until(async () => (await server.get('/healthz'))?.status === 200, 20)
    await expectAllStored()
    expect(await server.metric('metaflow_engine_restarts_total')).toBe(2)
  }, 90_000)

  test('its passwords are in no log, no answer and no file that others may read', async () => {
    const users = readFileSync(join(data, 'clickhouse', 'users.xml'), 'utf8')
    const digests = [...users.matchAll(/<password_sha256_hex>(\w{64})</g)].map(([, hash]) => hash!)
    expect(digests).toHaveLength(2)
    const paths = ['/v1/status', '/metrics', '/healthz']
    const answers = await Promise.all(paths.map(async (path) => (await server.get(path))?.text()))
    for (const text of [server.words, ...answers])
      for (const digest of digests) expect(text).not.toContain(digest)
    expectNoInsides(server.words)
  })

  test('Ctrl-C ends it in order, and no child is left', async () => {
    await send()
    const pids = family().map(({ pid }) => pid)
    expect(pids.length).toBeGreaterThanOrEqual(2)
    server.child.signal('SIGINT')
    expect(await server.child.exited).toEqual({ code: 0, signal: null })
    expect(alive(pids)).toEqual([])
    expect(server.words).toContain('Received termination signal (SIGTERM)')
    server = await start(server.port)
    await expectAllStored()
  }, 90_000)

  test('killed itself it leaves no child either, and the next one starts on the same data', async () => {
    await send()
    const pids = family().map(({ pid }) => pid)
    server.child.signal('SIGKILL')
    await server.child.exited
    await until(() => alive(pids).length === 0, 10)
    server = await start(server.port)
    await expectAllStored()
    expect(readdirSync(join(data, 'clickhouse'))).toContain('config.xml')
  }, 90_000)
})
