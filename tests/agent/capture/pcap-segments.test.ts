import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { FLOWS_MAX } from '../../../src/agent/capture/pcap-flows.ts'
import { Packet } from '../../../src/agent/capture/pcap-packet.ts'
import { PacketSegments } from '../../../src/agent/capture/pcap-segments.ts'
import { be16, ethernet, ip4, ip6, join, lineOf, type Tcp, tcp, udp } from './pcap-writer.ts'

const C = '10.0.0.1:4000'
const S = '10.0.0.2:80'
const C6 = `${'20010db8'.padEnd(32, '1')}:4000`
const S6 = `${'20010db8'.padEnd(32, '2')}:80`

type Seen = {
  lines: string[]
  segments: PacketSegments
  put: (frame: Uint8Array, at?: number) => void
}

/** Frames of link type `link`, and the lines of the segments they give. */
function watch(link = 1): Seen {
  const lines: string[] = []
  const segments = new PacketSegments((segment) => lines.push(lineOf(segment)))
  const packet = new Packet()
  const put = (frame: Uint8Array, at = 0): void => {
    // The frame lies in the middle of other bytes, as in a file.
    packet.bytes = join(new Uint8Array(3).fill(0x45), frame, new Uint8Array(9).fill(0x45))
    Object.assign(packet, { time: at, link, start: 3, end: 3 + frame.length, size: frame.length })
    segments.packet(packet)
    segments.flush()
  }
  return { lines, segments, put }
}

function tcp4(spec: Tcp): Uint8Array {
  return ip4({ ...spec, protocol: 6, payload: tcp(spec) })
}

function frameOf(spec: Tcp): Uint8Array {
  return ethernet(tcp4(spec))
}

const DATA: Tcp = { from: C, to: S, sequence: 9, text: 'GET' }
const LINE = `1 ${C}>${S} unknown data`.replace('data', '9 3 GET')
const sll = new Uint8Array(14)

const LINKS: readonly (readonly [string, number, Uint8Array])[] = [
  ['Ethernet', 1, ethernet(tcp4(DATA))],
  ['Ethernet that was padded', 1, join(ethernet(tcp4(DATA)), new Uint8Array(11))],
  ['a VLAN', 1, ethernet(tcp4(DATA), [0x8100])],
  ['QinQ', 1, ethernet(tcp4(DATA), [0x88a8, 0x8100])],
  ['Linux cooked', 113, join(sll, [8, 0], tcp4(DATA))],
  ['Linux cooked with a VLAN', 113, join(sll, [0x81, 0, 0, 5, 8, 0], tcp4(DATA))],
  ['Linux cooked 2', 276, join([8, 0], new Uint8Array(18), tcp4(DATA))],
  ['raw IP', 101, tcp4(DATA)],
  ['raw IPv4', 228, tcp4(DATA)],
  ['BSD loopback', 0, join([2, 0, 0, 0], tcp4(DATA))],
  ['OpenBSD loopback', 108, join([0, 0, 0, 2], tcp4(DATA))],
  ['IP options', 101, ip4({ ...DATA, protocol: 6, payload: tcp(DATA) }, { options: 3 })],
  ['a size left to the card', 101, tcp4(DATA).with(2, 0).with(3, 0)],
]

test.each(LINKS)('PacketSegments reads TCP in %s', (_, link, frame) => {
  const { lines, put } = watch(link)
  put(frame)
  expect(lines).toEqual([LINE])
})

const DATA6: Tcp = { ...DATA, from: C6, to: S6 }
const EXTENSIONS: readonly (readonly [
  string,
  readonly (readonly [number, readonly number[]])[],
])[] = [
  ['none', []],
  ['hop by hop', [[0, [0, 0, 0, 0, 0, 0, 0]]]],
  [
    'routing and destination',
    [
      [43, [0, 0, 0, 0, 0, 0, 0]],
      [60, [0, 0, 0, 0, 0, 0, 0]],
    ],
  ],
  ['a long destination', [[60, [1, ...new Uint8Array(14)]]]],
  ['authentication', [[51, [1, ...new Uint8Array(10)]]]],
  ['an atomic fragment', [[44, [0, 0, 0, 0, 0, 0, 9]]]],
]

