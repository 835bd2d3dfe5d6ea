import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { realEnv } from '../../../src/lib/env-real.ts'
import type { Block, BlockColumn } from '../../../src/model/block.ts'
import type { NameIds } from '../../../src/model/name.ts'
import { application1s } from '../../../src/model/tables/application.ts'
import { applicationMap1m } from '../../../src/model/tables/application-map.ts'
import { l7FlowLog } from '../../../src/model/tables/l7-flow-log.ts'
import { tables } from '../../../src/model/tables/registry.ts'
import { qualifiedName, type Table } from '../../../src/model/tables/table.ts'
import { encodeNative } from '../../../src/server/storage/native.ts'
import { migrate } from '../../../src/server/storage/schema.ts'
import type { Part } from '../../../src/server/storage/store.ts'
import { ClickHouseStore } from '../../../src/server/storage/store-clickhouse.ts'
import { HAS_ENGINE, rowsOf, startEngine, type TestEngine } from './engine.ts'

/** Lately: the tables drop what is old. */
const TIME = Math.floor(Date.now() / 1000) - 60
const ids: NameIds = {
  gprocess: Uint32Array.of(0, 11, 0),
  host: Uint32Array.of(0, 21, 22),
  instance: Uint32Array.of(0, 11, 22),
  instanceType: Uint8Array.of(0, 120, 6),
}

/** A column of `values`, as the wire has it. */
function columnOf(wire: string, values: readonly unknown[]): BlockColumn {
  switch (wire) {
    case 'u8':
      return { kind: 'numbers', values: Uint8Array.from(values as number[]) }
    case 'u16':
      return { kind: 'numbers', values: Uint16Array.from(values as number[]) }
    case 'u32':
      return { kind: 'numbers', values: Uint32Array.from(values as number[]) }
    case 'i32':
      return { kind: 'numbers', values: Int32Array.from(values as number[]) }
    case 'ip6':
      return { kind: 'ip6', bytes: Uint8Array.from((values as number[][]).flat()) }
    case 'text':
      return textOf(values as string[])
    case 'histogram':
      return histogramOf(values as Record<number, number>[])
    default:
      return {
        kind: 'wide',
        bytes: new Uint8Array(BigInt64Array.from(values as bigint[]).buffer),
      }
  }
}

function textOf(values: readonly string[]): BlockColumn {
  const entries = [...new Set(['', ...values])]
  const parts = entries.map((entry) => Buffer.from(entry))
  const offsets = new Uint32Array(parts.length + 1)
  for (const [i, part] of parts.entries()) offsets[i + 1] = offsets[i]! + part.length
  const indexes = Uint16Array.from(values.map((value) => entries.indexOf(value)))
  return { kind: 'text', indexes, offsets, bytes: Buffer.concat(parts) }
}

function histogramOf(values: readonly Record<number, number>[]): BlockColumn {
  const keys: number[] = []
  const counts: number[] = []
  const ends = values.map((value) => {
    for (const [key, count] of Object.entries(value)) {
      keys.push(Number(key))
      counts.push(count)
    }
    return keys.length
  })
  return {
    kind: 'histogram',
    ends: Uint32Array.from(ends),
    keys: Int16Array.from(keys),
    counts: Uint32Array.from(counts),
  }
}

/** A value of its own for each column and row, and what a SELECT must answer for it. */
function pairOf(wire: string, number: number, row: number): [unknown, unknown] {
  const seed = number * 100 + row
  switch (wire) {
    case 'u8':
      return [seed % 256, seed % 256]
    case 'text': {
      const value = row === 2 ? '' : `größe ${seed};'\n\0${'x'.repeat((row % 4) * 130)}`
      return [value, value]
    }
    case 'ip6': {
      const bytes = Array.from({ length: 16 }, (_, i) => (i === 15 ? row + 1 : i === 0 ? 0x20 : 0))
      return [bytes, `2000::${row + 1}`]
    }
    case 'histogram':
      return row === 1
        ? [{}, []]
        : [
            { [-638]: seed, 12: 1 },
            { '-638': String(seed), '12': '1' },
          ]
    case 'u64':
    case 'i64':
      return [BigInt(seed), String(seed)]
    default:
      return [seed, seed]
  }
}

