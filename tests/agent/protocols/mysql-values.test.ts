/** What COM_STMT_EXECUTE binds, by bytes written from the protocol's documentation. */
import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { Pipeline } from '../../../src/agent/pipeline.ts'
import { mysql } from '../../../src/agent/protocols/mysql.ts'
import { AGAIN, Input, MORE, type Sender } from '../../../src/agent/protocols/protocol.ts'
import { REQUEST_RESOURCE } from '../../../src/model/call.ts'
import { Message, NO_TAG } from '../../../src/model/message.ts'
import { each } from '../each.ts'
import { Wire } from '../flow/wire.ts'
import { bytesOf, TestLink, textOf } from './link.ts'
import { little, packet } from './mysql-bytes.ts'

const sized = (text: string): string =>
  text.length <= 250
    ? String.fromCharCode(text.length) + text
    : `\xfc${little(text.length, 2)}${text}`
const real = (value: number, size: 4 | 8): string => {
  const view = new DataView(new ArrayBuffer(size))
  if (size === 4) view.setFloat32(0, value, true)
  else view.setFloat64(0, value, true)
  return String.fromCharCode(...new Uint8Array(view.buffer))
}

/** A value: its type with its flags, and its bytes; no bytes: null. */
type Value = readonly [type: number, bytes: string | undefined]
type Attributes = readonly (readonly [name: string, value: Value])[]

const UNSIGNED = 0x8000
const int = (value: number): Value => [3, little(value, 4)]
const text = (value: string): Value => [0xfd, sized(value)]

function nullsOf(values: readonly Value[]): string {
  const bits = new Uint8Array((values.length + 7) >> 3)
  for (const [i, [, bytes]] of values.entries())
    if (bytes === undefined) bits[i >> 3]! |= 1 << (i & 7)
  return String.fromCharCode(...bits)
}

const head = (id: number, flags = 0): string =>
  `\x17${little(id, 4)}${String.fromCharCode(flags)}\x01\0\0\0`
const bytesIn = (values: readonly Value[]): string =>
  values.map(([, bytes]) => bytes ?? '').join('')
const typesOf = (values: readonly Value[]): string =>
  values.map(([type]) => little(type, 2)).join('')
const execute = (id: number, values: readonly Value[]): string =>
  packet(0, `${head(id)}${nullsOf(values)}\x01${typesOf(values)}${bytesIn(values)}`)
/** An execution whose types were sent before. */
const executeAgain = (id: number, values: readonly Value[]): string =>
  packet(0, `${head(id)}${nullsOf(values)}\0${bytesIn(values)}`)
/** As clients do that agreed on query attributes: counted and named. */
function executeNamed(id: number, values: readonly Value[], attributes: Attributes): string {
  const all = [...values, ...attributes.map(([, value]) => value)]
  const names = [...values.map(() => ''), ...attributes.map(([name]) => name)]
  const types = all.map(([type], i) => little(type, 2) + sized(names[i]!)).join('')
  const bound = `${String.fromCharCode(all.length)}${nullsOf(all)}\x01${types}${bytesIn(all)}`
  return packet(0, head(id, 8) + bound)
}

const prepare = (statement: string): string => packet(0, `\x16${statement}`)
const prepared = (id: number, parameters: number): string =>
  packet(1, `\0${little(id, 4)}\0\0${little(parameters, 2)}\0\0\0`) +
  Array.from({ length: parameters }, (_, i) =>
    packet(2 + i, `\x03def\0\0\0\x01?\0\x0c\x21\0\0\x04\0\0\xfd\0\0\0\0\0`),
  ).join('') +
  (parameters > 0 ? packet(2 + parameters, '\xfe\0\0\x02\0') : '')
const reset = (id: number): string => packet(0, `\x1a${little(id, 4)}`)
const longData = (id: number, parameter: number, data: string): string =>
  packet(0, `\x18${little(id, 4)}${little(parameter, 2)}${data}`)
const OK = packet(1, '\0\0\0\x02\0\0\0')
const LAST = 0xffff_ffff

/** A connection on which statement 1 takes `parameters` values. */
function linkWith(parameters: number): TestLink {
  const link = new TestLink(mysql)
  say(link, 'client', prepare('STATEMENT'))
  say(link, 'server', prepared(1, parameters))
  return link
}

