import type { Name } from './name.ts'

/**
 * What an agent sends: rows of one table as columns, with all that is needed to understand them.
 * Layout and codec lie in `src/wire/block.ts`.
 */
export type BlockHeader = {
  /** Number of the table. */
  readonly table: number
  readonly rows: number
  /** The agent's own id, random, kept on its disk: 32 hex digits. */
  readonly agent: string
  /** The stream's id: one lifetime of an agent, random at every start: 32 hex digits. */
  readonly lifetime: string
  /** Lane within the lifetime: one a Worker. */
  readonly lane: number
  /** 1 for the stream's first block, one more for each further. */
  readonly sequence: number
  /** Rows that the sender had to drop in this block's place (then `rows` is 0). */
  readonly dropped: number
  /** Both clocks at one moment, µs: a row's monotonic time + (wall - monotonic) is UTC. */
  readonly wall: number
  readonly monotonic: number
}

/** One column as decoded: views into the block's bytes, nothing copied. */
export type BlockColumn =
  | { readonly kind: 'numbers'; readonly values: Numbers }
  /** 64-bit values lie as they travel, little-endian, 8 bytes a row. */
  | { readonly kind: 'wide'; readonly bytes: Uint8Array }
  /** IPv6 addresses, 16 bytes a row. */
  | { readonly kind: 'ip6'; readonly bytes: Uint8Array }
  /** Row r: `indexes[r]` of the dictionary; entry i is bytes[offsets[i], offsets[i + 1]). */
  | {
      readonly kind: 'text'
      readonly indexes: Uint8Array | Uint16Array | Uint32Array
      readonly offsets: Uint32Array
      readonly bytes: Uint8Array
    }
  /** Buckets of row r are [ends[r - 1] or 0, ends[r]) of keys and counts. */
  | {
      readonly kind: 'histogram'
      readonly ends: Uint32Array
      readonly keys: Int16Array
      readonly counts: Uint32Array
    }
export type Numbers = Uint8Array | Uint16Array | Uint32Array | Int32Array

export type Block = {
  readonly header: BlockHeader
  /** The names rows point to by `name_0`, `name_1` (or `name`): index 0 is nobody. */
  readonly names: readonly Name[]
  /** Columns by their number in the table. */
  readonly columns: ReadonlyMap<number, BlockColumn>
}

export const BLOCK_ROWS_MAX = 65_536
export const BLOCK_BYTES_MAX: number = 8 * 1024 * 1024
