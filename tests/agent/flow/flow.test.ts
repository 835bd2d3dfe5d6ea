import { expect, test } from 'bun:test'
import { Flow, type FlowOptions } from '../../../src/agent/flow/flow.ts'
import type { Connection } from '../../../src/model/connection.ts'
import { IGNORE } from '../../../src/model/segment.ts'
import { Wire } from './wire.ts'

/** What a reader was given, a line an event: `>` sent, `<` received. */
function log(options: Partial<FlowOptions> = {}): {
  flow: Flow
  lines: string[]
  connections: Connection[]
  verdicts: string[]
} {
  const lines: string[] = []
  const connections: Connection[] = []
  const verdicts: string[] = []
  const flow = new Flow({
    openReader: (connection) => {
      connections.push(connection)
      return {
        take: ({ direction, bytes, start, end, size }) => {
          const unseen = size - (end - start)
          const text = new TextDecoder().decode(bytes.subarray(start, end))
          lines.push(`${direction === 'send' ? '>' : '<'}${text}${unseen > 0 ? `+${unseen}` : ''}`)
        },
        skip: (direction, size) => lines.push(`${direction === 'send' ? '>' : '<'}-${size}`),
        close: () => lines.push('closed'),
      }
    },
    setVerdict: (key, bytes) => verdicts.push(`${key}=${bytes}`),
    ...options,
  })
  return { flow, lines, connections, verdicts }
}

const toFlow =
  (flow: Flow) =>
  (segment: Parameters<Flow['segment']>[0]): void =>
    flow.segment(segment)

test.each([
  ['in order', [0, 'ab', 2, 'cd'], '>ab >cd'],
  ['repeated', [0, 'ab', 0, 'ab', 2, 'cd'], '>ab >cd'],
  ['repeated in part', [0, 'ab', 0, 'abc', 3, 'd'], '>ab >c >d'],
  ['overlapping before and after', [0, 'abcd', 2, 'cdef', 1, 'bcde'], '>abcd >ef'],
  ['late', [0, 'ab', 4, 'ef', 2, 'cd'], '>ab >cd >ef'],
  ['late, twice', [0, 'ab', 6, 'gh', 4, 'ef', 2, 'cd'], '>ab >cd >ef >gh'],
  ['late and repeated', [0, 'ab', 4, 'ef', 4, 'ef', 2, 'cd', 6, 'g'], '>ab >cd >ef >g'],
  ['late and overlapping', [0, 'ab', 4, 'ef', 2, 'cdef', 6, 'g'], '>ab >cdef >g'],
  ['before the first', [4, 'ef', 0, 'ab', 6, 'gh'], '>ef >gh'],
] as const)('Flow gives bytes that came %s in order', (_, said, want) => {
  for (const first of [1000, 4_294_967_294]) {
    const { flow, lines } = log()
    const wire = new Wire(toFlow(flow), { first })
    const base = wire.next('send')
    for (let i = 0; i < said.length; i += 2)
      wire.sayAt(base + Number(said[i]), 'send', String(said[i + 1]))
    expect(lines.join(' ')).toBe(want)
  }
})

test('Flow says how many bytes of a call were not captured, also where it was repeated in part', () => {
  const { flow, lines } = log()
  const wire = new Wire(toFlow(flow))
  const base = wire.next('send')
  wire.sayAt(base, 'send', 'abcdef', { captured: 4 })
  wire.sayAt(base + 5, 'send', 'fghi', { captured: 2 })
  wire.sayAt(base + 4, 'send', 'efghijkl', { captured: 1 })
  expect(lines).toEqual(['>abcd+2', '>g+2', '>+3'])
})

test.each([
  ['socket', 10_000],
  ['packet', 1_000_000],
] as const)('Flow waits for missing bytes of a %s as long as its window', (source, window) => {
  const { flow, lines } = log()
  const wire = new Wire(toFlow(flow), { source })
  wire.send('ab', { time: 1e6 })
  wire.lose('send', 3)
  wire.send('cd', { time: 2e6 })
  wire.receive('answer', { time: 2e6 + 5 })
  flow.tick(2e6 + window - 1)
  expect(lines).toEqual(['>ab'])
  flow.tick(2e6 + window)
  expect(lines).toEqual(['>ab', '>-3', '>cd', '<answer'])
})

