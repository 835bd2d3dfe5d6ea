import { afterAll, expect, test } from 'bun:test'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join as joinPath } from 'node:path'
import fc from 'fast-check'
import { Pcap } from '../../../src/agent/capture/pcap.ts'
import { PacketSegments } from '../../../src/agent/capture/pcap-segments.ts'
import { be32, type NgBlock, pcap, pcapng } from './pcap-writer.ts'

const directory = mkdtempSync(joinPath(tmpdir(), 'metaflow-pcap-'))
afterAll(() => rmSync(directory, { recursive: true }))
let files = 0

/** What is read of a file with `bytes`: lines "time link captured/size text", and the problem. */
function read(bytes: Uint8Array): { lines: string[]; problem: string } {
  const path = joinPath(directory, `${files++}.pcap`)
  writeFileSync(path, bytes)
  const file = new Pcap(path)
  const lines: string[] = []
  while (file.next()) {
    const { time, link, size, start, end, bytes: from } = file.packet
    const text = new TextDecoder().decode(from.subarray(start, end))
    lines.push(`${time} ${link} ${end - start}/${size} ${text}`)
  }
  file.close()
  return { lines, problem: file.problem.replace(path, 'FILE') }
}

const frame = (text: string): Uint8Array => new TextEncoder().encode(text)
const TIME = 1_790_000_000_123_456
const TWO = [
  { time: TIME, frame: frame('one') },
  { time: TIME + 7, frame: frame('second'), size: 60 },
]
const WANT = [`${TIME} 1 3/3 one`, `${TIME + 7} 1 6/60 second`]

const CLASSIC = (['micro', 'nano', 'modified'] as const).flatMap((kind) =>
  [true, false].map((little) => [kind, little ? 'little' : 'big', { kind, little }] as const),
)

test.each(CLASSIC)('Pcap reads %s captures, %s endian', (_, __, options) => {
  expect(read(pcap(TWO, options))).toEqual({ lines: WANT, problem: '' })
})

test('Pcap takes the link type without the bits about check sequences', () => {
  expect(read(pcap(TWO, { link: 0x5400_0071 })).lines[0]).toBe(`${TIME} 113 3/3 one`)
})

const NG: readonly (readonly [string, readonly NgBlock[], readonly string[]])[] = [
  [
    'several interfaces that count time differently',
    [
      { section: 'little' },
      { link: 1 },
      { link: 101, resolution: 9 },
      { link: 113, resolution: 0x80 | 10, offset: 100 },
      { link: 113, resolution: 3 },
      { other: 0xbad, size: 40 },
      { on: 0, ticks: BigInt(TIME), frame: frame('µs') },
      { on: 1, ticks: BigInt(TIME) * 1000n + 999n, frame: frame('ns') },
      { on: 2, ticks: 1024n * 5n + 512n, frame: frame('1/1024 s') },
      { on: 3, ticks: 1_790_000_000_001n, frame: frame('ms') },
    ],
    [
      `${TIME} 1 3/3 µs`,
      `${TIME} 101 2/2 ns`,
      '105500000 113 8/8 1/1024 s',
      '1790000000001000 113 2/2 ms',
    ],
  ],
  [
    'obsolete and simple packets',
    [
      { section: 'big' },
      { link: 1 },
      { on: 0, ticks: 5n, frame: frame('old one'), old: true },
      { simple: frame('simple') },
    ],
    ['5 1 7/7 old one', '5 1 6/6 simple'],
  ],
  [
    'sections of either byte order, each with its own interfaces',
    [
      { section: 'big' },
      { link: 101 },
      { on: 0, ticks: 2n ** 32n + 1n, frame: frame('a') },
      { section: 'little' },
      { link: 276 },
      { on: 0, ticks: 9n, frame: frame('b') },
    ],
    ['4294967297 101 1/1 a', '9 276 1/1 b'],
  ],
]

test.each(NG)('Pcap reads pcapng: %s', (_, blocks, want) => {
  expect(read(pcapng(blocks))).toEqual({ lines: [...want], problem: '' })
})