test.each(EXTENSIONS)('PacketSegments reads TCP in IPv6 with extensions: %s', (_, extensions) => {
  const { lines, put } = watch()
  put(ethernet(ip6({ ...DATA6, protocol: 6, payload: tcp(DATA6) }, extensions)))
  expect(lines).toEqual([`1 ${C6}>${S6} unknown 9 3 GET`])
})

const NOT: readonly (readonly [string, number, Uint8Array, string])[] = [
  ['an unknown link', 9, tcp4(DATA), 'link'],
  ['ARP', 1, join(new Uint8Array(12), [8, 6], new Uint8Array(28)), 'notIp'],
  ['ICMP', 101, ip4({ from: C, to: S, protocol: 1, payload: new Uint8Array(8) }), 'protocol'],
  ['ICMPv6', 101, ip6({ from: C6, to: S6, protocol: 58, payload: new Uint8Array(8) }), 'protocol'],
  ['a short TCP header', 101, tcp4(DATA).subarray(0, 39), 'malformed'],
  ['a TCP offset beyond', 101, tcp4({ from: C, to: S }).with(32, 0xf0), 'malformed'],
  ['a TCP offset of 4', 101, tcp4(DATA).with(32, 0x40), 'malformed'],
  ['an IP header beyond', 101, tcp4(DATA).subarray(0, 19), 'malformed'],
  ['an IP header of 4', 101, tcp4(DATA).with(0, 0x44), 'malformed'],
  ['no IP', 101, Uint8Array.of(0x10), 'malformed'],
  ['nothing', 101, new Uint8Array(0), 'malformed'],
  [
    'a cut extension',
    101,
    ip6({ ...DATA6, protocol: 60, payload: new Uint8Array(4) }),
    'malformed',
  ],
  [
    'a short UDP header',
    101,
    ip4({ from: C, to: S, protocol: 17, payload: new Uint8Array(7) }),
    'malformed',
  ],
]

test.each(NOT)('PacketSegments counts %s', (_, link, frame, why) => {
  const { lines, segments, put } = watch(link)
  put(frame)
  expect(lines).toEqual([])
  expect(segments.counters.dropped).toMatchObject({ [why]: 1 })
})

test('PacketSegments follows a connection from its SYN to its end', () => {
  const { lines, put } = watch()
  put(frameOf({ from: C, to: S, flags: 'S', sequence: 99 }), 1)
  put(frameOf({ from: S, to: C, flags: 'SA', sequence: 4_294_967_295, acknowledge: 100 }), 2)
  put(frameOf({ from: C, to: S, sequence: 100 }), 3)
  put(frameOf({ from: C, to: S, sequence: 100, text: 'GET' }), 4)
  put(frameOf({ from: S, to: C, flags: 'FA', sequence: 4, text: 'OK', acknowledge: 103 }), 5)
  put(frameOf({ from: C, to: S, flags: 'FA', sequence: 103, acknowledge: 0 }), 6)
  put(frameOf({ from: S, to: C, sequence: 0, text: 'late', acknowledge: 104 }), 7)
  put(frameOf({ from: C, to: S, sequence: 104, acknowledge: 7 }), 8)
  put(frameOf({ from: '10.0.0.9:1', to: S, sequence: 1, text: 'x' }), 100_008)
  put(frameOf({ from: S, to: C, sequence: 7 }), 200_000)
  expect(lines).toEqual([
    `1 ${C}>${S} client open 100`,
    `1 ${C}<${S} client open 0`,
    `1 ${C}>${S} client 100 3 GET`,
    `1 ${C}<${S} client 4 2 OK`,
    `1 ${C}<${S} client 0 4 late`,
    `1 ${C}>${S} client close`,
    `2 10.0.0.9:1>${S} unknown 1 1 x`,
  ])
})

