import type { Env } from '../../lib/env.ts'
import { sentenceOf } from '../../lib/errors.ts'
import { log } from '../../lib/log.ts'
import type { Table } from '../../model/tables/table.ts'

/** What could not be stored, and why. */
export type Aside = {
  readonly table: Table
  readonly segment: number
  readonly block: { readonly place: number; readonly bytes: Uint8Array }
  readonly why: string
}

/** A folder of blocks that the tables will not have, for whoever looks into it; bounded. */
export class SetAside {
  blocks = 0
  readonly #env: Env
  readonly #directory: string
  readonly #maxBytes: number
  #bytes = 0

  constructor(env: Env, directory: string, maxBytes: number = 64 * 1024 * 1024) {
    this.#env = env
    this.#directory = directory
    this.#maxBytes = maxBytes
    env.files.makeDirectory(directory)
    for (const name of env.files.list(directory)) this.#bytes += env.files.size(pathOf(name))

    function pathOf(name: string): string {
      return `${directory}/${name}`
    }
  }

  /** Keeps the block if there is room. The same block of the same segment is kept once. */
  keep({ table, segment, block, why }: Aside): void {
    this.blocks++
    log('warn', `Cannot store a block of ${table.name}: ${why}`, { segment, place: block.place })
    if (this.#bytes + block.bytes.length > this.#maxBytes) return
    this.#bytes += block.bytes.length
    this.#env.files
      .replace(`${this.#directory}/${segment}-${block.place}.block`, block.bytes)
      .catch((error: unknown) => log('warn', `Cannot set a block aside: ${sentenceOf(error)}`))
  }
}
