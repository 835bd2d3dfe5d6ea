import { MetaflowError } from '../../src/lib/errors.ts'
import type { NumberedName } from '../../src/model/name.ts'
import type { Table } from '../../src/model/tables/table.ts'
import {
  type EncodeNative,
  type Insert,
  type Store,
  TAGS_PER_SEGMENT,
} from '../../src/server/storage/store.ts'
import { rowsOf } from './blocks.ts'
import type { Life, World } from './world.ts'

export type EngineFaults = {
  /** The engine dies during a request: before or after it did what was asked. */
  dies: number
  /** The answer never comes, whatever becomes of the insert. */
  hangs: number
}

export type StoredRow = {
  readonly id: string
  readonly time: number
  readonly instance: number
  readonly agent: number
  readonly partition: number
  segment: number
}

type Running = { readonly insert: Insert; isOver: boolean }

const WORK_US = 50_000
const HANG_US = 20_000_000
const DOWN_US = 5_000_000

/** What an insert carries here in place of ClickHouse's Native. */
export const encodeRows: EncodeNative = (table, parts) => {
  const rows = parts.flatMap((part) =>
    rowsOf(table, part).map(({ id, time }) => ({
      id,
      time,
      instance: part.ids.instance[1] ?? 0,
      agent: part.agentId,
      segment: part.segment,
    })),
  )
  return new TextEncoder().encode(JSON.stringify(rows))
}

/**
 * The engine as far as it matters here: an insert commits its partition whole or not at all, the
 * engine may die at any step, an answer may never come while the insert goes on. Rows whose id
 * begins with `bad` are refused.
 */
export class Engine {
  readonly faults: EngineFaults = { dies: 0, hangs: 0 }
  /** Plants a bug: look-ups do not see to inserts that still run. */
  forgetsRunning = false
  readonly rows: Map<string, StoredRow[]> = new Map()
  readonly names: Map<number, NumberedName> = new Map()
  /** Faults that no run may show. */
  readonly wrongs: string[] = []
  readonly #world: World
  #upAt = 0
  #running: Running[] = []

  constructor(world: World) {
    this.#world = world
  }

  storeOf(life: Life): Store {
    return {
      insert: (insert) => this.#insert(insert, life),
      greatestByPartition: (table, from, to) =>
        this.#ask(life, () => this.#greatest(table, from, to)),
      greatestSegment: () =>
        this.#ask(life, () => {
          let greatest = 0
          for (const { segment } of [...this.rows.values()].flat())
            greatest = Math.max(greatest, segment)
          return Math.floor(greatest / TAGS_PER_SEGMENT)
        }),
      insertNames: (names) => this.#ask(life, () => this.#insertNames(names)),
      countNames: () => this.#ask(life, () => this.names.size),
      readNames: () => this.#ask(life, () => [...this.names.values()]),
    }
  }

  /** Rows that agree in everything merge into one with the greatest `_segment`: here, some do. */
  merge(table: Table): void {
    const rows = this.rows.get(table.name) ?? []
    const { partition } = rows[this.#world.chance.between(0, rows.length - 1)] ?? { partition: 0 }
    const some = rows.filter((row) => row.partition === partition && this.#world.chance.is(0.5))
    const segment = some.reduce((max, row) => Math.max(max, row.segment), 0)
    for (const row of some) row.segment = segment
  }

  async #insert(insert: Insert, life: Life): Promise<void> {
    life.check()
    const { chance } = this.#world
    if (this.#running.some((other) => !other.isOver && other.insert.table === insert.table))
      this.wrongs.push(`two inserts of ${insert.table.name} run at a time`)
    await this.#arrive(life)
    const running = { insert, isOver: false }
    this.#running = this.#running.filter((other) => !other.isOver)
    this.#running.push(running)
    if (chance.is(this.faults.hangs)) {
      this.#world.after(chance.between(1, HANG_US), () => this.#end(running, chance.is(0.7)))
      await life.wait(chance.between(1, HANG_US))
      throw new Error('Cannot insert: no answer')
    }
    const fate = chance.is(this.faults.dies) ? chance.of(['before', 'after'] as const) : 'lives'
    await new Promise<void>((resolve) => this.#world.after(chance.between(1, WORK_US), resolve))
    const wasEnded = running.isOver
    const isRefused = this.#end(running, fate !== 'before')
    if (fate !== 'lives') this.#die()
    await life.wait(1)
    if (fate !== 'lives' || wasEnded) throw new Error('Cannot insert: the engine died')
    if (isRefused) throw new MetaflowError('refused', 'Cannot insert: bad content')
  }

  /** Ends an insert, committed or not. Answers whether its content is refused. */
  #end(running: Running, commits: boolean): boolean {
    if (running.isOver) return false
    running.isOver = true
    const { table, partition, native } = running.insert
    const rows = JSON.parse(new TextDecoder().decode(native)) as StoredRow[]
    if (rows.some(({ id }) => id.startsWith('bad'))) return true
    if (!commits) return false
    const all = this.rows.get(table.name) ?? []
    this.rows.set(table.name, all)
    for (const row of rows) {
      if (!this.names.has(row.instance)) this.wrongs.push(`row ${row.id} came before its name`)
      if (Math.floor(row.time / (table.partitionHours * 3600)) !== partition)
        this.wrongs.push(`row ${row.id} came in another partition's insert`)
      all.push({ ...row, partition })
    }
    return false
  }

  #greatest(table: Table, from: number, to: number): Map<number, number> {
    for (const running of this.#running)
      if (running.insert.table === table && !this.forgetsRunning)
        this.#end(running, this.#world.chance.is(0.5))
    const greatest = new Map<number, number>()
    for (const { partition, segment } of this.rows.get(table.name) ?? [])
      if (segment >= from && segment <= to)
        greatest.set(partition, Math.max(greatest.get(partition) ?? 0, segment))
    return greatest
  }

  #insertNames(names: readonly NumberedName[]): void {
    for (const name of names) {
      const known = this.names.get(name.id)
      if (known && (known.name !== name.name || known.key !== name.key))
        this.wrongs.push(`id ${name.id} was ${known.name}, and was given to ${name.name}`)
      this.names.set(name.id, name)
    }
  }

  async #ask<T>(life: Life, run: () => T): Promise<T> {
    life.check()
    await this.#arrive(life)
    const result = run()
    if (this.#world.chance.is(this.faults.dies)) {
      this.#die()
      throw new Error('Cannot ask: the engine died')
    }
    await life.wait(this.#world.chance.between(1, WORK_US))
    return result
  }

  async #arrive(life: Life): Promise<void> {
    await life.wait(this.#world.chance.between(1, 1000))
    if (this.#world.now < this.#upAt) throw new Error('Cannot ask: the engine is down')
  }

  /** What it was doing is over, half of it perhaps; after a while it is back. */
  #die(): void {
    for (const running of this.#running) this.#end(running, this.#world.chance.is(0.5))
    this.#upAt = this.#world.now + this.#world.chance.between(1, DOWN_US)
  }
}
