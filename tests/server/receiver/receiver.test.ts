import { afterEach, describe, expect, test } from 'bun:test'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { HttpAnswer } from '../../../src/lib/env.ts'
import { realEnv } from '../../../src/lib/env-real.ts'
import { application1s } from '../../../src/model/tables/application.ts'
import { l7FlowLog } from '../../../src/model/tables/l7-flow-log.ts'
import type { Table } from '../../../src/model/tables/table.ts'
import type { ReceiverOptions } from '../../../src/server/receiver/options.ts'
import { Receiver } from '../../../src/server/receiver/receiver.ts'
import { encodeDropped } from '../../../src/wire/block.ts'
import { numberBlock, readHeader } from '../../../src/wire/header.ts'
import { testWith } from '../../needs.ts'
import { blockOf } from '../../simulation/blocks.ts'
import { until } from '../../until.ts'

const env = realEnv()
const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

function newDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), 'metaflow-'))
  cleanups.push(() => rmSync(path, { recursive: true }))
  return path
}

async function open(directory: string, options: Partial<ReceiverOptions> = {}): Promise<Receiver> {
  const limits = { commitMs: 1, sealMs: 10, reserveBytes: 1 << 16, ...options.limits }
  const tables = [l7FlowLog.number, application1s.number]
  const rest = { env, directory, tables, greatestStored: 0, maxBytes: 1 << 26 }
  const receiver = await Receiver.open({ ...rest, ...options, limits })
  cleanups.push(() => receiver.close())
  return receiver
}

const AGENT = 'a'.repeat(32)
function block(sequence: number, lifetime = '1', table: Table = l7FlowLog): Uint8Array {
  const bytes = blockOf(table, [{ id: `row ${sequence}`, time: 1_795_500_000 }])
  numberBlock(bytes, { agent: AGENT, lifetime: lifetime.repeat(32), lane: 0, sequence })
  return bytes
}
const joined = (...blocks: Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(blocks))
function read({ status, body }: HttpAnswer): [number, number | undefined, string | undefined] {
  const { expected, error } = JSON.parse(new TextDecoder().decode(body))
  return [status, expected, error]
}

