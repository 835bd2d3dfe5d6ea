/**
 * Rows a second from blocks to stored rows beside a raw Native insert of the same rows, by
 * `bun tests/bench/insert.ts [MEGABYTES] [ROUNDS]`: blocks of rich HTTP calls are decoded, tagged,
 * encoded and inserted; the raw insert sends what ClickHouse itself gave as Native. Both go over
 * the same client into the same engine, interleaved; CPU of both processes counts.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Pcap } from '../../src/agent/capture/pcap.ts'
import { PacketSegments } from '../../src/agent/capture/pcap-segments.ts'
import { Pipeline } from '../../src/agent/pipeline.ts'
import { CallRows } from '../../src/agent/sender/call-rows.ts'
import { realEnv } from '../../src/lib/env-real.ts'
import { print } from '../../src/lib/log.ts'
import { Utc } from '../../src/lib/utc.ts'
import type { Block } from '../../src/model/block.ts'
import { NameTable } from '../../src/model/name.ts'
import { l7FlowLog } from '../../src/model/tables/l7-flow-log.ts'
import { encodeNative } from '../../src/server/storage/native.ts'
import { migrate } from '../../src/server/storage/schema.ts'
import type { Part } from '../../src/server/storage/store.ts'
import { ClickHouseStore } from '../../src/server/storage/store-clickhouse.ts'
import { decodeBlock, encodeBlock } from '../../src/wire/block.ts'
import { startEngine, type TestEngine } from '../server/storage/engine.ts'
import { writeCapture } from './replay-capture.ts'

const SECOND = 1_000_000

/** Blocks of calls as an agent makes them from a capture, with times of today. */
function blocksOf(path: string, now: number): Uint8Array[] {
  const names = new NameTable()
  const blocks: Uint8Array[] = []
  let time = 0
  const clock = { wall: () => time, monotonic: () => time }
  const rows = new CallRows({
    names,
    clock,
    utc: new Utc(clock),
    rowsPerSecond: Number.POSITIVE_INFINITY,
    emit: (block) => blocks.push(recent(decodeBlock(block), now)),
  })
  const pipeline = new Pipeline({ redact: true, onCalls: (calls, size) => rows.take(calls, size) })
  const packets = new PacketSegments(pipeline.segment)
  const file = new Pcap(path, () => packets.flush())
  let flush = 0
  while (file.next()) {
    time = file.packet.time
    if (time >= flush) {
      flush = time + SECOND
      packets.flush()
      pipeline.tick(time)
      rows.flush()
    }
    packets.packet(file.packet)
  }
  packets.finish()
  packets.flush()
  pipeline.drain()
  rows.flush()
  file.close()
  return blocks
}

function recent(block: Block, now: number): Uint8Array {
  const times = block.columns.get(1)
  if (times?.kind === 'numbers') times.values.fill(now)
  return encodeBlock(block)
}

/** User and system CPU of our child, ms. */
function cpuOf(processId: number): number {
  const fields = readFileSync(`/proc/${processId}/stat`, 'utf8').split(') ')[1]!.split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10
}

type Cost = { readonly cpuMs: number; readonly ownCpuMs: number; readonly wallMs: number }

async function costOf(engine: TestEngine, run: () => Promise<void>): Promise<Cost> {
  const child = engine.processId()!
  const engineBefore = cpuOf(child)
  const before = process.cpuUsage()
  const began = performance.now()
  await run()
  const wallMs = performance.now() - began
  const { user, system } = process.cpuUsage(before)
  const ownCpuMs = (user + system) / 1000
  return { cpuMs: ownCpuMs + cpuOf(child) - engineBefore, ownCpuMs, wallMs }
}

