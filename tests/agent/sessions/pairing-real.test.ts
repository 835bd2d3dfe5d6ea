/** Never off by one in the protocols themselves: each response says which request it answers. */
import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { Pipeline } from '../../../src/agent/pipeline.ts'
import { http } from '../../../src/agent/protocols/http.ts'
import { mysql } from '../../../src/agent/protocols/mysql.ts'
import type { Protocol } from '../../../src/agent/protocols/protocol.ts'
import { redis } from '../../../src/agent/protocols/redis.ts'
import {
  CALL_TYPE,
  type Call,
  REQUEST_RESOURCE,
  RESPONSE_EXCEPTION,
  X_REQUEST_ID_1,
} from '../../../src/model/call.ts'
import { each } from '../each.ts'
import { type Plan, report, type Speech, Talk } from '../flow/conversation.ts'

const FILLING = 'f'.repeat(3000)

/** Of one width: a name that was cut is none. */
function name(number: number): string {
  return `n${String(number).padStart(4, '0')}`
}

function filling(roll: () => number): string {
  return FILLING.slice(0, Math.floor(roll() < 0.2 ? roll() * 3000 : roll() * 50))
}

const inHttp: Speech = (what, number, roll) => {
  const body = filling(roll)
  const isChunked = roll() < 0.4
  const half = body.length >> 1
  const chunks = [body.slice(0, half), body.slice(half), '']
  const said = isChunked
    ? chunks
        .filter((chunk, i) => chunk !== '' || i === 2)
        .map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`)
        .join('')
    : body
  const size = isChunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${body.length}`
  const fields = `X-Request-ID: ${name(number)}\r\nX-Filling: ${filling(roll).slice(0, 200)}\r\n${size}`
  const begin =
    what === 'response'
      ? 'HTTP/1.1 200 OK'
      : `${roll() < 0.5 ? 'GET' : 'POST'} /${name(number)} HTTP/1.1`
  const isBare = begin.startsWith('GET')
  const bare = fields.slice(0, fields.lastIndexOf('\r\n'))
  return Buffer.from(`${begin}\r\n${isBare ? bare : fields}\r\n\r\n${isBare ? '' : said}`)
}

const inRedis: Speech = (what, number, roll) => {
  const key = name(number)
  if (what === 'response') return Buffer.from(`-ERR ${name(number)}\r\n`)
  const value = filling(roll)
  return Buffer.from(
    `*3\r\n$3\r\nSET\r\n$${key.length}\r\n${key}\r\n$${value.length}\r\n${value}\r\n`,
  )
}

/** A packet: size u24, number u8, payload. */
function packet(number: number, payload: string): Buffer {
  const bytes = Buffer.from(payload, 'latin1')
  return Buffer.concat([
    Buffer.of(bytes.length, bytes.length >> 8, bytes.length >> 16, number),
    bytes,
  ])
}

const inMysql: Speech = (what, number, roll) =>
  what === 'request'
    ? packet(0, `\x03select ${name(number)} /* ${filling(roll)} */`)
    : packet(1, `\xff\x28\x04#42000${name(number)}`)

function run(plan: Plan, protocol: Protocol, speech: Speech): string[] {
  const wrong: string[] = []
  const read = (call: Call, field: number): string => {
    const text = call.texts.bytes.subarray(call.texts.starts[field]!, call.texts.ends[field]!)
    return /n\d{4}/.exec(new TextDecoder().decode(text))?.[0] ?? ''
  }
  const pipeline = new Pipeline({
    redact: false,
    protocols: [protocol],
    onCalls: each((call) => {
      if (call.type !== CALL_TYPE.session) return
      const asked = read(call, REQUEST_RESOURCE)
      const answered = read(call, protocol === http ? X_REQUEST_ID_1 : RESPONSE_EXCEPTION)
      if ((asked === '' || answered === '') && call.isTruncated) return
      if (asked !== answered) wrong.push(`${asked} ${answered}`)
      else paired++
    }),
  })
  let paired = 0
  const { isSpoilt } = report(new Talk(plan, speech), plan, pipeline.segment)
  pipeline.drain()
  if (!isSpoilt) expect(paired).toBe(plan.calls)
  return wrong
}

const share = fc.constantFrom(0, 0.02, 0.1, 0.3)
const plan = (style: 'sequential' | 'pipelined'): fc.Arbitrary<Plan> =>
  fc.record({
    seed: fc.integer(),
    source: fc.constantFrom('socket' as const, 'packet' as const),
    style: fc.constant(style),
    calls: fc.integer({ min: 1, max: 40 }),
    isClient: fc.boolean(),
    parts: fc.constant(false),
    lost: share,
    cut: share,
    repeated: share,
    swapped: share,
  })

test.each([
  ['HTTP', http, inHttp, 'sequential'],
  ['HTTP', http, inHttp, 'pipelined'],
  ['Redis', redis, inRedis, 'sequential'],
  ['Redis', redis, inRedis, 'pipelined'],
  ['MySQL', mysql, inMysql, 'sequential'],
] as const)(
  'Sessions pair no response of %s with another request',
  (_, protocol, speech, style) => {
    fc.assert(
      fc.property(plan(style), (one) => {
        expect(run(one, protocol, speech)).toEqual([])
      }),
      { numRuns: 600, seed: 20_416 },
    )
  },
  60_000,
)
