import { expect, test } from 'bun:test'
import { BlockBuilder } from '../../../src/agent/sender/builder.ts'
import { CallRows } from '../../../src/agent/sender/call-rows.ts'
import { PointRows } from '../../../src/agent/sender/point-rows.ts'
import type { Clock } from '../../../src/lib/env.ts'
import { Utc } from '../../../src/lib/utc.ts'
import { BLOCK_BYTES_MAX, BLOCK_ROWS_MAX, type Block } from '../../../src/model/block.ts'
import { CALL_TEXTS, Call, REQUEST_RESOURCE, VERSION } from '../../../src/model/call.ts'
import { STATUS } from '../../../src/model/message.ts'
import { NAME_TYPE, NameTable } from '../../../src/model/name.ts'
import { Point } from '../../../src/model/point.ts'
import { tables } from '../../../src/model/tables/registry.ts'
import { decodeBlock } from '../../../src/wire/block.ts'
import { cellsOf } from './cells.ts'

/** A wall clock that is 1,790,000,000 s ahead of the monotonic one. */
const OFFSET = 1_790_000_000_000_000
const clock: Clock = { wall: () => OFFSET + 5_000_000, monotonic: () => 5_000_000 }
const encoder = new TextEncoder()

function nameTable(): NameTable {
  const names = new NameTable()
  for (const name of ['curl', 'nginx', 'unused'])
    names.add({
      type: NAME_TYPE.process,
      key: `host/${name}`,
      name,
      processName: name,
      hostKey: 'host',
      hostName: 'box',
    })
  return names
}

function callRows(rowsPerSecond: number): { rows: CallRows; blocks: Block[] } {
  const blocks: Block[] = []
  const rows = new CallRows({
    names: nameTable(),
    clock,
    utc: new Utc(clock),
    rowsPerSecond,
    emit: (bytes) => blocks.push(decodeBlock(bytes)),
  })
  return { rows, blocks }
}

function call(changes: Partial<Call>, texts: Readonly<Record<string, string>> = {}): Call {
  const made = Object.assign(new Call(), changes)
  for (const [field, text] of Object.entries(texts)) {
    const bytes = encoder.encode(text)
    made.texts.set(CALL_TEXTS.indexOf(field as never), bytes, 0, bytes.length)
  }
  return made
}

test('CallRows writes every column of a call, in UTC, with the names it uses', () => {
  const { rows, blocks } = callRows(100)
  const made = call(
    {
      startTime: 1_999_990,
      endTime: 2_000_003,
      duration: 13,
      hasDuration: true,
      l7Protocol: 20,
      clientPort: 40_000,
      serverPort: 80,
      flowId: 2 ** 33 + 1,
      code: -404,
      status: STATUS.clientError,
      requestLength: 7,
      requestTraceId: 2 ** 40 + 5,
      requestSequence: 0xffff_fff0,
      serverProcessId: 77,
      clientName: 1,
      serverName: 2,
    },
    { request_type: 'GET', request_resource: '/a?b=c', trace_id: 'abc' },
  )
  made.addresses.set([10, 0, 0, 1], 0)
  made.addresses.set([192, 168, 0, 255], 16)
  rows.add(made)
  rows.flush()
  const [block] = blocks
  expect(block!.names.map(({ name }) => name)).toEqual(['', 'curl', 'nginx'])
  expect(block!.header).toMatchObject({ rows: 1, wall: clock.wall(), monotonic: 5_000_000 })
  expect(cellsOf(block!, 0)).toEqual({
    time: 1_790_000_002,
    start_time: OFFSET + 1_999_990,
    end_time: OFFSET + 2_000_003,
    response_duration: 13,
    type: 2,
    observation_point: 's-p',
    signal_source: 3,
    l7_protocol: 20,
    protocol: 6,
    is_tls: 0,
    is_ipv4: 1,
    ip4_0: 0x0a00_0001,
    ip4_1: 0xc0a8_00ff,
    client_port: 40_000,
    server_port: 80,
    flow_id: 2 ** 33 + 1,
    request_type: 'GET',
    request_resource: '/a?b=c',
    trace_id: 'abc',
    request_id: -1,
    response_status: 4,
    response_code: -404,
    request_length: 7,
    response_length: -1,
    sql_affected_rows: -1,
    captured_request_byte: 0,
    captured_response_byte: 0,
    is_truncated: 0,
    req_tcp_seq: 0xffff_fff0,
    resp_tcp_seq: 0,
    process_id_0: 0,
    process_id_1: 77,
    syscall_thread_0: 0,
    syscall_thread_1: 0,
    syscall_trace_id_request: 2 ** 40 + 5,
    syscall_trace_id_response: 0,
    name_0: 1,
    name_1: 2,
  })
})