function blockOf(table: Table, rows: number, without: readonly string[] = []): Block {
  const columns = new Map<number, BlockColumn>()
  for (const { name, number, wire, nullAs } of table.columns) {
    if (wire === undefined || without.includes(name)) continue
    const values = Array.from({ length: rows }, (_, row) => {
      if (name === 'time') return TIME + row
      if (name.startsWith('name')) return row % 3
      if (name === 'start_time' || name === 'end_time') return BigInt(TIME * 1e6 + row * 1001)
      if (nullAs !== undefined && row === 1) return wire === 'i64' ? BigInt(nullAs) : nullAs
      return pairOf(wire, number, row)[0]
    })
    columns.set(number, columnOf(wire, values))
  }
  const header = {
    table: table.number,
    rows,
    agent: '',
    lifetime: '',
    lane: 0,
    sequence: 1,
    dropped: 0,
    wall: 0,
    monotonic: 0,
  }
  return { header, names: [], columns }
}

/** What each column must read as, all of it as text where 64 bits are wide. */
function wantOf(table: Table, row: number): Record<string, unknown> {
  const want: Record<string, unknown> = {}
  for (const { name, number, wire, nullAs, type } of table.columns) {
    if (wire === undefined || name.startsWith('name')) continue
    if (name === 'time') want[name] = TIME + row
    else if (name === 'start_time' || name === 'end_time')
      want[name] = String(TIME * 1e6 + row * 1001)
    else if (nullAs !== undefined && row === 1) want[name] = null
    else if (type === 'IPv4')
      want[name] = `0.0.${((number * 100 + row) >> 8) & 255}.${(number * 100 + row) & 255}`
    else want[name] = pairOf(wire, number, row)[1]
  }
  return want
}

function selectOf(table: Table): string {
  const columns = table.columns
    .filter(({ stored }) => stored !== false)
    .map(({ name, type }) => {
      if (name === 'time') return `toUInt32(time) AS time`
      if (type.startsWith('DateTime64'))
        return `toString(toUnixTimestamp64Micro(t.${name})) AS ${name}`
      if (type.includes('Map('))
        return `if(empty(t.${name}), NULL, mapApply((k, v) -> (toString(k), toString(v)), t.${name})) AS ${name}`
      if (type.includes('64')) return `toString(t.${name}) AS ${name}`
      return name
    })
  return `SELECT ${columns.join(', ')} FROM ${qualifiedName(table)} AS t ORDER BY t.time`
}

