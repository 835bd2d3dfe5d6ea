import { expect, test } from 'bun:test'
import { Pipeline, type PipelineOptions } from '../../../src/agent/pipeline.ts'
import {
  AGAIN,
  type Conversation,
  MORE,
  type Protocol,
  SWITCH,
  WRONG,
} from '../../../src/agent/protocols/protocol.ts'
import type { Message } from '../../../src/model/message.ts'
import { encode, toy } from '../flow/toy.ts'
import { Wire, type WireOptions } from '../flow/wire.ts'

type Told = { readonly lines: string[]; readonly verdicts: number[]; readonly pipeline: Pipeline }

/** A line a message: kind, number, its time, and what else a test asks for. */
function told(protocols: readonly Protocol[], options: Partial<PipelineOptions> = {}): Told {
  const lines: string[] = []
  const verdicts: number[] = []
  const pipeline = new Pipeline({
    protocols,
    redact: false,
    onCalls: () => {},
    onMessage: ({ kind, tag, truncated }, { time, captured }) =>
      lines.push(`${kind} ${tag} @${time} ${captured}${truncated ? ' cut' : ''}`),
    setVerdict: (_, bytes) => verdicts.push(bytes),
    ...options,
  })
  return { lines, verdicts, pipeline }
}

const CLIENT: WireOptions = { role: 'client' }
const Q = (number: number, size = 10): Uint8Array => encode({ kind: 'Q', number, size })
const R = (number: number, size = 10): Uint8Array => encode({ kind: 'R', number, size })

test('Dialogue tells the time of the call that moved the first byte of each message', () => {
  const { lines, pipeline } = told([toy('whole')])
  const wire = new Wire(pipeline.segment, CLIENT)
  const bytes = Buffer.concat([Q(1), Q(2), Q(3)])
  wire.send(bytes.subarray(0, 5), { time: 10 })
  wire.send(bytes.subarray(5, 25), { time: 20 })
  wire.send(bytes.subarray(25, 26), { time: 30 })
  wire.send(bytes.subarray(26), { time: 40 })
  expect(lines).toEqual(['request 1 @10 20', 'request 2 @20 20', 'request 3 @40 20'])
})

test('Dialogue tells the sequence number of the first byte of each message', () => {
  const sequences: number[] = []
  const { pipeline } = told([toy()], { onMessage: (_, mark) => sequences.push(mark.sequence) })
  const wire = new Wire(pipeline.segment, { ...CLIENT, first: 4_294_967_290 })
  const bytes = Buffer.concat([Q(1), Q(2), Q(3)])
  wire.send(bytes.subarray(0, 45))
  wire.send(bytes.subarray(45))
  expect(sequences).toEqual([4_294_967_290, 14, 34])
})

test('Dialogue reads bytes cut anywhere as it reads them whole', () => {
  const bytes = Buffer.concat([Q(1, 300), Q(2, 0), Q(3, 40)])
  for (const framing of ['sized', 'whole', 'ended'] as const)
    for (let cut = 1; cut < bytes.length; cut++) {
      const { lines, pipeline } = told([toy(framing)])
      const wire = new Wire(pipeline.segment, CLIENT)
      wire.send(bytes.subarray(0, cut))
      wire.send(bytes.subarray(cut))
      expect(lines.map((line) => line.split(' @')[0])).toEqual([
        'request 1',
        'request 2',
        'request 3',
      ])
    }
})

test('Dialogue lets the rest of a message go by that is longer than what was captured', () => {
  const { lines, pipeline } = told([toy()])
  const wire = new Wire(pipeline.segment, CLIENT)
  wire.send(Q(1, 60_000), { captured: 30, time: 10 })
  wire.send(Q(2, 60_000).subarray(0, 20_000), { captured: 16, time: 20 })
  wire.lose('send', 20_000)
  wire.send(Q(2, 60_000).subarray(40_000), { captured: 0, time: 30_030 })
  pipeline.tick(50_000)
  wire.send(Q(3), { time: 50_040 })
  expect(lines).toEqual(['request 1 @10 30', 'request 2 @20 16', 'request 3 @50040 20'])
})

