import { afterEach, expect, test } from 'bun:test'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { realEnv } from '../../../src/lib/env-real.ts'
import { MetaflowError } from '../../../src/lib/errors.ts'
import type { BlockColumn } from '../../../src/model/block.ts'
import type { NameIds } from '../../../src/model/name.ts'
import { l7FlowLog } from '../../../src/model/tables/l7-flow-log.ts'
import { Inserter, type Source, type SourceBlock } from '../../../src/server/storage/inserter.ts'
import { SetAside } from '../../../src/server/storage/set-aside.ts'
import { type Insert, type Store, TAGS_PER_SEGMENT } from '../../../src/server/storage/store.ts'
import { decodeBlock, encodeBlock } from '../../../src/wire/block.ts'
import { blockOf } from '../../simulation/blocks.ts'
import { encodeRows } from '../../simulation/engine.ts'
import { until } from '../../until.ts'

const NOW = 1_795_500_000
const env = realEnv()
const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

const NO_IDS: NameIds = {
  gprocess: new Uint32Array(2),
  host: new Uint32Array(2),
  instance: new Uint32Array(2),
  instanceType: new Uint8Array(2),
}

/** One sealed segment of `blocks`, and a store that does to each insert what `fate` says. */
function setUp(
  blocks: readonly Uint8Array[],
  fate: (ids: readonly string[]) => void,
  textBytesMax?: number,
) {
  const directory = mkdtempSync(join(tmpdir(), 'metaflow-'))
  cleanups.push(() => rmSync(directory, { recursive: true }))
  const stored: { ids: string[]; segment: number; partition: number }[] = []
  let lookUps = 0
  const store: Pick<Store, 'insert' | 'greatestByPartition'> = {
    insert: async ({ native, segment, partition }: Insert) => {
      const rows = JSON.parse(new TextDecoder().decode(native)) as { id: string }[]
      const ids = rows.map(({ id }) => id)
      fate(ids)
      stored.push({ ids, segment, partition })
    },
    greatestByPartition: async () => {
      lookUps++
      return new Map(stored.map(({ partition, segment }) => [partition, segment]))
    },
  }
  let advanced = 0
  const source: Source = {
    next: () => (advanced === 0 ? 5 : undefined),
    blocks: () =>
      blocks.map((bytes, i): SourceBlock => ({ place: i + 1, received: NOW * 1e6, bytes })),
    advance: async (_, segment) => {
      advanced = segment
    },
  }
  const inserter = new Inserter({
    env,
    table: l7FlowLog,
    source,
    store: store as Store,
    encode: encodeRows,
    resolve: async () => ({ agentId: 1, ids: NO_IDS }),
    setAside: new SetAside(env, directory),
    ...(textBytesMax && { textBytesMax }),
  })
  const run = async (): Promise<void> => {
    inserter.wake()
    await until(() => advanced === 5)
    await inserter.stop()
  }
  return { inserter, stored, run, aside: () => readdirSync(directory), lookUps: () => lookUps }
}

const block = (id: string, time = NOW): Uint8Array => blockOf(l7FlowLog, [{ id, time }])
const TAG = 5 * TAGS_PER_SEGMENT

test('Inserter merges the blocks of a segment into one insert a partition', async () => {
  const blocks = [block('one'), block('two', NOW - 80_000), block('three')]
  const { inserter, stored, run } = setUp(blocks, () => undefined)
  await run()
  expect(stored.map(({ ids, segment }) => [ids, segment])).toEqual([
    [['one', 'three'], TAG],
    [['two'], TAG],
  ])
  expect(inserter.counters).toMatchObject({ in: 3, out: 3 })
})