describe('Receiver.take', () => {
  test('takes the next number only; a repeat is acknowledged, a gap says what comes next', async () => {
    const receiver = await open(newDirectory())
    const gap = 'Cannot take blocks: block 1 comes next'
    expect(read(await receiver.take(block(2)))).toEqual([409, 1, gap])
    expect(read(await receiver.take(joined(block(1), block(2))))).toEqual([200, 3, undefined])
    expect(read(await receiver.take(block(1)))).toEqual([200, 3, undefined])
    expect(read(await receiver.take(joined(block(3), block(5))))[0]).toBe(409)
    expect(read(await receiver.take(block(4)))).toEqual([200, 5, undefined])
    expect(receiver.repeats).toBe(1)
    expect(receiver.streams).toMatchObject([{ synced: 4, rows: 4, dropped: 0 }])
  })

  test('counts the rows of an empty block as dropped', async () => {
    const receiver = await open(newDirectory())
    const number = { agent: AGENT, lifetime: '1'.repeat(32), lane: 0, sequence: 1 }
    const lost = encodeDropped({ ...number, table: 0, dropped: 70_000, wall: 0, monotonic: 0 })
    expect(read(await receiver.take(lost))[0]).toBe(200)
    expect(receiver.streams).toMatchObject([{ synced: 1, rows: 70_000, dropped: 70_000 }])
  })

  const spoilt = block(1)
  spoilt[spoilt.length - 1]! ^= 1
  const unknown = block(1)
  new DataView(unknown.buffer).setUint16(4, 99, true)
  test.each<[string, Uint8Array, string]>([
    ['nothing', new Uint8Array(0), 'there is none'],
    ['noise', new Uint8Array(200).fill(7), 'it does not begin as a block'],
    ['a cut block', block(1).subarray(0, 120), 'it is cut short'],
    ['a spoilt block', spoilt, 'the check of its body is wrong'],
    ['number 0', block(0), 'it has no number'],
    ['two streams', joined(block(1), block(1, '2')), 'it is of another stream than the one before'],
    ['another table', block(1, '1', { ...l7FlowLog, number: 77 }), 'table 77 is not known'],
  ])('answers %s with 400 and a sentence', async (_, body, state) => {
    const receiver = await open(newDirectory())
    const [status, , error] = read(await receiver.take(body))
    expect([status, error]).toEqual([400, expect.stringContaining(`Cannot read block: ${state}`)])
    expect(receiver.counters.dropped.refused).toBe(1)
  })

  test('answers 401 to a wrong token, 413 to a long body', async () => {
    const receiver = await open(newDirectory(), { token: 'secret', limits: { bodyBytes: 1000 } })
    expect((await receiver.take(block(1), 'Bearer wrong')).status).toBe(401)
    expect((await receiver.take(block(1))).status).toBe(401)
    expect((await receiver.take(new Uint8Array(1001), 'Bearer secret')).status).toBe(413)
    expect((await receiver.take(block(1), 'Bearer secret')).status).toBe(200)
  })

  test('answers 503 with Retry-After when its log is full, and goes on when some is stored', async () => {
    const receiver = await open(newDirectory(), { maxBytes: 3000 })
    let sequence = 1
    while ((await receiver.take(block(sequence))).status === 200) sequence++
    const full = await receiver.take(block(sequence))
    expect([full.status, full.headers['retry-after']]).toEqual([503, '1'])
    await until(() => receiver.next(1) !== undefined)
    for (let s = receiver.next(1); s !== undefined; s = receiver.next(1))
      await receiver.advance(1, s)
    await until(async () => (await receiver.take(block(sequence))).status === 200)
    expect(receiver.streams).toMatchObject([{ synced: sequence }])
  })

  testWith('root')(
    'answers 503 on a full disk, drains, and takes again when there is room',
    async () => {
      const directory = newDirectory()
      Bun.spawnSync(['mount', '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', directory])
      cleanups.push(() => Bun.spawnSync(['umount', directory]))
      const receiver = await open(join(directory, 'log'))
      expect((await receiver.take(block(1))).status).toBe(200)
      const { free } = env.files.space(directory)
      writeFileSync(join(directory, 'others'), new Uint8Array(free))
      await until(async () => (await receiver.take(block(2))).status === 503)
      // The reserve was given up: what drains can write its progress.
      expect(env.files.space(directory).free).toBeGreaterThan(30_000)
      await until(() => receiver.next(1) !== undefined)
      await receiver.advance(1, receiver.next(1)!)
      rmSync(join(directory, 'others'))
      await until(async () => (await receiver.take(block(2))).status === 200)
      expect(receiver.streams).toMatchObject([{ synced: 2, rows: 2 }])
      await receiver.close()
    },
  )

  test('refuses more senders than it can remember', async () => {
    const receiver = await open(newDirectory(), { limits: { streams: 2 } })
    const statuses: number[] = []
    for (const lifetime of ['1', '2', '3'])
      statuses.push((await receiver.take(block(1, lifetime))).status)
    expect(statuses).toEqual([200, 200, 503])
  })

  test('seals for the tables that go on while another lags behind', async () => {
    const receiver = await open(newDirectory())
    await receiver.take(block(1))
    await until(() => receiver.next(l7FlowLog.number) !== undefined)
    await receiver.take(block(1, '2', application1s))
    await until(() => receiver.next(application1s.number) !== undefined)
    expect(receiver.size.segments).toBe(2)
  })

  test('remembers no sender of whom it took nothing', async () => {
    const receiver = await open(newDirectory(), { limits: { streams: 2 } })
    for (const lifetime of ['1', '2', '3', '4'])
      expect((await receiver.take(block(7, lifetime))).status).toBe(409)
    expect(receiver.streams).toEqual([])
    expect((await receiver.take(block(1, '5'))).status).toBe(200)
  })

  test('seals a segment whose blocks would take too much memory unpacked', async () => {
    const directory = newDirectory()
    const receiver = await open(directory, { limits: { sealMs: 60_000 } })
    const large = blockOf(l7FlowLog, [{ id: 'a'.repeat(8_000_000), time: 1_795_500_000 }])
    expect(large.length).toBeLessThan(2000)
    const blocks = Array.from({ length: 40 }, (_, i) => {
      numberBlock(large, { agent: AGENT, lifetime: '1'.repeat(32), lane: 0, sequence: i + 1 })
      return large.slice()
    })
    expect(read(await receiver.take(joined(...blocks)))[0]).toBe(200)
    const logs = readdirSync(directory).filter((name) => name.endsWith('.log'))
    expect(logs).toHaveLength(3)
  })

  test('syncs once for what came together', async () => {
    let syncs = 0
    const counting = {
      ...env,
      files: {
        ...env.files,
        append(path: string) {
          const file = env.files.append(path)
          const sync = (): Promise<void> => {
            syncs++
            return file.sync()
          }
          return new Proxy(file, {
            get: (of, key) =>
              key === 'sync' ? sync : (Reflect.get(of, key).bind?.(of) ?? of.size),
          })
        },
      },
    }
    const limits = { commitMs: 20, sealMs: 60_000 }
    const receiver = await open(newDirectory(), { env: counting, limits })
    await receiver.take(block(1))
    syncs = 0
    const answers = Array.from({ length: 50 }, (_, i) => receiver.take(block(i + 2)))
    expect(new Set((await Promise.all(answers)).map(({ status }) => status))).toEqual(
      new Set([200]),
    )
    expect(syncs).toBe(1)
  })
})

