import type { AppendFile, Files } from '../../src/lib/env.ts'
import type { Life, World } from './world.ts'

/** How likely each misfortune is, each time it could happen. */
export type DiskFaults = {
  writeFails: number
  syncFails: number
  /** The program dies at this very step. */
  dies: number
}

/** What was written in one go, and what became of it. */
type Chunk = { readonly bytes: Uint8Array; state: 'dirty' | 'durable' | 'phantom' }
type Inode = { chunks: Chunk[] }

const SYNC_US = 5000

/**
 * A disk behind a page cache. What was written is read back at once, but survives a power cut only
 * if a sync came after it: else it stays, goes, or stays in part, each file as chance has it. A
 * sync that fails leaves its chunks in the cache as if written (`phantom`), as Linux does. Names
 * made, renamed and removed survive only if their directory was synced.
 */
export class Disk {
  readonly faults: DiskFaults = { writeFails: 0, syncFails: 0, dies: 0 }
  capacity: number = Number.POSITIVE_INFINITY
  /** Names whose syncs do nothing: a bug to be found. */
  liesAbout: RegExp = /^$/
  readonly #world: World
  /** Names as the running system sees them, and as the disk has them. */
  #names = new Map<string, Inode>()
  #durable = new Map<string, Inode>()

  constructor(world: World) {
    this.#world = world
  }