/** Says messages; answers the values of the last one, `…` behind them where they are cut. */
function say(link: TestLink, sender: Sender, said: string): string {
  link.feedAll(sender, bytesOf(said), () => '')
  return valuesOf(link.message)
}

function valuesOf({ values, valuesTruncated }: Message): string {
  return `${textOf(values)}${valuesTruncated ? '…' : ''}`
}

/** Executes, and is answered. */
function run(link: TestLink, said: string): string {
  const told = say(link, 'client', said)
  say(link, 'server', OK)
  return told
}

const DAY = `${little(2010, 2)}\x0a\x11`

/** Every type, by the page of binary values. */
const VALUES: readonly (readonly [string, Value, string])[] = [
  ['a tiny', [1, '\x7f'], '127'],
  ['a negative tiny', [1, '\x80'], '-128'],
  ['an unsigned tiny', [1 | UNSIGNED, '\xff'], '255'],
  ['a short', [2, little(32_767, 2)], '32767'],
  ['a negative short', [2, '\xff\xff'], '-1'],
  ['an unsigned short', [2 | UNSIGNED, '\xff\xff'], '65535'],
  ['a year', [13, little(1999, 2)], '1999'],
  ['a long', [3, '\x01\0\0\0'], '1'],
  ['a negative long', [3, '\0\0\0\x80'], '-2147483648'],
  ['an unsigned long', [3 | UNSIGNED, '\xff\xff\xff\xff'], '4294967295'],
  ['an int24', [9, '\xfe\xff\xff\xff'], '-2'],
  ['a long long', [8, little(24_187_645_952, 8)], '24187645952'],
  ['the greatest long long', [8, little(2n ** 63n - 1n, 8)], '9223372036854775807'],
  ['the least long long', [8, little(2n ** 63n, 8)], '-9223372036854775808'],
  ['a negative long long', [8, '\xff'.repeat(8)], '-1'],
  ['a negative long long of low zeros', [8, '\0\0\0\0\xff\xff\xff\xff'], '-4294967296'],
  ['the greatest unsigned long long', [8 | UNSIGNED, '\xff'.repeat(8)], '18446744073709551615'],
  ['zeros within', [8 | UNSIGNED, little(10n ** 19n + 7n, 8)], '10000000000000000007'],
  ['a float', [4, '\x33\x33\x23\x41'], '10.2'],
  ['a float of nine digits', [4, real(16_777_217 / 3, 4)], '5592405.5'],
  ['a float of none', [4, real(-3e10, 4)], '-30000000000'],
  ['a double', [5, '\x66\x66\x66\x66\x66\x66\x24\x40'], '10.2'],
  ['a double of many digits', [5, real(-0.1 - 0.2, 8)], '-0.30000000000000004'],
  ['a whole double', [5, real(3, 8)], '3'],
  ['a negative zero', [5, real(-0, 8)], '-0'],
  ['a huge double', [5, real(1.5e300, 8)], '1.5e+300'],
  ['a null of a type of its own', [6, ''], 'NULL'],
  ['a null', [3, undefined], 'NULL'],
  ['a date', [10, `\x04${DAY}`], '2010-10-17'],
  ['no date', [10, '\0'], '0000-00-00'],
  ['a date with a time', [10, `\x07${DAY}\x13\x1b\x1e`], '2010-10-17 19:27:30'],
  ['a datetime', [12, `\x07${DAY}\x13\x1b\x1e`], '2010-10-17 19:27:30'],
  ['a datetime at midnight', [12, `\x04${DAY}`], '2010-10-17 00:00:00'],
  ['no datetime', [12, '\0'], '0000-00-00 00:00:00'],
  [
    'a timestamp with a fraction',
    [7, `\x0b${DAY}\x13\x1b\x1e\x01\0\0\0`],
    '2010-10-17 19:27:30.000001',
  ],
  ['a timestamp of an early year', [7, '\x04\x07\0\x01\x02'], '0007-01-02 00:00:00'],
  ['a time', [11, '\x08\0\0\0\0\0\x13\x1b\x1e'], '19:27:30'],
  ['no time', [11, '\0'], '00:00:00'],
  [
    'a negative time of days and a fraction',
    [11, '\x0c\x01\x78\0\0\0\x13\x1b\x1e\x40\xe2\x01\0'],
    '-2899:27:30.123456',
  ],
  ...[0, 15, 16, 245, 246, 247, 248, 249, 250, 251, 252, 253, 254, 255].map(
    (type) => [`a string of type ${type}`, [type, sized('foo')], 'foo'] as const,
  ),
  ['a string of bytes', text("it's\0\xff\xfe ?"), "it's\0\xff\xfe ?"],
  ['a string of 1000 bytes', text('x'.repeat(1000)), 'x'.repeat(1000)],
]