async function main(megabytes: number, rounds: number): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'metaflow-insert-'))
  const engine = await startEngine()
  const { writer } = engine
  try {
    const path = join(directory, 'http.pcap')
    writeCapture(path, megabytes << 20)
    const now = Math.floor(Date.now() / 1000)
    const blocks = blocksOf(path, now)
    await migrate(writer)
    const store = new ClickHouseStore({ clickhouse: engine, timers: realEnv().timers })
    const ids = idsFor(blocks)
    const partition = Math.floor(now / (l7FlowLog.partitionHours * 3600))
    let rows = 0
    let encodedBytes = 0
    const ours = async (): Promise<void> => {
      const parts = blocks.map((bytes): Part => {
        const block = decodeBlock(bytes)
        return { block, ids, agentId: 1, segment: 65_536 }
      })
      rows = parts.reduce((sum, { block }) => sum + block.header.rows, 0)
      const native = encodeNative(l7FlowLog, parts)
      encodedBytes = native.length
      await store.insert({ table: l7FlowLog, partition, segment: 65_536, rows, native })
    }
    const empty = (): Promise<unknown> =>
      writer.command({ query: 'TRUNCATE TABLE flow_log.l7_flow_log' })
    await ours()
    const native = await rawOf(engine)
    const raw = (): Promise<void> =>
      store.insert({ table: l7FlowLog, partition, segment: 65_536, rows, native })
    const costs: { ours: Cost; raw: Cost }[] = []
    for (let round = 0; round < rounds; round++) {
      await empty()
      const first = await costOf(engine, round % 2 ? raw : ours)
      await empty()
      const second = await costOf(engine, round % 2 ? ours : raw)
      costs.push(round % 2 ? { ours: second, raw: first } : { ours: first, raw: second })
    }
    const pick = (of: (cost: { ours: Cost; raw: Cost }) => number): number => median(costs.map(of))
    const began = process.cpuUsage()
    for (let i = 0; i < rounds; i++)
      encodeNative(
        l7FlowLog,
        blocks.map(
          (bytes): Part => ({ block: decodeBlock(bytes), ids, agentId: 1, segment: 65_536 }),
        ),
      )
    const { user } = process.cpuUsage(began)
    const figures = {
      encodeCpuNsPerRow: Math.round((user * 1000) / rows / rounds),
      bytesPerRow: Math.round(encodedBytes / rows),
      rawBytesPerRow: Math.round(native.length / rows),
      name: 'insert',
      rows,
      blocks: blocks.length,
      rowsPerCpuSecond: Math.round(rows / (pick(({ ours: { cpuMs } }) => cpuMs) / 1000)),
      rawRowsPerCpuSecond: Math.round(rows / (pick(({ raw: { cpuMs } }) => cpuMs) / 1000)),
      ratioOfCpu: Number(pick((cost) => cost.raw.cpuMs / cost.ours.cpuMs).toFixed(2)),
      ratioOfTime: Number(pick((cost) => cost.raw.wallMs / cost.ours.wallMs).toFixed(2)),
      serverCpuNsPerRow: Math.round((pick(({ ours: { ownCpuMs } }) => ownCpuMs) / rows) * 1e6),
      engineCpuNsPerRow: Math.round(
        (pick(({ ours: { cpuMs, ownCpuMs } }) => cpuMs - ownCpuMs) / rows) * 1e6,
      ),
      rawEngineCpuNsPerRow: Math.round(
        (pick(({ raw: { cpuMs, ownCpuMs } }) => cpuMs - ownCpuMs) / rows) * 1e6,
      ),
    }
    print(`${JSON.stringify(figures)}\n`)
  } finally {
    await engine.end()
    rmSync(directory, { recursive: true, force: true })
  }
}

/** Ids for as many names as any block uses. */
function idsFor(blocks: readonly Uint8Array[]): Part['ids'] {
  const names = Math.max(...blocks.map((bytes) => decodeBlock(bytes).names.length))
  const all = Uint32Array.from({ length: names }, (_, i) => i * 10)
  return { gprocess: all, host: all, instance: all, instanceType: new Uint8Array(names).fill(120) }
}

async function rawOf(engine: TestEngine): Promise<Buffer> {
  const { stream } = await engine.writer.exec({
    query: 'SELECT * FROM flow_log.l7_flow_log FORMAT Native',
  })
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

function median(of: readonly number[]): number {
  return of.toSorted((a, b) => a - b)[of.length >> 1] ?? Number.NaN
}

const [megabytes = '128', rounds = '5'] = process.argv.slice(2)
await main(Number(megabytes), Number(rounds))
