/** Runs a program that moves bytes, and observes it: what it says it did, and what was captured. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Capture, CaptureCounts, Family } from '../../../src/agent/capture/capture.ts'
import type { Ring } from '../../../src/agent/capture/ring.ts'
import type { Segment } from '../../../src/model/segment.ts'
import { missing } from '../../needs.ts'

export const FAMILIES: readonly Family[] = ['socket', 'syscall']
/** Bytes of a call that the program prints, and that are captured of a socket without verdict. */
export const SHOWN = 1024

/** Why captures cannot be tested here, or undefined. */
export const why: string | undefined = missing('root', 'btf', 'clang')
if (why !== undefined) process.stderr.write(`captures are not tested, since ${why}\n`)

/** Where the test's program was built; empty before, and after cleanUp. */
let directory = ''

/** What one call moved: by the program's own account, or as captured (then with all the rest). */
export type Moved = {
  readonly direction: 'send' | 'receive'
  readonly processId: number
  readonly threadId: number
  readonly cookie: number
  readonly size: number
  /** Hexadecimal; undefined where the program itself never saw the bytes. */
  readonly bytes: string | undefined
}
export type Seen = Moved &
  Pick<Segment, 'kind' | 'role' | 'protocol' | 'isIpv4' | 'localPort' | 'remotePort' | 'network'> &
  Pick<Segment, 'sequence' | 'before' | 'time' | 'traceId'> & {
    readonly local: string
    readonly remote: string
    readonly command: string
  }
export type Observation = {
  readonly said: readonly Moved[]
  readonly seen: readonly Seen[]
  readonly counts: CaptureCounts
}

/** Compiles the kernel programs and the test's own; the capture's modules load only after that. */
export function build(): void {
  if (directory) return
  directory = mkdtempSync(join(tmpdir(), 'metaflow-capture-'))
  run(['scripts/build-bpf'])
  const sources = [...new Bun.Glob('tests/agent/capture/program/*.c').scanSync('.')]
  const program = join(directory, 'program')
  run(['clang', '-O1', '-Wall', '-Werror', '-D_GNU_SOURCE', '-pthread', ...sources, '-o', program])
}

/** Each file of tests calls it when it is done. */
export function cleanUp(): void {
  if (directory) rmSync(directory, { recursive: true })
  directory = ''
}

function run(command: readonly string[]): void {
  const { exitCode, stderr } = Bun.spawnSync([...command])
  if (exitCode !== 0) throw new Error(`Cannot run ${command[0]}: ${stderr}`)
}

/** Starts the program; its lines are answered once it has ended. */
export function start(
  scenario: string,
  transport: string,
): Bun.Subprocess<'pipe', 'pipe', 'inherit'> {
  build()
  return Bun.spawn([join(directory, 'program'), scenario, transport], {
    stdin: 'pipe',
    stdout: 'pipe',
    stderr: 'inherit',
  })
}

export class Observer {
  readonly capture: Capture
  readonly ring: Ring
  readonly seen: Seen[] = []
  #processes: ReadonlySet<number> = new Set()

  constructor(capture: Capture, ring: Ring) {
    this.capture = capture
    this.ring = ring
  }

  readonly poll = (): number => this.ring.poll((segment) => this.seen.push(copyOf(segment)))

  /** Runs a scenario to its end, and answers what it said beside what was captured of it. */
  async watch(scenario: string, transport = 'tcp4'): Promise<Observation> {
    const before = this.capture.counters()
    this.poll()
    this.seen.length = 0
    const child = start(scenario, transport)
    const text = new Response(child.stdout).text()
    let ended = false
    const code = child.exited.finally(() => {
      ended = true
    })
    while (!ended) {
      this.poll()
      await Bun.sleep(2)
    }
    if ((await code) !== 0) throw new Error(`Cannot compare: ${scenario} ended with ${await code}`)
    return this.observation(await text, before)
  }

  observation(text: string, before: CaptureCounts): Observation {
    this.poll()
    const said = text.trim().split('\n').map(readMoved)
    this.#processes = new Set(said.map((moved) => moved.processId))
    const seen = this.seen.filter((one) => this.#processes.has(one.processId))
    const after = this.capture.counters()
    const counts = Object.fromEntries(
      Object.entries(after).map(([name, value]) => [name, value - before[name as never]]),
    )
    return { said, seen, counts: counts as CaptureCounts }
  }

  close(): void {
    this.ring.close()
    this.capture.close()
  }
}

/** Opens a capture of `family`, imported late: what it embeds must have been built. */
export async function observer(
  family: Family | 'auto',
  more: { ringBytes?: number; mutedProcessIds?: number[]; quietMs?: number } = {},
): Promise<Observer> {
  build()
  const { openCapture } = await import('../../../src/agent/capture/capture.ts')
  const { openRing } = await import('../../../src/agent/capture/ring.ts')
  const capture = openCapture({ family, mutedProcessIds: [process.pid], ...more })
  return new Observer(capture, openRing(capture.handle))
}

function readMoved(line: string): Moved {
  const [direction, pid, tid, cookie, size, bytes] = line.split(' ')
  return {
    direction: direction === 's' ? 'send' : 'receive',
    processId: Number(pid),
    threadId: Number(tid),
    cookie: Number(cookie),
    size: Number(size),
    bytes: bytes === '-' ? undefined : bytes,
  }
}

function copyOf(segment: Segment): Seen {
  const { bytes, start: from, end, addresses, localAt, remoteAt, isIpv4 } = segment
  const address = (at: number): string => {
    const part = addresses.subarray(at, at + (isIpv4 ? 4 : 16))
    return isIpv4 ? part.join('.') : part.toHex()
  }
  const { command, commandAt } = segment
  return {
    ...segment,
    cookie: segment.key,
    bytes: end > from ? bytes.subarray(from, end).toHex() : undefined,
    local: address(localAt),
    remote: address(remoteAt),
    command: new TextDecoder()
      .decode(command.subarray(commandAt, commandAt + 16))
      .replace(/\0.*/s, ''),
  }
}

/** The calls of each socket and direction, each list in order. */
export function byStream<M extends Moved>(calls: readonly M[]): Map<string, M[]> {
  return Map.groupBy(calls, (call) => `${call.direction} ${call.cookie}`)
}
