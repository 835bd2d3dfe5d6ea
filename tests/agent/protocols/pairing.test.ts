/**
 * Never off by one, with the real protocols: whatever is lost or cut of what a client and a server
 * say, no call's response is another's. Each request and its response carry the same number.
 */
import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { Pipeline } from '../../../src/agent/pipeline.ts'
import {
  CALL_TYPE,
  type Call,
  REQUEST_RESOURCE,
  RESPONSE_EXCEPTION,
  RESPONSE_RESULT,
  X_REQUEST_ID_0,
  X_REQUEST_ID_1,
} from '../../../src/model/call.ts'
import { NO_COUNT } from '../../../src/model/message.ts'
import { each } from '../each.ts'
import { dice } from '../flow/conversation.ts'
import { Wire } from '../flow/wire.ts'
import { bytesOf } from './link.ts'

type Roll = () => number
type Exchange = { readonly request: string; readonly response: string }
type Language = {
  readonly port: number
  exchange(number: number, roll: Roll): Exchange
  /** The numbers a call's request and response carry; undefined where it carries none. */
  numbers(call: Call): readonly [asked: string | undefined, answered: string | undefined]
}

const pick = <T>(roll: Roll, choices: readonly T[]): T =>
  choices[Math.floor(roll() * choices.length)]!
const body = (roll: Roll): string => 'x'.repeat(Math.floor(roll() ** 4 * 9000))

function textOf({ texts }: Call, field: number): string | undefined {
  const text = texts.bytes.subarray(texts.starts[field]!, texts.ends[field]!)
  return text.length === 0 ? undefined : new TextDecoder().decode(text)
}

function chunked(roll: Roll): string {
  let text = ''
  for (let left = Math.floor(roll() * 4); left > 0; left--) {
    const chunk = `x${body(roll)}`
    text += `${chunk.length.toString(16)}\r\n${chunk}\r\n`
  }
  return `${text}0\r\n\r\n`
}

const HTTP: Language = {
  port: 80,
  exchange(number, roll) {
    const id = `X-Request-ID: ${number}\r\n`
    const cookie = roll() < 0.1 ? `Cookie: ${'c'.repeat(5000)}\r\n` : ''
    const request = pick(roll, [
      () => `GET /${number} HTTP/1.1\r\n${id}${cookie}\r\n`,
      () => `GET /${number} HTTP/1.1\r\n${cookie}${id}\r\n`,
      () => {
        const text = body(roll)
        return `POST /${number} HTTP/1.1\r\n${id}Content-Length: ${text.length}\r\n\r\n${text}`
      },
      () => `PUT /${number} HTTP/1.1\r\n${id}Transfer-Encoding: chunked\r\n\r\n${chunked(roll)}`,
      () => `HEAD /${number} HTTP/1.1\r\n${id}\r\n`,
    ])()
    const isHead = request.startsWith('HEAD')
    const response = pick(roll, [
      () => {
        const text = body(roll)
        const head = `HTTP/1.1 200 OK\r\n${id}Content-Length: ${text.length}\r\n\r\n`
        return isHead ? head : head + text
      },
      () =>
        `HTTP/1.1 200 OK\r\n${id}Transfer-Encoding: chunked\r\n\r\n${isHead ? '' : chunked(roll)}`,
      () => `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n${id}\r\n`,
      () => `HTTP/1.1 304 Not Modified\r\n${id}Content-Length: 99\r\n\r\n`,
    ])()
    return { request, response }
  },
  // A header that was lost with a hole is no header of another call.
  numbers: (call) => [textOf(call, X_REQUEST_ID_0), textOf(call, X_REQUEST_ID_1)],
}

const bulk = (text: string): string => `$${text.length}\r\n${text}\r\n`
const command = (...words: readonly string[]): string =>
  `*${words.length}\r\n${words.map(bulk).join('')}`

