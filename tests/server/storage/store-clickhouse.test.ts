import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'
import { realEnv } from '../../../src/lib/env-real.ts'
import { MetaflowError } from '../../../src/lib/errors.ts'
import type { NumberedName } from '../../../src/model/name.ts'
import { application1s } from '../../../src/model/tables/application.ts'
import { l7FlowLog } from '../../../src/model/tables/l7-flow-log.ts'
import { tables } from '../../../src/model/tables/registry.ts'
import { qualifiedName, type Table } from '../../../src/model/tables/table.ts'
import type { ClickHouse } from '../../../src/server/storage/clickhouse.ts'
import { encodeNative } from '../../../src/server/storage/native.ts'
import { migrate } from '../../../src/server/storage/schema.ts'
import { ClickHouseStore } from '../../../src/server/storage/store-clickhouse.ts'
import { until } from '../../until.ts'
import { HAS_ENGINE, rowsOf, startEngine, type TestEngine } from './engine.ts'

/** Lately: the tables drop what is old. */
const NOW = Math.floor(Date.now() / 1000)

/** Rows of one table that have a time, a segment and nothing else. */
function rows(table: Table, times: readonly number[], segment: number): Uint8Array {
  const none = Uint32Array.of(0)
  return encodeNative(table, [
    {
      block: {
        header: {
          table: table.number,
          rows: times.length,
          agent: '',
          lifetime: '',
          lane: 0,
          sequence: 1,
          dropped: 0,
          wall: 0,
          monotonic: 0,
        },
        names: [],
        columns: new Map([[1, { kind: 'numbers', values: Uint32Array.from(times) }]]),
      },
      ids: { gprocess: none, host: none, instance: none, instanceType: Uint8Array.of(0) },
      agentId: 1,
      segment,
    },
  ])
}

function nameOf(id: number, name: string, type = 120): NumberedName {
  return {
    id,
    type,
    key: `key ${id}`,
    name,
    processName: type === 120 ? `${name}-k` : '',
    hostKey: 'h',
    hostName: 'höst',
    hostId: 3,
  }
}

