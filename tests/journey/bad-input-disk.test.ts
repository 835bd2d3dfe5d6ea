/** A disk that is full: nothing acknowledged is lost, all go on once there is room. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runProgram } from '../../src/lib/process.ts'
import { l7FlowLog } from '../../src/model/tables/l7-flow-log.ts'
import { numberBlock } from '../../src/wire/header.ts'
import { missing } from '../needs.ts'
import { type Nginx, startNginx } from '../peers/peers.ts'
import { blockOf } from '../simulation/blocks.ts'
import { until } from '../until.ts'
import { expectNoInsides, Part, ServerPart } from './bad-input.ts'
import { hey } from './traffic.ts'

const reason = missing('executable', 'root', 'mount') ?? ''
if (reason) process.stderr.write(`skipped, since ${reason}: a full disk\n`)
const noAgent = reason || (missing('btf', 'nginx', 'hey') ?? '')
if (noAgent) process.stderr.write(`skipped, since ${noAgent}: a full disk under an agent\n`)

const MB = 1024 * 1024

/** A small file system of its own. */
async function mountSmall(path: string, megabytes: number): Promise<void> {
  mkdirSync(path)
  const { code } = await runProgram([
    'mount',
    '-t',
    'tmpfs',
    '-o',
    `size=${megabytes}m`,
    'tmpfs',
    path,
  ])
  if (code !== 0) throw new Error(`Cannot mount ${path}`)
}

/** Takes all the room there is, until the file is removed. */
function fill(path: string): void {
  const file = openSync(path, 'a')
  try {
    for (const chunk of [new Uint8Array(MB), new Uint8Array(4096)]) writeAll(file, chunk)
  } finally {
    closeSync(file)
  }
}

function writeAll(file: number, chunk: Uint8Array): void {
  try {
    while (writeSync(file, chunk) === chunk.length);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ENOSPC') throw thrown
  }
}

describe.skipIf(reason !== '')('a full disk under a server', () => {
  const directory = mkdtempSync(join(tmpdir(), 'metaflow-disk-'))
  const small = join(directory, 'small')
  const filler = join(small, 'filler')
  const lifetime = 'e'.repeat(32)
  /** Rows that were acknowledged, by their ids. */
  const acknowledged: string[] = []
  let next = 1
  let server: ServerPart

  const start = (port = 0): Promise<ServerPart> =>
    ServerPart.start(join(small, 'data'), ['--server-disk-share=0.95'], port)
  beforeAll(async () => {
    await mountSmall(small, 300)
    server = await start()
  }, 90_000)
  afterAll(async () => {
    await server?.child.stop()
    await runProgram(['umount', '-l', small])
    rmSync(directory, { recursive: true })
  }, 60_000)

  /** Sends the next block, of 200 rows that do not compress; answers the status. */
  async function send(): Promise<number> {
    const time = Math.floor(Date.now() / 1000)
    const rows = Array.from({ length: 200 }, (_, at) => ({
      id: `${next}-${at}-${Buffer.from(crypto.getRandomValues(new Uint8Array(512))).toString('base64')}`,
      time,
    }))
    const body = blockOf(l7FlowLog, rows) as Uint8Array<ArrayBuffer>
    numberBlock(body, { agent: 'a'.repeat(32), lifetime, lane: 0, sequence: next })
    const response = await server.get('/v1/blocks', { method: 'POST', body })
    if (response?.status === 200) {
      next++
      acknowledged.push(...rows.map(({ id }) => id))
    } else if (response !== undefined) {
      expect(response.status).toBe(503)
      expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0)
      expect(await response.text()).toMatch(/"error":"Cannot take blocks: /)
    }
    return response?.status ?? 0
  }

  async function expectAllStored(): Promise<void> {
    const count = async (what: string): Promise<number> =>
      Number(await server.value(`SELECT ${what} FROM flow_log.l7_flow_log`).catch(() => -1))
    await until(async () => (await count('uniqExact(endpoint)')) === acknowledged.length, 60).catch(
      async () => expect(await count('uniqExact(endpoint)')).toBe(acknowledged.length),
    )
    expect(await count('count()')).toBe(acknowledged.length)
    expect(await server.metric('metaflow_set_aside_total')).toBe(0)
  }

  test('it answers 503 with Retry-After, keeps all it took, and goes on with room', async () => {
    for (let at = 0; at < 20; at++) expect(await send()).toBe(200)
    fill(filler)
    await until(async () => (await send()) === 503, 60)
    expect([200, 503]).toContain((await server.get('/healthz'))!.status)
    expect(await send()).toBe(503)
    rmSync(filler)
    await until(async () => (await send()) === 200, 60)
    await expectAllStored()
    expect((await server.get('/healthz'))!.status).toBe(200)
    expectNoInsides(server.words)
  }, 180_000)

  test('killed and started again while the disk is full, it loses nothing either', async () => {
    for (let at = 0; at < 20; at++) expect(await send()).toBe(200)
    fill(filler)
    await until(async () => (await send()) === 503, 60)
    server.child.signal('SIGKILL')
    await server.child.exited
    const { port } = server
    fill(filler)
    const started = await start(port).catch((error: Error) => error)
    if (started instanceof Error) {
      const last = started.message.trimEnd().split('\n').at(-1)
      expect(last).toMatch(/^metaflow: Cannot [a-z]+.*: .+/)
      expectNoInsides(started.message)
      rmSync(filler)
      server = await start(port)
    } else {
      server = started
      rmSync(filler)
    }
    await until(async () => (await send()) === 200, 60)
    await expectAllStored()
    expectNoInsides(server.words)
  }, 180_000)
})

describe.skipIf(noAgent !== '')('a full disk under an agent', () => {
  const directory = mkdtempSync(join(tmpdir(), 'metaflow-agent-disk-'))
  const small = join(directory, 'small')
  const filler = join(small, 'filler')
  let nginx: Nginx
  let server: ServerPart
  let agent: Part

  beforeAll(async () => {
    await mountSmall(small, 100)
    nginx = await startNginx(directory)
    server = await ServerPart.start(join(directory, 'server'))
    const data = join(small, 'agent')
    agent = new Part(['--mode=agent', '--data-dir', data, '--server', server.url])
    await agent.says('Observing this host')
  }, 120_000)
  afterAll(async () => {
    await agent?.child.stop()
    await server?.child.stop()
    await nginx?.stop()
    await runProgram(['umount', '-l', small])
    rmSync(directory, { recursive: true })
  }, 60_000)

  const stored = async (): Promise<number> =>
    Number(
      await server.value(
        `SELECT count() FROM flow_log.l7_flow_log
          WHERE server_port = ${nginx.port} AND observation_point = 's-p'`,
      ),
    )

  test('it keeps what it saw in memory while the server is away, and loses nothing', async () => {
    await hey(nginx.port, '/ok/before', 200)
    await until(async () => (await stored()) === 200, 30)
    fill(filler)
    server.child.signal('SIGKILL')
    await server.child.exited
    await hey(nginx.port, '/ok/meanwhile', 500)
    await agent.says(/Cannot write the spool: /)
    await hey(nginx.port, '/ok/still', 500)
    server = await ServerPart.start(join(directory, 'server'), [], server.port)
    await until(async () => (await stored()) === 1200, 60).catch(async () =>
      expect(await stored()).toBe(1200),
    )
    expect(agent.lines.filter((line) => line.includes('Cannot write the spool'))).toHaveLength(1)
    expect(agent.hasEnded).toBe(false)
    rmSync(filler)
    expectNoInsides(agent.words)
  }, 120_000)
})
