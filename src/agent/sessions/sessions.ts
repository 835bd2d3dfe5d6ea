import { Counters, type Sample, sampleOf, samplesOf } from '../../lib/counters.ts'
import { CALL_TYPE, type Call, type CallsSink } from '../../model/call.ts'
import type { Connection } from '../../model/connection.ts'
import { STATUS } from '../../model/message.ts'
import { Endpoints } from './endpoint.ts'
import { EndpointRules } from './endpoint-rules.ts'
import { Session } from './session.ts'
import {
  ANSWERED,
  ANSWERING,
  MERGE_US,
  ONE_WAY,
  ORPHAN,
  Pool,
  Queue,
  type Waiting,
} from './waiting.ts'

export type SessionsOptions = {
  readonly emit: CallsSink
  /** SQL literals, query-string values, Redis values: `?` or dropped. */
  readonly redact: boolean
  /** Seconds a request waits for its response; a DNS question waits `dnsTimeoutSeconds`. */
  readonly timeoutSeconds?: number
  readonly dnsTimeoutSeconds?: number
  /** Segments of paths that make their endpoints: see EndpointRules. */
  readonly endpoints?: string
  /** Requests that wait on all connections together. */
  readonly waitingMax?: number
}

/** Why a call lacks what it should have. */
export type SessionsCause =
  | 'timeout'
  | 'lost'
  | 'closed'
  | 'too_many'
  | 'too_many_in_all'
  | 'ambiguous'
  | 'orphan'

const CAUSES: readonly SessionsCause[] = [
  'timeout',
  'lost',
  'closed',
  'too_many',
  'too_many_in_all',
  'ambiguous',
  'orphan',
]

const TIMEOUT_SECONDS = 120
const DNS_TIMEOUT_SECONDS = 15
const DNS = 120
const WAITING_MAX = 32_768
const SPARE_MAX = 4096
/** Calls that go out together: what takes them runs over each with the same code at hand. */
const BATCH = 32

/**
 * Pairs the messages of all connections into calls. In: messages; out: calls; what the counters
 * call dropped are calls that went out without their other half, by cause.
 */
export class Sessions {
  readonly redact: boolean
  readonly pool: Pool = new Pool(SPARE_MAX)
  readonly endpoints: Endpoints
  readonly counters: Counters<SessionsCause> = new Counters('sessions', CAUSES)
  /** Durations below zero that were set to zero. */
  clamped = 0
  readonly #emit: CallsSink
  /** Calls that are over and go out together. */
  readonly #over: Call[] = []
  #overSize = 0
  readonly #waitingMax: number
  readonly #queue: Queue
  readonly #dnsQueue: Queue
  readonly #earlyQueue = new Queue(MERGE_US)

  constructor(options: SessionsOptions) {
    this.redact = options.redact
    this.endpoints = new Endpoints(new EndpointRules(options.endpoints))
    this.#emit = options.emit
    this.#waitingMax = options.waitingMax ?? WAITING_MAX
    this.#queue = new Queue((options.timeoutSeconds ?? TIMEOUT_SECONDS) * 1e6)
    this.#dnsQueue = new Queue((options.dnsTimeoutSeconds ?? DNS_TIMEOUT_SECONDS) * 1e6)
  }

  open(connection: Connection): Session {
    return new Session(this, connection)
  }

  /** Gives up what waited too long; `now` is monotonic µs, Infinity at the end of all. */
  tick(now: number): void {
    for (const queue of [this.#earlyQueue, this.#queue, this.#dnsQueue]) {
      let waiting = queue.oldest
      while (waiting !== undefined && waiting.deadline <= now) {
        const { newer } = waiting
        waiting.session!.expire(waiting)
        waiting = newer
      }
    }
    this.flush()
  }

  /** Lets an answer wait a moment for its request. */
  enqueueEarly(waiting: Waiting, time: number): void {
    waiting.deadline = time + MERGE_US
    this.#earlyQueue.add(waiting)
  }

  /** Measures the time of `waiting` from `time` on; the oldest of all gives way to it. */
  enqueue(waiting: Waiting, time: number, l7Protocol: number): void {
    const queue = l7Protocol === DNS ? this.#dnsQueue : this.#queue
    waiting.deadline = time + queue.timeout
    queue.add(waiting)
    if (this.#queue.size + this.#dnsQueue.size <= this.#waitingMax) return
    const oldest = (this.#queue.size > 0 ? this.#queue : this.#dnsQueue).oldest!
    oldest.session!.giveWay(oldest, 'too_many_in_all', time)
  }

  /** A call is over: it goes out with what is known of it. */
  finish(call: Call, flags: number, why: SessionsCause, time: number): void {
    const isAnswered = (flags & (ANSWERING | ANSWERED)) !== 0
    if ((flags & ORPHAN) !== 0) {
      call.type = CALL_TYPE.response
      this.counters.dropped.orphan++
    } else if ((flags & ONE_WAY) !== 0) {
      call.type = CALL_TYPE.session
      call.endTime = call.startTime
    } else if (isAnswered) {
      call.type = CALL_TYPE.session
      if (call.endTime < call.startTime) this.clamped++
      call.duration = Math.max(call.endTime - call.startTime, 0)
      call.hasDuration = true
    } else {
      call.type = CALL_TYPE.request
      call.status = why === 'timeout' ? STATUS.timeout : STATUS.unknown
      call.endTime = Math.max(time, call.startTime)
      this.counters.dropped[why]++
    }
    this.counters.out++
    this.#over[this.#overSize++] = call
    if (this.#overSize === BATCH) this.flush()
  }

  /** Lets the calls go out that are over. */
  flush(): void {
    const size = this.#overSize
    if (size === 0) return
    this.#overSize = 0
    this.#emit(this.#over, size)
    for (let i = 0; i < size; i++) this.pool.giveCall(this.#over[i]!)
  }

  samples(): Sample[] {
    return [
      ...samplesOf(this.counters),
      sampleOf(
        'sessions_waiting',
        'Requests that wait for their response.',
        this.#queue.size + this.#dnsQueue.size,
      ),
      sampleOf(
        'sessions_clamped_total',
        'Durations below zero that were set to zero.',
        this.clamped,
      ),
      sampleOf(
        'sessions_other_endpoints_total',
        'Calls whose endpoint became (other), since there were too many.',
        this.endpoints.overflowed,
      ),
    ]
  }
}
