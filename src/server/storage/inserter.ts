import { Counters } from '../../lib/counters.ts'
import type { Env } from '../../lib/env.ts'
import { MetaflowError, sentenceOf } from '../../lib/errors.ts'
import { log } from '../../lib/log.ts'
import type { Block } from '../../model/block.ts'
import type { Name, NameIds } from '../../model/name.ts'
import { qualifiedName, type Table } from '../../model/tables/table.ts'
import { decodeBlock } from '../../wire/block.ts'
import { readHeader } from '../../wire/header.ts'
import {
  BLOCK_TEXT_BYTES_MAX,
  INSERT_TEXT_BYTES_MAX,
  insertsOf,
  type Share,
  textBytesOf,
} from './inserts.ts'
import { type Partitioned, partitionBlock } from './partition.ts'
import type { SetAside } from './set-aside.ts'
import { type EncodeNative, type Part, type Store, TAGS_PER_SEGMENT } from './store.ts'

/** Where blocks wait to be stored: the receiver. */
export type Source = {
  /** The oldest sealed segment that has rows of `table` to be stored. */
  next(table: number): number | undefined
  /** The segment's blocks of `table`: the same at every call. */
  blocks(segment: number, table: number): readonly SourceBlock[]
  /** Resolves once it is synced that the table's rows up to `segment` are stored. */
  advance(table: number, segment: number): Promise<void>
}

export type SourceBlock = {
  /** Its place among the segment's blocks, from 1. */
  readonly place: number
  /** When the server took it, wall µs. */
  readonly received: number
  readonly bytes: Uint8Array
}

export type InserterOptions = {
  readonly env: Env
  readonly table: Table
  readonly source: Source
  readonly store: Store
  readonly encode: EncodeNative
  /** Ids of an agent and its names; they survive a power cut when it resolves. */
  readonly resolve: (agent: string, names: readonly Name[]) => Promise<Tags>
  readonly setAside: SetAside
  /** What rows of one insert may say, written out, bytes. */
  readonly textBytesMax?: number
}

type Tags = { readonly agentId: number; readonly ids: NameIds }
type Decoded = Partitioned & { readonly textBytes: number }
type Taken = {
  readonly partitions: ReadonlyMap<number, Share[]>
  readonly rows: number
  readonly clamped: number
  readonly unknown: number
}

const PAUSE_MS = 250
const PAUSE_MS_MAX = 30_000

/**
 * Stores one table's rows, segment after segment, each partition's in one insert.
 *
 * An insert whose outcome is unknown (at most one: the next is sent only once this one's segment
 * is marked, synced) is looked up by `_segment` and partition before it is sent again. An insert
 * refused for its content is sent block by block under tags of their own; what is then refused is
 * set aside. Since tags only grow, the greatest that is found says all that is stored.
 */
export class Inserter {
  /** In and out in rows. */
  readonly counters: Counters<'refused' | 'unreadable'>
  /** Rows whose time was more than a day from the server's. */
  clamped = 0
  /** Columns of blocks that this server does not know: their agents are of a later version. */
  unknownColumns = 0
  /** Inserts that were found stored when they were to be sent again. */
  found = 0
  inserts = 0
  readonly #options: InserterOptions
  /** Whether the first insert from here on was perhaps sent before. */
  #isUnsure = true
  #failures = 0
  #isStopping = false
  #running: Promise<void> = Promise.resolve()
  #isRunning = false
  #wakeEarly: () => void = () => undefined
  /** Blocks set aside of the segment under way: a segment tried again counts them once. */
  readonly #aside = new Set<string>()

  constructor(options: InserterOptions) {
    this.#options = options
    this.counters = new Counters(`inserter_${options.table.name}`, ['refused', 'unreadable'])
  }

  /** Goes on where there is something to store; call it when a segment was sealed. */
  wake(): void {
    if (this.#isRunning || this.#isStopping) return
    this.#isRunning = true
    this.#running = this.#run()
  }

  /** Resolves when all sealed segments are stored, or at the next failure. */
  async stop(): Promise<void> {
    this.#isStopping = true
    this.#wakeEarly()
    await this.#running
  }

  async #run(): Promise<void> {
    const { table, source } = this.#options
    for (;;) {
      const segment = source.next(table.number)
      if (segment === undefined) break
      try {
        const taken = await this.#store(segment)
        await source.advance(table.number, segment)
        this.counters.in += taken.rows
        this.clamped += taken.clamped
        this.unknownColumns += taken.unknown
        this.#aside.clear()
        this.#isUnsure = false
        this.#failures = 0
      } catch (error) {
        this.#isUnsure = true
        log('warn', `Cannot store ${qualifiedName(table)}: ${sentenceOf(error)}`, { segment })
        if (this.#isStopping) break
        await this.#pause()
      }
    }
    this.#isRunning = false
  }

  async #store(segment: number): Promise<Taken> {
    const { table, store } = this.#options
    const base = segment * TAGS_PER_SEGMENT
    const stored = this.#isUnsure
      ? await store.greatestByPartition(table, base, base + TAGS_PER_SEGMENT - 1)
      : new Map<number, number>()
    const taken = await this.#take(segment, base)
    for (const [partition, shares] of taken.partitions) {
      const greatest = stored.get(partition)
      if (greatest === base) {
        this.found++
        this.counters.out += rowsOf(shares)
      } else await this.#storePartition(partition, shares, greatest)
    }
    return taken
  }