/** C asks and both end, while the first bytes of the answer are not captured yet. */
function ended(): Seen {
  const seen = watch()
  seen.put(frameOf({ from: C, to: S, flags: 'FA', sequence: 100, text: 'GET', acknowledge: 0 }))
  seen.put(frameOf({ from: S, to: C, flags: 'FA', sequence: 4, text: 'OK', acknowledge: 104 }))
  seen.lines.length = 0
  return seen
}
const other = frameOf({ from: '10.0.0.9:1', to: S, sequence: 1 })

test('PacketSegments waits for what is missing before two FINs, for 5 s', () => {
  const { lines, put } = ended()
  const again = frameOf({ from: S, to: C, sequence: 0, text: 'late', acknowledge: 104 })
  put(again, 300_000)
  put(frameOf({ from: C, to: S, sequence: 104, acknowledge: 7 }), 301_000)
  put(other, 401_000)
  expect(lines).toEqual([`1 ${C}<${S} unknown 0 4 late`, `1 ${C}>${S} unknown close`])
  const never = ended()
  never.put(other, 4_999_999)
  expect(never.lines).toEqual([])
  never.put(other, 5_000_000)
  expect(never.lines).toEqual([`1 ${C}<${S} unknown close`])
})

test('PacketSegments takes what comes of a closed connection for no new one', () => {
  const { lines, segments, put } = ended()
  put(frameOf({ from: C, to: S, sequence: 104, acknowledge: 7 }), 1)
  const again = frameOf({ from: S, to: C, flags: 'FA', sequence: 4, text: 'OK' })
  put(again, 300_000)
  put(again, 900_000)
  expect(lines).toEqual([`1 ${C}>${S} unknown close`])
  expect(segments.counters.dropped.closed).toBe(2)
  // A SYN begins another at once; without one, whoever speaks after a while is another.
  put(frameOf({ from: C, to: S, flags: 'S', sequence: 5000 }), 901_000)
  put(frameOf({ from: C, to: S, flags: 'R', sequence: 5001 }), 902_000)
  put(again, 6_002_000)
  expect(lines.slice(1)).toEqual([
    `2 ${C}>${S} client open 5001`,
    `2 ${C}>${S} client close`,
    `3 ${S}>${C} unknown 4 2 OK`,
    `3 ${S}<${C} unknown open 1`,
  ])
})

test('PacketSegments says where the other end of a flow met on its way begins', () => {
  const { lines, put } = watch()
  put(frameOf({ ...DATA, acknowledge: 5000 }))
  put(frameOf({ from: S, to: C, sequence: 5030, acknowledge: 12, text: 'OK' }))
  expect(lines).toEqual([LINE, `1 ${C}<${S} unknown open 5000`, `1 ${C}<${S} unknown 5030 2 OK`])
})

test('PacketSegments takes the words of a RST for no part of the stream', () => {
  const { lines, segments, put } = watch()
  put(frameOf({ from: C, to: S, flags: 'R', sequence: 9, text: 'no' }))
  put(frameOf(DATA))
  put(frameOf({ from: S, to: C, flags: 'RA', sequence: 1, text: 'go away' }))
  segments.finish()
  expect(lines).toEqual([LINE, `1 ${C}<${S} unknown close`])
})

test('PacketSegments knows the client by the answer to a SYN that was not captured', () => {
  const { lines, put } = watch()
  put(frameOf({ from: S, to: C, flags: 'SA', sequence: 7, acknowledge: 100 }))
  put(frameOf({ from: C, to: S, flags: 'S', sequence: 99 }))
  put(frameOf({ from: S, to: C, sequence: 8, text: 'hello' }))
  expect(lines).toEqual([
    `1 ${C}<${S} client open 8`,
    `1 ${C}>${S} client open 100`,
    `1 ${C}<${S} client 8 5 hello`,
  ])
})

