import { MetaflowError } from '../../lib/errors.ts'
import type { Block } from '../../model/block.ts'
import type { Table } from '../../model/tables/table.ts'

/** How far from the server's clock a row's time may be, seconds. */
export const CLAMP_S = 86_400

export type Partitioned = {
  readonly block: Block
  /** Rows of each partition. */
  readonly partitions: ReadonlyMap<number, Uint32Array | 'all'>
  /** Rows whose time was moved. */
  readonly clamped: number
}

/**
 * The rows of a block by partition. A time further than a day from when the server took the block
 * is moved there, in place, so that no insert spreads over many partitions; by the block's own
 * time of taking, so that a row falls into the same partition when it is sent again.
 * Throws where the block has no times.
 */
export function partitionBlock(table: Table, block: Block, received: number): Partitioned {
  const number = table.columns.find(({ name }) => name === 'time')?.number ?? 0
  const column = block.columns.get(number)
  if (column?.kind !== 'numbers')
    throw new MetaflowError('refused', 'Cannot store block: it has no times')
  const times = column.values
  const now = Math.floor(received / 1e6)
  const span = table.partitionHours * 3600
  const counts = new Map<number, number>()
  let clamped = 0
  for (let row = 0; row < times.length; row++) {
    const time = times[row]!
    const kept = Math.min(Math.max(time, now - CLAMP_S), now + CLAMP_S)
    if (kept !== time) {
      times[row] = kept
      clamped++
    }
    const partition = Math.floor(kept / span)
    counts.set(partition, (counts.get(partition) ?? 0) + 1)
  }
  return { block, partitions: rowsByPartition(times, span, counts), clamped }
}

function rowsByPartition(
  times: { readonly length: number; readonly [row: number]: number },
  span: number,
  counts: ReadonlyMap<number, number>,
): ReadonlyMap<number, Uint32Array | 'all'> {
  if (counts.size === 1) return new Map([[counts.keys().next().value!, 'all' as const]])
  const partitions = new Map<number, Uint32Array>()
  const filled = new Map<number, number>()
  for (const [partition, count] of counts) partitions.set(partition, new Uint32Array(count))
  for (let row = 0; row < times.length; row++) {
    const partition = Math.floor(times[row]! / span)
    const at = filled.get(partition) ?? 0
    partitions.get(partition)![at] = row
    filled.set(partition, at + 1)
  }
  return partitions
}
