import type { AppendFile, Env } from '../../lib/env.ts'
import { MetaflowError } from '../../lib/errors.ts'
import { appendRecord, readRecords, recordOf } from '../../lib/records.ts'
import { getWide, setWide, viewOf } from '../../lib/wide.ts'
import type { Mark } from './streams.ts'

/** What the state file says: all that must be known once segments are gone. */
export type Saved = {
  /** The greatest number a segment ever had. */
  readonly greatest: number
  /** Segments up to this one are stored whole. */
  readonly done: number
  /** The last segment of each table that is stored. */
  readonly progress: Readonly<Record<string, number>>
  readonly marks: readonly Mark[]
}

/**
 * The receiver's memory beside its log: a copy of all senders' marks, replaced whole before
 * segments are dropped, and each table's progress, appended and synced after each insert to
 * `progress-<number>` (record = table (4), segment (8)). Progress only grows, so every file that
 * is found is read and the greatest counts.
 */
export class State {
  readonly #env: Env
  readonly #directory: string
  readonly #progress = new Map<number, number>()
  #file: AppendFile | undefined
  #fileNumber = 0
  #writing: Promise<void> = Promise.resolve()

  constructor(env: Env, directory: string) {
    this.#env = env
    this.#directory = directory
  }

  /** The last segment of `table` that is stored, 0 for none. */
  progressOf(table: number): number {
    return this.#progress.get(table) ?? 0
  }

  /** Reads what was saved. Throws where the state file is there and spoilt. */
  load(): Saved {
    const { files } = this.#env
    let saved: Saved = { greatest: 0, done: 0, progress: {}, marks: [] }
    const names = files.list(this.#directory)
    if (names.includes('state')) saved = parseState(files.read(`${this.#directory}/state`))
    for (const table in saved.progress) this.#progress.set(Number(table), saved.progress[table]!)
    for (const name of names) {
      const number = progressNumber(name)
      if (number === 0) continue
      this.#fileNumber = Math.max(this.#fileNumber, number)
      readRecords(files.read(`${this.#directory}/${name}`), 0, (payload) => {
        if (payload.length !== 12) return false
        const view = viewOf(payload)
        this.#raise(view.getUint32(0, true), getWide(view, 4))
        return true
      })
    }
    return saved
  }

  /** Resolves once it is synced that `table` is stored up to `segment`. */
  advance(table: number, segment: number): Promise<void> {
    this.#writing = this.#writing
      .catch(() => undefined)
      .then(() => this.#append(table, segment))
      .then(() => this.#raise(table, segment))
    return this.#writing
  }

  /** Replaces the state file; what was appended before it is in it and goes away. */
  save(saved: Omit<Saved, 'progress'>): Promise<void> {
    this.#writing = this.#writing.catch(() => undefined).then(() => this.#replace(saved))
    return this.#writing
  }

  close(): void {
    this.#file?.close()
    this.#file = undefined
  }

  #raise(table: number, segment: number): void {
    this.#progress.set(table, Math.max(segment, this.progressOf(table)))
  }

  async #append(table: number, segment: number): Promise<void> {
    const bytes = new Uint8Array(12)
    viewOf(bytes).setUint32(0, table, true)
    setWide(viewOf(bytes), 4, segment)
    try {
      const isNew = this.#file === undefined
      this.#file ??= this.#env.files.append(this.#pathOf(++this.#fileNumber))
      appendRecord(this.#file, bytes)
      await this.#file.sync()
      if (isNew) await this.#env.files.syncDirectory(this.#directory)
    } catch (error) {
      this.close()
      throw error
    }
  }

  async #replace(saved: Omit<Saved, 'progress'>): Promise<void> {
    const { files } = this.#env
    const text = JSON.stringify({ ...saved, progress: Object.fromEntries(this.#progress) })
    await files.replace(`${this.#directory}/state`, recordOf(new TextEncoder().encode(text)))
    this.close()
    for (const name of files.list(this.#directory))
      if (progressNumber(name) > 0) files.remove(`${this.#directory}/${name}`)
  }

  #pathOf(number: number): string {
    return `${this.#directory}/progress-${number}`
  }
}

function progressNumber(name: string): number {
  return /^progress-\d+$/.test(name) ? Number(name.slice('progress-'.length)) : 0
}

function parseState(bytes: Uint8Array): Saved {
  let saved: Saved | undefined
  readRecords(bytes, 0, (payload) => {
    saved = JSON.parse(new TextDecoder().decode(payload)) as Saved
    return false
  })
  if (saved) return saved
  throw new MetaflowError('failed', 'Cannot read the receiver state: its check is wrong')
}
