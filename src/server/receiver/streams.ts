import type { BlockHeader } from '../../model/block.ts'

/** A stream that said nothing for this long may be forgotten when there is no room for others. */
export const IDLE_US: number = 7 * 86_400 * 1e6

/** What is known of one sender's stream: one lane of one lifetime of an agent. */
export type Stream = {
  readonly agent: string
  readonly lifetime: string
  readonly lane: number
  /** Number of its last block in the log, synced or not. */
  written: number
  /** Number of its last block that survives a power cut: it may be acknowledged. */
  synced: number
  /** Rows of its blocks up to `written`, and up to `synced`: stored and dropped ones alike. */
  rowsWritten: number
  rows: number
  /** Rows, of those, that the sender had to drop. */
  dropped: number
  droppedWritten: number
  /** Wall clock, µs. */
  lastSeen: number
}

/** A stream as the state file keeps it. */
export type Mark = Pick<
  Stream,
  'agent' | 'lifetime' | 'lane' | 'synced' | 'rows' | 'dropped' | 'lastSeen'
>

/** Every stream's marks. Blocks are taken in order of their numbers, none twice. */
export class Streams {
  readonly #streams = new Map<string, Stream>()
  readonly #max: number
  /** Streams with blocks written and not yet synced. */
  readonly #open = new Set<Stream>()

  constructor(max: number) {
    this.#max = max
  }

  get size(): number {
    return this.#streams.size
  }

  /**
   * The stream of a block; undefined where there are too many streams to take another. A new one is
   * remembered from its first block on: who sends nothing that is taken takes nobody's room.
   */
  of({ agent, lifetime, lane }: BlockHeader, now: number): Stream | undefined {
    const known = this.#streams.get(keyOf({ lifetime, lane }))
    if (known) return known
    if (this.#streams.size >= this.#max && !this.#forgotten(now)) return undefined
    return {
      agent,
      lifetime,
      lane,
      written: 0,
      synced: 0,
      rowsWritten: 0,
      rows: 0,
      dropped: 0,
      droppedWritten: 0,
      lastSeen: now,
    }
  }

  /** Counts a block that was written to the log. */
  write(stream: Stream, { sequence, rows, dropped }: BlockHeader, now: number): void {
    this.#remember(stream, now)
    stream.written = sequence
    stream.rowsWritten += rows + dropped
    stream.droppedWritten += dropped
    stream.lastSeen = now
    this.#open.add(stream)
  }

  /** All that was written is synced. */
  settle(): void {
    for (const stream of this.#open) {
      stream.synced = stream.written
      stream.rows = stream.rowsWritten
      stream.dropped = stream.droppedWritten
    }
    this.#open.clear()
  }

  /** What was written since the last sync is not to be counted on. */
  revert(): void {
    for (const stream of this.#open) {
      stream.written = stream.synced
      stream.rowsWritten = stream.rows
      stream.droppedWritten = stream.dropped
    }
    this.#open.clear()
  }

  marks(): Mark[] {
    const marks: Mark[] = []
    for (const { agent, lifetime, lane, synced, rows, dropped, lastSeen } of this.#streams.values())
      marks.push({ agent, lifetime, lane, synced, rows, dropped, lastSeen })
    return marks
  }

  restore(marks: readonly Mark[]): void {
    for (const mark of marks)
      this.#streams.set(keyOf(mark), {
        ...mark,
        written: mark.synced,
        rowsWritten: mark.rows,
        droppedWritten: mark.dropped,
      })
  }

  #remember(stream: Stream, now: number): void {
    const key = keyOf(stream)
    if (this.#streams.has(key)) return
    const forgotten = this.#streams.size >= this.#max && this.#forgotten(now)
    if (forgotten) this.#streams.delete(keyOf(forgotten))
    this.#streams.set(key, stream)
  }

  /** The stream that was quiet longest, if that was long: it gives way to another. */
  #forgotten(now: number): Stream | undefined {
    let oldest: Stream | undefined
    for (const stream of this.#streams.values())
      if (!oldest || stream.lastSeen < oldest.lastSeen) oldest = stream
    if (!oldest || this.#open.has(oldest) || now - oldest.lastSeen < IDLE_US) return undefined
    return oldest
  }
}

function keyOf({ lifetime, lane }: Pick<Stream, 'lifetime' | 'lane'>): string {
  return `${lifetime}/${lane}`
}
