/** MetaFlow among others: it shows nothing of itself, and leaves nothing behind. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runProgram } from '../../src/lib/process.ts'
import { missing } from '../needs.ts'
import { freePort, type Nginx, startNginx } from '../peers/peers.ts'
import { until } from '../until.ts'
import { expectNoInsides, giveEngine, Part, processes, ServerPart } from './bad-input.ts'
import { hey } from './traffic.ts'

const reason = missing('executable', 'root', 'btf') ?? ''
if (reason) process.stderr.write(`skipped, since ${reason}: what MetaFlow does itself\n`)
const noPeers = reason || (missing('nginx', 'hey', 'curl') ?? '')
if (noPeers) process.stderr.write(`skipped, since ${noPeers}: MetaFlow's own traffic\n`)
const noTool = missing('bpftool')
if (noTool) process.stderr.write(`only the process table is looked at, since ${noTool}\n`)

const POLL_MS = 10_000

describe.skipIf(noPeers !== '')('the traffic of MetaFlow itself', () => {
  const directory = mkdtempSync(join(tmpdir(), 'metaflow-own-'))
  const agents: Part[] = []
  let server: ServerPart
  let nginx: Nginx

  beforeAll(async () => {
    nginx = await startNginx(directory)
    // Connections that are older than an agent count as well.
    server = await ServerPart.start(join(directory, 'server'))
    for (const family of ['socket', 'syscall']) {
      const data = ['--data-dir', join(directory, family), '--server', server.url]
      const agent = new Part(['--mode=agent', ...data, `--agent-capture-family=${family}`])
      await agent.says('Observing this host')
      agents.push(agent)
    }
  }, 120_000)
  afterAll(async () => {
    for (const part of [...agents, server]) await part?.child.stop()
    await nginx?.stop()
    rmSync(directory, { recursive: true })
  }, 60_000)

  test('is shown nowhere, by the hooks of either family, while others are', async () => {
    const end = Date.now() + POLL_MS
    while (Date.now() < end) {
      for (const path of ['/', '/v1/status', '/v1/catalog', '/metrics', '/healthz'])
        expect((await server.get(path))?.status).toBe(200)
      expect(await server.value('SELECT 1')).toBe(1)
      await Bun.spawn(['curl', '-so', '/dev/null', `${server.url}/v1/status`]).exited
      await Bun.sleep(100)
    }
    await hey(nginx.port, '/ok/seen', 100)
    const ofNginx = `SELECT count() FROM flow_log.l7_flow_log WHERE server_port = ${nginx.port} AND observation_point = 's-p'`
    await until(async () => Number(await server.value(ofNginx)) === 200, 30)
    for (const table of ['flow_log.l7_flow_log', 'flow_metrics.`application_map.1s`']) {
      const rows = await server.value(
        `SELECT groupUniqArray((server_port, auto_instance_0, auto_instance_1)) FROM ${table}
          WHERE server_port = ${server.port} OR auto_instance_0 LIKE '%metaflow%' OR auto_instance_1 LIKE '%metaflow%'`,
      )
      expect([table, rows]).toEqual([table, []])
    }
    const names = 'SELECT groupUniqArray(auto_instance_1) FROM flow_log.l7_flow_log'
    expect(String(await server.value(names))).toContain('nginx')
  }, 120_000)
})

/** All that descend from `processId`, itself too. */
function family(processId: number): number[] {
  const all = processes()
  const found = [processId]
  for (const one of found)
    found.push(...all.filter(({ parent }) => parent === one).map(({ pid }) => pid))
  return found
}

function isAlive(processId: number): boolean {
  return processes().some(({ pid }) => pid === processId)
}

