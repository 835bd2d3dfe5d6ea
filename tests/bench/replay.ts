/**
 * Calls a second on one core from a capture file to finished blocks, by
 * `bun tests/bench/replay.ts [MEGABYTES] [ROUNDS]`: pcap -> flow -> protocols -> sessions -> points
 * and rows -> encoded blocks. CPU time of the whole process, pinned where the system can.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Pcap } from '../../src/agent/capture/pcap.ts'
import { PacketSegments } from '../../src/agent/capture/pcap-segments.ts'
import { Points } from '../../src/agent/metrics/points.ts'
import { Pipeline } from '../../src/agent/pipeline.ts'
import { CallRows } from '../../src/agent/sender/call-rows.ts'
import { PointRows } from '../../src/agent/sender/point-rows.ts'
import { print } from '../../src/lib/log.ts'
import { Utc } from '../../src/lib/utc.ts'
import { NameTable } from '../../src/model/name.ts'
import { writeCapture } from './replay-capture.ts'

const SECOND = 1_000_000
const TICK = 10_000

export type Replayed = {
  readonly calls: number
  readonly blocks: number
  readonly blockBytes: number
  /** User and system CPU, µs. */
  readonly cpu: number
}

/** Runs a capture through all rooms of the agent, as its Worker does. */
export function replayToBlocks(path: string, onBlock?: (block: Uint8Array) => void): Replayed {
  const names = new NameTable()
  let now = 0
  let calls = 0
  let blocks = 0
  let blockBytes = 0
  const emit = (block: Uint8Array): void => {
    blocks++
    blockBytes += block.length
    onBlock?.(block)
  }
  const clock = { wall: () => now, monotonic: () => now }
  const utc = new Utc(clock)
  const rows = new CallRows({ names, clock, utc, rowsPerSecond: Number.POSITIVE_INFINITY, emit })
  const pointRows = new PointRows({ names, clock, emit })
  const points = new Points({ utc, emit: (point) => pointRows.add(point) })
  const pipeline = new Pipeline({
    redact: true,
    onCalls: (some, size) => {
      calls += size
      points.take(some, size)
      rows.take(some, size)
    },
  })
  const packets = new PacketSegments(pipeline.segment)
  const before = process.cpuUsage()
  const file = new Pcap(path, () => packets.flush())
  let tick = 0
  let flush = 0
  while (file.next()) {
    now = file.packet.time
    if (now >= tick) {
      tick = now + TICK
      packets.flush()
      pipeline.tick(now)
      points.tick(now)
    }
    if (now >= flush) {
      flush = now + SECOND
      rows.flush()
      pointRows.flush()
    }
    packets.packet(file.packet)
  }
  packets.finish()
  packets.flush()
  pipeline.drain()
  points.flush()
  rows.flush()
  pointRows.flush()
  const { user, system } = process.cpuUsage(before)
  file.close()
  return { calls, blocks, blockBytes, cpu: user + system }
}

function main(megabytes: number, rounds: number): void {
  const directory = mkdtempSync(join(tmpdir(), 'metaflow-replay-'))
  const path = join(directory, 'http.pcap')
  try {
    const written = writeCapture(path, megabytes << 20)
    const rates: number[] = []
    let last: Replayed | undefined
    for (let round = 0; round < rounds; round++) {
      last = replayToBlocks(path)
      if (last.calls !== written) throw new Error(`${last.calls} calls of ${written} were read`)
      rates.push((last.calls / last.cpu) * 1e6)
    }
    rates.sort((a, b) => a - b)
    const figures = {
      name: 'replay',
      megabytes,
      calls: written,
      callsPerSecond: Math.round(rates[rates.length >> 1]!),
      callsPerSecondLeast: Math.round(rates[0]!),
      nsPerCall: Math.round(1e9 / rates[rates.length >> 1]!),
      bytesPerCall: Math.round(last!.blockBytes / written),
      blocks: last!.blocks,
      memoryMegabytes: Math.round(process.memoryUsage.rss() / 1e6),
    }
    print(`${JSON.stringify(figures)}\n`)
  } finally {
    rmSync(directory, { recursive: true })
  }
}

if (import.meta.main) {
  const [megabytes = '1024', rounds = '3'] = process.argv.slice(2)
  const taskset = Bun.which('taskset')
  const pinned = process.argv.includes('--pinned')
  if (taskset && !pinned) {
    const command = [taskset, '-c', '0', process.execPath, import.meta.path, megabytes, rounds]
    const child = Bun.spawnSync([...command, '--pinned'], {
      stdio: ['ignore', 'inherit', 'inherit'],
    })
    process.exit(child.exitCode)
  }
  main(Number(megabytes), Number(rounds))
}