  /**
   * Stores a partition's shares, those after `greatest` where some are stored already: in one
   * insert under the segment's tag or, where they say too much for one, in several, each under the
   * tag of its last block.
   */
  async #storePartition(
    partition: number,
    shares: readonly Share[],
    greatest: number | undefined,
  ): Promise<void> {
    const inserts = insertsOf(shares, this.#options.textBytesMax ?? INSERT_TEXT_BYTES_MAX)
    for (const insert of inserts) {
      const tag = inserts.length === 1 ? insert[0]!.part.segment : tagOf(insert.at(-1)!)
      const isNew = greatest === undefined || greatest < tagOf(insert[0]!)
      const isWhole = isNew && (inserts.length > 1 || greatest === undefined)
      if (isWhole && (await this.#send(partition, insert, tag))) continue
      await this.#sendAlone(partition, insert, greatest ?? 0)
    }
  }

  /** The segment's rows by partition, tagged and clamped; blocks without any are left out. */
  async #take(segment: number, base: number): Promise<Taken> {
    const { table, source, resolve } = this.#options
    const partitions = new Map<number, Share[]>()
    let rows = 0
    let clamped = 0
    let unknown = 0
    for (const block of source.blocks(segment, table.number)) {
      const decoded = this.#decode(segment, block)
      if (!decoded) continue
      rows += decoded.block.header.rows
      clamped += decoded.clamped
      unknown += unknownColumns(table, decoded.block)
      const { header, names } = decoded.block
      const { agentId, ids } = await resolve(header.agent, names)
      for (const [partition, chosen] of decoded.partitions) {
        const part: Part = { block: decoded.block, ids, agentId, segment: base }
        const shares = partitions.get(partition) ?? []
        const { textBytes } = decoded
        shares.push({ block, part: chosen === 'all' ? part : { ...part, rows: chosen }, textBytes })
        partitions.set(partition, shares)
      }
    }
    return { partitions, rows, clamped, unknown }
  }

  #decode(segment: number, block: SourceBlock): Decoded | undefined {
    try {
      const decoded = decodeBlock(block.bytes)
      const textBytes = textBytesOf(decoded)
      if (textBytes > BLOCK_TEXT_BYTES_MAX)
        throw new MetaflowError('tooLarge', `Cannot store block: its rows say ${textBytes} bytes`)
      return { ...partitionBlock(this.#options.table, decoded, block.received), textBytes }
    } catch (error) {
      const { rows } = readHeader(block.bytes)
      if (this.#setAside(segment, block, sentenceOf(error)))
        this.counters.dropped.unreadable += rows
      return undefined
    }
  }

  /** Answers whether it is the first time. */
  #setAside(segment: number, block: SourceBlock, why: string): boolean {
    const key = `${block.place} ${why}`
    if (this.#aside.has(key)) return false
    this.#aside.add(key)
    this.#options.setAside.keep({ table: this.#options.table, segment, block, why })
    return true
  }

  /** Sends shares as one insert. Answers false where the engine refuses their content. */
  async #send(partition: number, shares: readonly Share[], tag: number): Promise<boolean> {
    const { table, store, encode } = this.#options
    const parts = shares.map(({ part }) =>
      part.segment === tag ? part : { ...part, segment: tag },
    )
    const rows = rowsOf(shares)
    try {
      const native = encode(table, parts)
      this.inserts++
      await store.insert({ table, partition, segment: tag, rows, native })
    } catch (error) {
      if (error instanceof MetaflowError && error.code === 'refused') return false
      throw error
    }
    this.counters.out += rows
    return true
  }

  /** Sends each share as an insert of its own, those after `greatest`: the rest was settled. */
  async #sendAlone(partition: number, shares: readonly Share[], greatest: number): Promise<void> {
    for (const share of shares) {
      const { block, part } = share
      const tag = tagOf(share)
      if (tag <= greatest || (await this.#send(partition, [share], tag))) continue
      const segment = Math.floor(part.segment / TAGS_PER_SEGMENT)
      if (this.#setAside(segment, block, `its rows of partition ${partition} were refused`))
        this.counters.dropped.refused += rowsOf([share])
    }
  }

  /** Waits longer after each failure, and never in step with the other tables. */
  async #pause(): Promise<void> {
    const { env } = this.#options
    const ms = Math.min(PAUSE_MS * 2 ** this.#failures++, PAUSE_MS_MAX)
    await new Promise<void>((resolve) => {
      const cancel = env.timers.after(ms * (0.5 + env.random.fraction() / 2), resolve)
      this.#wakeEarly = () => {
        cancel()
        resolve()
      }
    })
    this.#wakeEarly = () => undefined
  }
}

/** The tag of a block's rows where they are sent alone, or are the last of an insert. */
function tagOf({ block, part }: Share): number {
  return part.segment + block.place
}

function rowsOf(shares: readonly Share[]): number {
  let rows = 0
  for (const { part } of shares) rows += part.rows?.length ?? part.block.header.rows
  return rows
}

function unknownColumns({ columns }: Table, block: Block): number {
  let unknown = 0
  for (const number of block.columns.keys())
    if (!columns.some((column) => column.number === number)) unknown++
  return unknown
}