test('Dialogue fills a hole inside a message with zeros', () => {
  const { lines, pipeline } = told([toy('whole')])
  const wire = new Wire(pipeline.segment, CLIENT)
  wire.send(Q(1, 60_000), { captured: 30, time: 10 })
  wire.send(Q(2), { time: 20 })
  expect(lines).toEqual(['request 1 @10 30', 'request 2 @20 20'])
})

test.each([
  ['is longer than 64 KB', 65_535, 30],
  ['may hold the kind or the size of it', 200, 12],
] as const)('Dialogue begins anew where a hole inside a message %s', (_, size, captured) => {
  const { lines, pipeline } = told([toy('whole')])
  const wire = new Wire(pipeline.segment, CLIENT)
  const long = Buffer.concat([Q(1, size), Q(9, size)])
  wire.send(long, { captured, time: 10 })
  wire.send(Q(2), { time: 20 })
  wire.receive(R(2), { time: 30 })
  wire.send(Q(3), { time: 40 })
  expect(lines).toEqual(['request 3 @40 20'])
  expect(pipeline.dialogues.room.counters.dropped.hole).toBe(1)
})

test('Dialogue begins anew with the call after an answer, or after a silence', () => {
  const { lines, pipeline } = told([toy()])
  const wire = new Wire(pipeline.segment, CLIENT)
  wire.send(Q(1), { time: 10 })
  wire.receive(R(1), { time: 20 })
  wire.send(Buffer.concat([Q(2), Q(3)]), { captured: 22, time: 30 })
  wire.send(Q(4), { time: 40 })
  expect(lines.length).toBe(3)
  wire.send(Q(5), { time: 1_000_039 })
  expect(lines.length).toBe(3)
  wire.send(Q(6), { time: 2_000_040 })
  expect(lines[3]).toBe('request 6 @2000040 20')
})

test('Dialogue begins anew only after a silence where the client pipelines', () => {
  const { lines, pipeline } = told([toy()])
  const wire = new Wire(pipeline.segment, CLIENT)
  wire.send(Buffer.concat([Q(1), Q(2)]), { time: 10 })
  wire.receive(Buffer.concat([R(1), R(2)]), { time: 20 })
  wire.send(Q(3), { captured: 4, time: 30 })
  wire.receive(R(3), { time: 40 })
  wire.send(Q(4), { time: 50 })
  wire.receive(R(4), { time: 60 })
  expect(lines.length).toBe(4)
  wire.send(Q(5), { time: 1_000_060 })
  wire.receive(R(5), { time: 1_000_070 })
  expect(lines.slice(4)).toEqual(['request 5 @1000060 20', 'response 5 @1000070 20'])
})

test('Dialogue begins anew after many turns where the client may pipeline but was not seen to', () => {
  const { lines, pipeline } = told([toy()])
  const wire = new Wire(pipeline.segment, CLIENT)
  wire.send(Q(0))
  wire.receive(R(0))
  wire.send(Q(1))
  wire.send(Q(2))
  wire.lose('receive', 20)
  wire.receive(R(2))
  pipeline.tick(wire.time + 10_000)
  for (let number = 3; number < 40; number++) {
    wire.send(Q(number))
    wire.receive(R(number))
    // Asked again before the answer: counted from the beginning.
    if (number === 9) wire.send(Q(10))
  }
  expect(lines.slice(2, 6).map((line) => line.split(' @')[0])).toEqual([
    'request 1',
    'request 2',
    'request 26',
    'response 26',
  ])
})

test('Dialogue begins anew after a silence, too, where the client may pipeline', () => {
  const { lines, pipeline } = told([toy()])
  const wire = new Wire(pipeline.segment, CLIENT)
  wire.send(Q(1))
  wire.send(Q(2))
  wire.send(Q(3), { captured: 4 })
  wire.receive(R(1))
  wire.send(Q(4))
  wire.send(Q(5), { time: 5_000_000 })
  expect(lines.slice(2)).toEqual(['request 5 @5000000 20'])
})

