/**
 * CPU of the whole agent process for each event and call, pinned to a processor of its own while
 * nginx and wrk run flat out on another. Prints one JSON line.
 * `bun tests/bench/agent.ts [--windows N] [--seconds N] [--family socket|syscall]`
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Family, MetaFlow } from '../journey/metaflow.ts'
import { run } from '../journey/traffic.ts'
import { type Nginx, peer, startNginx } from '../peers/peers.ts'
import { type AgentStatus, agentStatus, median, quantile, sampleOf } from './figures.ts'

const { values } = parseArgs({
  options: {
    windows: { type: 'string', default: '20' },
    seconds: { type: 'string', default: '3' },
    family: { type: 'string', default: 'socket' },
  },
})
const windows = Number(values.windows)
const seconds = Number(values.seconds)
/** What a process costs in its first seconds is its compiling, not its work. */
const WARM_SECONDS = 10
/** The agent reports every few seconds: a window ends with a report. */
const REPORT_SECONDS_MAX = 10
const AGENT_PROCESSOR = 0
const OTHER_PROCESSOR = 1

async function pin(processId: number, processor: number): Promise<void> {
  await run(['taskset', '-a', '-c', '-p', String(processor), String(processId)])
}

/** The next report of the agent. */
async function nextStatus(url: string, last: AgentStatus): Promise<AgentStatus> {
  for (let waited = 0; waited < REPORT_SECONDS_MAX * 20; waited++) {
    const status = await agentStatus(url)
    if (status.cpuSeconds !== last.cpuSeconds) return status
    await Bun.sleep(50)
  }
  throw new Error('Cannot measure the agent: it reports no more')
}

async function measure(metaflow: MetaFlow, nginx: Nginx): Promise<object> {
  const load = WARM_SECONDS + windows * (seconds + REPORT_SECONDS_MAX)
  const wrk = Bun.spawn(
    [
      ...['taskset', '-c', String(OTHER_PROCESSOR), peer('wrk')!],
      ...['-t1', '-c32', `-d${load}s`, `http://127.0.0.1:${nginx.port}/ok`],
    ],
    { stdout: 'ignore' },
  )
  const events: number[] = []
  const calls: number[] = []
  const rates: number[] = []
  try {
    await Bun.sleep(WARM_SECONDS * 1000)
    let before = await nextStatus(metaflow.url, await agentStatus(metaflow.url))
    for (let window = 0; window < windows; window++) {
      const started = performance.now()
      await Bun.sleep(seconds * 1000)
      const after = await nextStatus(metaflow.url, await agentStatus(metaflow.url))
      const cpu = (after.cpuSeconds - before.cpuSeconds) * 1e9
      const moved = sampleOf(after, 'flow_in_total') - sampleOf(before, 'flow_in_total')
      events.push(cpu / moved)
      calls.push(
        cpu / (sampleOf(after, 'sessions_out_total') - sampleOf(before, 'sessions_out_total')),
      )
      rates.push((moved / (performance.now() - started)) * 1000)
      before = after
    }
  } finally {
    wrk.kill()
    await wrk.exited
  }
  return {
    bench: 'agent',
    family: values.family,
    windows,
    events_per_second: Math.round(median(rates)),
    cpu_ns_per_event: median(events),
    cpu_ns_per_event_lowest_twentieth: quantile(events, 0.05),
    cpu_ns_per_call: median(calls),
    cpu_ns_per_call_lowest_twentieth: quantile(calls, 0.05),
  }
}

async function main(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'bench-agent-'))
  const nginx = await startNginx(directory, false)
  const metaflow = new MetaFlow(directory)
  try {
    await metaflow.startServer()
    await metaflow.startAgent(values.family as Family)
    await pin(metaflow.agentProcessId, AGENT_PROCESSOR)
    for (const other of [metaflow.serverProcessId, metaflow.engineProcessId, nginx.processId])
      await pin(other, OTHER_PROCESSOR)
    await pin(nginx.workerProcessId, OTHER_PROCESSOR)
    process.stdout.write(`${JSON.stringify(await measure(metaflow, nginx))}\n`)
  } finally {
    await metaflow.stop()
    await nginx.stop()
    rmSync(directory, { recursive: true, force: true })
  }
}

await main()