test.each(VALUES)('mysql tells of what is bound %s', (_, value, want) => {
  expect(run(linkWith(1), execute(1, [value]))).toBe(want)
})

test('mysql tells values in their order, joined', () => {
  const link = linkWith(VALUES.length)
  const said = execute(
    1,
    VALUES.map(([, value]) => value),
  )
  expect(run(link, said)).toBe(VALUES.map(([, , want]) => want).join(' , '))
  expect(textOf(link.message.resource)).toBe('')
})

test('mysql tells floats and long longs as they read back', () => {
  const link = linkWith(3)
  const whole = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })
  fc.assert(
    fc.property(fc.float(), fc.double(), whole, (single, double, long) => {
      const said = execute(1, [
        [4, real(single, 4)],
        [5, real(double, 8)],
        [8 | UNSIGNED, little(long, 8)],
      ])
      const [first, second, third] = run(link, said).split(' , ')
      expect(Math.fround(Number(first))).toBe(single)
      expect(Number(second)).toBe(double)
      expect(third).toBe(String(long))
    }),
    { numRuns: 2000 },
  )
})

describe('mysql remembers', () => {
  test('types that are not sent again, until others are', () => {
    const link = linkWith(2)
    expect(run(link, executeAgain(1, [int(7), text('a')]))).toBe('')
    expect(run(link, execute(1, [[3 | UNSIGNED, '\xff\xff\xff\xff'], text('a')]))).toBe(
      '4294967295 , a',
    )
    expect(run(link, executeAgain(1, [int(-1), [0xfd, undefined]]))).toBe('4294967295 , NULL')
    expect(run(link, execute(1, [text('b'), int(-1)]))).toBe('b , -1')
    expect(run(link, executeAgain(1, [text('cd'), int(2)]))).toBe('cd , 2')
  })

  test('types by statement', () => {
    const link = linkWith(1)
    say(link, 'client', prepare('OTHER'))
    say(link, 'server', prepared(2, 1))
    run(link, execute(1, [int(1)]))
    run(link, execute(2, [text('a')]))
    expect(run(link, executeAgain(1, [int(2)]))).toBe('2')
    expect(run(link, executeAgain(2, [text('b')]))).toBe('b')
    say(link, 'client', packet(0, `\x19${little(1, 4)}`))
    expect(run(link, executeAgain(1, [int(3)]))).toBe('')
  })

  test('no types beyond what a connection may remember', () => {
    const link = new TestLink(mysql)
    const many = Array.from({ length: 1000 }, (): Value => [1, '\x05'])
    let known = 0
    for (let id = 1; id <= 200; id++) {
      say(link, 'client', prepare('S'))
      say(link, 'server', packet(1, `\0${little(id, 4)}\0\0${little(1000, 2)}\0\0\0`))
      // The parameters' definitions were not captured: the answer ends in a hole.
      say(link, 'server', '\0'.repeat(64))
      run(link, execute(id, many))
    }
    for (let id = 1; id <= 200; id++) if (run(link, executeAgain(id, many)) !== '') known++
    expect(known).toBeWithin(20, 33)
  })

  test('no types of an execution that was not seen whole', () => {
    const link = linkWith(1)
    run(link, execute(1, [int(1)]))
    link.conversation.lost()
    expect(run(link, executeAgain(1, [int(2)]))).toBe('')
    // What the loss took is behind: this one says all there is to know.
    expect(run(link, execute(1, [int(3)]))).toBe('3')
    expect(run(link, executeAgain(1, [int(4)]))).toBe('4')
  })

  test('no types that may have been sent again unseen', () => {
    const link = linkWith(1)
    run(link, execute(1, [int(1)]))
    link.conversation.lost()
    run(link, reset(1))
    expect(run(link, executeAgain(1, [int(2)]))).toBe('')
  })

  test('no types of more values than there are', () => {
    const link = linkWith(1)
    expect(run(link, executeNamed(1, [int(1)], [['n', int(5)]]))).toBe('1')
    expect(run(link, executeAgain(1, [int(2)]))).toBe('')
  })

  test('no types behind a bulk execution, which may have sent others', () => {
    const link = linkWith(1)
    run(link, execute(1, [int(1)]))
    run(link, packet(0, `\xfa${little(1, 4)}\x80\0\xfd\0\0${sized('a')}`))
    expect(run(link, executeAgain(1, [int(2)]))).toBe('')
  })
})

