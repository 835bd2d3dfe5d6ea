/**
 * What observing costs those who are observed: nginx flat out, and a Node server, with MetaFlow
 * off, muted (hooks attached, every socket ignored) and on, in interleaved rounds on this machine.
 * Prints one JSON line. `bun tests/bench/live.ts [--rounds N] [--seconds N] [--family socket|syscall]`
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startChild } from '../../src/lib/process.ts'
import { type Family, MetaFlow } from '../journey/metaflow.ts'
import { run } from '../journey/traffic.ts'
import { freePort, type Nginx, peer, type Server, startNginx } from '../peers/peers.ts'
import { until } from '../until.ts'
import { type AgentStatus, agentStatus, median, sampleOf } from './figures.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '4' },
    family: { type: 'string', default: 'socket' },
  },
})
const rounds = Number(values.rounds)
const seconds = Number(values.seconds)
const family = values.family as Family

const TICKS_PER_SECOND = 100
const MODES = ['off', 'muted', 'on'] as const
type Mode = (typeof MODES)[number]
type Round = {
  readonly requestsPerSecond: number
  readonly cpuUsPerRequest: number
  readonly requests: number
}

/** CPU seconds a process and its children have used. */
function cpuSeconds(processId: number): number {
  const fields = readFileSync(`/proc/${processId}/stat`, 'utf8').split(') ')[1]!.split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

/** Resident memory of a process. */
function residentBytes(processId: number): number {
  const status = readFileSync(`/proc/${processId}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024
}

async function wrk(
  port: number,
  target: string,
  processId: number,
  truth: () => Promise<number>,
): Promise<Round> {
  const [before, asked] = [cpuSeconds(processId), await truth()]
  const started = performance.now()
  await run([peer('wrk')!, '-t1', '-c32', `-d${seconds}s`, `http://127.0.0.1:${port}${target}`])
  const took = (performance.now() - started) / 1000
  const requests = (await truth()) - asked
  const cpu = cpuSeconds(processId) - before
  return { requests, requestsPerSecond: requests / took, cpuUsPerRequest: (cpu * 1e6) / requests }
}

let looks = 0
/** Requests nginx says it took, in its own count, without those that ask for it. */
async function nginxRequests(port: number): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${port}/count`)).text()
  return Number(/^\s*\d+ \d+ (\d+)/m.exec(text)![1]) - ++looks
}

const NODE_SERVER = `
let n = 0
require('node:http').createServer((request, response) => {
  if (request.url === '/count') return response.end(String(n))
  n++
  response.setHeader('content-type', 'application/json')
  response.end('{"answer":42,"text":"the quick brown fox jumps over the lazy dog"}')
}).listen(Number(process.argv[2]), '127.0.0.1')
`

async function startNode(directory: string): Promise<Server> {
  const port = await freePort()
  const file = join(directory, 'server.cjs')
  writeFileSync(file, NODE_SERVER)
  const child = startChild({ command: ['node', file, String(port)], name: 'node' })
  await until(
    async () => (await fetch(`http://127.0.0.1:${port}/count`).catch(() => null)) !== null,
    20,
  )
  return { port, processId: child.processId, stop: () => child.stop() }
}

/** What the kernel's hooks could not give on. */
const LOSSES = ['missed', 'ring_full', 'unreadable', 'state_full'].map(
  (what) => `capture_${what}_total`,
)
/** Losses, and calls not counted, beyond which a round says nothing of what observing costs. */
const LOSS_MAX = 0.001

type Observed = {
  calls: number
  events: number
  losses: number
  requests: number
  agentBytes: number[]
  serverBytes: number[]
  engineBytes: number[]
  firstRowSeconds: number[]
}

/** As long as the agent's code takes to be compiled while both processors are busy. */
const WARM_SECONDS = 6
async function warmUp({ port }: Server): Promise<void> {
  await run([peer('wrk')!, '-t1', '-c32', `-d${WARM_SECONDS}s`, `http://127.0.0.1:${port}/warm`])
}