test('CallRows keeps IPv4 and IPv6 rows of one block apart, also where a row is written twice', () => {
  const { rows, blocks } = callRows(2)
  const address = Uint8Array.from({ length: 32 }, (_, i) => i + 1)
  const six = call({ isIpv4: false })
  six.addresses.set(address)
  rows.add(call({}))
  rows.add(six)
  for (let i = 0; i < 50; i++) rows.add(call({ status: STATUS.serverError }))
  rows.flush()
  for (let row = 0; row < 2; row++) expect(cellsOf(blocks[0]!, row)['ip6_1']).toBe('00'.repeat(16))
  rows.add(call({ endTime: 9_000_000 }))
  rows.add({ ...six, endTime: 9_000_000 } as Call)
  rows.flush()
  expect(cellsOf(blocks[1]!, 0)['ip6_1']).toBe('00'.repeat(16))
  expect(cellsOf(blocks[1]!, 1)['ip6_1']).toBe(address.subarray(16).toHex())
})

test('CallRows finds every text again, few or many, the same or each its own', () => {
  const { rows, blocks } = callRows(Number.POSITIVE_INFINITY)
  const texts: string[] = []
  for (let i = 0; i < 3000; i++) {
    texts.push(i % 3 === 0 ? '' : `/item/${i}/${'x'.repeat(i % 150)}`)
    rows.add(call({}, { request_resource: texts[i]!, version: `1.${i % 2}` }))
  }
  rows.flush()
  for (let row = 0; row < 3000; row++) {
    const cells = cellsOf(blocks[0]!, row)
    expect(cells['request_resource'] ?? '').toBe(texts[row]!)
    expect(cells['version']).toBe(`1.${row % 2}`)
  }
  expect(blocks[0]!.columns.get(19)).toMatchObject({ offsets: Uint32Array.of(0, 0, 3, 6) })
})

test('CallRows tells short texts apart that begin alike', () => {
  const { rows, blocks } = callRows(Number.POSITIVE_INFINITY)
  const kinds = ['GET', 'GETS', 'G', 'GE', 'GET', 'G', 'DELETE', 'G', 'GETS', 'SET', 'GET', 'GET']
  for (let round = 0; round < 2; round++) {
    for (const kind of kinds) rows.add(call({}, { request_type: kind }))
    rows.flush()
    const got = kinds.map((_, row) => cellsOf(blocks[round]!, row)['request_type'])
    expect(got).toEqual(kinds)
  }
})

test('CallRows keeps ids of trace and span, whatever they look like', () => {
  const { rows, blocks } = callRows(Number.POSITIVE_INFINITY)
  const ids = ['0123456789abcdef', '0123456789ABCDEF', 'span', '', 'f'.repeat(32), '1.2:3']
  for (const id of ids) rows.add(call({}, { span_id: id, trace_id: id }))
  rows.flush()
  for (const name of ['span_id', 'trace_id'])
    expect(ids.map((_, row) => cellsOf(blocks[0]!, row)[name] ?? '')).toEqual(ids)
})