describe('mysql tells nothing of', () => {
  test.each([
    ['a statement without parameters', 0, packet(0, head(1))],
    ['a statement nobody saw prepared', 1, execute(9, [int(1)])],
    ['an unknown type', 1, execute(1, [[0x20, '\0\0\0\0']])],
    ['a flag that no type has', 1, execute(1, [[0x4003, '\0\0\0\0']])],
    ['a packet with more in it than values', 1, packet(0, `${execute(1, [int(1)]).slice(4)}\0`)],
    ['a packet with less in it than values', 2, execute(1, [int(1), [3, '\0\0']])],
    ['a string that is longer than its packet', 1, execute(1, [[0xfd, '\x09abc']])],
    ['a string that has no size', 1, execute(1, [[0xfd, '\xfbabc']])],
    ['a date of no size', 1, execute(1, [[10, '\x05\0\0\0\0\0']])],
    ['a flag that is neither', 1, packet(0, `${head(1)}\0\x02\x03\0\x01\0\0\0`)],
  ])('%s', (_, parameters, said) => {
    const link = linkWith(parameters)
    expect(run(link, said)).toBe('')
    expect(run(link, packet(0, '\x0e'))).toBe('')
  })
})

describe('mysql follows long data', () => {
  test('that has no value of its own in one execution', () => {
    const link = linkWith(3)
    say(link, 'client', longData(1, 1, 'abc') + longData(1, 1, 'def'))
    const types = typesOf([int(1), text(''), text('')])
    const first = packet(0, `${head(1)}\0\x01${types}${little(7, 4)}${sized('z')}`)
    expect(run(link, first)).toBe('7 , ? , z…')
    expect(run(link, executeAgain(1, [int(8), text('y'), text('x')]))).toBe('8 , y , x')
  })

  test('that is thrown away by a reset', () => {
    const link = linkWith(1)
    say(link, 'client', longData(1, 0, ''))
    run(link, reset(1))
    expect(run(link, execute(1, [text('a')]))).toBe('a')
  })

  test('that may have been lost', () => {
    const link = linkWith(2)
    link.conversation.lost()
    // With a value of its own in parts this would read the same.
    expect(run(link, execute(1, [text('a'), text('')]))).toBe('')
    expect(run(link, execute(1, [text('a'), text('')]))).toBe('a , ')
    link.conversation.lost()
    run(link, reset(1))
    expect(run(link, execute(1, [text('a'), text('')]))).toBe('a , ')
  })

  test('of no parameter at all', () => {
    const link = linkWith(1)
    say(link, 'client', longData(1, 7, 'a') + longData(3, 0, 'a'))
    expect(run(link, execute(1, [text('a')]))).toBe('a')
  })
})