  get used(): number {
    let used = 0
    for (const inode of this.#names.values()) used += sizeOf(inode)
    return used
  }

  /** The power goes: what no sync covered stays, goes or tears. */
  cutPower(): void {
    const { chance } = this.#world
    const after = new Map<string, Inode>()
    for (const path of new Set([...this.#names.keys(), ...this.#durable.keys()])) {
      const cached = this.#names.get(path)
      const durable = this.#durable.get(path)
      const inode = cached === durable || chance.is(0.5) ? durable : cached
      if (inode) after.set(path, inode)
    }
    for (const inode of new Set(after.values())) this.#tear(inode)
    this.#names = after
    this.#durable = new Map(after)
  }

  /** The disk as a program sees it during one life. */
  filesOf(life: Life): Files {
    const step = <T>(run: () => T): T => {
      life.check()
      if (this.#world.chance.is(this.faults.dies / 2)) life.dieNow()
      const result = run()
      if (this.#world.chance.is(this.faults.dies / 2)) life.dieNow()
      return result
    }
    return {
      makeDirectory: () => life.check(),
      list: (path) => step(() => this.#list(path)),
      size: (path) => step(() => sizeOf(this.#inode(path))),
      read: (path) => step(() => contentOf(this.#inode(path))),
      append: (path) => step(() => this.#append(path, life)),
      replace: (path, bytes) => this.#replace(path, bytes, life),
      truncate: (path, size) => step(() => this.#truncate(path, size)),
      remove: (path) =>
        step(() => {
          this.#inode(path)
          this.#names.delete(path)
        }),
      syncDirectory: (path) => this.#syncDirectory(path, life),
      space: () => ({ total: this.capacity, free: Math.max(0, this.capacity - this.used) }),
    }
  }

  #append(path: string, life: Life): AppendFile {
    const inode = this.#names.get(path) ?? { chunks: [] }
    this.#names.set(path, inode)
    let size = sizeOf(inode)
    return {
      get size() {
        return size
      },
      write: (bytes) => {
        size += this.#write(inode, bytes, life)
      },
      sync: () => this.#sync(inode, path, life),
      close: () => undefined,
    }
  }

  #write(inode: Inode, bytes: Uint8Array, life: Life): number {
    life.check()
    const { chance } = this.#world
    const take = (size: number): void => {
      if (size > 0) inode.chunks.push({ bytes: bytes.slice(0, size), state: 'dirty' })
    }
    if (chance.is(this.faults.dies)) {
      take(chance.between(0, bytes.length))
      life.dieNow()
    }
    const free = this.capacity - this.used
    if (free < bytes.length) {
      take(Math.max(0, free))
      throw failure('ENOSPC')
    }
    if (chance.is(this.faults.writeFails)) {
      take(chance.between(0, bytes.length - 1))
      throw failure('EIO')
    }
    take(bytes.length)
    return bytes.length
  }

  async #sync(inode: Inode, path: string, life: Life): Promise<void> {
    life.check()
    const { chance } = this.#world
    if (chance.is(this.faults.dies)) life.dieNow()
    const chunks = inode.chunks.filter(({ state }) => state === 'dirty')
    await life.wait(chance.between(1, SYNC_US))
    if (this.liesAbout.test(path)) return
    const fails = chance.is(this.faults.syncFails)
    for (const chunk of chunks)
      if (chunk.state === 'dirty') chunk.state = fails && chance.is(0.7) ? 'phantom' : 'durable'
    if (chance.is(this.faults.dies)) life.dieNow()
    if (fails) throw failure('EIO')
  }

  async #replace(path: string, bytes: Uint8Array, life: Life): Promise<void> {
    life.check()
    const inode: Inode = { chunks: [] }
    this.#names.set(`${path}.new`, inode)
    this.#write(inode, bytes, life)
    await this.#sync(inode, path, life)
    this.#names.delete(`${path}.new`)
    this.#names.set(path, inode)
    await this.#syncDirectory(path.slice(0, path.lastIndexOf('/')), life)
  }

  async #syncDirectory(path: string, life: Life): Promise<void> {
    life.check()
    const { chance } = this.#world
    const names = new Map([...this.#names].filter(([name]) => isIn(path, name)))
    await life.wait(chance.between(1, SYNC_US))
    if (chance.is(this.faults.syncFails)) throw failure('EIO')
    if (this.liesAbout.test(path)) return
    for (const name of this.#durable.keys())
      if (isIn(path, name) && !names.has(name)) this.#durable.delete(name)
    for (const [name, inode] of names) this.#durable.set(name, inode)
    if (chance.is(this.faults.dies)) life.dieNow()
  }

  #truncate(path: string, size: number): void {
    const inode = this.#inode(path)
    inode.chunks = [{ bytes: contentOf(inode).subarray(0, size), state: 'dirty' }]
  }

  #list(path: string): string[] {
    const names: string[] = []
    for (const name of this.#names.keys())
      if (isIn(path, name)) names.push(name.slice(path.length + 1))
    return names.toSorted((a, b) => (a < b ? -1 : 1))
  }

  #inode(path: string): Inode {
    const inode = this.#names.get(path)
    if (!inode) throw failure('ENOENT')
    return inode
  }

  #tear(inode: Inode): void {
    const { chance } = this.#world
    const mood = chance.between(0, 2)
    const kept: Chunk[] = []
    for (const { bytes, state } of inode.chunks) {
      const stays = state === 'durable' || (state === 'dirty' && mood > 0 && chance.is(mood / 2))
      const size = stays ? bytes.length : state === 'dirty' ? chance.between(0, bytes.length) : 0
      const torn = new Uint8Array(bytes.length)
      torn.set(bytes.subarray(0, size))
      kept.push({ bytes: stays || size > 0 ? torn : new Uint8Array(bytes.length), state })
    }
    while (kept.length > 0 && kept.at(-1)!.state !== 'durable' && chance.is(0.5)) kept.pop()
    for (const chunk of kept) chunk.state = 'durable'
    inode.chunks = kept
  }
}

function isIn(directory: string, name: string): boolean {
  return name.startsWith(`${directory}/`) && !name.includes('/', directory.length + 1)
}

function sizeOf({ chunks }: Inode): number {
  let size = 0
  for (const { bytes } of chunks) size += bytes.length
  return size
}

function contentOf(inode: Inode): Uint8Array {
  const content = new Uint8Array(sizeOf(inode))
  let at = 0
  for (const { bytes } of inode.chunks) {
    content.set(bytes, at)
    at += bytes.length
  }
  return content
}

function failure(code: string): Error {
  return Object.assign(new Error(`Cannot use the disk: ${code}`), { code })
}
