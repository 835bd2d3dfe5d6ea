/**
 * `metaflow --mode=demo`: server and agent on this host as two children, a sample workload where
 * the host is idle, and the address of the page.
 */
import { createWriteStream, type WriteStream } from 'node:fs'
import { loadConfig, reachLoopback, withoutSettings } from '../config/load.ts'
import type { DemoConfig } from '../config/settings.ts'
import { type Command, whenStopped } from '../lib/command.ts'
import { takeDataDirectory } from '../lib/data-directory.ts'
import { realEnv } from '../lib/env-real.ts'
import { MetaflowError } from '../lib/errors.ts'
import { log, say } from '../lib/log.ts'
import { type Child, ownCommand, startChild } from '../lib/process.ts'
import { PARTS } from '../workload/parts.ts'
import { isIdle, type Status } from './demo-idle.ts'

/** What the log of one demo may take. */
const LOG_BYTES_MAX = 16 * 1024 * 1024
const START_MS_MAX = 180_000
const LOOK_MS = 100

export const demoCommand: Command = async (args, stop) => {
  const { config } = loadConfig('demo', args)
  reachLoopback()
  // Its parts, and whoever opens the page, must know the port before it is taken.
  const { listen } = config.server
  if (listen.endsWith(':0'))
    throw new MetaflowError('misuse', `Cannot show a page at ${listen}: give it a port`)
  const demo = new Demo(config, stop)
  try {
    return await demo.run()
  } finally {
    await demo.stop()
  }
}

type Named = { readonly name: string; readonly child: Child }

class Demo {
  readonly #env = realEnv()
  readonly #config: DemoConfig
  readonly #stop: AbortSignal
  readonly #url: string
  readonly #logs: WriteStream
  #logBytes = 0
  #unkept = 0
  readonly #children: Named[] = []
  /** The last lines of those that ended by themselves. */
  #failed: string | undefined

  constructor(config: DemoConfig, stop: AbortSignal) {
    this.#config = config
    this.#stop = stop
    this.#url = `http://${config.server.listen.replace(/^(0\.0\.0\.0|\[::\]):/, '127.0.0.1:')}`
    // Another demo that runs there goes on writing its log and settings.
    takeDataDirectory(this.#env, config.dataDir, { part: 'demo', folder: '.' })
    this.#logs = createWriteStream(this.#logPath, { flags: 'w', mode: 0o600 })
    // A full disk, above all: the demo goes on without a log.
    this.#logs.on('error', ({ message }) => this.#cannotKeep(message))
  }

  get #logPath(): string {
    return `${this.#config.dataDir}/demo.log`
  }

