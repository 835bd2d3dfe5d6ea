import type { Block, BlockColumn } from '../../../src/model/block.ts'
import { tableOf } from '../../../src/model/tables/registry.ts'
import type { Column } from '../../../src/model/tables/table.ts'

export type Cell = number | string | Readonly<Record<string, number>>

/** Row `row` of a block by column name; empty texts and absent columns are left out. */
export function cellsOf(block: Block, row: number): Record<string, Cell> {
  const cells: Record<string, Cell> = {}
  for (const column of tableOf.get(block.header.table)!.columns) {
    const data = block.columns.get(column.number)
    const cell = data && cellOf(data, row, column)
    if (cell !== undefined && cell !== '') cells[column.name] = cell
  }
  return cells
}

function cellOf(data: BlockColumn, row: number, { wire }: Column): Cell {
  switch (data.kind) {
    case 'numbers':
      return data.values[row]!
    case 'wide': {
      const view = new DataView(data.bytes.buffer, data.bytes.byteOffset)
      return Number(
        wire === 'i64' ? view.getBigInt64(row * 8, true) : view.getBigUint64(row * 8, true),
      )
    }
    case 'ip6':
      return data.bytes.subarray(row * 16, row * 16 + 16).toHex()
    case 'text': {
      const entry = data.indexes[row]!
      return new TextDecoder().decode(
        data.bytes.subarray(data.offsets[entry], data.offsets[entry + 1]),
      )
    }
    case 'histogram': {
      const cells: Record<string, number> = {}
      for (let i = row === 0 ? 0 : data.ends[row - 1]!; i < data.ends[row]!; i++)
        cells[data.keys[i]!] = data.counts[i]!
      return cells
    }
  }
}
