import type { Clock } from '../../lib/env.ts'
import { MetaflowError } from '../../lib/errors.ts'
import { BLOCK_BYTES_MAX, BLOCK_ROWS_MAX } from '../../model/block.ts'
import type { Name, NameTable } from '../../model/name.ts'
import type { Physical, Table } from '../../model/tables/table.ts'
import { encodeBlock } from '../../wire/block.ts'
import type { FilledColumn } from '../../wire/columns.ts'
import { NO_STREAM_ID } from '../../wire/header.ts'
import { encodeName } from '../../wire/names.ts'
import { HistogramColumn, Ip6Column, NumberColumn, TextColumn, WideColumn } from './columns.ts'

/** Takes a finished block, which is its own from then on; the sender numbers it. */
export type BlockSink = (block: Uint8Array, rows: number) => void

export type BuilderOptions = {
  readonly table: Table
  readonly names: NameTable
  readonly clock: Clock
  readonly emit: BlockSink
  /** Text columns that mostly say what another, declared before, says: they share its texts. */
  readonly sharing?: Readonly<Record<string, string>>
  /** Text columns that have another text in each row. */
  readonly unique?: readonly string[]
}

type BuilderColumn = NumberColumn | WideColumn | Ip6Column | TextColumn | HistogramColumn

const ROWS_MIN = 1024
/** Room that must be left for one more row's texts and buckets, and for the block's names. */
const ROW_BYTES_MAX = 64 * 1024
/** So many rows fit into any block. */
const ROWS_UNCHECKED = 100
const WIDTHS: Readonly<Record<Physical, number>> = {
  u8: 1,
  u16: 2,
  u32: 4,
  i32: 4,
  u64: 8,
  i64: 8,
  // Indexes, or sizes on the way; an entry's offset.
  text: 8,
  ip6: 16,
  histogram: 4,
}

/**
 * Fills blocks of one table: the caller writes the columns of the row that `row()` answers; a full
 * block is finished and emitted by itself. Columns are used again, so only a block's packed bytes
 * are new memory.
 */
export class BlockBuilder {
  rows = 0
  readonly #options: BuilderOptions
  readonly #columns = new Map<string, { number: number; column: BuilderColumn }>()
  readonly #texts: TextColumn[] = []
  readonly #sized: (TextColumn | HistogramColumn)[] = []
  readonly #rowSize: number
  #capacity = 0
  /** Times a row was written, the first or again: each may need room for its texts. */
  #writes = 0
  /** Writes from which on the block's size must be looked at. */
  #check = ROWS_UNCHECKED
  readonly #names: Name[] = []
  #namesSize = 0
  /** Index in the block of each name of the table, where `#stamps` has this block's number. */
  #indexes = new Uint32Array(256)
  #stamps = new Uint32Array(256)
  #block = 1

  constructor(options: BuilderOptions) {
    this.#options = options
    let rowSize = 0
    for (const { number, name, wire } of options.table.columns) {
      if (wire === undefined) continue
      const column = wire === 'text' ? this.#newText(name) : columnOf(wire)
      if (column instanceof TextColumn) this.#texts.push(column)
      if (column instanceof TextColumn || column instanceof HistogramColumn)
        this.#sized.push(column)
      this.#columns.set(name, { number, column })
      rowSize += WIDTHS[wire]
    }
    this.#rowSize = rowSize
    this.#names.push(options.names.at(0))
    this.#reserve(ROWS_MIN)
  }

