/** Never off by one: a response is told of the request that it answers, whatever was lost. */
import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { Pipeline } from '../../../src/agent/pipeline.ts'
import { CALL_TYPE, type Call, REQUEST_RESOURCE, RESPONSE_RESULT } from '../../../src/model/call.ts'
import { each } from '../each.ts'
import { dice, type Plan, report, Talk } from '../flow/conversation.ts'
import { encode, type Framing, toy } from '../flow/toy.ts'
import { Wire } from '../flow/wire.ts'

type Row = { readonly type: number; readonly asked: number; readonly answered: number }

function rowOf(call: Call): Row {
  const { texts } = call
  const read = (field: number): number => {
    const text = texts.bytes.subarray(texts.starts[field]!, texts.ends[field]!)
    return Number(new TextDecoder().decode(text) || '0')
  }
  return { type: call.type, asked: read(REQUEST_RESOURCE), answered: read(RESPONSE_RESULT) }
}

type Outcome = {
  readonly rows: readonly Row[]
  readonly requests: ReadonlySet<number>
  readonly responses: ReadonlySet<number>
  readonly isSpoilt: boolean
  readonly isEdge: boolean
  readonly losses: number
}

function run(plan: Plan, framing: Framing): Outcome {
  const rows: Row[] = []
  const requests = new Set<number>()
  const responses = new Set<number>()
  const pipeline = new Pipeline({
    onCalls: each((call) => rows.push(rowOf(call))),
    onMessage: ({ kind, tag }) => {
      if (kind === 'request') requests.add(tag)
      if (kind === 'response') responses.add(tag)
    },
    redact: false,
    protocols: [toy(framing)],
  })
  const spoilt = report(new Talk(plan), plan, pipeline.segment)
  pipeline.drain()
  const { counters, lostBytes } = pipeline.dialogues.room
  const losses = Object.values(counters.dropped).reduce((sum, count) => sum + count, lostBytes)
  return { rows, requests, responses, ...spoilt, losses }
}

const share = fc.constantFrom(0, 0.02, 0.1, 0.3)
const plans: fc.Arbitrary<Plan> = fc.record({
  seed: fc.integer(),
  source: fc.constantFrom('socket' as const, 'packet' as const),
  style: fc.constantFrom('sequential' as const, 'pipelined' as const, 'ids' as const),
  calls: fc.integer({ min: 1, max: 60 }),
  isClient: fc.boolean(),
  parts: fc.boolean(),
  lost: share,
  cut: share,
  repeated: share,
  swapped: share,
})
const framings = fc.constantFrom('sized' as const, 'whole' as const, 'ended' as const)

test('Sessions pair no response with another request, whatever is lost, cut, repeated, swapped', () => {
  fc.assert(
    fc.property(plans, framings, (plan, framing) => {
      const { rows, isSpoilt, isEdge, losses, requests } = run(plan, framing)
      for (const { type, asked, answered } of rows) {
        if (type === CALL_TYPE.session) expect(answered).toBe(asked)
        if (type === CALL_TYPE.request) expect(answered).toBe(0)
        if (type === CALL_TYPE.response) expect(asked).toBe(0)
      }
      const asked = rows.map((row) => row.asked).filter((number) => number > 0)
      expect(new Set(asked).size).toBe(asked.length)
      expect(asked.length).toBe(requests.size)
      if (!isSpoilt) {
        expect(asked.length).toBe(plan.calls)
        expect(rows.every(({ type }) => type === CALL_TYPE.session)).toBe(true)
      } else if (asked.length < plan.calls && !isEdge) expect(losses).toBeGreaterThan(0)
    }),
    { numRuns: 2000, seed: 20_416 },
  )
}, 60_000)

test('Sessions find their way again soon on connections that are never quiet', () => {
  const rows: Row[] = []
  const pipeline = new Pipeline({
    onCalls: each((call) => rows.push(rowOf(call))),
    redact: false,
    protocols: [toy()],
  })
  const calls = 4000
  const roll = dice(7)
  const wires = [1, 2, 3, 4].map((key) => new Wire(pipeline.segment, { key, role: 'server' }))
  let time = 1e6
  for (let number = 1; number <= calls; number++)
    for (const wire of wires)
      for (const [way, kind] of [
        ['receive', 'Q'],
        ['send', 'R'],
      ] as const) {
        const bytes = encode({ kind, number, size: 20 })
        time += 10
        if (roll() < 0.01) wire.lose(way, bytes.length)
        else wire.say(way, bytes, { time, before: number === 1 ? 'none' : 'some' })
      }
  const paired = rows.filter(({ type }) => type === CALL_TYPE.session)
  expect(paired.every(({ asked, answered }) => asked === answered)).toBe(true)
  expect(paired.length).toBeGreaterThan(calls * wires.length * 0.95)
})
