import type { Sample } from '../lib/counters.ts'
import { samplesOf } from '../lib/counters.ts'
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

export type ReplayOptions = {
  readonly path: string
  /** What is wanted; the rooms for the rest stand still. */
  readonly onMessage?: CallSink
  readonly onCall?: CallSink
  readonly onPoint?: PointSink
  /** Asked now and then; true ends the replay. */
  readonly isStopped?: () => boolean
}

export type ReplayOutcome = {
  readonly packets: number
  /** A sentence that says why reading stopped before the end; empty: it did not. */
  readonly problem: string
  readonly samples: readonly Sample[]
}

/**
 * The agent's rooms wired to a capture file. Its clock is the capture's: monotonic time is UTC, as
 * the packets say. Throws a MetaflowError where the file cannot be opened; whatever is wrong inside
 * it is told by the outcome.
 */
export function replay(options: ReplayOptions): ReplayOutcome {
  const { path, onMessage, onCall, onPoint, isStopped } = options
  const utc = new Utc({ wall: () => 0, monotonic: () => 0 })
  const points = onPoint && new Points({ emit: onPoint, utc })
  const messages = onMessage && new Messages(onMessage)
  const pipeline = new Pipeline({
    redact: false,
    onCall: (call) => {
      points?.call(call)
      onCall?.(call)
    },
    ...(messages && {
      onMessage: (message, mark, connection, l7Protocol) =>
        messages.take(message, mark, connection, l7Protocol),
    }),
  })
  const packets = new PacketSegments(pipeline.segment)
  const file = new Pcap(path)
  let next = 0
  while (file.next()) {
    const { time } = file.packet
    if (time >= next) {
      next = time + TICK
      if (isStopped?.()) break
      pipeline.tick(time)
      points?.tick(time)
    }
    packets.packet(file.packet)
  }
  packets.finish()
  pipeline.drain()
  messages?.finish()
  points?.flush()
  file.close()
  return {
    packets: packets.counters.in,
    problem: file.problem,
    samples: [...samplesOf(packets.counters), ...pipeline.samples()],
  }
}
