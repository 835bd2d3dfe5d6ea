/** The built executable where all is not well: run to its end, or held while it is mistreated. */
import { expect } from 'bun:test'
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { type Child, type Output, runProgram, startChild } from '../../src/lib/process.ts'
import { freePort } from '../peers/peers.ts'
import { until } from '../until.ts'

export const METAFLOW: string = resolve('dist/metaflow')
/** The engine unpacked, once for all tests: half a gigabyte. */
const ENGINE = resolve('.cache/engine')
/** Whatever is wrong, it is said within this: nothing hangs. */
const RUN_MS_MAX = 60_000

export type RunOptions = {
  readonly environment?: Readonly<Record<string, string | undefined>>
  readonly directory?: string
  /** What starts it: `setpriv …`, `unshare …`. */
  readonly by?: readonly string[]
}

/** Runs the executable to its end. */
export async function ran(args: readonly string[], options: RunOptions = {}): Promise<Output> {
  const { by = [], ...rest } = options
  const [program, ...words] = [...by, METAFLOW, ...args]
  return await runProgram([program!, ...words], { ...rest, timeoutMs: RUN_MS_MAX })
}

/** Ended by itself with `code`, a sentence that begins "Cannot" last, and nothing of our insides. */
export function expectSentence(run: Output, code: number, sentence: string | RegExp): void {
  const last = run.stderr.trimEnd().split('\n').at(-1) ?? ''
  expect(last).toMatch(/^metaflow: Cannot [a-z]+.*: .+/)
  if (typeof sentence === 'string') expect(last).toContain(sentence)
  else expect(last).toMatch(sentence)
  expectNoInsides(run.stdout + run.stderr)
  expect([run.code, run.signal]).toEqual([code, null])
}

/** No stack trace, no source line, no runtime's own words. */
export function expectNoInsides(text: string): void {
  expect(text).not.toMatch(/^\s+at |\$bunfs|Bun v\d|node:internal|\.ts:\d|Error:|undefined|panic/m)
}

/** A mode of the executable that runs until it is stopped. */
export class Part {
  readonly lines: string[] = []
  readonly child: Child
  hasEnded = false

  constructor(args: readonly string[], options: RunOptions = {}) {
    const { by = [], ...rest } = options
    const [program, ...words] = [...by, METAFLOW, ...args]
    this.child = startChild({
      ...rest,
      // A shell does not ask for this either: what it would hide is to be seen.
      environment: { BUN_FEATURE_FLAG_NO_ORPHANS: undefined, ...rest.environment },
      command: [program!, ...words],
      name: 'metaflow',
      onLine: (line) => this.lines.push(line),
    })
    void this.child.exited.then(() => {
      this.hasEnded = true
    })
  }

  get words(): string {
    return this.lines.join('\n')
  }

  /** Waits until `holds`; told with all it said where it ends first or takes too long. */
  async until(holds: () => boolean | Promise<boolean>, seconds = 30): Promise<void> {
    await until(async () => this.hasEnded || (await holds()), seconds).catch((error: Error) => {
      throw new Error(`${error.message}\n${this.words}`)
    })
    if (this.hasEnded && !(await holds())) throw new Error(`It ended\n${this.words}`)
  }

  /** Waits until it said `text`. */
  async says(text: string | RegExp, seconds = 30): Promise<void> {
    await this.until(() => this.lines.some((line) => line.search(text) >= 0), seconds)
  }
}

/** A server on a free port that serves by now; `data` gets the shared engine. */
export class ServerPart extends Part {
  readonly url: string
  readonly port: number
  readonly data: string

  static async start(
    data: string,
    args: readonly string[] = [],
    port = 0,
    options: RunOptions = {},
  ): Promise<ServerPart> {
    giveEngine(data)
    const at = port || (await freePort())
    const listen = ['--data-dir', data, '--listen', `127.0.0.1:${at}`]
    const server = new ServerPart(data, at, ['--mode=server', ...listen, ...args], options)
    await server.until(async () => (await server.get('/healthz'))?.status === 200, 60)
    return server
  }

  private constructor(data: string, port: number, args: readonly string[], options: RunOptions) {
    super(args, options)
    this.data = data
    this.port = port
    this.url = `http://127.0.0.1:${port}`
  }

  async get(path: string, init: RequestInit = {}): Promise<Response | undefined> {
    return await fetch(`${this.url}${path}`, init).catch(() => undefined)
  }

  /** The first column of the first row of `sql`. */
  async value(sql: string): Promise<unknown> {
    const response = await this.get('/v1/query', {
      method: 'POST',
      body: new URLSearchParams({ sql }),
    })
    const text = await response?.text()
    if (!response?.ok) throw new Error(`${response?.status} ${text}`)
    return (JSON.parse(text!) as { result: { values: unknown[][] } }).result.values[0]?.[0]
  }

  /** Value of a metric of its own; all its labels summed. */
  async metric(name: string): Promise<number> {
    const text = (await (await this.get('/metrics'))?.text()) ?? ''
    const lines = text.split('\n').filter((line) => line.startsWith(name))
    return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
  }
}

/** Lets the server of `data` find the engine unpacked. */
export function giveEngine(data: string): void {
  mkdirSync(ENGINE, { recursive: true })
  mkdirSync(data, { recursive: true })
  if (!existsSync(join(data, 'engine'))) symlinkSync(ENGINE, join(data, 'engine'))
}

export type Process = { readonly pid: number; readonly parent: number; readonly command: string }

/** Every process that is alive and has a command line. */
export function processes(): Process[] {
  return readdirSync('/proc').flatMap((name) => {
    try {
      const command = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
      const parent = readFileSync(`/proc/${name}/stat`, 'utf8').split(') ')[1]?.split(' ')[1]
      return command === '' ? [] : [{ pid: Number(name), parent: Number(parent), command }]
    } catch {
      return []
    }
  })
}