const REDIS: Language = {
  port: 6379,
  exchange: (number, roll) =>
    pick(roll, [
      () => ({
        request: command('NOPE', `n${number}`, body(roll)),
        response: `-ERR no n${number}\r\n`,
      }),
      () => ({ request: command('EVAL', `n${number}`), response: `-ERR no n${number}\r\n` }),
      () => ({ request: command('GET', 'k'), response: bulk(body(roll)) }),
      () => ({
        request: command('LRANGE', 'l', '0', '9'),
        response: `*9\r\n${Array.from({ length: 9 }, () => bulk(body(roll))).join('')}`,
      }),
      () => ({ request: command('SET', 'k', body(roll), 'EX', '9'), response: '+OK\r\n' }),
    ])(),
  numbers: (call) => [
    /^n\d+/.exec(textOf(call, REQUEST_RESOURCE) ?? '')?.[0] ?? 'ok',
    /n\d+/.exec(textOf(call, RESPONSE_EXCEPTION) ?? '')?.[0] ?? 'ok',
  ],
}

const little = (value: number, size: number): string =>
  Array.from({ length: size }, (_, i) => String.fromCharCode((value >> (8 * i)) & 255)).join('')
const packet = (number: number, payload: string): string =>
  little(payload.length, 3) + String.fromCharCode(number) + payload
const COLUMN = `\x03def\0\0\0\x01a\0\x0c\x21\0\0\x04\0\0\xfd\0\0\0\0\0`
const EOF = '\xfe\0\0\x02\0'

const MYSQL: Language = {
  port: 3306,
  exchange: (number, roll) =>
    pick(roll, [
      () => ({
        request: packet(0, `\x03UPDATE ${number} ${body(roll)}`),
        response: packet(1, `\0\xfc${little(number, 2)}\0\x02\0\0\0`),
      }),
      () => ({
        request: packet(0, `\x03SELEC ${number}`),
        response: packet(1, `\xff\x28\x04#42000near ${number}`),
      }),
      () => ({
        request: packet(0, `\x03SELECT a ${body(roll)}`),
        response: [
          '\x01',
          COLUMN,
          EOF,
          ...Array.from({ length: Math.floor(roll() * 9) }, () => {
            const text = body(roll)
            return `\xfc${little(text.length, 2)}${text}`
          }),
          EOF,
        ]
          .map((payload, i) => packet(i + 1, payload))
          .join(''),
      }),
    ])(),
  numbers: (call) => [
    /^(?:UPDATE|SELEC) (\d+)/.exec(textOf(call, REQUEST_RESOURCE) ?? '')?.[1] ?? 'ok',
    call.affectedRows === NO_COUNT
      ? (/near (\d+)/.exec(textOf(call, RESPONSE_EXCEPTION) ?? '')?.[1] ?? 'ok')
      : String(call.affectedRows),
  ],
}

const big = (value: number, size: number): string => [...little(value, size)].reverse().join('')
const framed = (text: string): string => big(text.length, 2) + text

const DNS: Language = {
  port: 53,
  exchange(number) {
    const label = `n${number}`
    const question = `${String.fromCharCode(label.length)}${label}\0\0\x01\0\x01`
    const head = (flags: string, answers: string): string =>
      `${big(number % 50, 2)}${flags}\0\x01\0${answers}\0\0\0\0${question}`
    const address = `\xc0\x0c\0\x01\0\x01\0\0\0\x05\0\x04\x0a\0${big(number, 2)}`
    return {
      request: framed(head('\x01\0', '\0')),
      response: framed(head('\x81\x80', '\x01') + address),
    }
  },
  numbers(call) {
    const [, high, low] = /10\.0\.(\d+)\.(\d+)/.exec(textOf(call, RESPONSE_RESULT) ?? '') ?? []
    const address = Number(high) * 256 + Number(low)
    // What was put together out of zeros is neither a name nor an address of ours.
    return [
      /^n(\d+)$/.exec(textOf(call, REQUEST_RESOURCE) ?? '')?.[1],
      address > 0 ? String(address) : undefined,
    ]
  },
}

type Plan = {
  readonly seed: number
  readonly isPipelined: boolean
  readonly calls: number
  readonly isClient: boolean
  readonly lost: number
  readonly cut: number
}

