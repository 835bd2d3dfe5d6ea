import type { Block } from '../../model/block.ts'
import type { NameIds, NumberedName } from '../../model/name.ts'
import type { Table } from '../../model/tables/table.ts'

/** Tags a log segment takes: its own, and one for each of its blocks when they are sent alone. */
export const TAGS_PER_SEGMENT = 65_536

/**
 * One block's share of an insert. `segment` is what its rows carry in `_segment`: the log
 * segment's number times TAGS_PER_SEGMENT, plus, where the block is sent alone, its place in the
 * segment counted from 1. Tags of a table's inserts only ever grow.
 */
export type Part = {
  readonly block: Block
  /** What the block's names are, by their index in the block. */
  readonly ids: NameIds
  readonly agentId: number
  readonly segment: number
  /** Rows that go in, ascending; absent: all of them. */
  readonly rows?: Uint32Array
}

/** Parts of one table as one Native block, all of one partition. */
export type EncodeNative = (table: Table, parts: readonly Part[]) => Uint8Array

/** One insert: rows of one partition of one table, which commit whole or not at all. */
export type Insert = {
  readonly table: Table
  /** `time` in seconds divided by `partitionHours` * 3600, rounded down. */
  readonly partition: number
  /** The greatest `_segment` among its rows; names the insert in logs and query ids. */
  readonly segment: number
  readonly rows: number
  readonly native: Uint8Array
}

/** The tables, as those see them who write. */
export interface Store {
  /**
   * Resolves once the rows are committed and synced (`fsync_after_insert`). Rejects with a
   * MetaflowError 'refused' where the engine read the content and will not have it: then nothing
   * was committed and nothing will be. Any other rejection means that the outcome is unknown.
   * At most one insert of a table is under way at a time.
   */
  insert(insert: Insert): Promise<void>
  /**
   * The greatest `_segment` of each partition among the table's rows with `_segment` in
   * [from, to]. Its answer must stay true: an earlier insert into the table that still runs in the
   * engine is ended or waited for first.
   */
  greatestByPartition(table: Table, from: number, to: number): Promise<ReadonlyMap<number, number>>
  /**
   * The greatest log segment with rows in any table: its number (the greatest `_segment` divided by
   * TAGS_PER_SEGMENT, rounded down), 0 where there is no row.
   */
  greatestSegment(): Promise<number>
  /** Writes names to `flow_tag.names`; a name written again changes nothing. */
  insertNames(names: readonly NumberedName[]): Promise<void>
  /** How many different ids `flow_tag.names` holds. */
  countNames(): Promise<number>
  /** All of `flow_tag.names`. */
  readNames(): Promise<NumberedName[]>
}
