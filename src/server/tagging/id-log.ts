import type { AppendFile, Env } from '../../lib/env.ts'
import { appendRecord, readRecords } from '../../lib/records.ts'
import type { NumberedName } from '../../model/name.ts'

/** A name of one record: [id, type, key, name, processName, hostKey, hostName, hostId] as JSON. */
type Row = [number, number, string, string, string, string, string, number]

/**
 * The file of ids: who has which. A record a name (lib/records.ts), appended and synced before a
 * row uses the id. Files are `ids-<number>`: one that failed is not appended to again, so what
 * it perhaps lost is written into the next.
 */
export class IdLog {
  readonly #env: Env
  readonly #directory: string
  #file: AppendFile | undefined
  #number = 0
  /** Files found at start. */
  #old: string[] = []

  constructor(env: Env, directory: string) {
    this.#env = env
    this.#directory = directory
  }

  /** Gives every name to `take`. Then `rewrite` them before any is used. */
  load(take: (name: NumberedName) => void): void {
    const { files } = this.#env
    files.makeDirectory(this.#directory)
    const numbers = files
      .list(this.#directory)
      .map(numberOf)
      .filter((number) => number > 0)
    for (const number of numbers.sort((a, b) => a - b)) {
      const path = this.#pathOf(number)
      readRecords(files.read(path), 0, (payload) => {
        take(nameOf(JSON.parse(decoder.decode(payload)) as Row))
        return true
      })
      this.#number = number
      this.#old.push(path)
    }
  }

  /**
   * Writes all names into a new file, synced, and drops those that were found: the end of the last
   * one was perhaps only in memory when we were killed.
   */
  async rewrite(names: readonly NumberedName[]): Promise<void> {
    await this.append(names)
    for (const path of this.#old) this.#env.files.remove(path)
    this.#old = []
  }

  /** Resolves once the names are synced. Rejects where the disk fails: append them again then. */
  async append(names: readonly NumberedName[]): Promise<void> {
    try {
      const isNew = this.#file === undefined
      this.#file ??= this.#env.files.append(this.#pathOf(++this.#number))
      for (const name of names) appendRecord(this.#file, recordBytes(name))
      await this.#file.sync()
      if (isNew) await this.#env.files.syncDirectory(this.#directory)
    } catch (error) {
      this.close()
      throw error
    }
  }

  close(): void {
    this.#file?.close()
    this.#file = undefined
  }

  #pathOf(number: number): string {
    return `${this.#directory}/ids-${number}`
  }
}

const decoder = new TextDecoder()
const encoder = new TextEncoder()

function numberOf(name: string): number {
  return /^ids-\d+$/.test(name) ? Number(name.slice('ids-'.length)) : 0
}

function recordBytes(n: NumberedName): Uint8Array {
  const row: Row = [n.id, n.type, n.key, n.name, n.processName, n.hostKey, n.hostName, n.hostId]
  return encoder.encode(JSON.stringify(row))
}

function nameOf([id, type, key, name, processName, hostKey, hostName, hostId]: Row): NumberedName {
  return { id, type, key, name, processName, hostKey, hostName, hostId }
}