  async run(): Promise<number> {
    const { dataDir, demo } = this.#config
    await this.#step('Starting the server', () => this.#startPart('server', '/healthz'))
    await this.#step('Attaching to the kernel', () => this.#startAgent())
    const isIdle = demo.workload === 'auto' && (await this.#isIdle())
    if (!this.#isOver && (demo.workload === 'on' || isIdle))
      await this.#step(
        `${isIdle ? 'This host is idle: s' : 'S'}tarting a sample workload`,
        async () => this.#startWorkload(),
      )
    if (!this.#isOver)
      tell(
        `\n  The page:  ${this.#url}\n  Data:      ${dataDir} (stays; delete the folder when done)\n` +
          `  Logs:      ${this.#logPath} (stay, too)\n  Ctrl-C stops everything, twice at once.\n\n`,
      )
    await Promise.race([whenStopped(this.#stop), this.#somebodyEnded()])
    if (this.#stop.aborted || this.#failed === undefined) return 0
    throw new MetaflowError('failed', `Cannot go on: ${this.#failed}`)
  }

  /** Stops in the journey's order: who makes calls, who sees them, who keeps them. */
  async stop(): Promise<void> {
    if (this.#children.length > 0) tell('Stopping …\n')
    const at = (name: string): Named[] => this.#children.filter((one) => one.name === name)
    await Promise.all(at('workload').map(({ child }) => child.stop()))
    for (const name of ['agent', 'server'])
      await Promise.all(at(name).map(({ child }) => child.stop()))
    if (this.#logs.destroyed) return
    if (this.#unkept > 0) this.#logs.write(`${this.#unkept} lines more had no room here\n`)
    // It ends by closing, too, where its last words cannot be written.
    await new Promise((resolve) => this.#logs.once('close', resolve).end())
  }

  get #secrets(): Record<string, string | undefined> {
    const { server, clickhouse } = this.#config
    return {
      METAFLOW_SERVER_TOKEN: server.token,
      METAFLOW_AGENT_TOKEN: server.token,
      METAFLOW_CLICKHOUSE_PASSWORD: clickhouse.password || undefined,
    }
  }

  get #isOver(): boolean {
    return this.#stop.aborted || this.#failed !== undefined
  }

  async #step(title: string, run: () => Promise<void>): Promise<void> {
    if (this.#isOver) return
    const from = this.#env.clock.monotonic()
    tell(`  ${title} …`)
    await run()
    const seconds = (this.#env.clock.monotonic() - from) / 1e6
    tell(this.#isOver ? '\n' : ` ${seconds.toFixed(1)} s\n`)
  }

  /** Starts a part with the demo's own settings, and waits until the server answers at `path`. */
  async #startPart(mode: 'server' | 'agent', path: string): Promise<void> {
    const { dataDir, logLevel, agent, server, clickhouse, query } = this.#config
    const file = `${dataDir}/demo.yaml`
    // Secrets go by the environment: a file would outlive us.
    const settings = {
      ...{ dataDir, logLevel, query },
      server: { ...server, token: undefined },
      clickhouse: { ...clickhouse, password: undefined },
      agent: { ...agent, server: this.#url, token: undefined },
    }
    await this.#env.files.replace(file, new TextEncoder().encode(JSON.stringify(settings)))
    this.#start(mode, [`--mode=${mode}`, `--config=${file}`])
    await this.#until(async () => (await this.#get(path))?.ok ?? false)
  }

  async #startAgent(): Promise<void> {
    await this.#startPart('agent', '/healthz')
    await this.#until(async () => ((await this.#status())?.agents.length ?? 0) > 0)
  }

  #startWorkload(): void {
    for (const part of PARTS) this.#start('workload', ['--mode=workload', `--part=${part}`])
  }

  #isIdle(): Promise<boolean> {
    const { clock } = this.#env
    return isIdle({
      status: () => this.#status(),
      wait: (ms) => {
        const until = clock.monotonic() + ms * 1000
        return this.#until(async () => clock.monotonic() >= until)
      },
    })
  }

  /** Writes a line of a child's log while there is room for it: what comes later is counted. */
  #keep(line: string): void {
    this.#logBytes += line.length + 1
    if (this.#logBytes <= LOG_BYTES_MAX && !this.#logs.destroyed) this.#logs.write(`${line}\n`)
    else this.#unkept++
  }

  #cannotKeep(why: string): void {
    log('warn', `Cannot write ${this.#logPath}: ${why}; the demo goes on without it`)
  }

  #start(name: string, args: readonly string[]): void {
    let last = 'it said nothing'
    const child = startChild({
      command: ownCommand(args),
      name,
      environment: { ...withoutSettings(), ...this.#secrets },
      onLine: (line) => {
        last = line
        this.#keep(line)
      },
    })
    this.#children.push({ name, child })
    void child.exited.then(() => {
      this.#failed ??= `the ${name} ended: ${last.replace(/^\S+ error +\w+: |^metaflow: /, '')}`
    })
  }

  #somebodyEnded(): Promise<unknown> {
    return Promise.race(this.#children.map(({ child }) => child.exited))
  }

  async #until(holds: () => Promise<boolean>): Promise<void> {
    const end = this.#env.clock.monotonic() + START_MS_MAX * 1000
    while (!(this.#isOver || (await holds()))) {
      if (this.#env.clock.monotonic() > end)
        throw new MetaflowError('timeout', `Cannot start: see ${this.#logPath}`)
      await Bun.sleep(LOOK_MS)
    }
  }

  async #status(): Promise<Status | undefined> {
    const answer = await this.#get('/v1/status')
    return answer?.ok ? ((await answer.json()) as Status) : undefined
  }

  async #get(path: string): Promise<Response | undefined> {
    const { token } = this.#config.server
    const headers: Record<string, string> = token ? { authorization: `Bearer ${token}` } : {}
    return await fetch(this.#url + path, { headers }).catch(() => undefined)
  }
}

/** Says it to whoever listens: a reader that is gone (`| tee`, Ctrl-C) holds up no orderly stop. */
function tell(text: string): void {
  try {
    say(text)
  } catch {
    // EPIPE, or a disk that is full.
  }
}