/** Kinds and ids of the BPF objects that a process holds. */
function bpfOf(processId: number): [string, string][] {
  const folder = `/proc/${processId}/fdinfo`
  return readdirSync(folder).flatMap((file) => {
    try {
      const text = readFileSync(join(folder, file), 'utf8')
      return Array.from(
        text.matchAll(/^(prog|link|map)_id:\s+(\d+)$/gm),
        ([, kind, id]): [string, string] => [kind!, id!],
      )
    } catch {
      return []
    }
  })
}

async function isLoaded([kind, id]: [string, string]): Promise<boolean> {
  return (await runProgram(['bpftool', kind, 'show', 'id', id])).code === 0
}

const mounts = (): string => readFileSync('/proc/self/mounts', 'utf8')

describe.skipIf(reason !== '')('an end of MetaFlow', () => {
  const directory = mkdtempSync(join(tmpdir(), 'metaflow-end-'))
  afterAll(() => rmSync(directory, { recursive: true }))
  const token = 'canary-9c2e-token'

  /** The demo with all its parts, its processes and BPF objects while it runs. */
  async function startDemo(): Promise<{ demo: Part; pids: number[]; bpf: [string, string][] }> {
    const data = join(directory, 'demo')
    giveEngine(data)
    const listen = `127.0.0.1:${await freePort()}`
    const demo = new Part(
      ['--mode=demo', '--data-dir', data, '--listen', listen, '--workload', 'on'],
      { environment: { METAFLOW_SERVER_TOKEN: token } },
    )
    await demo.says('Ctrl-C stops everything', 120)
    const pids = family(demo.child.processId)
    // Itself, server, engine, agent and the parts of the workload.
    expect(pids.length).toBeGreaterThanOrEqual(9)
    const bpf = pids.flatMap(bpfOf)
    expect(bpf.map(([kind]) => kind)).toContain('prog')
    return { demo, pids, bpf }
  }

  async function expectGone(pids: readonly number[], bpf: [string, string][]): Promise<void> {
    await until(() => !pids.some(isAlive), 15)
    // The kernel takes programs away a moment after their last holder.
    if (!noTool) for (const one of bpf) await until(async () => !(await isLoaded(one)), 15)
  }

  test('by Ctrl-C leaves no process, no BPF object, no mount, no port, no secret', async () => {
    const before = mounts()
    const { demo, pids, bpf } = await startDemo()
    demo.child.signal('SIGINT')
    expect(await demo.child.exited).toEqual({ code: 0, signal: null })
    await expectGone(pids, bpf)
    expect(mounts()).toBe(before)
    expect(demo.words).toContain('Stopping')
    expectNoInsides(demo.words)
    const data = join(directory, 'demo')
    const { stdout } = await runProgram(['grep', '-rl', token, data])
    expect(stdout).toBe('')
    expectNoInsides(readFileSync(join(data, 'demo.log'), 'utf8'))
  }, 180_000)

  test('by a second Ctrl-C is at once, and leaves nothing either', async () => {
    const { demo, pids, bpf } = await startDemo()
    demo.child.signal('SIGINT')
    // Two that are pending at once may be one: the second is another.
    demo.child.signal('SIGTERM')
    expect(await demo.child.exited).toEqual({ code: 1, signal: null })
    await expectGone(pids, bpf)
  }, 180_000)

  test('by kill -9 of the demo leaves nothing', async () => {
    const { demo, pids, bpf } = await startDemo()
    demo.child.signal('SIGKILL')
    await demo.child.exited
    await expectGone(pids, bpf)
  }, 180_000)

  test('by kill -9 of a server leaves no engine, and the next one starts', async () => {
    const data = join(directory, 'server')
    const server = await ServerPart.start(data)
    const pids = family(server.child.processId)
    expect(pids).toHaveLength(2)
    server.child.signal('SIGKILL')
    await server.child.exited
    await expectGone(pids, [])
    const next = await ServerPart.start(data, [], server.port)
    next.child.signal('SIGINT')
    expect(await next.child.exited).toEqual({ code: 0, signal: null })
    expectNoInsides(next.words)
  }, 120_000)
})
