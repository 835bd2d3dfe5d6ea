/**
 * What capture costs, by `bun tests/bench/capture.ts`: CPU ns that a datagram written and read costs
 * the program that is observed, by hook family and verdict, and ns an event on the reading side.
 * Ways are interleaved, figures are medians.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Capture, type Family, openCapture } from '../../src/agent/capture/capture.ts'
import { openRing, type Ring } from '../../src/agent/capture/ring.ts'
import { print } from '../../src/lib/log.ts'
import { IGNORE, type Segment } from '../../src/model/segment.ts'

const ROUNDS = 11
const PAIRS = 40_000
const RING_BYTES = 64 << 20

type Way = {
  readonly name: string
  readonly family?: Family
  readonly size: number
  readonly verdict?: number
}
const WAYS: readonly Way[] = [
  { name: 'off', size: 256 },
  ...(['socket', 'syscall'] as const).flatMap((family) => [
    { name: `${family} ignored`, family, size: 256, verdict: IGNORE },
    { name: `${family} 0-256 B`, family, size: 256, verdict: 256 },
  ]),
]

const directory = mkdtempSync(join(tmpdir(), 'metaflow-bench-'))
const program = join(directory, 'program')
const sources = [...new Bun.Glob('tests/agent/capture/program/*.c').scanSync('.')]
Bun.spawnSync(['clang', '-O1', '-D_GNU_SOURCE', '-pthread', ...sources, '-o', program])

/** What the sink adds up, so that reading is not optimized away. */
export let total = 0
type Figures = { cpu: number[]; read: number[] }
const figures = new Map<string, Figures>(WAYS.map(({ name }) => [name, { cpu: [], read: [] }]))

/** Runs the program once under `way`; notes its CPU ns a pair, and ns an event of reading. */
async function once(way: Way, ring: Ring | undefined): Promise<void> {
  const { cpu, read } = figures.get(way.name)!
  const child = Bun.spawn([program, 'flood', `${PAIRS}x${way.size}w`], { stdin: 'pipe' })
  const keys = new Set<number>()
  while (ring && keys.size < 2) {
    ring.poll((segment) => void (segment.processId === child.pid && keys.add(segment.key)))
    await Bun.sleep(1)
  }
  for (const key of keys) ring!.setVerdict(key, way.verdict!)
  child.stdin.write('x')
  child.stdin.flush()
  await child.exited
  const usage = child.resourceUsage()!
  cpu.push((Number(usage.cpuTime.total) * 1000) / PAIRS)
  const sink = (segment: Segment): void => {
    total += segment.end + segment.time + segment.sequence + (segment.direction === 'send' ? 1 : 0)
  }
  const started = Bun.nanoseconds()
  const events = ring?.poll(sink) ?? 0
  if (events >= PAIRS) read.push((Bun.nanoseconds() - started) / events)
}

function open(family: Family): Capture {
  return openCapture({ family, ringBytes: RING_BYTES, mutedProcessIds: [process.pid] })
}

const median = (of: number[]): number => of.toSorted((a, b) => a - b)[of.length >> 1] ?? Number.NaN

for (let round = 0; round < ROUNDS; round++)
  for (const way of WAYS) {
    const capture = way.family && open(way.family)
    const ring = capture && openRing(capture.handle)
    await once(way, ring)
    const lost = capture?.counters().ring_full ?? 0
    if (lost > 0) print(`${way.name}: ${lost} lost\n`)
    ring?.close()
    capture?.close()
  }
rmSync(directory, { recursive: true })

print(`ns a pair (write + read of a datagram), of which the hooks; ns an event to read\n`)
const off = median(figures.get('off')!.cpu)
for (const [name, { cpu, read }] of figures) {
  const more = median(cpu) - off
  const figure = (value: number): string => value.toFixed(0).padStart(6)
  print(`${name.padEnd(18)}${figure(median(cpu))}${figure(more)}${figure(median(read))}\n`)
}