  #newText(name: string): TextColumn {
    const { sharing, unique } = this.#options
    const lender = this.#columns.get(sharing?.[name] ?? '')
    return new TextColumn({
      isUnique: unique?.includes(name) ?? false,
      lender:
        lender?.column instanceof TextColumn
          ? { number: lender.number, column: lender.column }
          : undefined,
    })
  }

  number(name: string): NumberColumn {
    return this.#column(name, NumberColumn)
  }

  wide(name: string): WideColumn {
    return this.#column(name, WideColumn)
  }

  ip6(name: string): Ip6Column {
    return this.#column(name, Ip6Column)
  }

  text(name: string): TextColumn {
    return this.#column(name, TextColumn)
  }

  histogram(name: string): HistogramColumn {
    return this.#column(name, HistogramColumn)
  }

  /** The next row's index: every column of it must now be written. */
  row(): number {
    this.makeRoom()
    if (this.rows >= this.#capacity) this.#reserve(this.#capacity * 2)
    this.#writes++
    return this.rows++
  }

  /** Finishes a block that has no room for what a row may say. */
  makeRoom(): void {
    if (this.#writes >= this.#check) this.#checkSize()
  }

  /** To be told before a row is written again, for which room was made. */
  rewrite(): void {
    this.#writes++
    for (const text of this.#texts) text.mix()
  }

  /** Flushes a full block, else says when to look again: no row is larger than ROW_BYTES_MAX. */
  #checkSize(): void {
    const left = BLOCK_BYTES_MAX - this.size
    if (this.rows >= BLOCK_ROWS_MAX || left < ROW_BYTES_MAX) this.flush()
    else
      this.#check =
        this.#writes + Math.min(BLOCK_ROWS_MAX - this.rows, Math.floor(left / ROW_BYTES_MAX))
  }

  /** About how many bytes the block has so far, unpacked. */
  get size(): number {
    let size = this.rows * this.#rowSize + this.#namesSize
    for (const column of this.#sized) size += column.size
    return size
  }

  /** Index in the block of the agent's name `index`: the name travels with the block. */
  name(index: number): number {
    if (index === 0) return 0
    if (index >= this.#stamps.length) this.#reserveNames(index)
    if (this.#stamps[index] === this.#block) return this.#indexes[index]!
    const name = this.#options.names.at(index)
    const at = this.#names.push(name) - 1
    this.#namesSize += encodeName(name).length
    this.#stamps[index] = this.#block
    this.#indexes[index] = at
    return at
  }

  /** Emits what there is, if anything. */
  flush(): void {
    if (this.rows === 0) return
    const rows = this.rows
    const { clock, emit } = this.#options
    const block = this.#finish(clock.wall(), clock.monotonic())
    for (const { column } of this.#columns.values()) column.clear(rows)
    this.#names.length = 1
    this.#namesSize = 0
    this.#block++
    this.rows = 0
    this.#writes = 0
    this.#check = ROWS_UNCHECKED
    emit(block, rows)
  }

  #finish(wall: number, monotonic: number): Uint8Array {
    const { rows } = this
    const columns = new Map<number, FilledColumn>()
    for (const { number, column } of this.#columns.values()) {
      const finished = column.finish(rows)
      if (finished) columns.set(number, finished)
    }
    const header = {
      table: this.#options.table.number,
      rows,
      agent: NO_STREAM_ID,
      lifetime: NO_STREAM_ID,
      lane: 0,
      sequence: 0,
      dropped: 0,
      wall,
      monotonic,
    }
    return encodeBlock({ header, names: this.#names, columns })
  }

  #reserve(rows: number): void {
    this.#capacity = Math.min(rows, BLOCK_ROWS_MAX)
    for (const { column } of this.#columns.values()) column.reserve(this.#capacity)
  }

  #reserveNames(index: number): void {
    const size = Math.max(index + 1, this.#stamps.length * 2)
    const indexes = new Uint32Array(size)
    indexes.set(this.#indexes)
    this.#indexes = indexes
    const stamps = new Uint32Array(size)
    stamps.set(this.#stamps)
    this.#stamps = stamps
  }

  #column<C extends BuilderColumn>(name: string, kind: abstract new (...args: never[]) => C): C {
    const column = this.#columns.get(name)?.column
    if (column instanceof kind) return column
    const { table } = this.#options
    throw new MetaflowError(
      'failed',
      `Cannot fill ${table.name}: its column ${name} is no ${kind.name}`,
    )
  }
}

function columnOf(wire: Exclude<Physical, 'text'>): BuilderColumn {
  switch (wire) {
    case 'u8':
      return new NumberColumn(new Uint8Array(0))
    case 'u16':
      return new NumberColumn(new Uint16Array(0))
    case 'u32':
      return new NumberColumn(new Uint32Array(0))
    case 'i32':
      return new NumberColumn(new Int32Array(0))
    case 'u64':
    case 'i64':
      return new WideColumn()
    case 'ip6':
      return new Ip6Column()
    case 'histogram':
      return new HistogramColumn()
  }
}