describe('Receiver.open', () => {
  test('goes on with the numbers of streams, and of segments after those in log and tables', async () => {
    const directory = newDirectory()
    const first = await open(directory, { greatestStored: 41 })
    await first.take(block(1))
    await first.close()
    expect(first.next(1)).toBe(42)
    const second = await open(directory)
    expect(second.next(1)).toBe(42)
    expect(read(await second.take(block(1)))).toEqual([200, 2, undefined])
    await second.take(block(2))
    await second.advance(1, 42)
    await until(() => second.next(1) !== undefined)
    expect(second.next(1)).toBe(43)
  })

  test('remembers streams whose blocks are stored and gone', async () => {
    const directory = newDirectory()
    const first = await open(directory, { limits: { dropMs: 0 } })
    await first.take(block(1))
    await until(() => first.next(1) !== undefined)
    await first.advance(1, first.next(1)!)
    const logs = (): string[] => readdirSync(directory).filter((name) => name.endsWith('.log'))
    await until(() => logs().length === 0)
    await first.close()
    const second = await open(directory)
    expect(read(await second.take(block(3)))[1]).toBe(2)
    expect(second.streams).toMatchObject([{ synced: 1, rows: 1 }])
  })

  test('cuts a torn end, wherever it is torn', async () => {
    const made = newDirectory()
    const first = await open(made, { limits: { sealMs: 60_000 } })
    await first.take(block(1))
    const name = readdirSync(made).find((file) => file.endsWith('.log'))!
    const whole = statSync(join(made, name)).size
    await first.take(block(2))
    const bytes = readFileSync(join(made, name))
    for (let size = whole; size <= bytes.length; size += 37) {
      const directory = newDirectory()
      writeFileSync(join(directory, name), bytes.subarray(0, size))
      const second = await open(directory)
      expect(second.blocks(1, 1).length).toBe(size === bytes.length ? 2 : 1)
      expect(read(await second.take(block(2)))[0]).toBe(200)
      await second.close()
    }
  })

  test('reads past a damaged block of a sealed segment', async () => {
    const directory = newDirectory()
    const first = await open(directory, { limits: { sealMs: 60_000, segmentBytes: 2000 } })
    let sequence = 0
    while (first.next(1) === undefined) await first.take(block(++sequence))
    const name = '0000000000000001.log'
    const whole = first.blocks(1, 1).length
    await first.close()
    const bytes = readFileSync(join(directory, name))
    bytes[Math.floor(bytes.length / 2)]! ^= 1
    writeFileSync(join(directory, name), bytes)
    const second = await open(directory)
    expect(second.blocks(1, 1).length).toBe(whole - 1)
    expect(second.counters.dropped.damaged).toBe(1)
  })

  test('says so where its state is spoilt', async () => {
    const directory = newDirectory()
    await (await open(directory)).close()
    writeFileSync(join(directory, 'state'), 'noise')
    await expect(open(directory)).rejects.toThrow('Cannot read the receiver state')
  })

  test('keeps blocks of its tables apart', async () => {
    const receiver = await open(newDirectory())
    await receiver.take(joined(block(1), block(2, '1', application1s), block(3)))
    await receiver.stop()
    const rows = (table: number): number[] =>
      receiver.blocks(receiver.next(table)!, table).map(({ bytes }) => readHeader(bytes).sequence)
    expect([rows(1), rows(2)]).toEqual([[1, 3], [2]])
    expect(receiver.blocks(1, 2)[0]!.place).toBe(2)
  })
})