const HUGE = be32(0x7fff_fff0).reverse()
const ng = pcapng([{ section: 'little' }, { link: 1 }, { on: 0, ticks: 1n, frame: frame('a') }])
const BAD: readonly (readonly [string, Uint8Array, number, string])[] = [
  ['nothing', new Uint8Array(0), 0, 'it has fewer than 4 bytes'],
  ['a text', frame('hello, this is text'), 0, 'it is no pcap or pcapng capture'],
  ['half a head', pcap(TWO).subarray(0, 20), 0, 'its head is cut short'],
  ['a cut record', pcap(TWO).subarray(0, 62), 1, 'its last record, at byte 43, is cut short'],
  [
    'a cut record head',
    pcap(TWO).subarray(0, 50),
    1,
    'the head of its last record, at byte 43, is cut short',
  ],
  [
    'a size beyond all reason',
    Uint8Array.from(pcap(TWO)).fill(0x7f, 51, 55),
    1,
    'the record at byte 43 says that it has 2139062143 bytes',
  ],
  ['a cut block', ng.subarray(0, -1), 0, 'the block at byte 52 is cut short'],
  ['a block of no size', ng.with(56, 7), 0, 'the block at byte 52 says that it has 7 bytes'],
  [
    'a block that ends otherwise',
    ng.with(ng.length - 4, 9),
    0,
    'the block at byte 52 ends with another size than it begins',
  ],
  [
    'an interface nobody described',
    ng.with(60, 3),
    0,
    'the block at byte 52 names interface 3, which nothing described',
  ],
  [
    'a packet longer than its block',
    ng.with(72, 200),
    0,
    'the block at byte 52 is shorter than its packet',
  ],
  ['no byte order', ng.with(8, 0), 0, 'the block at byte 0 has no byte order'],
  [
    'a huge unknown block',
    new Uint8Array([...ng, 9, 9, 9, 9, ...HUGE, 0, 0, 0, 0]),
    1,
    'the block at byte 100 is cut short',
  ],
]

test.each(BAD)('Pcap reads what there is before %s and says where it stopped', (...row) => {
  const [, bytes, packets, want] = row
  const { lines, problem } = read(bytes)
  expect(lines.length).toBe(packets)
  expect(problem).toBe(`Cannot read FILE to its end: ${want}`)
})

test('Pcap says why a file that is not there, or is a directory, cannot be read', () => {
  expect(() => new Pcap('/nowhere/x.pcap')).toThrow('Cannot read /nowhere/x.pcap: ENOENT')
  const file = new Pcap(directory)
  expect(file.next()).toBe(false)
  expect(file.problem).toContain('EISDIR')
  file.close()
})

test('Pcap reads records longer than its buffer, and many of them, whole', () => {
  const sizes = [3_000_000, 5, 1_048_560, 1_048_576, 2_000_000, 0, 77]
  const records = sizes.map((size, i) => ({ time: i, frame: new Uint8Array(size).fill(97 + i) }))
  const { lines, problem } = read(pcap(records))
  expect(problem).toBe('')
  expect(lines).toEqual(sizes.map((n, i) => `${i} 1 ${n}/${n} ${'abcdefg'[i]!.repeat(n)}`))
})

test('Pcap and PacketSegments read noise and changed captures without throwing', () => {
  const path = joinPath(directory, 'noise.pcap')
  const starts = [pcap(TWO), ng, new Uint8Array(0)]
  const change = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 5 })
  fc.assert(
    fc.property(fc.constantFrom(...starts), change, fc.uint8Array(), (start, changes, tail) => {
      const bytes = new Uint8Array([...start, ...tail])
      for (const [at, value] of changes) bytes[at % (bytes.length || 1)] = value
      writeFileSync(path, bytes)
      const file = new Pcap(path)
      const segments = new PacketSegments(({ bytes: from, start: at, end, size }) => {
        expect(at <= end && end <= from.length && end - at <= size).toBe(true)
      })
      while (file.next()) segments.packet(file.packet)
      segments.finish()
      file.close()
    }),
    { numRuns: 2000 },
  )
})
