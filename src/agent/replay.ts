import { setImmediate, setTimeout } from 'node:timers/promises'
import { type Sample, samplesOf } from '../lib/counters.ts'
import { Utc } from '../lib/utc.ts'
import type { CallSink } from '../model/call.ts'
import type { PointSink } from '../model/point.ts'
import { Pcap } from './capture/pcap.ts'
import { PacketSegments } from './capture/pcap-segments.ts'
import { Points } from './metrics/points.ts'
import { Pipeline } from './pipeline.ts'
import { Messages } from './replay-messages.ts'

/** How often the rooms are told that time passes, in µs of the capture's own time. */
const TICK = 10_000
/** Packets are hardly captured so much out of order: a section that was taken before follows. */
const BACK = 1_000_000
/** How long standard input is left alone when it has nothing. */
const DRY_MS = 10
/** After so many packets whoever else wants to run may: a Ctrl-C, above all. */
const TURN = 16_384

export type ReplayOptions = {
  readonly path: string
  /** What is wanted; the rooms for the rest stand still. */
  readonly onMessage?: CallSink
  readonly onCall?: CallSink
  readonly onPoint?: PointSink
  /** Ends the replay when it is aborted. */
  readonly stop?: AbortSignal
}

export type ReplayOutcome = {
  readonly packets: number
  /** A sentence that says why reading stopped before the end; empty: it did not. */
  readonly problem: string
  readonly samples: readonly Sample[]
}

/**
 * The agent's rooms wired to a capture file. Its clock is the capture's: monotonic time is UTC, as
 * the packets say. Rejects where the file cannot be opened; what is wrong in it
 * is told by the outcome.
 */
export async function replay(options: ReplayOptions): Promise<ReplayOutcome> {
  const { path, onMessage, onCall, onPoint, stop } = options
  const utc = new Utc({ wall: () => 0, monotonic: () => 0 })
  const points = onPoint && new Points({ emit: onPoint, utc })
  const messages = onMessage && new Messages(onMessage)
  const pipeline = new Pipeline({
    redact: false,
    onCalls: (calls, size) => {
      points?.take(calls, size)
      if (onCall) for (let i = 0; i < size; i++) onCall(calls[i]!)
    },
    ...(messages && {
      onMessage: (message, mark, connection, l7Protocol) =>
        messages.take(message, mark, connection, l7Protocol),
      onLost: (connection) => messages.lost(connection),
    }),
  })
  const packets = new PacketSegments(pipeline.segment)
  const file = new Pcap(path, () => packets.flush())
  let next = 0
  while (stop?.aborted !== true) {
    if (!file.next()) {
      if (!file.isDry) break
      await setTimeout(DRY_MS)
      continue
    }
    const { time } = file.packet
    if (time >= next || time < next - TICK - BACK) {
      next = time + TICK
      packets.flush()
      pipeline.tick(time)
      points?.tick(time)
    }
    packets.packet(file.packet)
    if (packets.counters.in % TURN === 0) await setImmediate()
  }
  packets.finish()
  packets.flush()
  pipeline.drain()
  messages?.finish()
  points?.flush()
  file.close()
  return {
    packets: packets.counters.in,
    problem: file.problem || unread(path, packets),
    samples: [...samplesOf(packets.counters), ...pipeline.samples()],
  }
}

/** A sentence that says why nothing at all was read; empty: something was. */
function unread(path: string, { counters, unknownLink }: PacketSegments): string {
  if (counters.in === 0 || counters.dropped.link < counters.in) return ''
  return `Cannot read ${path}: its packets are of link type ${unknownLink}, which is not known here`
}