test('Flow holds a bounded number of segments and bytes back', () => {
  const { flow, lines } = log()
  const wire = new Wire(toFlow(flow))
  wire.send('a', { time: 1e6 })
  wire.lose('send', 9)
  for (let i = 0; i < 64; i++) wire.send('b', { time: 1e6 })
  expect(lines.length).toBe(1)
  wire.send('b', { time: 1e6 })
  expect(lines.length).toBe(67)
  wire.lose('send', 9)
  for (let i = 0; i < 32; i++) wire.send(new Uint8Array(16_384), { time: 1e6 })
  expect(lines.length).toBeGreaterThan(67)
})

test('Flow lets a whole window of packets wait for one that was lost, yet no more', () => {
  const { flow, lines } = log()
  const wire = new Wire(toFlow(flow), { source: 'packet' })
  wire.send('a', { time: 1e6 })
  const lost = wire.next('send')
  wire.lose('send', 1000)
  for (let i = 0; i < 4000; i++) wire.send('b', { time: 1e6 })
  expect(lines.length).toBe(1)
  wire.sayAt(lost, 'send', 'c'.repeat(1000), { time: 1e6 })
  expect(lines.length).toBe(4002)
  expect(lines.join('')).not.toContain('-')
  wire.lose('send', 9)
  for (let i = 0; i < 4096; i++) wire.send('b', { time: 1e6 })
  expect(lines.length).toBe(4002)
  wire.send('b', { time: 1e6 })
  expect(lines.slice(4002, 4004)).toEqual(['>-9', '>b'])
})

test('Flow gives what it holds back when the connection closes', () => {
  const { flow, lines } = log()
  const wire = new Wire(toFlow(flow))
  wire.send('ab')
  wire.lose('send', 3)
  wire.send('cd')
  wire.close()
  expect(lines).toEqual(['>ab', '>-3', '>cd', 'closed'])
  expect(flow.size).toBe(0)
})

test('Flow knows from an open where a stream begins', () => {
  const { flow, lines } = log()
  const wire = new Wire(toFlow(flow), { source: 'packet' })
  wire.open('send')
  const base = wire.next('send')
  wire.sayAt(base + 2, 'send', 'cd')
  expect(lines).toEqual([])
  wire.sayAt(base, 'send', 'ab')
  expect(lines).toEqual(['>ab', '>cd'])
})

test('Flow tells of bytes lost before the first that were reported', () => {
  const { flow, lines } = log()
  const wire = new Wire(toFlow(flow), { role: 'server' })
  wire.receive('ab', { before: 'some' })
  wire.send('cd', { before: 'none' })
  expect(lines).toEqual(['<-Infinity', '<ab', '>cd'])
})

test('Flow takes a sequence number far away for another conversation', () => {
  const { flow, lines } = log()
  const wire = new Wire(toFlow(flow))
  wire.send('ab')
  wire.lose('send', 2 ** 31 - 5)
  wire.send('cd', { time: wire.time + 1 })
  flow.tick(wire.time + 1e6)
  expect(lines).toEqual(['>ab', '>-Infinity', '>cd'])
})

test('Flow gives datagrams one by one, and who they came from', () => {
  const { flow, lines, connections } = log({ nameAddress: (bytes, at) => bytes[at + 3]! })
  const wire = new Wire(toFlow(flow), { isDatagram: true, remotePort: 53 })
  wire.send('ab')
  expect(connections[0]).toMatchObject({ isDatagram: true, remotePort: 53, remoteName: 2 })
  wire.receive('cd', { remotePort: 5353 })
  expect(connections[0]).toMatchObject({ remotePort: 5353, isPeerKnown: true })
  wire.receive('ef', { remotePort: 0 })
  expect(connections[0]!.isPeerKnown).toBe(false)
  expect(lines).toEqual(['>ab', '<cd', '<ef'])
})

