import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { Points } from '../../../src/agent/metrics/points.ts'
import type { Clock } from '../../../src/lib/env.ts'
import { latencyIndex } from '../../../src/lib/histogram.ts'
import { Utc } from '../../../src/lib/utc.ts'
import { CALL_TYPE, Call, ENDPOINT } from '../../../src/model/call.ts'
import { STATUS } from '../../../src/model/message.ts'
import { Point } from '../../../src/model/point.ts'
import { TCP, UDP } from '../../../src/model/segment.ts'

const OFFSET = 1_790_000_000_000_000
const clock: Clock = { wall: () => OFFSET, monotonic: () => 0 }
const encoder = new TextEncoder()

/** What was counted, by key; sums of equal keys are added as a reader adds them. */
type Counted = Map<string, Record<string, number>>

function pointsWith(keysMax = 100): { points: Points; counted: Counted; emitted: Point[] } {
  const counted: Counted = new Map()
  const emitted: Point[] = []
  const points = new Points({
    utc: new Utc(clock),
    keysMax,
    emit: (point) => {
      const copy = Object.assign(new Point(), point)
      emitted.push(copy)
      add(counted, keyOf(point), sumsOf(point))
    },
  })
  return { points, counted, emitted }
}

function add(counted: Counted, key: string, sums: Record<string, number>): void {
  const known = counted.get(key) ?? {}
  counted.set(key, known)
  for (const name in sums)
    known[name] =
      name === 'rrtMax' ? Math.max(known[name] ?? 0, sums[name]!) : (known[name] ?? 0) + sums[name]!
}

function keyOf(point: Point): string {
  const { endpoint, addresses } = point
  const text = new TextDecoder().decode(endpoint.bytes.subarray(endpoint.start, endpoint.end))
  return [
    point.table,
    point.seconds,
    point.time,
    point.observationPoint,
    point.signalSource,
    point.l7Protocol,
    point.protocol,
    point.isIpv4,
    point.serverPort,
    `${point.clientName}>${point.serverName}`,
    addresses.toHex(),
    text,
  ].join(' ')
}

function sumsOf(point: Point): Record<string, number> {
  const sums: Record<string, number> = {}
  for (const name of SUMS) sums[name] = point[name]
  let before = Number.NEGATIVE_INFINITY
  for (let i = 0; i < point.buckets; i++) {
    expect(point.keys[i]!).toBeGreaterThan(before)
    before = point.keys[i]!
    sums[`bucket ${before}`] = point.counts[i]!
  }
  return sums
}

const SUMS = [
  'request',
  'response',
  'rrtSum',
  'rrtCount',
  'rrtMax',
  'clientError',
  'serverError',
  'timeout',
  'requestLength',
  'responseLength',
] as const

type Plan = {
  readonly isClient: boolean
  readonly isIpv4: boolean
  readonly end: number
  readonly duration: number
  readonly type: number
  readonly status: number
  readonly endpoint: string
  readonly client: number
  readonly server: number
  /** Whose ends have no names: a packet's. */
  readonly isNameless?: boolean
  readonly isDatagram?: boolean
  readonly length: number
}

const plans: fc.Arbitrary<Plan> = fc.record({
  isClient: fc.boolean(),
  isIpv4: fc.boolean(),
  end: fc.integer({ min: 58_000_000, max: 62_000_000 }),
  duration: fc.nat(200_000_000),
  type: fc.constantFrom(...Object.values(CALL_TYPE)),
  status: fc.constantFrom(...Object.values(STATUS)),
  endpoint: fc.constantFrom('/a', '/a', '/a', '', '/b/c', '/ü'),
  client: fc.nat(1),
  server: fc.nat(1),
  isNameless: fc.boolean(),
  isDatagram: fc.boolean(),
  length: fc.integer({ min: -1, max: 9 }),
})

function callOf(plan: Plan): Call {
  const { isClient, isIpv4, end, duration, type, status, client, server, length } = plan
  const call = Object.assign(new Call(), { isIpv4, type, status, l7Protocol: 20, serverPort: 80 })
  call.observationPoint = isClient ? 'c-p' : 's-p'
  call.endTime = end
  call.hasDuration = type === CALL_TYPE.session
  call.duration = call.hasDuration ? duration : 0
  call.clientName = plan.isNameless ? 0 : client
  call.serverName = plan.isNameless ? 0 : server + 10
  // Connections that share what is remembered of them; all peers of one datagram socket.
  const connection = (client * 3 + server) * 2 + one(isIpv4)
  call.protocol = plan.isDatagram ? UDP : TCP
  call.flowId = plan.isDatagram ? 7 : 7 + 512 * (1 + connection)
  call.requestLength = length
  call.responseLength = length * 2
  const size = isIpv4 ? 4 : 16
  call.addresses.fill(client + 1, 0, size)
  call.addresses.fill(server + 1, 16, 16 + size)
  const text = encoder.encode(plan.endpoint)
  call.texts.set(ENDPOINT, text, 0, text.length)
  return call
}