test('Inserter sends blocks alone when their insert is refused, and sets aside the bad', async () => {
  const refuse = (ids: readonly string[]): void => {
    if (ids.includes('bad')) throw new MetaflowError('refused', 'bad content')
  }
  const blocks = [block('one'), block('bad'), block('three')]
  const { inserter, stored, run, aside } = setUp(blocks, refuse)
  await run()
  expect(stored.map(({ ids, segment }) => [ids, segment])).toEqual([
    [['one'], TAG + 1],
    [['three'], TAG + 3],
  ])
  expect(inserter.counters).toMatchObject({ in: 3, out: 2, dropped: { refused: 1 } })
  await until(() => aside().includes('5-2.block'))
})

test('Inserter sets aside what is no block, and stores the rest', async () => {
  const { inserter, stored, run, aside } = setUp([cutBody(block('one')), block('two')], () => {})
  await run()
  expect(stored.map(({ ids }) => ids)).toEqual([['two']])
  expect(inserter.counters.dropped.unreadable).toBe(1)
  await until(() => aside().includes('5-1.block'))
})

test('Inserter looks up an insert without an answer, and goes on after what is stored', async () => {
  let calls = 0
  const loseSecond = (): void => {
    if (++calls === 2) throw new Error('no answer')
  }
  const blocks = [block('one'), block('two', NOW - 80_000)]
  const { inserter, stored, run, lookUps } = setUp(blocks, loseSecond)
  await run()
  expect(stored.map(({ ids }) => ids)).toEqual([['one'], ['two']])
  expect([calls, lookUps(), inserter.found]).toEqual([3, 2, 1])
})

/** A block whose head is whole and whose body is not. */
function cutBody(bytes: Uint8Array): Uint8Array {
  return bytes.with(bytes.length - 1, bytes.at(-1)! ^ 1)
}

test('Inserter counts the columns it does not know, and stores the rest', async () => {
  const known = decodeBlock(block('one'))
  const time = known.columns.get(l7FlowLog.columns.find(({ name }) => name === 'time')!.number)!
  const later = encodeBlock({ ...known, columns: new Map([...known.columns, [999, time]]) })
  const { inserter, stored, run } = setUp([block('zero'), later], () => undefined)
  await run()
  expect(inserter.unknownColumns).toBe(1)
  expect(stored.map(({ ids }) => ids)).toEqual([['zero', 'one']])
})

test('Inserter sends what says too much for one insert in several, and goes on after those', async () => {
  let calls = 0
  const loseSecond = (): void => {
    if (++calls === 2) throw new Error('no answer')
  }
  const blocks = [block('aaa'), block('bbb'), block('ccccccc'), block('dd'), block('ee')]
  const { inserter, stored, run } = setUp(blocks, loseSecond, 6)
  await run()
  expect(stored.map(({ ids, segment }) => [ids, segment])).toEqual([
    [['aaa', 'bbb'], TAG + 2],
    [['ccccccc'], TAG + 3],
    [['dd', 'ee'], TAG + 5],
  ])
  expect([calls, inserter.counters.out]).toEqual([4, 5])
})

test('Inserter sets aside a block whose rows say more than the engine can hold', async () => {
  const rows = 65_536
  const { header, names } = decodeBlock(block('one'))
  const numberOf = (of: string): number => l7FlowLog.columns.find(({ name }) => name === of)!.number
  const bytes = new Uint8Array(20_000)
  const huge = encodeBlock({
    header: { ...header, rows },
    names,
    columns: new Map<number, BlockColumn>([
      [numberOf('time'), { kind: 'numbers', values: new Uint32Array(rows).fill(NOW) }],
      [
        numberOf('endpoint'),
        {
          kind: 'text',
          indexes: new Uint8Array(rows),
          offsets: Uint32Array.of(0, bytes.length),
          bytes,
        },
      ],
    ]),
  })
  expect(huge.length).toBeLessThan(1000)
  const { inserter, stored, run, aside } = setUp([huge, block('two')], () => undefined)
  await run()
  expect(stored.map(({ ids }) => ids)).toEqual([['two']])
  expect(inserter.counters.dropped.unreadable).toBe(rows)
  await until(() => aside().includes('5-1.block'))
})
