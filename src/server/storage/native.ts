/**
 * Rows of blocks as one block of ClickHouse's Native format: nothing is parsed and no row exists;
 * columns are copied, references to names become ids, dictionaries stay dictionaries.
 *
 *   columns (LEB128), rows (LEB128), then of each column: name, type, data
 */
import type { BlockColumn } from '../../model/block.ts'
import type { NameIds } from '../../model/name.ts'
import type { Column, Physical, Table } from '../../model/tables/table.ts'
import { NativeBuffer } from './native-buffer.ts'
import {
  entriesOf,
  putFixed,
  putHistogram,
  putLowCardinality,
  putNullable,
  putStrings,
  type Share,
} from './native-columns.ts'
import type { Part } from './store.ts'

/**
 * Text goes as its dictionary where a dictionary's entry stands for at least so many rows; else
 * row by row. Measured: tests/bench/insert.ts.
 */
const ROWS_PER_ENTRY_MIN = 4

/** Encodes `parts`, which are rows of `table` in one partition, as one Native block. */
export function encodeNative(table: Table, parts: readonly Part[]): Uint8Array<ArrayBuffer> {
  const plan = planOf(table)
  const sizes = parts.map(({ block, rows }) => rows?.length ?? block.header.rows)
  const rows = sizes.reduce((sum, size) => sum + size, 0)
  const to = new NativeBuffer(8192 + rows * plan.rowBytes + variableBytes(parts, sizes))
  to.putVarint(plan.columns.length)
  to.putVarint(rows)
  for (const column of plan.columns) {
    const shares = parts.map(
      (part, i): Share => ({
        part,
        column: part.block.columns.get(column.number),
        size: sizes[i]!,
      }),
    )
    to.putText(column.name)
    column.put(to, shares, rows)
  }
  return to.written
}

/**
 * About how many bytes text and histograms take besides what each row takes: a buffer that has to
 * grow is copied, and touches twice the memory.
 */
function variableBytes(parts: readonly Part[], sizes: readonly number[]): number {
  let bytes = 0
  for (const [i, { block }] of parts.entries())
    for (const column of block.columns.values())
      if (column.kind === 'text')
        bytes += (column.bytes.length / Math.max(column.offsets.length - 1, 1)) * sizes[i]!
      else if (column.kind === 'histogram') bytes += column.keys.length * 10
  return Math.ceil(bytes * 1.02)
}

type PlannedColumn = {
  readonly number: number
  readonly name: string
  /** Puts the column's type and data. */
  put(to: NativeBuffer, shares: readonly Share[], rows: number): void
}
type Plan = { readonly columns: readonly PlannedColumn[]; readonly rowBytes: number }

const plans = new Map<Table, Plan>()
function planOf(table: Table): Plan {
  let plan = plans.get(table)
  if (plan === undefined) {
    const stored = table.columns.filter((column) => column.stored !== false)
    plan = {
      columns: stored.map((column) => ({
        number: column.number,
        name: column.name,
        put: column.wire === undefined ? serverColumn(table, column) : wireColumn(column),
      })),
      rowBytes: stored.reduce((sum, { wire }) => sum + (wire === undefined ? 4 : WIDTH[wire]), 0),
    }
    plans.set(table, plan)
  }
  return plan
}

const WIDTH: Readonly<Record<Physical, number>> = {
  u8: 1,
  u16: 2,
  u32: 4,
  i32: 4,
  u64: 8,
  i64: 8,
  ip6: 16,
  text: 1,
  histogram: 8,
}

/** The type whose data we have; ClickHouse converts where the column's own is a wider number. */
function nativeType(column: Column): string {
  const type = plainType(column.type)
  const declared = /^(?:UInt|Int)(\d+)$/.exec(type)?.[1]
  if (declared === undefined || column.wire === undefined) return type
  return `${column.wire.startsWith('i') ? 'Int' : 'UInt'}${WIDTH[column.wire] * 8}`
}

/** `SimpleAggregateFunction(sum, UInt64)` travels as UInt64. */
function plainType(type: string): string {
  return /^SimpleAggregateFunction\(\w+, (.*)\)$/.exec(type)?.[1] ?? type
}

function wireColumn(column: Column): PlannedColumn['put'] {
  const { wire, nullAs } = column
  const type = nativeType(column)
  const width = WIDTH[wire!]
  if (wire === 'text')
    return (to, shares, rows): void => {
      if (rows >= entriesOf(shares) * ROWS_PER_ENTRY_MIN) {
        to.putText('LowCardinality(String)')
        putLowCardinality(to, shares)
      } else {
        to.putText('String')
        putStrings(to, shares)
      }
    }
  if (wire === 'histogram')
    return (to, shares): void => {
      to.putText(type)
      putHistogram(to, shares)
    }
  if (nullAs !== undefined)
    return (to, shares): void => {
      to.putText(type)
      putNullable(to, shares, width, nullAs)
    }
  return (to, shares): void => {
    to.putText(type)
    putFixed(to, shares, width)
  }
}

/** What the server fills: ids of the names that rows point to, and where the rows came from. */
const IDS: Readonly<Record<string, keyof NameIds>> = {
  gprocess_id: 'gprocess',
  host_id: 'host',
  auto_instance_id: 'instance',
  auto_instance_type: 'instanceType',
}

function serverColumn(table: Table, column: Column): PlannedColumn['put'] {
  const type = plainType(column.type)
  if (column.name === 'agent_id' || column.name === '_segment') {
    const wide = column.name === '_segment'
    return (to, shares): void => {
      to.putText(type)
      for (const { part, size } of shares)
        if (wide) to.putArray(new BigUint64Array(size).fill(BigInt(part.segment)))
        else to.putArray(new Uint32Array(size).fill(part.agentId))
    }
  }
  const [, base = '', side = ''] = /^(.*?)(_[01])?$/.exec(column.name)!
  const field = IDS[base]
  const name = table.columns.find((other) => other.name === `name${side}`)
  if (field === undefined || name === undefined)
    throw new Error(`${table.name}.${column.name}: nobody fills it`)
  return (to, shares): void => {
    to.putText(type)
    for (const { part, size } of shares)
      to.putArray(idsOf(part, part.block.columns.get(name.number), field, size))
  }
}

function idsOf(
  { ids, rows }: Part,
  names: BlockColumn | undefined,
  field: keyof NameIds,
  size: number,
): Uint32Array | Uint8Array {
  const from = ids[field]
  const answer = from instanceof Uint8Array ? new Uint8Array(size) : new Uint32Array(size)
  if (names?.kind !== 'numbers') return answer
  const { values } = names
  if (rows === undefined) for (let r = 0; r < size; r++) answer[r] = from[values[r]!]!
  else for (let r = 0; r < size; r++) answer[r] = from[values[rows[r]!]!]!
  return answer
}
