/** The built executable as a user runs it: a server and an agent, asked by SQL. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { type Child, startChild } from '../../src/lib/process.ts'
import { freePort } from '../peers/peers.ts'
import { until } from '../until.ts'

export const EXECUTABLE = 'dist/metaflow'

/** The reason why the journey cannot be made here, else the empty string. */
export function noJourney(): string {
  if (process.getuid?.() !== 0) return 'not root'
  if (!existsSync('/sys/kernel/btf/vmlinux')) return 'the kernel has no BTF'
  if (!existsSync(EXECUTABLE)) return `${EXECUTABLE} is not built`
  return ''
}

export type Family = 'socket' | 'syscall'

export class MetaFlow {
  readonly #directory: string
  readonly #lines: string[] = []
  #server: Child | undefined
  #agent: Child | undefined
  #ended = ''
  url = ''

  constructor(directory: string) {
    this.#directory = directory
  }

  /** Starts the server (again, on the same port and data) and waits until it is healthy. */
  async startServer(): Promise<void> {
    this.url ||= `http://127.0.0.1:${await freePort()}`
    this.#server = this.#start('server', [
      ...['--mode=server', '--data-dir', `${this.#directory}/server`],
      ...['--listen', this.url.slice('http://'.length)],
    ])
    await this.#until(async () => (await this.#get('/healthz'))?.status === 200)
  }

  async startAgent(family: Family, flags: readonly string[] = []): Promise<void> {
    this.#agent = this.#start('agent', [
      ...['--mode=agent', '--data-dir', `${this.#directory}/agent`, '--server', this.url],
      ...[`--agent-capture-family=${family}`, ...flags],
    ])
    await this.#until(async () => {
      const status = (await (await this.#get('/v1/status'))?.json()) as
        | { agents: { family: string; seenAt: number }[] }
        | undefined
      return status?.agents.some((agent) => agent.family === family) ?? false
    })
  }

  /** Rows of `sql`, a column name to a value each. */
  async sql(sql: string): Promise<Record<string, unknown>[]> {
    const response = await fetch(`${this.url}/v1/query`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ sql }),
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`${response.status} ${text}`)
    const { result } = JSON.parse(text) as { result: { columns: string[]; values: unknown[][] } }
    return result.values.map((row) =>
      Object.fromEntries(result.columns.map((column, at) => [column, row[at]])),
    )
  }

  /** Waits at most `seconds` until `holds` of the rows of `sql`; answers them. */
  async rows(
    sql: string,
    holds: (rows: readonly Record<string, unknown>[]) => boolean,
    seconds = 15,
  ): Promise<Record<string, unknown>[]> {
    let rows: Record<string, unknown>[] = []
    await until(async () => {
      rows = await this.sql(sql)
      return holds(rows)
    }, seconds).catch(() => undefined)
    return rows
  }

  killServer(): Promise<unknown> {
    this.#server?.signal('SIGKILL')
    return this.#server!.exited
  }

  /** Kills the engine, the server's child, and answers its process id. */
  killEngine(): number {
    const engine = this.engineProcessId
    process.kill(engine, 'SIGKILL')
    return engine
  }

  get agentProcessId(): number {
    return this.#agent!.processId
  }

  get serverProcessId(): number {
    return this.#server!.processId
  }

  /** The engine, the server's child. */
  get engineProcessId(): number {
    const engine = childrenOf(this.#server!.processId).find((pid) =>
      commandOf(pid).includes('--mode=engine'),
    )
    if (engine === undefined)
      throw new Error('Cannot find the engine: the server has no such child')
    return engine
  }

  async stop(): Promise<void> {
    await this.#agent?.stop()
    await this.#server?.stop()
  }

  /** What both said, for a failing test. */
  get words(): string {
    return this.#lines.slice(-60).join('\n')
  }

  /** Waits until `holds`; a part that ends meanwhile, or takes too long, is told with its words. */
  async #until(holds: () => Promise<boolean>): Promise<void> {
    await until(async () => this.#ended !== '' || (await holds()), 90).catch((error: Error) => {
      throw new Error(`${error.message}\n${this.words}`)
    })
    if (this.#ended !== '') throw new Error(`${this.#ended} ended\n${this.words}`)
  }

  #start(name: string, args: readonly string[]): Child {
    this.#ended = ''
    const child = startChild({
      command: [EXECUTABLE, ...args],
      name,
      onLine: (line) => this.#lines.push(`${name}: ${line}`),
    })
    void child.exited.then(() => {
      this.#ended = name
    })
    return child
  }

  async #get(path: string): Promise<Response | undefined> {
    return await fetch(`${this.url}${path}`).catch(() => undefined)
  }
}

function childrenOf(processId: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => statOf(pid).split(') ')[1]?.split(' ')[1] === String(processId))
    .map(Number)
}

function statOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return ''
  }
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return ''
  }
}
