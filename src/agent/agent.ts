/** The agent on one page: the kernel's hooks, a lane that reads them, a transport to the server. */
import { version } from '../../package.json' with { type: 'json' }
import type { AgentConfig } from '../config/settings.ts'
import { type Sample, sampleOf, samplesOf } from '../lib/counters.ts'
import { bounded, takeDataDirectory } from '../lib/data-directory.ts'
import type { Env } from '../lib/env.ts'
import { realEnv } from '../lib/env-real.ts'
import { MetaflowError, sentenceOf } from '../lib/errors.ts'
import { log } from '../lib/log.ts'
import { startWorker } from '../lib/worker.ts'
import { ALL } from '../model/segment.ts'
import { type Capture, openCapture } from './capture/capture.ts'
import { hostId } from './identity/host.ts'
import type { FromLane, LaneOptions, ToLane } from './lane.ts'
import { agentIdOf } from './sender/agent-id.ts'
import { Transport } from './sender/transport.ts'

export type Running = {
  /** Resolves with a sentence where it cannot go on. */
  readonly failed: Promise<string>
  stop(): Promise<void>
}

/** Log (server.ts) and spool leave at least a fourth of a default disk share to the tables. */
const SPOOL_SHARE = 0.1
const STATUS_MS = 2000
const STATUS_TIMEOUT_MS = 5000
/** How long what is left may take to reach the server when the agent stops; the rest is spooled. */
const FLUSH_MS = 3000
const LANE_STOP_MS = 5000

/** Begins to observe this host. Throws a sentence where the host does not permit it. */
export async function startAgent(config: AgentConfig): Promise<Running> {
  const { agent, dataDir } = config
  const env = realEnv()
  takeDataDirectory(env, dataDir, { part: 'agent', folder: 'spool' })
  const agentId = await agentIdOf(env, dataDir)
  const host = await hostId(env, dataDir)
  const capture = openCapture({
    family: agent.capture.family,
    ringBytes: agent.capture.ringBytes,
    undecidedBytes: ALL,
    mutedProcessIds: [process.pid],
  })
  log('info', `Observing this host by the ${capture.family} hooks`)
  const transport = new Transport({
    env,
    serverUrl: agent.server,
    directory: `${dataDir}/spool`,
    agentId,
    maxBytes: bounded(env, dataDir, agent.spoolBytes, SPOOL_SHARE),
    ...(agent.token === undefined ? {} : { token: agent.token }),
  })
  const lane = new LaneWorker(capture, transport)
  lane.start({
    handle: capture.handle,
    hostId: host,
    redact: agent.redact,
    endpoints: agent.endpoints,
    rowsPerSecond: agent.rowsPerSecond,
    observe: agent.capture.observe,
    logLevel: config.logLevel,
  })
  const report = new Report(env, config, () => {
    capture.forgetEnded()
    const samples = [...capture.samples(), ...transportSamples(transport), ...lane.samples]
    return { agent: agentId, family: capture.family, samples }
  })
  return {
    failed: lane.failed,
    async stop(): Promise<void> {
      report.stop()
      await lane.stop()
      capture.close()
      await transport.flush(FLUSH_MS)
      await transport.close()
    },
  }
}

/** The lane's Worker as the agent sees it. */
class LaneWorker {
  samples: readonly Sample[] = []
  readonly failed: Promise<string>
  readonly #worker: Worker
  readonly #stopped = Promise.withResolvers<void>()

  constructor(capture: Capture, transport: Transport) {
    const failure = Promise.withResolvers<string>()
    this.failed = failure.promise
    this.#worker = startWorker('agent/worker.ts')
    this.#worker.onmessage = ({ data }: MessageEvent<FromLane>) => {
      if ('block' in data) transport.send(data.block, data.rows)
      else if ('samples' in data) this.samples = data.samples
      else if ('own' in data) capture.muteProcess(data.own)
      else if ('failed' in data) failure.resolve(data.failed)
      else this.#stopped.resolve()
    }
    this.#worker.onerror = (event) => failure.resolve(event.message)
  }

  start(options: LaneOptions): void {
    this.#post({ start: options })
  }

  /** Resolves when it has given all it had, or takes too long. */
  async stop(): Promise<void> {
    this.#post({ stop: true })
    await Promise.race([this.#stopped.promise, Bun.sleep(LANE_STOP_MS), this.failed])
    this.#worker.terminate()
  }

  #post(message: ToLane): void {
    this.#worker.postMessage(message)
  }
}

type Told = { readonly agent: string; readonly family: string; readonly samples: readonly Sample[] }

/** Tells the server every few seconds what the agent costs, counted and lost. */
class Report {
  readonly #env: Env
  readonly #config: AgentConfig
  readonly #tell: () => Told
  readonly #startedAt: number
  readonly #host: string
  #cancel: () => void = () => undefined
  #isStopped = false

  constructor(env: Env, config: AgentConfig, tell: () => Told) {
    this.#env = env
    this.#config = config
    this.#tell = tell
    this.#startedAt = env.clock.wall() / 1000
    this.#host = new TextDecoder().decode(env.files.read('/proc/sys/kernel/hostname')).trim()
    this.#next(0)
  }

  stop(): void {
    this.#isStopped = true
    this.#cancel()
  }

  #next(ms: number): void {
    this.#cancel = this.#env.timers.after(ms, () => {
      // A server that is away is the transport's to complain about.
      this.#send()
        .catch((error: unknown) => log('debug', `Cannot report: ${sentenceOf(error)}`))
        .finally(() => this.#isStopped || this.#next(STATUS_MS))
    })
  }

  async #send(): Promise<void> {
    const { server, token } = this.#config.agent
    const { user, system } = process.cpuUsage()
    const body = {
      ...this.#tell(),
      host: this.#host,
      version,
      startedAt: this.#startedAt,
      cpuSeconds: (user + system) / 1e6,
      memoryBytes: process.memoryUsage.rss(),
    }
    const { status } = await this.#env.network.send({
      method: 'POST',
      url: `${server}/v1/agents/status`,
      headers: {
        'content-type': 'application/json',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      body: new TextEncoder().encode(JSON.stringify(body)),
      timeoutMs: STATUS_TIMEOUT_MS,
    })
    if (status >= 300) throw new MetaflowError('failed', `the server answered ${status}`)
  }
}

function transportSamples({ counters, held, requests, failures }: Transport): Sample[] {
  return [
    ...samplesOf(counters),
    sampleOf('sender_requests_total', 'Requests sent to the server.', requests),
    sampleOf('sender_failures_total', 'Requests the server did not take.', failures),
    sampleOf('sender_spool_bytes', 'Bytes that wait on disk for the server.', held.disk),
    sampleOf('sender_memory_bytes', 'Bytes that wait in memory for the server.', held.memory),
  ]
}