describe('mysql reads query attributes of executions', () => {
  const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
  const PARENT = `00-${TRACE}-00f067aa0ba902b7-01`

  test('that are no values of the statement', () => {
    const link = linkWith(2)
    const said = executeNamed(1, [int(1), text('a')], [['n', int(5)]])
    expect(run(link, said)).toBe('1 , a')
  })

  test('of which one names a trace', () => {
    const link = linkWith(1)
    const traced: Attributes = [
      ['n', [3, undefined]],
      ['traceparent', text(PARENT)],
    ]
    expect(say(link, 'client', executeNamed(1, [int(1)], traced))).toBe('1')
    expect(textOf(link.message.traceId)).toBe(TRACE)
    say(link, 'server', OK)
    // Nothing need be known of the statement for it.
    expect(say(link, 'client', executeNamed(9, [], traced))).toBe('')
    expect(textOf(link.message.traceId)).toBe(TRACE)
  })

  test('where a client that agreed on them says nothing of it', () => {
    const link = new TestLink(mysql)
    const flags = 0x0a00_0200
    const offer = `\n8.4.0\0${little(9, 4)}saltsalt\0\xff\xff\x08\x02\0\xff\xff\x15${'\0'.repeat(10)}saltsaltsalt\0`
    const login = `${little(flags, 4)}${little(2 ** 24, 4)}\x21${'\0'.repeat(23)}bob\0\0`
    say(link, 'server', packet(0, offer))
    say(link, 'client', packet(1, login))
    say(link, 'server', packet(2, '\0\0\0\x02\0\0\0'))
    say(link, 'client', prepare('STATEMENT'))
    say(link, 'server', prepared(1, 1))
    const named = executeNamed(1, [int(3)], [])
    const quiet = `${named.slice(0, 9)}\0${named.slice(10)}`
    expect(run(link, quiet)).toBe('3')
    expect(run(link, executeNamed(1, [int(4)], []))).toBe('4')
  })

  test('of which a statement has more than are sent', () => {
    expect(run(linkWith(3), executeNamed(1, [int(1)], []))).toBe('')
  })
})

test("mysql knows MariaDB's last statement by its answer", () => {
  const link = new TestLink(mysql)
  const told: string[] = []
  link.feedAll('client', bytesOf(prepare('A') + execute(LAST, [int(1)])), () => {
    told.push(`${textOf(link.message.resource)} ${valuesOf(link.message)}`)
    return ''
  })
  // Before the answer nobody knows how many values there are.
  expect(told).toEqual(['A ', 'A '])
  say(link, 'server', prepared(5, 1))
  say(link, 'server', OK)
  expect(run(link, execute(LAST, [int(2)]))).toBe('2')
  expect(run(link, executeAgain(5, [int(3)]))).toBe('3')
  say(link, 'client', prepare('B'))
  say(link, 'client', longData(LAST, 0, 'x'))
  say(link, 'server', prepared(6, 2))
  expect(run(link, execute(LAST, [text('a'), text('')]))).toBe('')
  expect(run(link, execute(LAST, [text('a'), text('')]))).toBe('a , ')
  say(link, 'client', packet(0, `\x19${little(6, 4)}`))
  expect(run(link, execute(LAST, [text('a'), text('b')]))).toBe('')
})

describe('mysql cuts values', () => {
  const mixed: readonly Value[] = [
    text('first'),
    int(12_345_678),
    [3, undefined],
    [12, `\x07${DAY}\x13\x1b\x1e`],
    [8, little(2n ** 60n, 8)],
    text('the last of all'),
  ]
  const whole =
    'first , 12345678 , NULL , 2010-10-17 19:27:30 , 1152921504606846976 , the last of all'

  test('at what a row shows', () => {
    const told = run(linkWith(2), execute(1, [text('a'.repeat(4000)), text('b'.repeat(4000))]))
    expect(told).toBe(`${'a'.repeat(4000)} , ${'b'.repeat(93)}…`)
  })

  test('at what is looked at of a packet, that goes by', () => {
    const link = linkWith(2)
    const long = `${head(1)}\0\x01${typesOf([int(1), text('')])}${little(7, 4)}\xfd${little(100_000, 3)}`
    const bytes = bytesOf(`${little(long.length + 100_000, 3)}\0${long}${'x'.repeat(9000)}`)
    for (const size of [5, 100, 8000, 8195]) expect(link.feed('client', bytes, 0, size)).toBe(MORE)
    expect(link.feed('client', bytes)).toBe(4 + long.length + 100_000)
    expect(valuesOf(link.message)).toBe(`7 , ${'x'.repeat(4096 - 4)}…`)
    say(link, 'server', OK)
    expect(run(link, executeAgain(1, [int(8), text('y')]))).toBe('8 , y')
  })

  test('never anywhere where they wait for the rest', () => {
    const bytes = bytesOf(execute(1, mixed))
    const link = linkWith(mixed.length)
    for (let size = 0; size < bytes.length; size++)
      expect(link.feed('client', bytes, 0, size)).toBe(MORE)
    expect(link.feed('client', bytes)).toBe(bytes.length)
    expect(valuesOf(link.message)).toBe(whole)
  })

  test('at a hole that zeros stand for, wherever it begins', () => {
    const bytes = bytesOf(execute(1, mixed))
    const known = new Set<string>()
    for (let from = 16; from < bytes.length; from++) {
      const { size, message, feed } = holed(mixed.length, bytes, from)
      expect(size).toBe(bytes.length)
      const told = textOf(message.values)
      expect(whole.startsWith(told)).toBe(true)
      if (told !== '') expect(message.valuesTruncated).toBe(true)
      expect(message.truncated).toBe(false)
      known.add(told)
      // Types in the hole are not known, and those before it no longer are.
      const types = 4 + 10 + 1 + 1 + 2 * mixed.length
      expect(feed(executeAgain(1, mixed))).toBe(from < types ? '' : whole)
    }
    expect(known.size).toBe(1 + 5 + 1 + 1 + 1 + 14)
  })

  test('at no hole in what is longer than its packet', () => {
    const said = execute(1, [int(1), [0xfd, `\x7f${'x'.repeat(40)}`]])
    expect(holed(2, bytesOf(said), said.length - 9).message.values.end).toBe(0)
  })

  test('of a packet that is shorter than it says it is, without a wrong one', () => {
    const said = execute(1, mixed)
    for (let size = 15; size < said.length; size++)
      expect(run(linkWith(mixed.length), packet(0, said.slice(4, size)))).toBe('')
  })

  /** Feeds `bytes` with zeros from `from` on, as they stand for a hole. */
  function holed(parameters: number, bytes: Uint8Array, from: number) {
    const link = linkWith(parameters)
    const message = new Message()
    const input = new Input()
    input.set(bytes.slice().fill(0, from), 0, bytes.length)
    input.zerosFrom = from
    input.zerosTo = bytes.length
    const size = link.conversation.feed('client', input, message)
    return { size, message, feed: (said: string) => run(link, said) }
  }
})

