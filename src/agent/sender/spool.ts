import type { AppendFile, Env, Files } from '../../lib/env.ts'
import { sentenceOf } from '../../lib/errors.ts'
import { log } from '../../lib/log.ts'
import { appendRecord, readRecords } from '../../lib/records.ts'
import { getWide, setWide, viewOf } from '../../lib/wide.ts'
import { readHeader } from '../../wire/header.ts'

/*
 * A spool file, `<lifetime>-<lane>-<number>-<first sequence>.spool`, is records (lib/records.ts)
 * of one stream:
 *
 *   payload = sequence (8), rows made before it (8), rows (4), reserved (4), block
 *
 * "Rows made before it" counts all rows the stream ever had up to this block, lost ones too: so a
 * hole between two blocks is a number of rows, whatever made it.
 *
 * Beside it, `<lifetime>-<lane>.renamed` says what the stream is called on the wire since the
 * server forgot it.
 */
const HEAD = 24
const RENAMED = '.renamed'
/** Failures after which a file will not be read another time either. */
const LOST: ReadonlySet<unknown> = new Set(['ENOENT', 'EIO'])

/** A numbered block that waits to be acknowledged. */
export type Entry = {
  readonly sequence: number
  /** Rows its stream made before it. */
  readonly before: number
  readonly rows: number
  readonly bytes: Uint8Array
}

export type SpoolStream = {
  readonly lifetime: string
  readonly lane: number
  /** How long a file gets; absent where the spool is only read. */
  readonly fileBytes?: number
}

/** A stream's name on the wire, and what its numbers and rows are less by there. */
export type Renamed = {
  readonly lifetime: string
  readonly sequence: number
  readonly rows: number
}

type SpoolFile = { readonly path: string; first: number; last: number; bytes: number }

/** The blocks of one stream on disk, oldest file first. */
export class Spool {
  readonly lifetime: string
  readonly lane: number
  readonly #env: Env
  readonly #directory: string
  readonly #fileBytes: number
  readonly #files: SpoolFile[] = []
  /** Rows its stream had made up to its last block, of what an earlier run left. */
  made = 0
  /** When its last block was made, wall clock, of what an earlier run left. */
  age = 0
  renamed: Renamed | undefined
  #number = 0
  #isWriting = false
  #append: AppendFile | undefined
  #cached: { readonly file: SpoolFile; readonly entries: Entry[] } | undefined

  constructor(env: Env, directory: string, stream: SpoolStream) {
    this.#env = env
    this.#directory = directory
    this.lifetime = stream.lifetime
    this.lane = stream.lane
    this.#fileBytes = stream.fileBytes ?? 0
  }

