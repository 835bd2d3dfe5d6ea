import { Counters } from '../../lib/counters.ts'
import { latencyIndex } from '../../lib/histogram.ts'
import type { Utc } from '../../lib/utc.ts'
import { CALL_TYPE, type Call, ENDPOINT } from '../../model/call.ts'
import { STATUS } from '../../model/message.ts'
import { Point, type PointSink } from '../../model/point.ts'
import { RecentPoints } from './recent.ts'
import {
  CLIENT_ADDRESS,
  CLIENT_ERROR,
  CLIENT_NAME,
  KEY_WORDS,
  KIND,
  PORT,
  REQUEST,
  REQUEST_LENGTH,
  RESPONSE,
  RESPONSE_LENGTH,
  RRT_COUNT,
  RRT_MAX,
  RRT_SUM,
  SERVER_ADDRESS,
  SERVER_ERROR,
  SERVER_NAME,
  TIMEOUT,
  Window,
} from './window.ts'

const SECOND = 1_000_000
const MINUTE = 60
/** A second is closed so long after its end: calls of several sockets do not come in order. */
const GRACE = 250_000
/** Seconds, and minutes, that fill at a time; a call of yet another closes the oldest. */
const OPEN_MAX = 4
/** No call is so many seconds later than it is. */
const AHEAD = 2
/** Points of a second before new ones are folded; a minute has room for so many times more. */
const KEYS_MAX = 8192
const MINUTE_KEYS = 4

const IS_CLIENT = 1
const IS_IPV4 = 2
const PROTOCOL_SHIFT = 2
const L7_PROTOCOL_SHIFT = 10
const SIGNAL_SHIFT = 18

export type PointsOptions = {
  readonly emit: PointSink
  readonly utc: Utc
  /** Points a second; beyond them calls are counted under folded keys. */
  readonly keysMax?: number
}

/**
 * Counts calls: each in the second of its end or expiry, by who called whom for what. From a
 * second's edges (`application_map`) come its ends (`application`) and the minute's of both.
 */
export class Points {
  readonly counters: Counters<never> = new Counters('points', [])
  readonly #emit: PointSink
  readonly #utc: Utc
  readonly #seconds: Windows
  readonly #minutes: Windows
  readonly #ends: Window
  readonly #minuteEnds: Window
  readonly #key = new Uint32Array(KEY_WORDS)
  readonly #point = new Point()
  readonly #recent = new RecentPoints()
  #folded = 0

  constructor(options: PointsOptions) {
    const { emit, utc, keysMax = KEYS_MAX } = options
    this.#emit = emit
    this.#utc = utc
    this.#seconds = new Windows(1, keysMax, (window) => this.#closeSecond(window))
    this.#minutes = new Windows(MINUTE, keysMax * MINUTE_KEYS, (window) =>
      this.#closeMinute(window),
    )
    this.#ends = new Window(keysMax)
    this.#minuteEnds = new Window(keysMax * MINUTE_KEYS)
  }

  /** Calls counted under a folded key, since their second had too many. */
  get folded(): number {
    return this.#folded
  }

  /** Counts the first `size` of `calls`. */
  take(calls: readonly Call[], size: number): void {
    for (let i = 0; i < size; i++) this.call(calls[i]!)
  }

  call(call: Call): void {
    this.counters.in++
    const second = Math.floor((call.endTime + this.#utc.offset(call.endTime)) / SECOND)
    // May close another second, which writes keys too.
    const window = this.#seconds.at(second)
    const kind = kindOf(call)
    const recent = this.#recent.find(window, call, kind)
    count(window, recent >= 0 ? recent : this.#look(window, call, kind), call)
  }

  /** The point of a call by its whole key. */
  #look(window: Window, call: Call, kind: number): number {
    const key = this.#key
    writeKey(key, call, kind)
    const { view, starts, ends } = call.texts
    const before = window.folded
    const point = window.point(key, view, starts[ENDPOINT]!, ends[ENDPOINT]!)
    if (window.folded === before) this.#recent.note(window, call, kind, point)
    else this.#folded++
    return point
  }

  /** Closes what is over; `now` is monotonic µs. */
  tick(now: number): void {
    const utc = now + this.#utc.offset(now)
    this.#seconds.close((utc - GRACE) / SECOND)
    this.#minutes.close((utc - 2 * GRACE) / SECOND)
  }

  /** Closes everything: no call will come any more. */
  flush(): void {
    this.#seconds.close(Number.POSITIVE_INFINITY)
    this.#minutes.close(Number.POSITIVE_INFINITY)
  }

  #closeSecond(window: Window): void {
    window.buckets.sort(window.size)
    const minute = this.#minutes.at(Math.floor(window.time / MINUTE) * MINUTE)
    for (let i = 0; i < window.size; i++) {
      window.keyOf(i, this.#key)
      window.addTo(i, minute, this.#key)
    }
    this.#emitWindow(window, this.#ends, 1)
  }

  #closeMinute(window: Window): void {
    window.buckets.sort(window.size)
    this.#emitWindow(window, this.#minuteEnds, MINUTE)
  }

  /** Emits the edges of `window` and, put together in `ends`, its ends. */
  #emitWindow(window: Window, ends: Window, seconds: 1 | typeof MINUTE): void {
    const key = this.#key
    ends.begin(window.time)
    for (let i = 0; i < window.size; i++) {
      window.keyOf(i, key)
      this.#emitPoint(window, i, { table: 'application_map', seconds })
      // The end that is not counted is nobody, so that its points become one.
      const isClient = (key[KIND]! & IS_CLIENT) !== 0
      key[isClient ? SERVER_NAME : CLIENT_NAME] = 0
      const away = isClient ? SERVER_ADDRESS : CLIENT_ADDRESS
      key.fill(0, away, away + 4)
      window.addTo(i, ends, key)
    }
    ends.buckets.sort(ends.size)
    for (let i = 0; i < ends.size; i++) {
      ends.keyOf(i, key)
      this.#emitPoint(ends, i, { table: 'application', seconds })
    }
  }

  #emitPoint(window: Window, at: number, into: Pick<Point, 'table' | 'seconds'>): void {
    const point = this.#point
    point.table = into.table
    point.seconds = into.seconds
    readKey(this.#key, point)
    window.fill(at, point)
    this.counters.out++
    this.#emit(point)
  }
}