test('Input says where its captured bytes end', () => {
  const bytes = new Uint8Array(40)
  const input = new Input()
  input.set(bytes, 0, 30)
  expect(input.capturedEnd(5)).toBe(30)
  input.zerosFrom = 10
  input.zerosTo = 20
  expect([5, 15, 20].map((at) => input.capturedEnd(at))).toEqual([10, 15, 30])
  input.set(bytes, 0, 40)
  expect(input.capturedEnd(5)).toBe(40)
})

test.each([
  [false, `7 , ${'x'.repeat(70)}`, true],
  [true, 'INSERT INTO t VALUES (?, ?)', false],
])(
  'mysql shows of an execution that was captured in part, redacted %p: %s',
  (redact, want, isCut) => {
    const rows: (string | boolean)[][] = []
    const pipeline = new Pipeline({
      redact,
      onCalls: each(({ texts, isTruncated }) => {
        const { bytes, starts, ends } = texts
        const shown = bytes.slice(starts[REQUEST_RESOURCE], ends[REQUEST_RESOURCE])
        rows.push([new TextDecoder().decode(shown), isTruncated])
      }),
    })
    const wire = new Wire(pipeline.segment, { role: 'client', remotePort: 3306 })
    const said = execute(1, [int(7), text('x'.repeat(200))])
    wire.send(bytesOf(prepare('INSERT INTO t VALUES (?, ?)')), { before: 'none' })
    wire.receive(bytesOf(prepared(1, 2)), { before: 'none' })
    // Behind the types and the sizes of the values 70 bytes of the text are captured.
    wire.send(bytesOf(said), { captured: said.length - 130 })
    wire.receive(bytesOf(OK))
    wire.send(bytesOf(execute(1, [int(8), text('y')])))
    wire.receive(bytesOf(OK))
    pipeline.drain()
    expect(rows.slice(1)).toEqual([
      [want, isCut],
      [redact ? want : '8 , y', false],
    ])
  },
)

test('mysql reads statements up to a hole, and waits for nothing behind it', () => {
  const link = new TestLink(mysql)
  const message = new Message()
  const input = new Input()
  const bytes = bytesOf(packet(0, `\x03SELECT 1, '${'x'.repeat(3000)}'`))
  input.set(bytes.slice(0, 900).fill(0, 105), 0, 900)
  input.zerosFrom = 105
  input.zerosTo = 900
  expect(link.conversation.feed('client', input, message)).toBe(bytes.length)
  expect(textOf(message.resource)).toBe(`SELECT 1, '${'x'.repeat(89)}`)
  expect(message.truncated).toBe(true)
})