test('Dialogue holds no answer back for a client that said what nobody could tell', () => {
  const deaf: Protocol = {
    ...toy(),
    claim: () => 50,
    open: () => ({
      feed(sender, { bytes, start, end }, message) {
        if (sender === 'server') message.kind = 'response'
        else if (bytes[start] === 0x3f) message.kind = 'request'
        return end - start
      },
      lost: () => {},
    }),
  }
  const { lines, pipeline } = told([deaf])
  const wire = new Wire(pipeline.segment, CLIENT)
  wire.send('?', { time: 10 })
  wire.receive('!', { time: 20 })
  wire.send('mumble', { time: 30 })
  wire.receive('!', { time: 40 })
  expect(lines.at(-1)).toBe('response -1 @40 1')
})

test('Dialogue begins anew with a call whose first bytes were taken apart', () => {
  const { lines, pipeline } = told([toy()])
  const wire = new Wire(pipeline.segment, { role: 'server' })
  wire.receive(Q(1), { time: 10 })
  wire.send(R(1), { time: 15 })
  wire.receive(Buffer.concat([Q(2), Q(3)]), { captured: 22, time: 20 })
  wire.send(R(2), { time: 30 })
  wire.receive(Q(4).subarray(0, 4), { time: 40 })
  wire.receive(Q(4).subarray(4), { time: 50 })
  expect(lines.at(-1)).toBe('request 4 @40 20')
})

test('Dialogue reads an answer that was reported before its request after it', () => {
  const { lines, pipeline } = told([toy()])
  const wire = new Wire(pipeline.segment, CLIENT)
  wire.send(Q(1), { time: 10 })
  wire.receive(Buffer.concat([R(1), R(2), R(3)]), { time: 5010 })
  wire.send(Q(2), { time: 5020 })
  wire.send(Q(3), { time: 15_000 })
  expect(lines.map((line) => line.split(' @')[0])).toEqual([
    'request 1',
    'response 1',
    'request 2',
    'response 2',
    'request 3',
    'response 3',
  ])
})

test('Dialogue holds what nobody asked for no longer than 10 ms back', () => {
  const { lines, pipeline } = told([toy()])
  const wire = new Wire(pipeline.segment, CLIENT)
  wire.send(Q(1), { time: 10 })
  wire.receive(Buffer.concat([R(1), R(2)]), { time: 20 })
  pipeline.tick(10_019)
  expect(lines.length).toBe(2)
  pipeline.tick(10_020)
  expect(lines[2]).toBe('response 2 @20 20')
})

test('Dialogue tells what there is of a request that was answered before it was whole', () => {
  const cut: Protocol = {
    ...toy(),
    open: () => ({
      feed(sender, input, message) {
        const { start } = input
        const bytes = input.bounded()
        const end = bytes.indexOf(0x0a, start)
        if (end < 0 && bytes.indexOf(0, start) < 0) return MORE
        message.kind = sender === 'client' ? 'request' : 'response'
        return (end < 0 ? bytes.length : end + 1) - start
      },
      lost: () => {},
    }),
    claim: () => 50,
  }
  const { lines, pipeline } = told([cut])
  const wire = new Wire(pipeline.segment, CLIENT)
  wire.send('GET / HTTP/1.1 and then no more', { time: 10 })
  wire.receive('OK\n', { time: 20 })
  pipeline.tick(20_000)
  expect(lines).toEqual(['request -1 @10 31', 'response -1 @20 3'])
})

test('Dialogue gives bytes to who claims them most surely, then to who is at its port', () => {
  const claims = (name: string, number: number, score: number, ports: number[]): Protocol => ({
    ...toy(),
    name,
    number,
    ports,
    claim: (_, sender) => (sender === 'client' ? score : 0),
  })
  const ask = (protocols: readonly Protocol[]): number => {
    const numbers: number[] = []
    const { pipeline } = told(protocols, {
      onMessage: (_m, _k, _c, number) => numbers.push(number),
    })
    new Wire(pipeline.segment, { remotePort: 80 }).send(Q(1))
    return numbers[0]!
  }
  expect(ask([claims('a', 1, 50, []), claims('b', 2, 51, [])])).toBe(2)
  expect(ask([claims('a', 1, 50, []), claims('b', 2, 50, [])])).toBe(1)
  expect(ask([claims('a', 1, 50, []), claims('b', 2, 50, [80])])).toBe(2)
  expect(ask([claims('a', 1, 51, []), claims('b', 2, 50, [80])])).toBe(1)
})