/** The windows that fill: `length` seconds each. */
class Windows {
  readonly #length: number
  readonly #open: Window[] = []
  readonly #spare: Window[]
  readonly #close: (window: Window) => void
  #latest: Window | undefined

  constructor(length: number, max: number, close: (window: Window) => void) {
    this.#length = length
    this.#close = close
    this.#spare = Array.from({ length: OPEN_MAX }, () => new Window(max))
  }

  /** The window that begins at `time`. */
  at(time: number): Window {
    if (this.#latest?.time === time) return this.#latest
    let window = this.#open.find((open) => open.time === time)
    if (!window) {
      if (this.#spare.length === 0) this.#closeFirst()
      window = this.#spare.pop()!
      window.begin(time)
      this.#open.push(window)
      this.#open.sort((a, b) => a.time - b.time)
    }
    this.#latest = window
    return window
  }

  /**
   * Closes those that ended by `now`, UTC seconds, and those that lie ahead of it: the clock was
   * set back, and they would wait until it is their time again.
   */
  close(now: number): void {
    while (this.#open.length > 0 && this.#open[0]!.time + this.#length <= now) this.#closeFirst()
    while ((this.#open.at(-1)?.time ?? now) > now + AHEAD) this.#closeOne(this.#open.pop()!)
  }

  #closeFirst(): void {
    this.#closeOne(this.#open.shift()!)
  }

  #closeOne(window: Window): void {
    if (window === this.#latest) this.#latest = undefined
    this.#close(window)
    this.#spare.push(window)
  }
}

/** The first word of a call's key. */
function kindOf(call: Call): number {
  return (
    (call.observationPoint === 'c-p' ? IS_CLIENT : 0) |
    (call.isIpv4 ? IS_IPV4 : 0) |
    (call.protocol << PROTOCOL_SHIFT) |
    (call.l7Protocol << L7_PROTOCOL_SHIFT) |
    (call.signalSource << SIGNAL_SHIFT)
  )
}

function writeKey(key: Uint32Array, call: Call, kind: number): void {
  const { addresses, isIpv4 } = call
  key[KIND] = kind
  key[PORT] = call.serverPort
  key[CLIENT_NAME] = call.clientName
  key[SERVER_NAME] = call.serverName
  key[CLIENT_ADDRESS] = word(addresses, 0)
  key[SERVER_ADDRESS] = word(addresses, 16)
  for (let i = 1; i < 4; i++) {
    key[CLIENT_ADDRESS + i] = isIpv4 ? 0 : word(addresses, i * 4)
    key[SERVER_ADDRESS + i] = isIpv4 ? 0 : word(addresses, 16 + i * 4)
  }
}

function readKey(key: Uint32Array, point: Point): void {
  const kind = key[KIND]!
  point.observationPoint = (kind & IS_CLIENT) !== 0 ? 'c-p' : 's-p'
  point.isIpv4 = (kind & IS_IPV4) !== 0
  point.protocol = (kind >> PROTOCOL_SHIFT) & 0xff
  point.l7Protocol = (kind >> L7_PROTOCOL_SHIFT) & 0xff
  point.signalSource = (kind >> SIGNAL_SHIFT) & 0xff
  point.serverPort = key[PORT]!
  point.clientName = key[CLIENT_NAME]!
  point.serverName = key[SERVER_NAME]!
  for (let i = 0; i < 4; i++) {
    putWord(point.addresses, i * 4, key[CLIENT_ADDRESS + i]!)
    putWord(point.addresses, 16 + i * 4, key[SERVER_ADDRESS + i]!)
  }
}

/**
 * Adds a call to a point. A session counts as a request and a response, also where nobody waits for
 * one (one-way): its ratio of answers must not look like a loss.
 */
function count(window: Window, point: number, call: Call): void {
  const { sums } = window
  const at = window.sumsAt(point)
  if (call.type !== CALL_TYPE.response) sums[at + REQUEST]!++
  if (call.type !== CALL_TYPE.request) sums[at + RESPONSE]!++
  if (call.hasDuration) {
    const { duration } = call
    sums[at + RRT_SUM]! += duration
    sums[at + RRT_COUNT]!++
    if (duration > sums[at + RRT_MAX]!) sums[at + RRT_MAX] = duration
    window.buckets.add(point, latencyIndex(duration), 1)
  }
  if (call.status === STATUS.clientError) sums[at + CLIENT_ERROR]!++
  else if (call.status === STATUS.serverError) sums[at + SERVER_ERROR]!++
  else if (call.status === STATUS.timeout) sums[at + TIMEOUT]!++
  if (call.requestLength > 0) sums[at + REQUEST_LENGTH]! += call.requestLength
  if (call.responseLength > 0) sums[at + RESPONSE_LENGTH]! += call.responseLength
}

function word(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
}

function putWord(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value
  bytes[at + 1] = value >>> 8
  bytes[at + 2] = value >>> 16
  bytes[at + 3] = value >>> 24
}