test('PacketSegments tells connections that use the same ports apart by their SYN', () => {
  const { lines, put } = watch()
  put(frameOf({ from: C, to: S, flags: 'S', sequence: 99 }))
  put(frameOf({ from: C, to: S, flags: 'S', sequence: 99 }))
  put(frameOf({ from: C, to: S, flags: 'S', sequence: 5000 }))
  put(frameOf({ from: S, to: C, flags: 'R', sequence: 1 }))
  put(frameOf({ from: S, to: C, flags: 'S', sequence: 5 }))
  expect(lines).toEqual([
    `1 ${C}>${S} client open 100`,
    `1 ${C}>${S} client close`,
    `2 ${C}>${S} client open 5001`,
    `2 ${C}<${S} client close`,
    `3 ${S}>${C} client open 6`,
  ])
})

test('PacketSegments counts the data of a SYN from behind it', () => {
  const { lines, put } = watch()
  put(frameOf({ from: C, to: S, flags: 'S', sequence: 0xffff_ffff, text: 'early' }))
  expect(lines).toEqual([`1 ${C}>${S} client open 0`, `1 ${C}>${S} client 0 5 early`])
})

test('PacketSegments reports what the capture cut off as size', () => {
  const { lines, put } = watch(101)
  const whole = tcp4({ ...DATA, text: 'GET / HTTP/1.1' })
  put(whole.subarray(0, whole.length - 6))
  put(whole.subarray(0, whole.length - 14))
  expect(lines).toEqual([`1 ${C}>${S} unknown 9 14 GET / HT`, `1 ${C}>${S} unknown 9 14 `])
})

test('PacketSegments reads UDP in both directions as one flow', () => {
  const { lines, segments, put } = watch()
  const send = (from: string, to: string, text: string): void =>
    put(join(ethernet(ip4({ from, to, protocol: 17, payload: udp(from, to, text) })), [0, 0, 0]))
  send('10.0.0.1:53000', '10.0.0.2:53', 'who?')
  send('10.0.0.2:53', '10.0.0.1:53000', 'me')
  send('10.0.0.1:53001', '10.0.0.2:53', '')
  segments.finish()
  expect(lines).toEqual([
    '1 10.0.0.1:53000>10.0.0.2:53 unknown 0 4 who?',
    '1 10.0.0.1:53000<10.0.0.2:53 unknown 0 2 me',
    '2 10.0.0.1:53001>10.0.0.2:53 unknown 0 0 ',
    '1 10.0.0.1:53000>10.0.0.2:53 unknown close',
    '2 10.0.0.1:53001>10.0.0.2:53 unknown close',
  ])
})

test('PacketSegments keeps FIN and RST of what it does not know to itself', () => {
  const { lines, segments, put } = watch()
  for (const flags of ['FA', 'R', 'A']) put(frameOf({ from: C, to: S, flags }))
  segments.finish()
  expect(lines).toEqual([])
})

const QUESTION = udp('10.0.0.1:53000', '10.0.0.2:53', 'a question that comes in pieces.')
const PIECES = [0, 8, 16, 24, 32, 40].filter((at) => at < QUESTION.length)

function piece4(at: number, size = 8): Uint8Array {
  const more = at + size < QUESTION.length ? 0x2000 : 0
  const payload = QUESTION.subarray(at, at + size)
  return ethernet(
    ip4(
      { from: '10.0.0.1:0', to: '10.0.0.2:0', protocol: 17, payload },
      { place: more | (at / 8) },
    ),
  )
}

test('PacketSegments joins fragments of IPv4 in any order, also sent twice', () => {
  const order = fc.shuffledSubarray([...PIECES, ...PIECES], { minLength: PIECES.length * 2 })
  fc.assert(
    fc.property(order, (places) => {
      const { lines, put } = watch()
      for (const at of places) put(piece4(at))
      expect(lines[0]).toEndWith('0 32 a question that comes in pieces.')
    }),
  )
})