type Outcome = {
  readonly calls: readonly string[][]
  readonly answeredCalls: number
  readonly isSpoilt: boolean
}

/** Says everything over a wire that loses and cuts; answers the calls that came of it. */
function run(language: Language, plan: Plan): Outcome {
  const roll = dice(plan.seed)
  const calls: string[][] = []
  let answeredCalls = 0
  const pipeline = new Pipeline({
    redact: false,
    onCalls: each((call) => {
      const [asked, answered] = language.numbers(call)
      if (call.type !== CALL_TYPE.session) return
      answeredCalls++
      if (!call.isTruncated) calls.push([asked ?? answered ?? '', answered ?? asked ?? ''])
    }),
  })
  const role = plan.isClient ? 'client' : 'server'
  const ports = plan.isClient ? { remotePort: language.port } : { localPort: language.port }
  const wire = new Wire(pipeline.segment, { role, ...ports })
  let isSpoilt = false
  let time = 5_000_000
  const began = { send: false, receive: false }
  // A pipelining client is one that was seen to do so, without a loss until then.
  let isSafe = plan.isPipelined
  const report = (direction: 'send' | 'receive', piece: Uint8Array): void => {
    const isLost = !isSafe && roll() < plan.lost
    const isCut = !isSafe && roll() < plan.cut
    const captured = isCut ? Math.floor(roll() * piece.length) : piece.length
    isSpoilt ||= isLost || isCut
    time += 20 + Math.floor(roll() * 3000)
    pipeline.tick(time)
    if (isLost) wire.lose(direction, piece.length)
    else wire.say(direction, piece, { time, captured, before: began[direction] ? 'some' : 'none' })
    began[direction] = true
  }
  const say = (what: 'request' | 'response', text: string): void => {
    const bytes = bytesOf(text)
    const direction = (what === 'request') === plan.isClient ? 'send' : 'receive'
    for (let from = 0; from < bytes.length; ) {
      const to = roll() < 0.6 ? bytes.length : from + 1 + Math.floor(roll() * (bytes.length - from))
      report(direction, bytes.subarray(from, to))
      from = to
    }
  }
  for (let number = 1; number <= plan.calls; ) {
    if (roll() < 0.1) time += 2_000_000
    const together = isSafe ? 2 : plan.isPipelined ? 1 + Math.floor(roll() * 4) : 1
    const exchanges = Array.from({ length: Math.min(together, plan.calls + 1 - number) }, (_, i) =>
      language.exchange(number + i, roll),
    )
    say('request', exchanges.map(({ request }) => request).join(''))
    say('response', exchanges.map(({ response }) => response).join(''))
    number += exchanges.length
    isSafe = false
  }
  pipeline.drain()
  return { calls, answeredCalls, isSpoilt }
}

const share = fc.constantFrom(0, 0.02, 0.1, 0.3)
const plans: fc.Arbitrary<Plan> = fc.record({
  seed: fc.integer(),
  isPipelined: fc.boolean(),
  calls: fc.integer({ min: 1, max: 40 }),
  isClient: fc.boolean(),
  lost: share,
  cut: share,
})

describe('never off by one', () => {
  test.each(Object.entries({ HTTP, REDIS, MYSQL, DNS }))('%s', (_, language) => {
    fc.assert(
      fc.property(plans, (plan) => {
        const { calls, answeredCalls, isSpoilt } = run(language, plan)
        for (const [asked, answered] of calls) expect(answered).toBe(asked!)
        if (!isSpoilt) expect(answeredCalls).toBe(plan.calls)
      }),
      { numRuns: 1000, seed: 20_416 },
    )
  })

  test.each([
    ['Redis', REDIS, { seed: -1_351_793_738, calls: 30, cut: 0.3 }],
    ['MySQL', MYSQL, { seed: 135_210_883, calls: 7, cut: 0.1 }],
  ])('the rest of a cut answer of %s answers no later request', (_, language, plan) => {
    const { calls } = run(language, { ...plan, isPipelined: false, isClient: false, lost: 0 })
    for (const [asked, answered] of calls) expect(answered).toBe(asked!)
  })
})