test('Flow mutes a socket whose end is our own, once, and forgets it', () => {
  const { flow, lines, verdicts } = log({ isMuted: ({ remotePort }) => remotePort === 20_416 })
  const own = new Wire(toFlow(flow), { key: 5, remotePort: 20_416 })
  own.send('ab')
  own.receive('cd')
  new Wire(toFlow(flow), { key: 6 }).send('ef')
  expect(verdicts).toEqual([`5=${IGNORE}`])
  expect(lines).toEqual(['>ef'])
  expect(flow.counters.dropped.muted).toBe(2)
})

test('Flow tells the kernel again of a muted socket that is shown anew', () => {
  const { flow, verdicts } = log({ isMuted: () => true })
  const own = new Wire(toFlow(flow), { key: 5 })
  own.send('ab')
  own.send('cd')
  own.send('ef', { time: own.time + 60_000_000 })
  expect(verdicts).toEqual([`5=${IGNORE}`, `5=${IGNORE}`])
})

test('Flow tells capture what a reader wants to see, once a change', () => {
  const { flow, connections, verdicts } = log()
  const wire = new Wire(toFlow(flow), { key: 9 })
  wire.send('a')
  connections[0]!.wants = 256
  wire.send('b')
  wire.send('c')
  connections[0]!.wants = IGNORE
  wire.send('d')
  expect(verdicts).toEqual(['9=256', '9=0'])
})

test('Flow forgets the connection that was not used for longest, and counts it', () => {
  const { flow, lines } = log({ connectionsMax: 2 })
  const [a, b, c] = [1, 2, 3].map((key) => new Wire(toFlow(flow), { key }))
  a!.send('a')
  b!.send('b')
  a!.send('a')
  c!.send('c')
  expect(lines).toEqual(['>a', '>b', '>a', 'closed', '>c'])
  a!.send('a')
  expect(lines.at(-1)).toBe('>a')
  expect(flow.size).toBe(2)
  expect(flow.counters.dropped.evicted).toBe(1)
})

test('Flow forgets a datagram socket that was quiet for a minute, but no stream', () => {
  const { flow, lines } = log()
  new Wire(toFlow(flow), { key: 1, isDatagram: true }).send('a', { time: 1e6 })
  new Wire(toFlow(flow), { key: 2 }).send('b', { time: 1e6 })
  flow.tick(61e6 - 1)
  expect(lines).toEqual(['>a', '>b'])
  flow.tick(61e6)
  expect(lines).toEqual(['>a', '>b', 'closed'])
  expect(flow.size).toBe(1)
})

test.each([
  ['what the kernel says', { role: 'server' as const }, () => 0, 'server'],
  ['who listens here', { localPort: 80 }, (port: number) => (port === 80 ? 7 : 0), 'server'],
  ['nobody', {}, () => 0, 'unknown'],
] as const)('Flow knows the role from %s', (_, wire, listens, want) => {
  const { flow, connections } = log({ listens })
  new Wire(toFlow(flow), wire).send('a')
  expect(connections[0]!.role).toBe(want)
})

test('Flow names the process that moved the bytes last, and the one that listens on this host', () => {
  const named: string[] = []
  const { flow, connections } = log({
    listens: (port) => (port === 80 ? 77 : 0),
    nameProcess: (processId, command) => named.push(`${processId} ${command}`),
    nameAddress: () => 99,
  })
  const wire = new Wire(toFlow(flow), { remotePort: 80, remoteAddress: [10, 0, 0, 1] })
  wire.send('a')
  wire.send('b', { processId: 12 })
  expect(named).toEqual(['77 ', '11 client', '12 client'])
  expect(connections[0]).toMatchObject({ remoteName: 1, remoteProcessId: 77, localName: 3 })
  expect(connections[0]!.role).toBe('client')
})

test('Flow drops what moved no bytes', () => {
  const { flow, lines } = log()
  new Wire(toFlow(flow)).send('')
  expect(lines).toEqual([])
  expect(flow.counters.dropped.empty).toBe(1)
})