describe.skipIf(!HAS_ENGINE)('ClickHouseStore', () => {
  let engine: TestEngine
  let store: ClickHouseStore
  beforeAll(async () => {
    engine = await startEngine()
    await migrate(engine.writer)
    store = new ClickHouseStore({ clickhouse: engine, timers: realEnv().timers })
  })
  beforeEach(async () => {
    for (const table of tables)
      await engine.writer.command({ query: `TRUNCATE TABLE ${qualifiedName(table)}` })
  })
  afterAll(() => engine.end())

  async function put(table: Table, time: number, segment: number): Promise<void> {
    const partition = Math.floor(time / (table.partitionHours * 3600))
    await store.insert({ table, partition, segment, rows: 1, native: rows(table, [time], segment) })
  }

  test('insert commits rows, and greatestByPartition finds their segments by partition', async () => {
    const span = l7FlowLog.partitionHours * 3600
    const before = NOW - span
    await put(l7FlowLog, NOW, 7 * 65_536)
    await put(l7FlowLog, NOW, 7 * 65_536 + 3)
    await put(l7FlowLog, before, 7 * 65_536)
    await put(l7FlowLog, before, 6 * 65_536)
    const found = await store.greatestByPartition(l7FlowLog, 7 * 65_536, 8 * 65_536 - 1)
    expect([...found].sort(([a], [b]) => a - b)).toEqual([
      [Math.floor(before / span), 7 * 65_536],
      [Math.floor(NOW / span), 7 * 65_536 + 3],
    ])
    expect([...(await store.greatestByPartition(l7FlowLog, 8 * 65_536, 9 * 65_536))]).toEqual([])
    const ids = await rowsOf(
      engine.writer,
      "SELECT DISTINCT partition_id FROM system.parts WHERE table = 'l7_flow_log' AND active ORDER BY 1",
    )
    expect(ids.flat()).toEqual([...found.keys()].sort((a, b) => a - b).map(String))
  })

  test('greatestByPartition finds a segment whose rows merged into older ones', async () => {
    await put(application1s, NOW, 65_536)
    await put(application1s, NOW, 2 * 65_536)
    await engine.writer.command({ query: `OPTIMIZE TABLE ${qualifiedName(application1s)} FINAL` })
    expect(
      await rowsOf(engine.writer, `SELECT count() FROM ${qualifiedName(application1s)}`),
    ).toEqual([[1]])
    const found = await store.greatestByPartition(application1s, 2 * 65_536, 3 * 65_536 - 1)
    expect([...found.values()]).toEqual([2 * 65_536])
  })

  test('greatestSegment is the number of the last of all tables, 0 where there is no row', async () => {
    expect(await store.greatestSegment()).toBe(0)
    await put(l7FlowLog, NOW, 2 ** 40)
    await put(application1s, NOW, 2 ** 41 + 1)
    expect(await store.greatestSegment()).toBe(2 ** 25)
  })

  test('insert rejects as refused what the engine read and will not have', async () => {
    const good = rows(l7FlowLog, [NOW], 1)
    const cases: [string, Uint8Array][] = [
      ['cut', good.subarray(0, good.length - 5)],
      ['noise', Uint8Array.from({ length: 500 }, (_, i) => (i * 7) % 251)],
    ]
    for (const [name, native] of cases) {
      const failure = await store
        .insert({ table: l7FlowLog, partition: 0, segment: 1, rows: 1, native })
        .catch((error) => error)
      expect(failure).toBeInstanceOf(MetaflowError)
      expect([name, failure.code]).toEqual([name, 'refused'])
    }
    expect(await store.greatestSegment()).toBe(0)
  })

  test('insert rejects as unavailable what may have happened, and the look-up then is true', async () => {
    const before = engine.health().restarts
    const half = rows(
      l7FlowLog,
      Array.from({ length: 200_000 }, () => NOW),
      5,
    )
    const insert = store
      .insert({ table: l7FlowLog, partition: 0, segment: 5, rows: 200_000, native: half })
      .catch((error) => error)
    await until(async () => {
      process.kill(engine.processId()!, 'SIGKILL')
      return true
    })
    expect(await insert).toMatchObject({ code: 'unavailable' })
    await engine.restarted(before + 1)
    const found = await store.greatestByPartition(l7FlowLog, 5, 5)
    const [[count]] = (await rowsOf(engine.writer, 'SELECT count() FROM flow_log.l7_flow_log')) as [
      [number],
    ]
    expect([found.size, count]).toEqual(count === 0 ? [0, 0] : [1, 200_000])
    expect(engine.health().restarts).toBe(before + 1)
  }, 30_000)

  test('dictionaries that cannot be read are tried again later and later', async () => {
    const delays: number[] = []
    const command = async (): Promise<never> => {
      throw new Error('Not enough privileges')
    }
    const writer = { insert: async () => undefined, command } as unknown as ClickHouse['writer']
    const refused = new ClickHouseStore({
      clickhouse: { ...engine, writer },
      timers: {
        after(ms, run) {
          delays.push(ms)
          if (delays.length < 9) queueMicrotask(run)
          return () => undefined
        },
      },
    })
    await refused.insertNames([nameOf(1, 'one')])
    await until(() => delays.length === 9)
    expect(delays).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60].map((seconds) => seconds * 1000))
  })

  test('names come back as they were written, once each, and are soon known by id', async () => {
    const names = [nameOf(3, 'höst', 6), nameOf(4, 'nginx'), nameOf(5, "it's\n\t\\")]
    await store.insertNames(names)
    await store.insertNames(names)
    expect(await store.countNames()).toBe(3)
    expect(await store.readNames()).toEqual(names)
    const byId = async (id: number): Promise<unknown> =>
      (
        await rowsOf(
          engine.reader,
          `SELECT dictGet('flow_tag.auto_instance_map', 'name', ${id}::UInt64)`,
        )
      )[0]?.[0]
    await until(async () => (await byId(4)) === 'nginx')
    await store.insertNames([nameOf(6, 'redis')])
    await until(async () => (await byId(6)) === 'redis')
    expect(
      await rowsOf(
        engine.reader,
        `SELECT dictGet('flow_tag.gprocess_map', 'process_kname', 4::UInt64), dictGet('flow_tag.gprocess_map', 'host', 4::UInt64),
          dictGet('flow_tag.host_map', 'name', 3::UInt64), dictHas('flow_tag.gprocess_map', 3::UInt64)`,
      ),
    ).toEqual([['nginx-k', 'höst', 'höst', 0]])
  })
})
