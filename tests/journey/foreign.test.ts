/** A server whose ClickHouse is not its own: reached by `clickhouse.url`, the real engine behind it. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { application1s } from '../../src/model/tables/application.ts'
import { l7FlowLog } from '../../src/model/tables/l7-flow-log.ts'
import { numberBlock } from '../../src/wire/header.ts'
import { missing } from '../needs.ts'
import { freePort } from '../peers/peers.ts'
import { HAS_ENGINE } from '../server/storage/engine.ts'
import { type Relay, type RelayOptions, startRelay } from '../server/storage/relay.ts'
import { blockOf } from '../simulation/blocks.ts'
import { until } from '../until.ts'
import { expectNoInsides, expectSentence, ran, ServerPart } from './bad-input.ts'

const reason = missing('executable') ?? (HAS_ENGINE ? '' : 'libchdb is not installed')
if (reason) process.stderr.write(`skipped, since ${reason}: a ClickHouse that is not ours\n`)

const USER = 'flow'
/** With all that would end a quoted text, or a user in a header. */
const PASSWORD = `cAnArY'7\\f:3"ü`
const ROWS = 20

describe.skipIf(reason !== '')('a server at the ClickHouse of somebody else', () => {
  const directory = mkdtempSync(join(tmpdir(), 'mf-foreign-'))
  const data = join(directory, 'server')
  const lifetime = 'c'.repeat(32)
  const sent: string[] = []
  let sequence = 0
  let port: number
  let foreign: Relay
  let server: ServerPart

  const startForeign = (fateOf?: RelayOptions['fateOf']): Promise<Relay> =>
    startRelay({
      directory: join(directory, 'clickhouse'),
      port,
      ...(fateOf && { fateOf }),
      roleOf(user, password, { searchParams }) {
        if (user !== USER || password !== PASSWORD) return undefined
        return searchParams.get('readonly') === '1' ? 'reader' : 'writer'
      },
    })
  const flags = (): string[] => ['--clickhouse-url', `http://127.0.0.1:${port}`]
  const environment = { METAFLOW_CLICKHOUSE_USER: USER, METAFLOW_CLICKHOUSE_PASSWORD: PASSWORD }
  const startServer = (at = 0): Promise<ServerPart> =>
    ServerPart.start(data, [...flags(), '--log-level=debug'], at, { environment })

  beforeAll(async () => {
    port = await freePort()
    foreign = await startForeign()
    server = await startServer()
  }, 90_000)
  afterAll(async () => {
    await server?.child.stop()
    await foreign?.stop()
    rmSync(directory, { recursive: true, force: true })
  }, 30_000)

  /** One block of each table; acknowledged, or the test fails. */
  async function send(): Promise<void> {
    for (const table of [l7FlowLog, application1s]) {
      const at = ++sequence
      const time = Math.floor(Date.now() / 1000) - (at % 3) * 40_000
      const rows = Array.from({ length: ROWS }, (_, i) => ({ id: `${at}-${i}`, time }))
      const body = blockOf(table, rows, `process ${at % 5}`)
      numberBlock(body, { agent: 'a'.repeat(32), lifetime, lane: 0, sequence: at })
      const response = await server.get('/v1/blocks', { method: 'POST', body: body.slice() })
      expect([response?.status, await response?.text()]).toEqual([200, expect.any(String)])
      if (table === l7FlowLog) sent.push(...rows.map(({ id }) => id))
    }
  }

  async function expectAllStored(): Promise<void> {
    const numbers = async (): Promise<number[]> => [
      Number(await server.value('SELECT uniqExact(endpoint) FROM flow_log.l7_flow_log')),
      Number(await server.value('SELECT count() FROM flow_log.l7_flow_log')),
      Number(await server.value('SELECT Sum(request) FROM flow_metrics.application.1s')),
    ]
    const all = [sent.length, sent.length, sent.length]
    await until(async () => String(await numbers().catch(String)) === String(all), 60).catch(
      async () => expect(await numbers()).toEqual(all),
    )
  }

  async function status(): Promise<[number | undefined, string]> {
    const response = await server.get('/healthz')
    return [response?.status, (await response?.text()) ?? '']
  }

  test('makes its tables there, stores rows once, and names stand in SQL', async () => {
    for (let i = 0; i < 5; i++) await send()
    await expectAllStored()
    const named = "SELECT count() FROM l7_flow_log WHERE gprocess_0 = 'process 3'"
    await until(async () => Number(await server.value(named).catch(() => 0)) > 0, 20)
    expect(await server.value('SELECT DISTINCT gprocess_0 FROM l7_flow_log ORDER BY 1')).toBe(
      'process 0',
    )
    expect(await status()).toEqual([
      200,
      expect.stringContaining(`"engine":"ClickHouse at 127.0.0.1:${port} is up"`),
    ])
    expect(readdirSync(data)).not.toContain('clickhouse')
  }, 60_000)

  test.each([
    "SELECT * FROM file('/etc/passwd', 'LineAsString')",
    "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString', 'a String')",
    "SELECT file('/etc/passwd')",
    "SELECT * FROM remote('127.0.0.1', system.one)",
    'SELECT * FROM system.users',
    "SELECT dictGet('other.dictionary', 'name', 1)",
    'DROP TABLE flow_log.l7_flow_log',
    'SELECT 1 SETTINGS readonly = 0',
  ])('%s is not let through', async (sql) => {
    const response = await server.get('/v1/query', {
      method: 'POST',
      body: new URLSearchParams({ sql }),
    })
    expect(response?.status).toBeGreaterThanOrEqual(400)
    expect(response?.status).toBeLessThan(500)
    expect(await response?.text()).toContain('"DESCRIPTION":"Cannot ')
  })

  test('ClickHouse killed over inserts and started again: no row is lost, none is there twice', async () => {
    const found = await server.metric('metaflow_inserter_found_total')
    const fates = ['before', 'amid', 'after', 'amid', 'after', 'before'] as const
    for (const fate of fates)
      for (const table of ['flow_log', 'flow_metrics']) {
        let isMet = false
        await foreign.stop()
        foreign = await startForeign((insert) => {
          if (isMet || !insert.includes(table)) return undefined
          isMet = true
          return fate
        })
        await Promise.all(Array.from({ length: 4 }, send))
        await foreign.engine.exited
        await foreign.stop()
        foreign = await startForeign()
        await expectAllStored()
      }
    expect(await server.metric('metaflow_inserter_found_total')).toBeGreaterThan(found)
    expect(await server.metric('metaflow_set_aside_total')).toBe(0)
  }, 180_000)

  test('while ClickHouse is away it says so, takes blocks, and stores them later', async () => {
    await foreign.stop()
    const away = `ClickHouse at 127.0.0.1:${port} does not answer: `
    await until(async () => (await status())[0] === 503, 20)
    expect((await status())[1]).toContain(away)
    await send()
    const asked = await server.value('SELECT count() FROM l7_flow_log').catch(String)
    expect(asked).toMatch(/503 .*Cannot run the query: the engine is not reached/)
    foreign = await startForeign()
    await until(async () => (await status())[0] === 200, 20)
    await expectAllStored()
    expect(server.words).toContain(away)
  }, 60_000)

  test('killed itself and started again it goes on where it was', async () => {
    const sends = [send(), send(), send()]
    await Promise.all(sends)
    server.child.signal('SIGKILL')
    await server.child.exited
    server = await startServer(server.port)
    await expectAllStored()
  }, 60_000)

  test('a wrong password, no such user, nobody there: each is a sentence', async () => {
    const run = (settings: Record<string, string>, url = flags()) =>
      ran(
        ['--mode=server', '--data-dir', join(directory, 'other'), '--listen=127.0.0.1:0', ...url],
        {
          environment: { ...environment, ...settings },
        },
      )
    const refused = `ClickHouse at 127.0.0.1:${port} does not let user`
    const wrong = await run({ METAFLOW_CLICKHOUSE_PASSWORD: 'oThErCaNaRy' })
    expectSentence(
      wrong,
      1,
      `${refused} ${USER} in: the password is wrong, or there is no such user`,
    )
    expect(wrong.stdout + wrong.stderr).not.toContain('oThErCaNaRy')
    expectSentence(await run({ METAFLOW_CLICKHOUSE_USER: 'nobody' }), 1, `${refused} nobody in`)
    const nobody = await run({}, ['--clickhouse-url=http://127.0.0.1:1'])
    expectSentence(nobody, 1, 'Cannot use ClickHouse: ClickHouse at 127.0.0.1:1 does not answer: ')
    expect(nobody.stdout + nobody.stderr).not.toContain('cAnArY')
  }, 60_000)

  test('the password is in no log, no answer, no file of ours; the ClickHouse stays as it was', async () => {
    const shown = await ran(['config', 'print', '--side=server', ...flags()], { environment })
    const answers = await Promise.all(
      ['/v1/status', '/metrics', '/healthz'].map(async (path) => (await server.get(path))?.text()),
    )
    await server.child.stop()
    const files = readdirSync(data, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && !entry.parentPath.includes('/engine'))
      .map((entry) => readFileSync(join(entry.parentPath, entry.name)).toString('latin1'))
    for (const text of [shown.stdout, shown.stderr, server.words, ...answers, ...files])
      expect(text).not.toContain('cAnArY')
    expect(shown.stdout).toContain('clickhouse')
    expectNoInsides(server.words)
    expect((await fetch(`http://127.0.0.1:${port}/ping`)).status).toBe(200)
  }, 30_000)
})
