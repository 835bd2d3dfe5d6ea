/**
 * Never a wrong value: whatever is lost or cut of what a client binds and a server answers, a row
 * shows what was bound, the beginning of it where it says that it is cut, or the statement.
 */
import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { Pipeline } from '../../../src/agent/pipeline.ts'
import { REQUEST_RESOURCE, REQUEST_TYPE } from '../../../src/model/call.ts'
import { each } from '../each.ts'
import { dice } from '../flow/conversation.ts'
import { Wire } from '../flow/wire.ts'
import { bytesOf } from './link.ts'
import { little, packet } from './mysql-bytes.ts'

type Roll = () => number
/** A value: its type, its bytes (none: null), and how it reads. */
type Value = { readonly type: number; readonly bytes: string; readonly shown: string }
type Statement = {
  readonly id: number
  readonly parameters: number
  types: string
  readonly parts: Set<number>
}
type Said = { readonly request: string; readonly response: string; readonly shown?: string }

const pick = <T>(roll: Roll, choices: readonly T[]): T =>
  choices[Math.floor(roll() * choices.length)]!

const OK = packet(1, '\0\0\0\x02\0\0\0')
const EOF = '\xfe\0\0\x02\0'
const COLUMN = '\x03def\0\0\0\x01?\0\x0c\x21\0\0\x04\0\0\xfd\0\0\0\0\0'
const TYPES = [0x03, 0x8003, 0x08, 0xfd, 0xfc]

function valueFor(type: number, number: number, roll: Roll): Value {
  const isText = type > 0x08 && type < 0x8000
  if (!isText) return { type, bytes: little(number, type === 0x08 ? 8 : 4), shown: String(number) }
  const size = Math.floor(roll() ** 4 * 6000)
  const text = `n${number}${'x'.repeat(size)}`
  const head = text.length <= 250 ? little(text.length, 1) : `\xfc${little(text.length, 2)}`
  return { type, bytes: head + text, shown: text }
}

/** A client of many statements. */
class Client {
  readonly #statements: Statement[] = []
  readonly #roll: Roll
  #number = 1_000_000

  constructor(roll: Roll) {
    this.#roll = roll
  }

  next(): Said {
    const roll = this.#roll
    const statement = pick(roll, this.#statements)
    if (statement === undefined || roll() < 0.1) return this.#prepare()
    if (roll() < 0.15) return this.#sendPart(statement)
    if (roll() < 0.05) return this.#reset(statement)
    return this.#execute(statement)
  }

  #prepare(): Said {
    const id = this.#statements.length + 1
    const parameters = 1 + Math.floor(this.#roll() * 5)
    this.#statements.push({ id, parameters, types: '', parts: new Set() })
    const answer = [
      `\0${little(id, 4)}\0\0${little(parameters, 2)}\0\0\0`,
      ...Array.from({ length: parameters }, () => COLUMN),
      EOF,
    ]
    return {
      request: packet(0, `\x16STATEMENT ${id}`),
      response: answer.map((payload, i) => packet(i + 1, payload)).join(''),
    }
  }

  #sendPart({ id, parameters, parts }: Statement): Said {
    const parameter = Math.floor(this.#roll() * parameters)
    parts.add(parameter)
    return { request: packet(0, `\x18${little(id, 4)}${little(parameter, 2)}part`), response: '' }
  }

  #reset({ id, parts }: Statement): Said {
    parts.clear()
    return { request: packet(0, `\x1a${little(id, 4)}`), response: OK }
  }

