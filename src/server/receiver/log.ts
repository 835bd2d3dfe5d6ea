import type { AppendFile, Env } from '../../lib/env.ts'
import { appendRecord, RECORD_HEAD } from '../../lib/records.ts'
import type { TakenBlock } from './answers.ts'
import {
  type Bound,
  RECEIVED_SIZE,
  receivedHead,
  type Segment,
  segmentHead,
  segmentName,
} from './segment.ts'

/** A segment takes no more rows than ClickHouse commits as one part. */
export const SEGMENT_ROWS_MAX = 500_000
/** Bodies of a segment unpacked, bytes: who stores it holds all, however small they came. */
export const SEGMENT_BODY_BYTES_MAX: number = 128 * 1024 * 1024
/** Each block of a segment has a tag of its own (see `TAGS_PER_SEGMENT`). */
export const SEGMENT_BLOCKS_MAX = 32_768

/** The file that is appended to. */
type Current = {
  readonly number: number
  readonly path: string
  readonly file: AppendFile
  readonly tables: Set<number>
  readonly opened: number
  rows: number
  blocks: number
  bodyBytes: number
  /** What of it survives a power cut. */
  synced: { size: number; rows: number; blocks: number; tables: number[] }
}

/**
 * The files of the receiver's log. One is appended to; it is sealed once it is full, old, or has
 * failed, and then never written again.
 */
export class Log {
  readonly sealed: Segment[] = []
  /** Bytes of all files, dropped ones left out. */
  bytes = 0
  greatest: number
  /** Called when there are more sealed segments. */
  onSealed: () => void = () => undefined
  readonly #env: Env
  readonly #directory: string
  readonly #segmentBytes: number
  #current: Current | undefined
  /** Where the files end that no synced head has stated yet. */
  #bounds: Bound[] = []
  /** Files that failed: sealed as soon as their bound is synced. */
  readonly #failed: Segment[] = []

  constructor(env: Env, directory: string, options: { greatest: number; segmentBytes: number }) {
    this.#env = env
    this.#directory = directory
    this.#segmentBytes = options.segmentBytes
    this.greatest = options.greatest
  }

  /** Blocks in the file that is appended to. */
  get blocks(): number {
    return this.#current?.blocks ?? 0
  }

  /** Whether blocks of a failed file wait for a new one to state its bound. */
  get hasFailed(): boolean {
    return this.#failed.length > 0 && !this.#current
  }

  /** When the file that is appended to was begun, monotonic µs. */
  get opened(): number {
    return this.#current?.opened ?? 0
  }

  /** Whether some table with rows in the file that is appended to waits for no other rows. */
  get hasIdleTable(): boolean {
    const tables = [...(this.#current?.tables ?? [])]
    return tables.some((table) => !this.sealed.some(({ pending }) => pending.has(table)))
  }

  /** Whether a block must wait for the next file. */
  isFullFor({ header, bytes, bodySize }: TakenBlock): boolean {
    const current = this.#current
    if (!current || current.blocks === 0) return false
    return (
      current.rows + header.rows > SEGMENT_ROWS_MAX ||
      current.blocks >= SEGMENT_BLOCKS_MAX ||
      current.bodyBytes + bodySize > SEGMENT_BODY_BYTES_MAX ||
      current.file.size + bytes.length > this.#segmentBytes
    )
  }

  /** Whether there is a file to append to; where not, `open` must succeed first. */
  get isOpen(): boolean {
    return this.#current !== undefined
  }

  /** Begins a file; its head states where those before it end. Synced before it is used. */
  async open(): Promise<void> {
    const number = ++this.greatest
    const path = `${this.#directory}/${segmentName(number)}`
    const file = this.#env.files.append(path)
    try {
      appendRecord(file, segmentHead(number, this.#bounds))
      await file.sync()
      await this.#env.files.syncDirectory(this.#directory)
    } catch (error) {
      file.close()
      this.#bounds.push({ number, size: 0 })
      this.#remove(path)
      throw error
    }
    this.bytes += file.size
    this.#bounds = []
    this.#enlist(...this.#failed.splice(0))
    const synced = { size: file.size, rows: 0, blocks: 0, tables: [] }
    const opened = this.#env.clock.monotonic()
    this.#current = {
      number,
      path,
      file,
      tables: new Set(),
      opened,
      rows: 0,
      blocks: 0,
      bodyBytes: 0,
      synced,
    }
  }

  /** Appends a block. Throws where the file fails: then `abandon` it. */
  append({ header, bytes, bodySize }: TakenBlock, received: number): void {
    const current = this.#current!
    appendRecord(current.file, receivedHead(received), bytes)
    current.rows += header.rows
    current.blocks++
    current.bodyBytes += bodySize
    this.bytes += RECORD_HEAD + RECEIVED_SIZE + bytes.length
    if (header.rows > 0) current.tables.add(header.table)
  }

  /** Resolves once all that was appended survives a power cut. Rejects: then `abandon`. */
  async sync(): Promise<void> {
    const current = this.#current
    if (!current) return
    const { size } = current.file
    const { rows, blocks } = current
    const tables = [...current.tables]
    await current.file.sync()
    current.synced = { size, rows, blocks, tables }
  }

  /** Ends the file, all of it synced; what waits in it may be stored from now on. */
  seal(): void {
    const current = this.#current
    if (!current) return
    this.#current = undefined
    current.file.close()
    this.#bounds.push({ number: current.number, size: current.synced.size })
    this.#enlist(segmentOf(current))
  }

  /** Ends a file that failed: only what was synced before counts, once a new head says so. */
  abandon(): void {
    const current = this.#current
    if (!current) return
    this.#current = undefined
    this.bytes -= current.file.size - current.synced.size
    this.#bounds.push({ number: current.number, size: current.synced.size })
    current.file.close()
    this.#failed.push(segmentOf(current))
  }

  /** Adds a segment that was found at start. */
  adopt(segment: Segment): void {
    this.bytes += segment.size
    this.sealed.push(segment)
  }

  #enlist(...segments: readonly Segment[]): void {
    this.sealed.push(...segments)
    if (segments.length > 0) this.onSealed()
  }

  /** Takes the first `count` sealed segments off the disk. */
  drop(count: number): void {
    for (const segment of this.sealed.splice(0, count)) {
      this.bytes -= segment.size
      this.#remove(segment.path)
    }
  }

  /** A file that cannot be removed now is removed at the next start: its number is done. */
  #remove(path: string): void {
    try {
      this.#env.files.remove(path)
    } catch {
      // It holds nothing that counts.
    }
  }
}

function segmentOf({ number, path, synced }: Current): Segment {
  const pending = new Set(synced.tables)
  return { number, path, size: synced.size, rows: synced.rows, pending }
}
