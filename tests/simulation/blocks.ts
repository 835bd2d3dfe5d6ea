import type { BlockColumn } from '../../src/model/block.ts'
import { NAME_TYPE, type Name } from '../../src/model/name.ts'
import type { Table } from '../../src/model/tables/table.ts'
import type { Part } from '../../src/server/storage/store.ts'
import { encodeBlock } from '../../src/wire/block.ts'
import { NO_STREAM_ID } from '../../src/wire/header.ts'

const encoder = new TextEncoder()
const decoder = new TextDecoder()

export type Row = { readonly id: string; readonly time: number }

/** A block whose rows say who they are in `endpoint`, made by process `process` of host `host`. */
export function blockOf(table: Table, rows: readonly Row[], process = 'nginx'): Uint8Array {
  const columns = new Map<number, BlockColumn>()
  const texts = rows.map(({ id }) => encoder.encode(id))
  const offsets = new Uint32Array(rows.length + 1)
  for (const [i, text] of texts.entries()) offsets[i + 1] = offsets[i]! + text.length
  const bytes = new Uint8Array(offsets.at(-1)!)
  for (const [i, text] of texts.entries()) bytes.set(text, offsets[i])
  const times = Uint32Array.from(rows, ({ time }) => time)
  columns.set(numberOf(table, 'time'), { kind: 'numbers', values: times })
  const indexes = Uint16Array.from(rows, (_, i) => i)
  columns.set(numberOf(table, 'endpoint'), { kind: 'text', indexes, offsets, bytes })
  // Points that merge must still tell how often they were stored.
  const requests = table.columns.find(({ name }) => name === 'request')
  const ones = new BigUint64Array(rows.length).fill(1n)
  if (requests?.wire === 'u64')
    columns.set(requests.number, { kind: 'wide', bytes: new Uint8Array(ones.buffer) })
  const name = table.columns.find(
    (column) => column.wire === 'u32' && /^name(_0)?$/.test(column.name),
  )
  const names = new Uint32Array(rows.length).fill(1)
  if (name) columns.set(name.number, { kind: 'numbers', values: names })
  return encodeBlock({
    header: {
      table: table.number,
      rows: rows.length,
      agent: NO_STREAM_ID,
      lifetime: NO_STREAM_ID,
      lane: 0,
      sequence: 0,
      dropped: 0,
      wall: 0,
      monotonic: 0,
    },
    names: [nameOf(NAME_TYPE.ip, ''), nameOf(NAME_TYPE.process, process)],
    columns,
  })
}

export function nameOf(type: number, name: string, key: string = name): Name {
  const host = type === NAME_TYPE.process ? 'host' : ''
  return { type, key, name, processName: '', hostKey: host, hostName: host }
}

/** The rows of an insert's part as `blockOf` made them. */
export function rowsOf(table: Table, { block, rows }: Part): Row[] {
  const times = block.columns.get(numberOf(table, 'time'))
  const ids = block.columns.get(numberOf(table, 'endpoint'))
  if (times?.kind !== 'numbers' || ids?.kind !== 'text') throw new Error('no such block')
  const chosen = rows ?? Uint32Array.from({ length: block.header.rows }, (_, i) => i)
  return Array.from(chosen, (row) => {
    const text = ids.indexes[row]!
    const id = decoder.decode(ids.bytes.subarray(ids.offsets[text], ids.offsets[text + 1]))
    return { id, time: times.values[row]! }
  })
}

function numberOf(table: Table, name: string): number {
  return table.columns.find((column) => column.name === name)!.number
}