const one = (is: boolean): number => (is ? 1 : 0)

function sumsOfCall(call: Call): Record<string, number> {
  return {
    request: one(call.type !== CALL_TYPE.response),
    response: one(call.type !== CALL_TYPE.request),
    rrtSum: call.duration,
    rrtCount: one(call.hasDuration),
    rrtMax: call.duration,
    clientError: one(call.status === STATUS.clientError),
    serverError: one(call.status === STATUS.serverError),
    timeout: one(call.status === STATUS.timeout),
    requestLength: Math.max(call.requestLength, 0),
    responseLength: Math.max(call.responseLength, 0),
    ...(call.hasDuration && { [`bucket ${latencyIndex(call.duration)}`]: 1 }),
  }
}

/** The point that a call belongs to; `side` is the end that is counted, or both. */
function pointOf(call: Call, side: 'client' | 'server' | 'both'): Point {
  const { observationPoint, isIpv4, protocol } = call
  const point = Object.assign(new Point(), { observationPoint, isIpv4, protocol, l7Protocol: 20 })
  point.serverPort = 80
  const { bytes, starts, ends } = call.texts
  point.endpoint.set(bytes, starts[ENDPOINT]!, ends[ENDPOINT]! - starts[ENDPOINT]!)
  point.addresses.set(call.addresses)
  point.table = side === 'both' ? 'application_map' : 'application'
  point.clientName = side === 'server' ? 0 : call.clientName
  point.serverName = side === 'client' ? 0 : call.serverName
  if (side === 'server') point.addresses.fill(0, 0, 16)
  if (side === 'client') point.addresses.fill(0, 16)
  return point
}

/** The same counts, made the plain way. */
function expected(plans: readonly Plan[]): Counted {
  const counted: Counted = new Map()
  for (const plan of plans) {
    const call = callOf(plan)
    for (const side of ['both', plan.isClient ? 'client' : 'server'] as const)
      for (const seconds of [1, 60] as const) {
        const time = Math.floor((call.endTime + OFFSET) / (seconds * 1e6)) * seconds
        const point = Object.assign(pointOf(call, side), { seconds, time })
        add(counted, keyOf(point), sumsOfCall(call))
      }
  }
  return counted
}

test('Points counts every call once in each table, second and minute, in any order', () => {
  fc.assert(
    fc.property(fc.array(plans, { maxLength: 60 }), fc.array(fc.nat(59)), (calls, ticks) => {
      const { points, counted } = pointsWith()
      calls.forEach((plan, i) => {
        points.call(callOf(plan))
        if (ticks.includes(i)) points.tick(plan.end)
      })
      points.flush()
      expect(counted).toEqual(expected(calls))
      expect(points.folded).toBe(0)
    }),
    { numRuns: 600 },
  )
})

const PLAN: Plan = {
  isClient: false,
  isIpv4: true,
  end: 10_500_000,
  duration: 1000,
  type: CALL_TYPE.session,
  status: STATUS.ok,
  endpoint: '/a',
  client: 1,
  server: 1,
  length: -1,
}

test('Points keeps a second open a quarter of a second longer, and a minute half', () => {
  const { points, emitted } = pointsWith()
  points.call(callOf(PLAN))
  points.tick(11_249_999)
  expect(emitted.length).toBe(0)
  points.tick(11_250_000)
  expect(emitted.map(({ table, seconds }) => `${table} ${seconds}`)).toEqual([
    'application_map 1',
    'application 1',
  ])
  expect(emitted[0]!.time).toBe(1_790_000_010)
  points.tick(20_499_999)
  expect(emitted.length).toBe(2)
  // The minute that began at 1,789,999,980 ends 40 s after the clock's beginning.
  points.tick(40_500_000)
  expect(emitted.map(({ time }) => time).slice(2)).toEqual([1_789_999_980, 1_789_999_980])
})