test('Dialogue takes for the client who first says what a client says', () => {
  for (const says of ['send', 'receive'] as const) {
    const roles: string[] = []
    const { pipeline } = told([toy()], { onMessage: (_m, _k, { role }) => roles.push(role) })
    new Wire(pipeline.segment).say(says, Q(1))
    expect(roles).toEqual([says === 'send' ? 'client' : 'server'])
  }
})

test('Dialogue ignores what nobody claims after a few tries, until it was quiet for a minute', () => {
  const { lines, verdicts, pipeline } = told([toy()])
  const wire = new Wire(pipeline.segment, CLIENT)
  for (let i = 0; i < 5; i++) wire.send('what is this?'.repeat(5), { time: 10 + i })
  expect(verdicts).toEqual([0])
  expect(pipeline.dialogues.room.unknownConnections).toBe(1)
  wire.send(Q(1), { time: 100 })
  wire.send(Q(2), { time: 60_000_099 })
  expect(lines).toEqual([])
  wire.send(Q(3), { time: 120_000_099 })
  expect(lines).toEqual(['request 3 @120000099 20'])
  expect(verdicts).toEqual([0, 4096])
})

test('Dialogue claims a call that was taken apart, and one after others nobody claims', () => {
  const { lines, pipeline } = told([toy()])
  const wire = new Wire(pipeline.segment, CLIENT)
  wire.send('noise', { time: 10 })
  wire.send(Q(1).subarray(0, 20), { time: 20 })
  expect(lines).toEqual(['request 1 @20 20'])
  const other = new Wire(pipeline.segment, { ...CLIENT, key: 8 })
  other.send(Q(2).subarray(0, 3), { time: 30 })
  other.send(Q(2).subarray(3), { time: 40 })
  expect(lines[1]).toBe('request 2 @30 20')
})

const HELLO = new Uint8Array(200)
HELLO.set([22, 3, 1, 0, 195, 1, 0, 0, 191, 3, 3])
const DATA = new Uint8Array(60)
DATA.set([23, 3, 3, 0, 55])

test.each([
  ['a hello', HELLO, true],
  ['application data', DATA, true],
  ['what only begins so', Uint8Array.of(22, 3, 1, 0, 0, 1, 2, 3, 4), false],
  ['a record too long', Uint8Array.of(23, 3, 3, 0xff, 0xff, 1), false],
  ['another version', Uint8Array.of(22, 3, 9, 0, 195, 1, 0, 0, 191), false],
] as const)('Dialogue counts a connection whose first bytes are TLS: %s', (_, bytes, isTls) => {
  const { verdicts, pipeline } = told([toy()])
  const wire = new Wire(pipeline.segment, CLIENT)
  wire.send(bytes)
  wire.receive(bytes)
  expect(pipeline.dialogues.room.tlsConnections).toBe(isTls ? 1 : 0)
  expect(verdicts).toEqual(isTls ? [0] : [])
})

/** Says `go` and then speaks toy, or whatever `next` says. */
function switching(next: string): Protocol {
  const open = (): Conversation => {
    const gone = { client: false, server: false }
    return {
      feed(sender, { bytes, start }, message: Message) {
        message.next = next
        if (gone[sender]) return SWITCH
        if (bytes[start] !== 0x67) return WRONG
        gone[sender] = true
        message.kind = sender === 'client' ? 'request' : 'response'
        return 2
      },
      lost: () => {},
    }
  }
  return { ...toy(), name: 'Go', number: 1, claim: (head) => (head[0] === 0x67 ? 50 : 0), open }
}

test.each(['Toy', ''])('Dialogue goes on with the protocol that a switch names: "%s"', (next) => {
  const { lines, pipeline } = told([switching(next), toy()])
  const wire = new Wire(pipeline.segment, CLIENT)
  wire.send(Buffer.concat([Buffer.from('go'), Q(1)]), { time: 10 })
  wire.receive('go', { time: 20 })
  wire.send(Q(2), { time: 30 })
  wire.receive(Buffer.concat([R(1), R(2)]), { time: 40 })
  expect(lines.map((line) => line.split(' @')[0])).toEqual([
    'request -1',
    'request 1',
    'response -1',
    'request 2',
    'response 1',
    'response 2',
  ])
})

