import type { Block } from '../../model/block.ts'
import type { SourceBlock } from './inserter.ts'
import type { Part } from './store.ts'

/**
 * What rows of one insert say, written out. In a block a text stands once, however many rows have
 * it: 500,000 rows with one statement of 4 KB travel in 2 KB, and take ClickHouse 4.6 GB of memory.
 */
export const INSERT_TEXT_BYTES_MAX: number = 256 * 1024 * 1024
/** A block that says more than this is not sent: four texts of full length in each of its rows. */
export const BLOCK_TEXT_BYTES_MAX: number = 1024 * 1024 * 1024

/** A block's rows of one partition, ready to be sent. */
export type Share = {
  readonly block: SourceBlock
  readonly part: Part
  /** What the block's rows say, written out, bytes. */
  readonly textBytes: number
}

/** The shares that go into one insert each, in order: always the same of the same shares. */
export function insertsOf(shares: readonly Share[], bytesMax: number): Share[][] {
  const inserts: Share[][] = []
  let size = 0
  for (const share of shares) {
    size += share.textBytes
    const insert = inserts.at(-1)
    if (insert && size <= bytesMax) insert.push(share)
    else {
      inserts.push([share])
      size = share.textBytes
    }
  }
  return inserts
}

/** Bytes of all texts of a block, once each row has its own. */
export function textBytesOf({ columns }: Block): number {
  let bytes = 0
  for (const column of columns.values()) {
    if (column.kind !== 'text') continue
    const { indexes, offsets } = column
    for (let row = 0; row < indexes.length; row++) {
      const entry = indexes[row]!
      bytes += offsets[entry + 1]! - offsets[entry]!
    }
  }
  return bytes
}