test('Points makes another point for a second that is closed', () => {
  const { points, emitted } = pointsWith()
  points.call(callOf(PLAN))
  points.tick(12_000_000)
  points.call(callOf(PLAN))
  points.tick(12_000_001)
  expect(emitted.filter(({ seconds }) => seconds === 1).length).toBe(4)
  points.flush()
  expect(emitted.at(-1)).toMatchObject({ seconds: 60, request: 2 })
})

test('Points closes the oldest second where calls are of too many', () => {
  const { points, emitted } = pointsWith()
  for (let second = 0; second < 50; second++)
    points.call(callOf({ ...PLAN, end: second * 1_000_000 }))
  expect(
    emitted.filter(({ table, seconds }) => table === 'application' && seconds === 1).length,
  ).toBe(46)
})

test('Points closes what lies ahead when the clock was set back', () => {
  const moved = { ahead: OFFSET, wall: () => moved.ahead, monotonic: () => 0 }
  const utc = new Utc(moved)
  const emitted: string[] = []
  const points = new Points({
    utc,
    emit: ({ table, seconds, time }) => {
      if (table === 'application_map') emitted.push(`${seconds} ${time - OFFSET / 1e6}`)
    },
  })
  points.call(Object.assign(new Call(), { endTime: 70_400_000 }))
  points.tick(70_500_000)
  moved.ahead -= 3_600_000_000
  utc.measure()
  points.call(Object.assign(new Call(), { endTime: 70_600_000 }))
  points.tick(70_700_000)
  expect(emitted).toEqual(['1 70', '60 40'])
  points.tick(71_300_000)
  expect(emitted).toEqual(['1 70', '60 40', '1 -3530'])
})

test('Points counts a call whose second makes the oldest close', () => {
  const calls = [58, 59, 60, 61, 62].map((second, i) => ({
    ...PLAN,
    end: second * 1_000_000,
    endpoint: i % 2 === 0 ? '/a' : '/b/c',
  }))
  const { points, counted } = pointsWith()
  for (const plan of calls) points.call(callOf(plan))
  points.flush()
  expect(counted).toEqual(expected(calls))
})

test('Points bounds the number of keys, and loses no call by it', () => {
  const keysMax = 64
  const { points, emitted } = pointsWith(keysMax)
  const calls = 20_000
  for (let i = 0; i < calls; i++) {
    const call = callOf({ ...PLAN, endpoint: `/${i % 7000}` })
    call.addresses.set([i, i >> 8, i >> 4, 9])
    call.clientName = i % 300
    call.serverPort = i % 2000
    points.call(call)
  }
  points.flush()
  const edges = emitted.filter(({ table, seconds }) => table === 'application_map' && seconds === 1)
  expect(edges.length).toBeLessThanOrEqual(keysMax * 2 + 1)
  for (const table of ['application', 'application_map'])
    for (const seconds of [1, 60]) {
      const own = emitted.filter((point) => point.table === table && point.seconds === seconds)
      expect(own.reduce((sum, { request }) => sum + request, 0)).toBe(calls)
      expect(own.reduce((sum, { rrtSum }) => sum + rrtSum, 0)).toBe(calls * 1000)
    }
  expect(points.folded).toBe(calls - keysMax)
})

test('Points folds into the endpoint (other) first', () => {
  const { points, counted } = pointsWith(2)
  for (const endpoint of ['/a', '/b', '/c', '/d', '/a']) points.call(callOf({ ...PLAN, endpoint }))
  points.flush()
  const edges = [...counted].filter(([key]) => key.startsWith('application_map 1 '))
  const seen = edges.map(([key, { request }]) => `${key.split(' ').at(-1)} ${request}`)
  expect(seen.toSorted((a, b) => a.localeCompare(b))).toEqual(['(other) 2', '/a 2', '/b 1'])
})

test('Points keeps latencies of very many kinds in coarser buckets, and none gets lost', () => {
  const { points, counted } = pointsWith(4096)
  const calls = 200_000
  for (let i = 0; i < calls; i++) {
    const call = callOf({ ...PLAN, duration: Math.ceil(1e6 * 2 ** (((i % 500) - 250) / 32)) })
    call.serverName = Math.floor(i / 500)
    points.call(call)
  }
  points.flush()
  let sum = 0
  for (const [key, sums] of counted)
    if (key.startsWith('application_map 1 '))
      for (const name in sums) if (name.startsWith('bucket ')) sum += sums[name]!
  expect(sum).toBe(calls)
})
