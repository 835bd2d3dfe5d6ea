/** What a name is the name of; the numbers are those of `auto_instance_type`. */
export const NAME_TYPE = { ip: 0, host: 6, process: 120 } as const

/** Names a table may hold before further ones share the name OTHER. */
export const NAMES_MAX = 65_536
export const OTHER = '(other)'

/**
 * Who is at one end of a call, as the agent knows it. Two names are the same thing when `type`,
 * `key` and `name` are equal; a renamed thing is another name and gets another id.
 */
export type Name = {
  readonly type: number
  /** What makes it the same thing across restarts: host id + cgroup unit + executable + script. */
  readonly key: string
  /** What users call it: the process group's name, the host's name, the address. */
  readonly name: string
  /** Kernel name of the process (`process_kname`), empty for what is no process. */
  readonly processName: string
  /** Key and name of the host it is on, empty where unknown. */
  readonly hostKey: string
  readonly hostName: string
}

/** A name that has its number: dense, in one space for all that is named, never given twice. */
export type NumberedName = Name & {
  readonly id: number
  /** Number of the host it is on, 0 where unknown. */
  readonly hostId: number
}

/** Agents are numbered in the same space as what they name: type of such a name. */
export const AGENT_TYPE = 250

/** What a block's names are in rows, by their index in the block. */
export type NameIds = {
  readonly gprocess: Uint32Array
  readonly host: Uint32Array
  readonly instance: Uint32Array
  readonly instanceType: Uint8Array
}

/** An agent's names by index, for its lifetime. Index 0 is nobody. Blocks carry those they use. */
export class NameTable {
  readonly #names: Name[] = [
    { type: NAME_TYPE.ip, key: '', name: '', processName: '', hostKey: '', hostName: '' },
  ]
  readonly #index = new Map<string, number>()
  /** Names refused because the table was full. */
  overflowed = 0

  get size(): number {
    return this.#names.length
  }

  at(index: number): Name {
    return this.#names[index] ?? this.#names[0]!
  }

  /** The index of `name`, given now if it is new; a full table answers the index of OTHER. */
  add(name: Name): number {
    const identity = `${name.type}\0${name.key}\0${name.name}`
    const known = this.#index.get(identity)
    if (known !== undefined) return known
    if (this.#names.length >= NAMES_MAX && name.name !== OTHER) {
      this.overflowed++
      return this.add({ ...name, key: OTHER, name: OTHER, processName: '' })
    }
    const index = this.#names.push(name) - 1
    this.#index.set(identity, index)
    return index
  }
}
