import { Counters } from '../../lib/counters.ts'
import type { Env } from '../../lib/env.ts'
import { log } from '../../lib/log.ts'
import {
  AGENT_TYPE,
  NAME_TYPE,
  type Name,
  type NameIds,
  type NumberedName,
  OTHER,
} from '../../model/name.ts'
import { IdLog } from './id-log.ts'

/** Where names are kept for readers: `flow_tag.names`. */
export type NameStore = {
  insertNames(names: readonly NumberedName[]): Promise<void>
  countNames(): Promise<number>
  readNames(): Promise<NumberedName[]>
}

export type TaggingOptions = {
  readonly env: Env
  /** Its own directory, made where it is absent. */
  readonly directory: string
  readonly store: NameStore
  /**
   * Names that get an id of their own, half of them addresses at most; beyond, a type's names share
   * the name OTHER.
   */
  readonly namesMax?: number
}

/** What a block's agent and names are in rows. */
export type Tags = { readonly agentId: number; readonly ids: NameIds }

export const NAMES_TOTAL_MAX = 500_000
/**
 * The part of them that addresses take at most: a server of the internet meets one a client, and
 * processes, hosts and agents need names still.
 */
const ADDRESSES_SHARE = 0.5
const INSERT_NAMES_MAX = 50_000

/**
 * Numbers what is named: UInt32, dense from 1, in one space for processes, hosts, addresses and
 * agents. An id is written down (synced) before a row uses it, then its name goes to
 * `flow_tag.names`; ids survive restarts and are never given twice. Where the id log is lost or
 * old, what `flow_tag.names` holds beyond it is taken from there.
 */
export class Tagging {
  /** In names looked up; `out` are ids given; dropped ones share OTHER. */
  readonly counters: Counters<'full'> = new Counters('tagging', ['full'])
  readonly #store: NameStore
  readonly #log: IdLog
  readonly #namesMax: number
  readonly #ids = new Map<string, number>()
  readonly #byId = new Map<number, NumberedName>()
  #addresses = 0
  #next = 1
  /** Given, and not yet synced in the id log; and there, but not yet in the store. */
  #unlogged: NumberedName[] = []
  #unstored: NumberedName[] = []
  #writing: Promise<void> = Promise.resolve()
  #meeting: Promise<void> | undefined

  /** Reads the ids that were given. Throws where the disk will not. */
  static async open(options: TaggingOptions): Promise<Tagging> {
    const tagging = new Tagging(options)
    tagging.#log.load((name) => tagging.#know(name))
    await tagging.#log.rewrite([...tagging.#byId.values()])
    return tagging
  }

  private constructor({ env, directory, store, namesMax }: TaggingOptions) {
    this.#store = store
    this.#log = new IdLog(env, directory)
    this.#namesMax = namesMax ?? NAMES_TOTAL_MAX
  }

  get size(): number {
    return this.#byId.size
  }

  /**
   * Ids of a block's names (index 0 is nobody) and of its agent. Resolves once they survive a
   * power cut and are in the store; rejects where disk or store fail: ask again.
   */
  async resolve(agent: string, names: readonly Name[]): Promise<Tags> {
    await this.#meet()
    const ids: NameIds = {
      gprocess: new Uint32Array(names.length),
      host: new Uint32Array(names.length),
      instance: new Uint32Array(names.length),
      instanceType: new Uint8Array(names.length),
    }
    for (let i = 1; i < names.length; i++) this.#tag(names[i]!, i, ids)
    const agentId = this.#idOf({ ...NOBODY, type: AGENT_TYPE, key: agent, name: agent })
    if (this.#unlogged.length > 0 || this.#unstored.length > 0) await this.#write()
    return { agentId, ids }
  }

  close(): void {
    this.#log.close()
  }

  #tag(name: Name, at: number, ids: NameIds): void {
    if (name.key === '' && name.name === '') return
    const id = this.#idOf(name)
    ids.instance[at] = id
    ids.instanceType[at] = name.type
    if (name.type === NAME_TYPE.process) ids.gprocess[at] = id
    ids.host[at] = name.type === NAME_TYPE.host ? id : this.#hostOf(name)
  }

  #hostOf({ type, hostKey, hostName }: Name): number {
    if (type === NAME_TYPE.host || (hostKey === '' && hostName === '')) return 0
    const { processName } = NOBODY
    const host = { type: NAME_TYPE.host, key: hostKey, name: hostName, processName }
    return this.#idOf({ ...host, hostKey, hostName })
  }

  #idOf(name: Name): number {
    this.counters.in++
    const identity = identityOf(name)
    const known = this.#ids.get(identity)
    if (known !== undefined) return known
    if (this.#isFullFor(name) && name.key !== OTHER) {
      this.counters.dropped.full++
      return this.#idOf({ ...NOBODY, type: name.type, key: OTHER, name: OTHER })
    }
    const hostId = this.#hostOf(name)
    const numbered = { ...name, hostId, id: this.#next }
    this.#know(numbered)
    this.#unlogged.push(numbered)
    this.counters.out++
    return numbered.id
  }

  #isFullFor({ type }: Name): boolean {
    if (this.#ids.size >= this.#namesMax) return true
    return type === NAME_TYPE.ip && this.#addresses >= this.#namesMax * ADDRESSES_SHARE
  }

  #know(name: NumberedName): void {
    if (name.type === NAME_TYPE.ip && !this.#byId.has(name.id)) this.#addresses++
    this.#byId.set(name.id, name)
    this.#ids.set(identityOf(name), name.id)
    this.#next = Math.max(this.#next, name.id + 1)
  }

  #write(): Promise<void> {
    this.#writing = this.#writing.catch(() => undefined).then(() => this.#writeNow())
    return this.#writing
  }

  async #writeNow(): Promise<void> {
    while (this.#unlogged.length > 0) {
      const batch = [...this.#unlogged]
      await this.#log.append(batch)
      this.#unlogged.splice(0, batch.length)
      this.#unstored.push(...batch)
    }
    while (this.#unstored.length > 0) {
      const batch = this.#unstored.slice(0, INSERT_NAMES_MAX)
      await this.#store.insertNames(batch)
      this.#unstored.splice(0, batch.length)
    }
  }

  /** Before the first id is given: makes log and store know the same names. */
  #meet(): Promise<void> {
    this.#meeting ??= this.#meetNow().catch((error) => {
      this.#meeting = undefined
      throw error
    })
    return this.#meeting
  }

  async #meetNow(): Promise<void> {
    if ((await this.#store.countNames()) === this.#byId.size) return
    const stored = new Set<number>()
    for (const name of await this.#store.readNames()) {
      stored.add(name.id)
      const known = this.#byId.get(name.id)
      if (known && identityOf(known) !== identityOf(name))
        log('error', `Cannot keep id ${name.id} of flow_tag.names: another name has it here`)
      if (known) continue
      this.#know(name)
      this.#unlogged.push(name)
    }
    for (const name of this.#byId.values()) if (!stored.has(name.id)) this.#unstored.push(name)
    log('info', 'Compared the names here with those of flow_tag', {
      here: this.#byId.size,
      there: stored.size,
    })
  }
}

const NOBODY: Name = { type: 0, key: '', name: '', processName: '', hostKey: '', hostName: '' }

/** Two names are the same thing where these agree: a renamed thing is another. */
function identityOf({ type, key, name }: Name): string {
  return `${type}\0${key}\0${name}`
}