  get bytes(): number {
    let bytes = 0
    for (const file of this.#files) bytes += file.bytes
    return bytes
  }

  get isEmpty(): boolean {
    return this.#files.length === 0
  }

  /** The number of its last block. */
  get last(): number {
    return this.#files.at(-1)?.last ?? 0
  }

  /** Takes up a file of an earlier run, in order; it is only read. */
  adopt(path: string, number: number, first: number): void {
    this.#number = Math.max(this.#number, number)
    const before = this.#files.at(-1)
    if (before) before.last = first - 1
    const bytes = this.#env.files.size(path)
    this.#files.push({ path, first, last: Number.POSITIVE_INFINITY, bytes })
  }

  /** After the last file was taken up: finds what its last block is. Torn ends are left out. */
  settle(): void {
    for (;;) {
      const file = this.#files.at(-1)
      if (!file || file.last !== Number.POSITIVE_INFINITY) return
      const last = this.#read(file).at(-1)
      if (last) {
        file.last = last.sequence
        this.made = last.before + last.rows
        this.age = wallOf(last)
        return
      }
      this.#files.pop()
      this.#remove(file.path)
      const before = this.#files.at(-1)
      if (before) before.last = Number.POSITIVE_INFINITY
    }
  }

  /**
   * Appends blocks, numbered upward; resolves once they survive a power cut. Rejects where the
   * disk fails: the file is not appended to again, write the blocks once more into the next.
   */
  async write(entries: readonly Entry[]): Promise<void> {
    const file = this.#current(entries[0]!.sequence)
    const append = this.#append!
    this.#isWriting = true
    try {
      for (const entry of entries) appendRecord(append, headOf(entry), entry.bytes)
      await append.sync()
      if (file.last === 0) await this.#env.files.syncDirectory(this.#directory)
    } catch (error) {
      append.close()
      this.#append = undefined
      if (file.last === 0) {
        this.#files.pop()
        this.#remove(file.path)
      }
      throw error
    } finally {
      this.#isWriting = false
    }
    file.last = entries.at(-1)!.sequence
    file.bytes = append.size
    if (this.#cached?.file === file) this.#cached = undefined
    if (file.bytes >= this.#fileBytes) this.#endFile()
  }

  /**
   * The blocks of the first file that has any beyond `acknowledged`; files before it go, and those
   * of which nothing can be read.
   */
  head(acknowledged: number): readonly Entry[] {
    for (;;) {
      const file = this.#files[0]
      if (!file || file.last === 0) return []
      if (file.last > acknowledged) {
        if (this.#cached?.file !== file) this.#cached = { file, entries: this.#read(file) }
        const rest = this.#cached.entries.filter(({ sequence }) => sequence > acknowledged)
        if (rest.length > 0) return rest
      }
      if (this.#isWriting && this.#files.length === 1) return []
      this.#drop(0)
    }
  }

  /**
   * Gives up the second file: the first may hold blocks that are under way, whose outcome is not
   * known. Resolves once it cannot come back, with the rows that are lost with it; undefined where
   * there is no second.
   */
  async dropSecond(): Promise<number | undefined> {
    const file = this.#files[1]
    const isWritten = this.#isWriting && this.#files.length === 2
    if (!file || file.last === 0 || isWritten) return undefined
    let rows = 0
    for (const entry of this.#read(file)) rows += entry.rows
    this.#drop(1)
    await this.#env.files.syncDirectory(this.#directory)
    return rows
  }

  /** Resolves once the stream's new name survives a power cut: it may be used then. */
  async rename(renamed: Renamed): Promise<void> {
    this.renamed = renamed
    const bytes = new TextEncoder().encode(JSON.stringify(renamed))
    await this.#env.files.replace(this.#renamedPath, bytes)
  }

  close(): void {
    this.#endFile()
    if (this.renamed && this.isEmpty) this.#remove(this.#renamedPath)
  }

  get #renamedPath(): string {
    return `${this.#directory}/${this.lifetime}-${this.lane}${RENAMED}`
  }

  /** What is left of a file: a disk that fails, or who removes it, must not hold up the rest. */
  #read({ path, bytes }: SpoolFile): Entry[] {
    try {
      return readEntries(this.#env.files, path, bytes)
    } catch (error) {
      if (!LOST.has((error as { code?: unknown }).code)) throw error
      log('warn', `Cannot read ${path}: ${sentenceOf(error)}`)
      return []
    }
  }

  /** The file that is appended to, begun now if there is none. */
  #current(first: number): SpoolFile {
    const last = this.#files.at(-1)
    if (this.#append && last) return last
    const number = String(++this.#number).padStart(10, '0')
    const name = `${this.lifetime}-${this.lane}-${number}-${first}.spool`
    const path = `${this.#directory}/${name}`
    this.#append = this.#env.files.append(path)
    const file = { path, first, last: 0, bytes: 0 }
    this.#files.push(file)
    return file
  }

  #endFile(): void {
    this.#append?.close()
    this.#append = undefined
  }

  #drop(at: number): void {
    const file = this.#files[at]!
    if (at === this.#files.length - 1) this.#endFile()
    this.#files.splice(at, 1)
    if (this.#cached?.file === file) this.#cached = undefined
    this.#remove(file.path)
  }

  #remove(path: string): void {
    try {
      this.#env.files.remove(path)
    } catch {
      // It is found again at the next start, and its blocks are then known to the server.
    }
  }
}

/** The streams whose blocks lie in `directory`, the oldest first. */
export function findSpools(env: Env, directory: string): Spool[] {
  const spools = new Map<string, Spool>()
  for (const name of env.files.list(directory)) {
    const match = /^([0-9a-f]{32})-(\d+)-(\d{10})-(\d+)\.spool$/.exec(name)
    if (!match) continue
    const [, lifetime = '', lane = '', number = '', first = ''] = match
    const key = `${lifetime}-${lane}`
    const spool = spools.get(key) ?? new Spool(env, directory, { lifetime, lane: Number(lane) })
    spools.set(key, spool)
    spool.adopt(`${directory}/${name}`, Number(number), Number(first))
  }
  for (const spool of spools.values()) spool.settle()
  for (const name of env.files.list(directory))
    if (name.includes(RENAMED)) findRenamed(env.files, `${directory}/${name}`, spools)
  return [...spools.values()].filter((spool) => !spool.isEmpty).sort((a, b) => a.age - b.age)
}

/** When a block was made; 0 where another version made it, and only that one can tell. */
function wallOf({ bytes }: Entry): number {
  try {
    return readHeader(bytes).wall
  } catch {
    return 0
  }
}

/** Takes up what the file at `path` says of a stream; it goes where nothing is left of that. */
function findRenamed(files: Files, path: string, spools: ReadonlyMap<string, Spool>): void {
  const spool = spools.get(path.slice(path.lastIndexOf('/') + 1, -RENAMED.length))
  if (!spool || spool.isEmpty) files.remove(path)
  else
    try {
      spool.renamed = JSON.parse(new TextDecoder().decode(files.read(path)))
    } catch (error) {
      log('warn', `Cannot read ${path}: ${sentenceOf(error)}`)
    }
}

function headOf({ sequence, before, rows }: Entry): Uint8Array {
  const head = new Uint8Array(HEAD)
  const view = viewOf(head)
  setWide(view, 0, sequence)
  setWide(view, 8, before)
  view.setUint32(16, rows, true)
  return head
}

/** The whole blocks of a file, numbered upward; what a failed write left twice is left out. */
function readEntries(files: Files, path: string, size: number): Entry[] {
  const entries: Entry[] = []
  const take = (payload: Uint8Array): boolean => {
    if (payload.length < HEAD) return false
    const view = viewOf(payload)
    const sequence = getWide(view, 0)
    if (sequence > (entries.at(-1)?.sequence ?? 0))
      entries.push({
        sequence,
        before: getWide(view, 8),
        rows: view.getUint32(16, true),
        bytes: payload.subarray(HEAD),
      })
    return true
  }
  // A spoilt block is a hole like any other: its rows are told by the block behind it.
  const passOver = (): void => undefined
  readRecords(files.read(path).subarray(0, size), 0, take, passOver)
  return entries
}
