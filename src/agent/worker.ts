/**
 * One lane of the agent: from a ring of the kernel to finished blocks, all of it in this Worker.
 * Only blocks and counters leave it.
 */
import { type Sample, sampleOf, samplesOf } from '../lib/counters.ts'
import { realEnv } from '../lib/env-real.ts'
import { log, setLog } from '../lib/log.ts'
import { Utc } from '../lib/utc.ts'
import { NameTable } from '../model/name.ts'
import type { Segment } from '../model/segment.ts'
import { openRing, type Ring } from './capture/ring.ts'
import { type Ends, Identity } from './identity/identity.ts'
import type { FromLane, LaneOptions, ToLane } from './lane.ts'
import { Points } from './metrics/points.ts'
import { Pipeline } from './pipeline.ts'
import { CallRows } from './sender/call-rows.ts'
import { PointRows } from './sender/point-rows.ts'

declare const self: Worker

/**
 * How long the ring is left alone, unless it fills before. A lane that works for a moment every few
 * milliseconds makes the scheduler move the programs it observes time and again.
 */
const PAUSE_MS_QUIET = 20
const PAUSE_MS_BUSY = 300
/** Events a millisecond from which on the lane is busy. */
const BUSY_EVENTS = 2
/** Rows are throttled by the second, and go when theirs is over. */
const FLUSH_US = 1_000_000
const IDENTITY_US = 1_000_000

class Lane {
  readonly #env = realEnv()
  readonly #names = new NameTable()
  readonly #ring: Ring
  readonly #identity: Identity
  readonly #pipeline: Pipeline
  readonly #rows: CallRows
  readonly #pointRows: PointRows
  readonly #points: Points
  readonly #own = new Set<number>()
  /** One connection's ends, filled anew for each question. */
  readonly #ends: { -readonly [Key in keyof Ends]: Ends[Key] } = {
    addresses: new Uint8Array(32),
    isIpv4: true,
    protocol: 6,
    localPort: 0,
    remotePort: 0,
    processId: 0,
  }
  #pauseMs = PAUSE_MS_QUIET
  #nextFlush = 0
  #nextIdentity = 0
  #next: ReturnType<typeof setImmediate> | undefined
  #polls = 0

  constructor(options: LaneOptions) {
    const { clock } = this.#env
    const utc = new Utc(clock)
    const emit = (block: Uint8Array, rows: number): void => {
      post({ block, rows }, [block.buffer as ArrayBuffer])
    }
    const { hostId, redact, endpoints, rowsPerSecond } = options
    const names = this.#names
    this.#identity = new Identity({ names, hostId })
    this.#identity.open(clock.monotonic())
    this.#rows = new CallRows({ names, clock, utc, rowsPerSecond, emit })
    const pointRows = new PointRows({ names, clock, emit })
    this.#pointRows = pointRows
    this.#points = new Points({ utc, emit: (point) => pointRows.add(point) })
    this.#ring = openRing(options.handle)
    this.#pipeline = new Pipeline({
      redact,
      endpoints,
      onCalls: (calls, size) => {
        this.#points.take(calls, size)
        this.#rows.take(calls, size)
      },
      setVerdict: (key, bytesPerCall) => this.#ring.setVerdict(key, bytesPerCall),
      isMuted: (segment) => !options.observe || this.#isOwn(segment),
      listens: (port, isIpv4, protocol) => this.#identity.listens(port, isIpv4, protocol),
      nameProcess: (processId, command) => this.#identity.process(processId, command),
      nameAddress: (bytes, at, isIpv4) => this.#identity.address(bytes, at, isIpv4),
    })
    this.#turn()
  }

  #turn(): void {
    // The clock is read first: no wait may expire while what it waits for lies in the ring.
    const now = this.#env.clock.monotonic()
    const events = this.#ring.poll(this.#pipeline.segment)
    this.#polls++
    this.#pipeline.tick(now)
    this.#points.tick(now)
    if (now >= this.#nextIdentity) {
      this.#nextIdentity = now + IDENTITY_US
      this.#identity.tick(now)
    }
    if (now >= this.#nextFlush) {
      this.#nextFlush = (Math.floor(now / FLUSH_US) + 1) * FLUSH_US
      this.#rows.flushEnded(now)
      this.#pointRows.flush()
      post({ samples: this.#samples() })
    }
    this.#pauseMs = events >= this.#pauseMs * BUSY_EVENTS ? PAUSE_MS_BUSY : PAUSE_MS_QUIET
    this.#ring.wait(this.#pauseMs)
    this.#next = setImmediate(() => this.#turn())
  }

  /** The last events, then everything that still waits, as blocks. */
  stop(): void {
    clearImmediate(this.#next)
    this.#ring.poll(this.#pipeline.segment)
    this.#pipeline.drain()
    this.#points.tick(Number.POSITIVE_INFINITY)
    this.#rows.flush()
    this.#pointRows.flush()
    post({ samples: this.#samples() })
    this.#ring.close()
    post({ stopped: true })
  }

  /** Whether MetaFlow's own is at either end; whoever it is, the kernel is told to mute it. */
  #isOwn(segment: Segment): boolean {
    if (this.#identity.isOwn(segment.processId)) return this.#mute(segment.processId)
    const ends = this.#ends
    for (let at = 0; at < 16; at++) {
      ends.addresses[at] = segment.addresses[segment.localAt + at] ?? 0
      ends.addresses[16 + at] = segment.addresses[segment.remoteAt + at] ?? 0
    }
    ends.isIpv4 = segment.isIpv4
    ends.protocol = segment.protocol
    ends.localPort = segment.localPort
    ends.remotePort = segment.remotePort
    ends.processId = segment.processId
    const remote = this.#identity.remoteListener(ends)
    return this.#identity.isOwn(remote) && this.#mute(remote)
  }

  #mute(processId: number): boolean {
    if (!this.#own.has(processId)) {
      this.#own.add(processId)
      post({ own: processId })
    }
    return true
  }

  #samples(): Sample[] {
    return [
      ...this.#pipeline.samples(),
      ...samplesOf(this.#points.counters),
      ...samplesOf(this.#rows.throttle.counters),
      ...this.#identity.counters.flatMap(samplesOf),
      sampleOf('points_folded_total', 'Calls counted under a folded key.', this.#points.folded),
      sampleOf('names', 'Names this agent knows.', this.#names.size),
      sampleOf('names_overflowed_total', 'Names that share (other).', this.#names.overflowed),
      sampleOf('ring_polls_total', 'Times the ring was looked at.', this.#polls),
      sampleOf('ring_malformed_total', 'Records that were no events.', this.#ring.malformed),
      sampleOf(
        'verdicts_refused_total',
        'Verdicts the kernel had no room for.',
        this.#ring.refused,
      ),
    ]
  }
}

function post(message: FromLane, transfer: ArrayBuffer[] = []): void {
  self.postMessage(message, transfer)
}

let lane: Lane | undefined
self.onmessage = ({ data }: MessageEvent<ToLane>) => {
  try {
    if ('start' in data) {
      setLog(data.start.logLevel, 'agent')
      lane = new Lane(data.start)
    } else lane?.stop()
  } catch (thrown) {
    log('error', `Cannot run the lane: ${(thrown as Error).message}`)
    post({ failed: (thrown as Error).message })
  }
}