describe('mysql behind compression', () => {
  const frame = (number: number, data: string, inflated = 0): string =>
    little(data.length, 3) + String.fromCharCode(number) + little(inflated, 3) + data
  const DEFLATED = `\x78\x9c${'z'.repeat(80)}`

  function compressed(): TestLink {
    const link = new TestLink(mysql)
    const login = `${little(0x0220, 4)}${little(2 ** 24, 4)}\x21${'\0'.repeat(23)}bob\0\0`
    say(link, 'client', packet(1, login))
    say(link, 'server', packet(2, '\0\0\0\x02\0\0\0'))
    say(link, 'client', frame(0, prepare('A')))
    say(link, 'server', frame(1, prepared(1, 1)))
    return link
  }

  test('tells values, and forgets types that may have changed unseen', () => {
    const link = compressed()
    expect(say(link, 'client', frame(0, execute(1, [int(1)])))).toBe('1')
    say(link, 'server', frame(1, OK))
    expect(say(link, 'client', frame(0, executeAgain(1, [int(2)])))).toBe('2')
    say(link, 'server', frame(1, OK))
    say(link, 'client', frame(0, DEFLATED, 900))
    say(link, 'server', frame(1, OK))
    expect(say(link, 'client', frame(0, executeAgain(1, [int(3)])))).toBe('')
  })

  test('gives no statement the id of the one before', () => {
    const link = compressed()
    say(link, 'client', frame(0, prepare('B')))
    say(link, 'server', frame(1, DEFLATED, 900))
    say(link, 'client', frame(0, execute(1, [int(1)])))
    expect(textOf(link.message.resource)).toBe('A')
  })

  test('reads no frame as a value', () => {
    const link = compressed()
    const said = execute(1, [text('x'.repeat(100))])
    const bytes = bytesOf(frame(0, said.slice(0, 60)) + frame(1, said.slice(60)))
    expect(link.feed('client', bytes, 0, 67)).toBe(MORE)
    expect(link.feed('client', bytes)).toBe(67)
    expect(valuesOf(link.message)).toBe(`${'x'.repeat(60 - 4 - 15)}…`)
  })
})

test('mysql answers noise about statements in bounds and without throwing', () => {
  const statement = fc.integer({ min: 1, max: 2 })
  const value = fc.constantFrom(...VALUES.map(([, value]) => value))
  const many = fc.array(value, { minLength: 1, maxLength: 5 })
  const said = fc.oneof(
    fc.tuple(statement, many).map(([id, values]) => execute(id, values)),
    fc.tuple(statement, many).map(([id, values]) => executeAgain(id, values)),
    fc.tuple(statement, many).map(([id, values]) => executeNamed(id, values, [])),
    fc.tuple(statement, fc.nat(6)).map(([id, parameter]) => longData(id, parameter, 'x')),
    statement.map(reset),
  )
  const changed = fc
    .tuple(said, fc.nat(), fc.nat(255))
    .map(([line, at, byte]) => bytesOf(line).with(at % line.length, byte))
  const input = new Input()
  fc.assert(
    fc.property(fc.array(fc.tuple(changed, fc.nat()), { maxLength: 8 }), (lines) => {
      const message = new Message()
      const conversation = mysql.open({ datagram: false, pending: () => NO_TAG })
      const feed = (sender: Sender, bytes: Uint8Array, zerosFrom = bytes.length): void => {
        message.clear()
        input.set(bytes, 0, bytes.length)
        if (zerosFrom < bytes.length) input.zerosTo = bytes.length
        input.zerosFrom = zerosFrom
        const size = conversation.feed(sender, input, message)
        expect(size >= AGAIN && Number.isSafeInteger(size)).toBe(true)
        const { values } = message
        expect(values.start <= values.end && values.end <= values.bytes.length).toBe(true)
      }
      for (const id of [1, 2]) {
        feed('client', bytesOf(prepare('S')))
        feed('server', bytesOf(prepared(id, 2 * id)))
      }
      for (const [bytes, from] of lines) feed('client', bytes, 16 + (from % bytes.length))
    }),
    { numRuns: 3000 },
  )
})