test('CallRows keeps both X-Request-IDs, equal or not, seldom or always new', () => {
  for (const kinds of [3, 100_000]) {
    const { rows, blocks } = callRows(Number.POSITIVE_INFINITY)
    const ids = (i: number): [string, string] => [
      i % 5 === 0 ? '' : `asked ${i % kinds}`,
      i % 7 === 0 ? '' : i % 2 === 0 ? `asked ${i % kinds}` : `other ${i % kinds}`,
    ]
    for (let i = 0; i < 2000; i++)
      rows.add(call({}, { x_request_id_0: ids(i)[0], x_request_id_1: ids(i)[1] }))
    rows.flush()
    for (let i = 0; i < 2000; i++) {
      const cells = cellsOf(blocks[0]!, i)
      expect([cells['x_request_id_0'] ?? '', cells['x_request_id_1'] ?? '']).toEqual(ids(i))
    }
  }
})

test('CallRows keeps the texts of rows that are written again in another order', () => {
  const { rows, blocks } = callRows(20)
  const errors = Array.from({ length: 15 }, (_, i) => `${'e'.repeat(i + 1)}`)
  for (let i = 0; i < 20; i++)
    rows.add(call({}, { trace_id: `ordinary ${i}`, x_request_id_0: 'x' }))
  for (const id of errors)
    rows.add(call({ status: STATUS.serverError }, { x_request_id_0: id, x_request_id_1: id }))
  rows.flush()
  const cells = Array.from({ length: 20 }, (_, row) => cellsOf(blocks[0]!, row))
  const kept = cells.filter((cell) => cell['response_status'] === STATUS.serverError)
  expect(new Set(kept.map((cell) => cell['x_request_id_0']))).toEqual(new Set(errors))
  for (const cell of kept) expect(cell['x_request_id_1']).toBe(cell['x_request_id_0']!)
  for (const cell of cells) expect('trace_id' in cell).toBe(!kept.includes(cell))
})

test('CallRows keeps what the server alone says as X-Request-ID', () => {
  const { rows, blocks } = callRows(100)
  for (const id of ['a', '', 'bc']) rows.add(call({}, { x_request_id_1: id }))
  rows.flush()
  const ids = [0, 1, 2].map((row) => cellsOf(blocks[0]!, row)['x_request_id_1'])
  expect(ids).toEqual(['a', undefined, 'bc'])
})

test('CallRows begins the next block before one holds too many rows', () => {
  const { rows, blocks } = callRows(Number.POSITIVE_INFINITY)
  const made = call({})
  for (let i = 0; i < BLOCK_ROWS_MAX; i++) rows.add(made)
  rows.flush()
  const sizes = blocks.map(({ header }) => header.rows)
  expect(sizes.reduce((a, b) => a + b)).toBe(BLOCK_ROWS_MAX)
  expect(Math.max(...sizes)).toBeLessThanOrEqual(BLOCK_ROWS_MAX)
})

test('CallRows begins the next block before one holds too many bytes', () => {
  const { rows, blocks } = callRows(Number.POSITIVE_INFINITY)
  const bytes = new Uint8Array(4096)
  const made = call({})
  for (let i = 0; i < 3000; i++) {
    made.texts.clear()
    new DataView(bytes.buffer).setUint32(2000, i)
    for (const field of [REQUEST_RESOURCE, VERSION]) made.texts.set(field, bytes, 0, 4096)
    rows.add(made)
  }
  rows.flush()
  expect(blocks.length).toBeGreaterThan(1)
  expect(blocks.map(({ header }) => header.rows).reduce((a, b) => a + b)).toBe(3000)
})

test('CallRows begins the next block before rows that are written again take too many bytes', () => {
  for (const share of [1, 0.5]) {
    const { rows, blocks } = callRows(10_000)
    const made = call({ endTime: 1 })
    for (let i = 0; i < 30_000; i++) {
      const bytes = encoder.encode(`SELECT ${Math.floor(i * share)} `.padEnd(450, 'abcdefgh '))
      made.texts.clear()
      made.texts.set(REQUEST_RESOURCE, bytes, 0, bytes.length)
      made.status = i % 10 === 0 ? STATUS.serverError : STATUS.ok
      rows.add(made)
    }
    rows.flush()
    const { out, dropped } = rows.throttle.counters
    expect(blocks.map(({ header }) => header.rows).reduce((a, b) => a + b)).toBe(out)
    expect(out + dropped.ordinary + dropped.important).toBe(30_000)
    expect(out).toBeGreaterThanOrEqual(10_000)
  }
})