describe.skipIf(!HAS_ENGINE)('encodeNative', () => {
  let engine: TestEngine
  let store: ClickHouseStore
  beforeAll(async () => {
    engine = await startEngine()
    await migrate(engine.writer)
    store = new ClickHouseStore({ clickhouse: engine, timers: realEnv().timers })
  })
  afterAll(() => engine.end())

  async function stored(table: Table, parts: readonly Part[]): Promise<Record<string, unknown>[]> {
    await engine.writer.command({ query: `TRUNCATE TABLE ${qualifiedName(table)}` })
    await store.insert({
      table,
      partition: Math.floor(TIME / (table.partitionHours * 3600)),
      segment: 9,
      rows: 0,
      native: encodeNative(table, parts),
    })
    const answer = await engine.writer.query({ query: selectOf(table), format: 'JSONEachRow' })
    return (await answer.json()) as Record<string, unknown>[]
  }

  for (const table of tables)
    test(`encodeNative writes every column of ${table.name} as it reads back`, async () => {
      const part = { block: blockOf(table, 3), ids, agentId: 77, segment: 2 ** 40 + 5 }
      const rows = await stored(table, [part])
      expect(rows.length).toBe(3)
      for (const [row, got] of rows.entries()) {
        for (const [name, want] of Object.entries(wantOf(table, row)))
          expect([name, got[name]]).toEqual([name, Array.isArray(want) ? null : want])
        expect(got['agent_id']).toBe(77)
        expect(got['_segment']).toBe(String(2 ** 40 + 5))
      }
    })

  test('encodeNative gives rows the ids of the names they point to', async () => {
    const part = { block: blockOf(l7FlowLog, 3), ids, agentId: 1, segment: 1 }
    await stored(l7FlowLog, [part])
    const got = await rowsOf(
      engine.writer,
      'SELECT gprocess_id_0, host_id_0, auto_instance_id_1, auto_instance_type_1 FROM flow_log.l7_flow_log ORDER BY time',
    )
    expect(got).toEqual([
      [0, 0, 0, 0],
      [11, 21, 11, 120],
      [0, 22, 22, 6],
    ])
  })

  test('encodeNative merges parts, takes only the rows that are asked for, fills what is absent', async () => {
    const whole = { block: blockOf(l7FlowLog, 3), ids, agentId: 1, segment: 1 }
    const some = {
      block: blockOf(l7FlowLog, 5),
      ids,
      agentId: 2,
      segment: 2,
      rows: Uint32Array.of(3, 4),
    }
    const old = {
      block: blockOf(l7FlowLog, 1, ['endpoint', 'request_id', 'response_code', 'ip6_0', 'version']),
      ids,
      agentId: 3,
      segment: 3,
    }
    const rows = await stored(l7FlowLog, [whole, some, old])
    expect(rows.map((row) => Number(row['agent_id'])).sort((a, b) => a - b)).toEqual([
      1, 1, 1, 2, 2, 3,
    ])
    for (const row of rows) {
      const at = (row['time'] as number) - TIME
      const want = wantOf(l7FlowLog, at)
      if (row['agent_id'] === 3)
        Object.assign(want, {
          endpoint: '',
          request_id: null,
          response_code: null,
          ip6_0: '::',
          version: '',
        })
      for (const [name, value] of Object.entries(want))
        expect([name, row[name]]).toEqual([name, value])
    }
  })

  test('encodeNative takes chosen rows of histograms', async () => {
    const part = {
      block: blockOf(application1s, 6),
      ids,
      agentId: 1,
      segment: 1,
      rows: Uint32Array.of(0, 1, 4),
    }
    const rows = await stored(application1s, [
      part,
      { ...part, agentId: 2, rows: Uint32Array.of(5) },
    ])
    expect(rows.map((row) => row['rrt_histogram'])).toEqual([
      { '-638': '2200', '12': '1' },
      null,
      { '-638': '2204', '12': '1' },
      { '-638': '2205', '12': '1' },
    ])
  })

  test('encodeNative sends text that repeats as its dictionary, and it reads the same', async () => {
    const rows = 5000
    const block = blockOf(l7FlowLog, 1)
    const repeated = (values: (row: number) => string): BlockColumn =>
      textOf(Array.from({ length: rows }, (_, row) => values(row)))
    const columns = new Map<number, BlockColumn>([
      [1, { kind: 'numbers', values: new Uint32Array(rows).fill(TIME) }],
      [20, repeated((row) => (row % 2 ? 'GET' : 'POST'))],
      [23, repeated((row) => `/path/${row % 300}`)],
      [30, repeated((row) => `id-${row}`)],
      [40, { kind: 'numbers', values: Uint32Array.from({ length: rows }, (_, row) => row) }],
    ])
    const part = {
      block: { ...block, header: { ...block.header, rows }, columns },
      ids,
      agentId: 1,
      segment: 1,
    }
    expect(encodeNative(l7FlowLog, [part]).length).toBeLessThan(rows * 330)
    await stored(l7FlowLog, [part, part])
    const [got] = await rowsOf(
      engine.writer,
      `SELECT toUInt32(count()), toUInt32(countIf(request_type != if(req_tcp_seq % 2 = 1, 'GET', 'POST'))),
        toUInt32(countIf(endpoint != concat('/path/', toString(req_tcp_seq % 300)))),
        toUInt32(countIf(x_request_id_0 != concat('id-', toString(req_tcp_seq)))) FROM flow_log.l7_flow_log`,
    )
    expect(got).toEqual([2 * rows, 0, 0, 0])
  })

  test('encodeNative makes of many parts one part a partition', async () => {
    const parts = Array.from({ length: 40 }, (_, i) => ({
      block: blockOf(applicationMap1m, 200),
      ids,
      agentId: i,
      segment: i,
    }))
    await stored(applicationMap1m, parts)
    const active = await rowsOf(
      engine.writer,
      `SELECT toUInt32(count()), toUInt32(sum(rows)) FROM system.parts WHERE active AND table = 'application_map.1m'`,
    )
    expect(active).toEqual([[1, 8000]])
  })
})