/** One round in one mode; what the agent says of itself goes to `observed`. */
async function round(
  mode: Mode,
  nginx: Nginx,
  node: Server,
  observed: Observed,
): Promise<[Round, Round]> {
  const measure = async (): Promise<[Round, Round]> => [
    await wrk(nginx.port, '/ok', nginx.workerProcessId, () => nginxRequests(nginx.port)),
    await wrk(node.port, '/json', node.processId, async () =>
      Number(await (await fetch(`http://127.0.0.1:${node.port}/count`)).text()),
    ),
  ]
  if (mode === 'off') {
    await warmUp(nginx)
    await warmUp(node)
    return await measure()
  }
  const directory = mkdtempSync(join(tmpdir(), 'bench-'))
  const metaflow = new MetaFlow(directory)
  const started = performance.now()
  try {
    await metaflow.startServer()
    await metaflow.startAgent(family, mode === 'muted' ? ['--agent-capture-observe=false'] : [])
    if (mode === 'on') {
      await fetch(`http://127.0.0.1:${node.port}/first`)
      const found = await metaflow.rows(
        `SELECT count() AS n FROM flow_log.l7_flow_log WHERE server_port = ${node.port}`,
        ([row]) => Number(row?.['n']) > 0,
        30,
      )
      if (Number(found[0]?.['n']) > 0)
        observed.firstRowSeconds.push((performance.now() - started) / 1000)
    }
    // What a process costs in its first seconds is its compiling, not its work.
    await warmUp(nginx)
    await warmUp(node)
    const before = await agentStatus(metaflow.url)
    const result = await measure()
    if (mode === 'on') await compare(metaflow, nginx.port, [before, result[0]], observed)
    return result
  } finally {
    await metaflow.stop()
    rmSync(directory, { recursive: true, force: true })
  }
}

async function compare(
  metaflow: MetaFlow,
  port: number,
  [before, made]: readonly [AgentStatus, Round],
  observed: Observed,
): Promise<void> {
  const rows = await metaflow.rows(
    `SELECT sum(request) AS n FROM flow_metrics.\`application.1s\`
      WHERE role = 1 AND server_port = ${port} AND endpoint = '/ok'`,
    ([row]) => Number(row?.['n']) >= made.requests,
    20,
  )
  observed.calls += Number(rows[0]?.['n'])
  observed.requests += made.requests
  const after = await agentStatus(metaflow.url)
  const events = sampleOf(after, 'flow_in_total') - sampleOf(before, 'flow_in_total')
  for (const name of LOSSES) observed.losses += sampleOf(after, name) - sampleOf(before, name)
  observed.events += events
  observed.agentBytes.push(after.memoryBytes)
  const { server } = (await (await fetch(`${metaflow.url}/v1/status`)).json()) as {
    server: { memoryBytes: number }
  }
  observed.serverBytes.push(server.memoryBytes)
  observed.engineBytes.push(residentBytes(metaflow.engineProcessId))
}

async function main(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'bench-peers-'))
  const [nginx, node] = await Promise.all([startNginx(directory, false), startNode(directory)])
  const of = { off: [], muted: [], on: [] } as Record<Mode, [Round, Round][]>
  const observed: Observed = {
    calls: 0,
    events: 0,
    losses: 0,
    requests: 0,
    agentBytes: [],
    serverBytes: [],
    engineBytes: [],
    firstRowSeconds: [],
  }
  for (let at = 0; at < rounds; at++)
    for (const mode of MODES) of[mode].push(await round(mode, nginx, node, observed))
  await Promise.all([nginx.stop(), node.stop()])
  rmSync(directory, { recursive: true, force: true })
  process.stdout.write(`${JSON.stringify(report(of, observed))}\n`)
}

function report(of: Record<Mode, [Round, Round][]>, observed: Observed): object {
  const ratio = (mode: Mode, peer: 0 | 1): number =>
    median(of[mode].map((r, at) => r[peer].requestsPerSecond / of.off[at]![peer].requestsPerSecond))
  const cpu = (mode: Mode, peer: 0 | 1): number =>
    median(of[mode].map((r) => r[peer].cpuUsPerRequest))
  const counted = observed.calls / observed.requests
  const lost = observed.losses / observed.events
  return {
    bench: 'live',
    counts: lost <= LOSS_MAX && Math.abs(counted - 1) <= LOSS_MAX,
    lost_to_events: lost,
    family,
    rounds,
    nginx_requests_per_second_off: median(of.off.map(([n]) => n.requestsPerSecond)),
    nginx_on_to_off: ratio('on', 0),
    nginx_muted_to_off: ratio('muted', 0),
    nginx_cpu_us_off: cpu('off', 0),
    nginx_cpu_us_muted: cpu('muted', 0),
    nginx_cpu_us_on: cpu('on', 0),
    node_cpu_us_off: cpu('off', 1),
    node_cpu_us_on: cpu('on', 1),
    node_cpu_us_added: cpu('on', 1) - cpu('off', 1),
    calls_counted_to_requests: counted,
    agent_memory_bytes: Math.max(...observed.agentBytes),
    server_memory_bytes: Math.max(...observed.serverBytes),
    engine_memory_bytes: Math.max(...observed.engineBytes),
    first_row_seconds: median(observed.firstRowSeconds),
  }
}

await main()