test('PacketSegments joins fragments of IPv6', () => {
  const { lines, put } = watch()
  for (const at of [16, 0]) {
    const payload = QUESTION.subarray(at, at + 24)
    const more = at === 0 ? 1 : 0
    const head = [0, ...be16(at | more), 0, 0, 0, 9]
    put(ethernet(ip6({ from: C6, to: S6, protocol: 17, payload }, [[44, head]])))
  }
  expect(lines).toEqual([
    `1 ${C6.slice(0, 32)}:53000>${S6.slice(0, 32)}:53 unknown 0 32 a question that comes in pieces.`,
  ])
})

test('PacketSegments gives up datagrams whose fragments do not come, and counts them', () => {
  const { lines, segments, put } = watch()
  put(piece4(0), 0)
  put(piece4(8), 1)
  const late = 61_000_000
  const other = ip4(
    { from: C, to: S, protocol: 17, payload: QUESTION.subarray(0, 8) },
    { id: 8, place: 0x2000 },
  )
  put(ethernet(other), late)
  for (const at of PIECES.slice(2)) put(piece4(at), late + 1)
  expect(lines).toEqual([])
  expect(segments.counters.dropped.fragments).toBe(1)
})

test('PacketSegments holds a bounded number of fragmented datagrams', () => {
  const { segments, put } = watch(101)
  for (let id = 0; id < 1000; id++)
    put(
      ip4(
        { from: C, to: S, protocol: 17, payload: QUESTION.subarray(0, 8) },
        { id, place: 0x2000 },
      ),
    )
  expect(segments.counters.dropped.fragments).toBe(1000 - 64)
})

test('PacketSegments lets the quietest flow go where there are too many', () => {
  let closed = 0
  let opened = 0
  const segments = new PacketSegments(({ kind }) => {
    if (kind === 'close') closed++
    else opened++
  })
  const bytes = tcp4(DATA)
  const packet = Object.assign(new Packet(), { bytes, link: 101, end: bytes.length })
  for (let i = 0; i < FLOWS_MAX + 10; i++) {
    bytes.set([i >> 16, i >> 8, i], 13)
    segments.packet(packet)
  }
  segments.flush()
  expect([opened, closed, segments.counters.dropped.flows]).toEqual([FLOWS_MAX + 10, 10, 10])
  // One that had to go is not over: it is heard of again.
  bytes.set([0, 0, 0], 13)
  segments.packet(packet)
  segments.finish()
  expect([opened, closed]).toEqual([FLOWS_MAX + 11, FLOWS_MAX + 11])
})

test('PacketSegments gives segments on together, each between the ends of its own flow', () => {
  const lines: string[] = []
  const segments = new PacketSegments((segment) => lines.push(lineOf(segment)))
  const put = (frame: Uint8Array, time: number): void => {
    const packet = new Packet()
    Object.assign(packet, { bytes: frame, time, link: 1, end: frame.length, size: frame.length })
    segments.packet(packet)
  }
  put(frameOf(DATA), 0)
  put(frameOf({ ...DATA, flags: 'R', sequence: 12, text: '' }), 0)
  expect(lines).toEqual([])
  // The reset flow closes and is forgotten a little later, and the next one takes its place.
  put(frameOf({ ...DATA, from: '10.0.0.6:4006' }), 1e6)
  put(frameOf({ ...DATA, from: '10.0.0.7:4007' }), 1e7)
  for (let i = 0; i < 100; i++) put(frameOf({ ...DATA, sequence: 100 + i }), 1e7)
  expect(lines.length).toBeGreaterThan(60)
  expect(lines.length).toBeLessThan(102)
  segments.flush()
  expect(lines).toHaveLength(104)
  expect(lines[0]).toBe(LINE)
  expect(lines[3]).toContain('10.0.0.7:4007')
})