test.each(['TLS', 'Nothing we know'])('Dialogue ignores what follows a switch to %s', (next) => {
  const { lines, verdicts, pipeline } = told([switching(next), toy()])
  const wire = new Wire(pipeline.segment, CLIENT)
  wire.send('go')
  wire.receive('go')
  wire.send(Q(1))
  expect(verdicts).toEqual([4096])
  wire.receive(R(1))
  pipeline.tick(wire.time + 10_000)
  wire.send(Q(2))
  expect(lines.length).toBe(2)
  expect(verdicts).toEqual([4096, 0])
  expect(pipeline.dialogues.room.tlsConnections).toBe(next === 'TLS' ? 1 : 0)
})

test('Dialogue feeds the same bytes again where they hold another message', () => {
  let left = 3
  const again: Protocol = {
    ...toy(),
    claim: () => 50,
    open: () => ({
      feed(_sender, { start, end }, message) {
        message.kind = 'request'
        message.tag = left
        return --left > 0 ? AGAIN : end - start
      },
      lost: () => {},
    }),
  }
  const { lines, pipeline } = told([again])
  new Wire(pipeline.segment, CLIENT).send('abc', { time: 10 })
  expect(lines.map((line) => line.split(' @')[0])).toEqual(['request 3', 'request 2', 'request 1'])
})

test('Dialogue gives up a protocol that says AGAIN for ever, and one that is wrong again and again', () => {
  const forever = (answer: number): Protocol => ({
    ...toy(),
    claim: () => 50,
    open: () => ({ feed: () => answer, lost: () => {} }),
  })
  for (const answer of [AGAIN, WRONG, SWITCH]) {
    const { verdicts, pipeline } = told([forever(answer)])
    const wire = new Wire(pipeline.segment, CLIENT)
    for (let i = 0; i < 20; i++) {
      wire.send('abc')
      wire.receive('abc')
    }
    expect(verdicts.at(-1)).toBe(0)
  }
})

test('Dialogue keeps a bounded number of bytes of a message that is not whole', () => {
  const { lines, pipeline } = told([toy('ended')])
  const wire = new Wire(pipeline.segment, CLIENT)
  const long = new Uint8Array(400_000).fill(0x78)
  long.set(Q(1, 5).subarray(0, 9))
  for (let at = 0; at < long.length; at += 16_384) wire.send(long.subarray(at, at + 16_384))
  expect(lines).toEqual([])
  expect(pipeline.dialogues.room.counters.dropped.too_long).toBe(1)
  expect(pipeline.dialogues.room.buffers.bytes).toBe(0)
})

test('Dialogue whose bytes are oldest gives way where all keep too many', () => {
  const { lines, pipeline } = told([toy('whole')], { bufferBytesMax: 8192 })
  const wires = [1, 2, 3].map((key) => new Wire(pipeline.segment, { ...CLIENT, key }))
  for (const [i, wire] of wires.entries()) wire.send(Q(i, 5000).subarray(0, 4000), { time: i })
  for (const [i, wire] of wires.entries()) wire.send(Q(i, 5000).subarray(4000), { time: 10 + i })
  expect(lines.map((line) => line.split(' @')[0])).toEqual(['request 1'])
  const { counters, buffers } = pipeline.dialogues.room
  expect(counters.dropped.gave_way).toBe(2)
  expect(buffers.gaveWay).toBe(2)
  expect(buffers.bytes).toBe(0)
})

test('Dialogue reads each datagram by itself and counts those it cannot read', () => {
  const { lines, pipeline } = told([toy()])
  const wire = new Wire(pipeline.segment, { isDatagram: true })
  wire.send(Q(1), { time: 10 })
  wire.send(Q(2).subarray(0, 6), { time: 20 })
  wire.receive(R(1), { time: 30 })
  expect(lines).toEqual(['request 1 @10 20', 'response 1 @30 20'])
  expect(pipeline.dialogues.room.counters.dropped.datagram).toBe(1)
})

test('Dialogue counts what was not whole when its connection closed', () => {
  const { pipeline } = told([toy('ended')])
  const wire = new Wire(pipeline.segment, CLIENT)
  wire.send(Q(1).subarray(0, 15))
  wire.close()
  expect(pipeline.dialogues.room.counters.dropped.unfinished).toBe(1)
  expect(pipeline.dialogues.room.buffers.bytes).toBe(0)
})