  #execute(statement: Statement): Said {
    const roll = this.#roll
    const { id, parameters, parts } = statement
    const isTyped = statement.types === '' || roll() < 0.3
    const types = isTyped
      ? Array.from({ length: parameters }, () => pick(roll, TYPES))
      : Array.from(
          { length: parameters },
          (_, i) =>
            statement.types.charCodeAt(2 * i) | (statement.types.charCodeAt(2 * i + 1) << 8),
        )
    statement.types = types.map((type) => little(type, 2)).join('')
    const nulls = [0]
    const values = types.map((type, i): Value => {
      this.#number++
      if (parts.has(i)) return { type, bytes: '', shown: '?' }
      if (roll() > 0.1) return valueFor(type, this.#number, roll)
      nulls[0]! |= 1 << i
      return { type, bytes: '', shown: 'NULL' }
    })
    parts.clear()
    const bound = `${String.fromCharCode(nulls[0]!)}${isTyped ? `\x01${statement.types}` : '\0'}`
    const bytes = values.map((value) => value.bytes).join('')
    return {
      request: packet(0, `\x17${little(id, 4)}\0\x01\0\0\0${bound}${bytes}`),
      response: OK,
      shown: values.map(({ shown }) => shown).join(' , '),
    }
  }
}

type Plan = {
  readonly seed: number
  readonly commands: number
  readonly lost: number
  readonly cut: number
}

/** Says everything over a wire that loses and cuts; answers what was bound and what rows show. */
function run(plan: Plan) {
  const roll = dice(plan.seed)
  const bound: string[] = []
  const rows: { readonly shown: string; readonly isCut: boolean }[] = []
  const pipeline = new Pipeline({
    redact: false,
    onCalls: each(({ texts, isTruncated }) => {
      const read = (field: number): string =>
        new TextDecoder().decode(texts.bytes.slice(texts.starts[field], texts.ends[field]))
      if (read(REQUEST_TYPE) !== 'COM_STMT_EXECUTE') return
      rows.push({ shown: read(REQUEST_RESOURCE), isCut: isTruncated })
    }),
  })
  const wire = new Wire(pipeline.segment, { role: 'client', remotePort: 3306 })
  let time = 5_000_000
  const say = (direction: 'send' | 'receive', said: string): void => {
    for (let from = 0; from < said.length; ) {
      const size = Math.min(said.length - from, roll() < 0.7 ? 1e9 : 1 + Math.floor(roll() * 900))
      const piece = bytesOf(said.slice(from, from + size))
      time += 20 + Math.floor(roll() * 3000)
      pipeline.tick(time)
      if (roll() < plan.lost) wire.lose(direction, size)
      else {
        const captured = roll() < plan.cut ? Math.floor(roll() * size) : size
        wire.say(direction, piece, { time, captured })
      }
      from += size
    }
  }
  const client = new Client(roll)
  for (let i = 0; i < plan.commands; i++) {
    const { request, response, shown } = client.next()
    if (shown !== undefined) bound.push(shown)
    say('send', request)
    if (response !== '') say('receive', response)
  }
  pipeline.drain()
  return { bound, rows }
}

/** What a row may show of what was bound: all of it, or as much as fits. */
const fitted = (text: string): string => text.slice(0, 4096)
const isStatement = (shown: string): boolean => /^(STATEMENT \d*)?$/.test(shown)

test('mysql shows all values where nothing is lost', () => {
  const plans = fc.record({
    seed: fc.integer(),
    commands: fc.integer({ min: 1, max: 60 }),
    lost: fc.constant(0),
    cut: fc.constant(0),
  })
  fc.assert(
    fc.property(plans, (plan) => {
      const { bound, rows } = run(plan)
      expect(rows.map(({ shown }) => shown)).toEqual(bound.map(fitted))
    }),
    { numRuns: 300, seed: 7 },
  )
})

test('mysql shows no wrong values whatever is lost', () => {
  const share = fc.constantFrom(0, 0.02, 0.1, 0.3)
  const plans = fc.record({
    seed: fc.integer(),
    commands: fc.integer({ min: 1, max: 60 }),
    lost: share,
    cut: share,
  })
  let shownWhole = 0
  fc.assert(
    fc.property(plans, (plan) => {
      const { bound, rows } = run(plan)
      const known = new Set(bound.map(fitted))
      for (const { shown, isCut } of rows) {
        if (isStatement(shown)) continue
        if (known.has(shown)) shownWhole++
        else expect(isCut && bound.some((text) => text.startsWith(shown))).toBe(true)
      }
    }),
    { numRuns: 1000, seed: 7 },
  )
  expect(shownWhole).toBeGreaterThan(1000)
})