test('CallRows emits a second whole: its rows may give way until it is over', () => {
  const { rows, blocks } = callRows(100)
  const add = (from: number, to: number): void => {
    for (let at = from; at < to; at++) rows.add(call({ endTime: at * 1000, clientPort: at }))
  }
  add(5000, 5600)
  rows.flushEnded(5_600_000)
  expect(blocks.length).toBe(0)
  add(5600, 6400)
  expect(blocks.length).toBe(1)
  rows.flushEnded(6_900_000)
  expect(blocks.length).toBe(1)
  rows.flushEnded(7_000_000)
  expect(blocks.map(({ header }) => header.rows)).toEqual([100, 100])
  const { values } = blocks[0]!.columns.get(16) as { values: Uint16Array }
  const late = values.filter((port) => port >= 5500)
  expect(late.length).toBeGreaterThan(30)
})

test('CallRows is empty after a flush', () => {
  const { rows, blocks } = callRows(100)
  rows.flush()
  rows.add(call({}))
  rows.flush()
  rows.flush()
  expect(blocks.length).toBe(1)
})

const point = Object.assign(new Point(), {
  time: 1_790_000_001,
  serverPort: 80,
  clientName: 1,
  serverName: 3,
  request: 5,
  response: 4,
  rrtSum: 2 ** 33,
  rrtCount: 4,
  rrtMax: 2 ** 32,
  clientError: 1,
  serverError: 2,
  timeout: 1,
  buckets: 2,
})
point.addresses.set([10, 0, 0, 1], 0)
point.addresses.set([10, 0, 0, 2], 16)
point.endpoint.set(encoder.encode('x/a/b'), 1, 4)
point.keys.set([-320, 12])
point.counts.set([3, 1])

test.each([
  [
    2,
    { table: 'application', seconds: 1, observationPoint: 'c-p' },
    { role: 0, name: 1, ip4: 0x0a00_0001 },
  ],
  [
    3,
    { table: 'application', seconds: 60, observationPoint: 's-p' },
    { role: 1, name: 1, ip4: 0x0a00_0002 },
  ],
  [
    4,
    { table: 'application_map', seconds: 1, observationPoint: 's-p' },
    { name_0: 1, name_1: 2, ip4_1: 0x0a00_0002 },
  ],
  [
    5,
    { table: 'application_map', seconds: 60, observationPoint: 'c-p' },
    { observation_point: 'c-p', ip4_0: 0x0a00_0001 },
  ],
] as const)('PointRows writes a point into table %d', (number, changes, want) => {
  const blocks: Block[] = []
  const rows = new PointRows({
    names: nameTable(),
    clock,
    emit: (bytes) => blocks.push(decodeBlock(bytes)),
  })
  rows.add(Object.assign(point, changes))
  rows.flush()
  expect(blocks.length).toBe(1)
  expect(blocks[0]!.header.table).toBe(number)
  expect(cellsOf(blocks[0]!, 0)).toMatchObject({
    ...want,
    time: 1_790_000_001,
    endpoint: '/a/b',
    request: 5,
    rrt_sum: 2 ** 33,
    rrt_max: 2 ** 32,
    error: 4,
    rrt_histogram: { '-320': 3, '12': 1 },
  })
})

test.each(tables.map((table) => [table.name, table] as const))(
  'BlockBuilder has a column for each that %s sends',
  (_, table) => {
    const builder = new BlockBuilder({ table, names: nameTable(), clock, emit: () => {} })
    const made = { u8: 'number', u16: 'number', u32: 'number', i32: 'number' } as const
    for (const { name, wire } of table.columns)
      if (wire === 'u64' || wire === 'i64') builder.wide(name)
      else if (wire === 'text' || wire === 'ip6' || wire === 'histogram') builder[wire](name)
      else if (wire) builder[made[wire]](name)
      else expect(() => builder.number(name)).toThrow(`Cannot fill ${table.name}: `)
    expect(BLOCK_BYTES_MAX).toBeGreaterThan(builder.size)
  },
)
