/** Captures that are cut, spoilt or none: read as far as they go, told in a sentence, never a hang. */
import { afterAll, expect } from 'bun:test'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { testWith } from '../needs.ts'
import { expectNoInsides, expectSentence, ran } from './bad-input.ts'

const CAPTURES = '../shared/pcap'
const directory = mkdtempSync(join(tmpdir(), 'metaflow-captures-'))
afterAll(() => rmSync(directory, { recursive: true }))
const file = (name: string, content: Uint8Array): string => {
  const path = join(directory, name)
  writeFileSync(path, content)
  return path
}

/** Some captures of each protocol, small ones. */
function samples(): [string, Uint8Array][] {
  return ['http', 'dns', 'redis', 'mysql', 'tcp'].flatMap((folder) =>
    readdirSync(join(CAPTURES, folder))
      .filter((name) => /\.pcap(ng)?$/.test(name))
      .map((name): [string, Uint8Array] => [name, readFileSync(join(CAPTURES, folder, name))])
      .filter(([, bytes]) => bytes.length > 200 && bytes.length < 100_000)
      .slice(0, 3),
  )
}

/** What was read is printed, whatever came after; exit 1 has its sentence. */
async function expectRead(path: string, table: string): Promise<number> {
  const run = await ran(['replay', '--table', table, path])
  expect(() =>
    run.stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line)),
  ).not.toThrow()
  expectNoInsides(run.stderr)
  if (run.code === 0) expect(run.stderr).toBe('')
  else expectSentence(run, 1, `Cannot read ${path}`)
  return run.stdout.split('\n').length - 1
}

testWith('executable', 'captures')(
  'a capture cut anywhere gives what comes before',
  async () => {
    for (const [name, bytes] of samples()) {
      const whole = await expectRead(file(name, bytes), 'messages')
      for (const part of [0.02, 0.5, 0.95]) {
        const cut = bytes.subarray(0, Math.floor(bytes.length * part))
        expect(await expectRead(file(name, cut), 'messages')).toBeLessThanOrEqual(whole)
      }
    }
  },
  120_000,
)

testWith('executable', 'captures')(
  'a capture with spoilt bytes never ends badly',
  async () => {
    let state = 7
    const next = (): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
      return state >>> 8
    }
    for (const [name, bytes] of samples())
      for (const [share, table] of [
        [0.001, 'calls'],
        [0.05, 'messages'],
        [0.05, 'metrics'],
      ] as const) {
        const spoilt = bytes.slice()
        for (let at = 0; at < 1 + bytes.length * share; at++)
          spoilt[24 + (next() % (bytes.length - 24))] = next()
        await expectRead(file(name, spoilt), table)
      }
  },
  120_000,
)

const pcap = (...records: readonly number[][]): Uint8Array => {
  const words = [0xa1b2c3d4, 0x00040002, 0, 0, 65_535, 1, ...records.flat()]
  return new Uint8Array(Uint32Array.from(words).buffer)
}
const huge = 0xffff_ffff

testWith('executable').each<[string, Uint8Array | string]>([
  ['nothing', new Uint8Array(0)],
  ['a few bytes', Uint8Array.of(0xd4, 0xc3, 0xb2)],
  ['text', new TextEncoder().encode('GET / HTTP/1.1\r\n\r\n')],
  ['no end of zeros', '/dev/zero'],
  ['no end of noise', '/dev/urandom'],
  ['a folder', '/'],
  ['a record of 4 GB', pcap([0, 0, huge, huge])],
  ['a record that is cut', pcap([0, 0, 1000, 1000, 1, 2, 3])],
  ['half a pcapng', new Uint8Array(Uint32Array.of(0x0a0d0d0a, 28, 0x1a2b3c4d, 1).buffer)],
  [
    'a pcapng block of 4 GB',
    new Uint8Array(Uint32Array.of(0x0a0d0d0a, huge, 0x1a2b3c4d, 1, huge, huge, huge).buffer),
  ],
])('metaflow replay of %s says what is wrong and exits 1', async (name, content) => {
  const path = typeof content === 'string' ? content : file(name, content)
  const run = await ran(['replay', path])
  expectSentence(run, 1, `Cannot read ${path}`)
  expect(run.stdout).toBe('')
})
