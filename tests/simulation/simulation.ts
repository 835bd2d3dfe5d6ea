import { agentIdOf } from '../../src/agent/sender/agent-id.ts'
import { Transport } from '../../src/agent/sender/transport.ts'
import type { Env } from '../../src/lib/env.ts'
import { OTHER } from '../../src/model/name.ts'
import { application1s } from '../../src/model/tables/application.ts'
import { l7FlowLog } from '../../src/model/tables/l7-flow-log.ts'
import type { Table } from '../../src/model/tables/table.ts'
import { readRequest } from '../../src/server/receiver/answers.ts'
import { Receiver } from '../../src/server/receiver/receiver.ts'
import { Inserter, type Source } from '../../src/server/storage/inserter.ts'
import { SetAside } from '../../src/server/storage/set-aside.ts'
import type { Store } from '../../src/server/storage/store.ts'
import { Tagging } from '../../src/server/tagging/tagging.ts'
import { decodeBlock } from '../../src/wire/block.ts'
import { blockOf, rowsOf } from './blocks.ts'
import { Disk } from './disk.ts'
import { Engine, encodeRows } from './engine.ts'
import { SimulatedNetwork } from './network.ts'
import { type Chance, Life, World } from './world.ts'

const TABLES: readonly Table[] = [l7FlowLog, application1s]
const TABLE_NUMBERS: readonly number[] = TABLES.map(({ number }) => number)
const SECOND = 1e6
const STORM_US = 60 * SECOND
/** After the storm everything must be at rest within this. */
const CALM_US = 3600 * SECOND

/** Bugs that can be planted, to see that they are found. */
export type Bugs = {
  /** Files of the server's disk whose syncs do nothing. */
  readonly unsynced?: RegExp
  /** Nothing is looked up before it is sent again. */
  readonly noLookUp?: boolean
  /** Look-ups do not see to inserts that still run. */
  readonly forgetsRunning?: boolean
  /** Times are held against the clock of now instead of that of the block's arrival. */
  readonly clampsByNow?: boolean
  /** Ids are not synced, and nothing is taken from the names that are stored. */
  readonly forgetsIds?: boolean
}

export type Outcome = { readonly wrongs: readonly string[]; readonly story: Story }
/** What happened in a run, to see that runs do not pass by doing nothing. */
export type Story = {
  made: number
  acknowledged: number
  stored: number
  aside: number
  dropped: number
  deaths: number
  powerCuts: number
  stops: number
  found: number
  repeats: number
}

type RunningAgent = {
  readonly life: Life
  readonly transport: Transport
  made: number
  isStopping: boolean
}

type ServerLife = {
  readonly life: Life
  readonly receiver: Receiver
  readonly inserters: readonly Inserter[]
  readonly tagging: Tagging
}

/** One agent, one server, one engine, and a storm over them; then calm, and what is left of it. */
export class Simulation {
  readonly #world: World
  readonly #chance: Chance
  readonly #serverDisk: Disk
  readonly #agentDisk: Disk
  readonly #network: SimulatedNetwork
  readonly #engine: Engine
  readonly #bugs: Bugs
  /** In half of the storms a partition's rows go in several inserts. */
  readonly #textBytesMax: number
  readonly #wrongs: string[] = []
  readonly #acknowledged = new Set<string>()
  readonly #givenUp = new Set<string>()
  /** How often each row is stored, and which process it is of. */
  readonly #made = new Map<string, number>()
  readonly #processes = new Map<string, string>()
  /** Rows of agents that died, which may be lost if they were not acknowledged. */
  #mayBeLost = 0
  #rows = 0
  #isStorm = true
  #server: ServerLife | undefined
  #serverLife: Life | undefined
  #agent: RunningAgent | undefined
  #agentLife: Life | undefined
  readonly #story: Story = {
    made: 0,
    acknowledged: 0,
    stored: 0,
    aside: 0,
    dropped: 0,
    deaths: 0,
    powerCuts: 0,
    stops: 0,
    found: 0,
    repeats: 0,
  }

  constructor(seed: number, bugs: Bugs = {}) {
    this.#bugs = bugs
    this.#textBytesMax = seed % 2 === 0 ? 40 : Number.POSITIVE_INFINITY
    this.#world = new World(seed)
    this.#chance = this.#world.chance
    this.#serverDisk = new Disk(this.#world)
    this.#agentDisk = new Disk(this.#world)
    this.#network = new SimulatedNetwork(this.#world)
    this.#engine = new Engine(this.#world)
    if (bugs.unsynced) this.#serverDisk.liesAbout = bugs.unsynced
    if (bugs.forgetsIds) this.#serverDisk.liesAbout = /\/ids-/
    this.#engine.forgetsRunning = bugs.forgetsRunning ?? false
    this.#network.onAnswer = ({ body }, { status }) => {
      if (status === 200) this.#acknowledge(body!)
    }
  }

  async run(): Promise<Outcome> {
    this.#chooseFaults()
    this.#startServer()
    this.#startAgent()
    this.#scheduleMerge()
    await this.#world.live(STORM_US)
    this.#calm()
    const end = this.#world.now + CALM_US
    const isAtRest = await this.#world.live(end, () => this.#isAtRest())
    if (!isAtRest) this.#wrongs.push(`not at rest an hour after the storm: ${this.#state()}`)
    this.#judge()
    return { wrongs: [...this.#wrongs, ...this.#engine.wrongs], story: this.#story }
  }

  #chooseFaults(): void {
    const { fraction } = this.#chance
    const some = (most: number): number =>
      this.#chance.is(0.5) ? 0 : most * fraction.call(this.#chance) ** 2
    Object.assign(this.#network.faults, { loses: some(0.3), repeats: some(0.3), delays: some(0.3) })
    Object.assign(this.#engine.faults, { dies: some(0.1), hangs: some(0.1) })
    for (const disk of [this.#serverDisk, this.#agentDisk]) {
      Object.assign(disk.faults, { writeFails: some(0.1), syncFails: some(0.2), dies: some(0.03) })
      if (this.#chance.is(0.3)) disk.capacity = this.#chance.between(60_000, 200_000)
    }
  }

  #calm(): void {
    this.#isStorm = false
    Object.assign(this.#network.faults, { loses: 0, repeats: 0, delays: 0 })
    Object.assign(this.#engine.faults, { dies: 0, hangs: 0 })
    for (const disk of [this.#serverDisk, this.#agentDisk]) {
      Object.assign(disk.faults, { writeFails: 0, syncFails: 0, dies: 0 })
      disk.capacity = Number.POSITIVE_INFINITY
    }
  }

  #envOf(life: Life, disk: Disk): Env {
    const { clock, timers, random } = life
    return { clock, timers, random, files: disk.filesOf(life), network: this.#network.of(life) }
  }

  /** A life that is followed by another, after a while and perhaps a power cut. */
  #begin(disk: Disk, again: () => void): Life {
    const wrongClock = this.#chance.is(0.1) ? this.#chance.between(-3, 3) * 86_400 * SECOND : 0
    const life = new Life(this.#world, wrongClock)
    life.onDeath = () => {
      this.#story.deaths++
      if (this.#chance.is(0.5)) {
        this.#story.powerCuts++
        disk.cutPower()
      }
      this.#world.after(this.#chance.between(1000, 3 * SECOND), again)
    }
    const doom = (): void => {
      if (!this.#isStorm) return
      if (this.#chance.is(0.3)) void this.#stop(life)
      else life.die()
    }
    if (this.#chance.is(0.5)) this.#world.after(this.#chance.between(1, STORM_US), doom)
    return life
  }

  /** Ends a life as it should end, unless it dies on the way. */
  async #stop(life: Life): Promise<void> {
    try {
      if (life === this.#server?.life) {
        const { receiver, inserters, tagging } = this.#server
        await receiver.stop()
        for (const inserter of inserters) inserter.wake()
        await Promise.all(inserters.map((inserter) => inserter.stop()))
        await receiver.close()
        tagging.close()
      } else if (life === this.#agent?.life) {
        const agent = this.#agent
        agent.isStopping = true
        await agent.transport.close()
        // What it could write to its disk is not lost.
        if (life.isAlive && agent.transport.held.memory === 0) agent.made = 0
      }
      if (life.isAlive) this.#story.stops++
    } finally {
      life.die()
    }
  }

  #startServer(): void {
    const life = this.#begin(this.#serverDisk, () => this.#startServer())
    this.#serverLife = life
    const { onDeath } = life
    life.onDeath = () => {
      this.#network.server = undefined
      this.#server = undefined
      onDeath()
    }
    this.#openServer(life).catch(() => life.die())
  }

  async #openServer(life: Life): Promise<void> {
    const env = this.#envOf(life, this.#serverDisk)
    const store = this.#storeOf(life)
    const greatestStored = await retried(life, () => store.greatestSegment())
    const tagging = await Tagging.open({ env, directory: '/server/ids', store, namesMax: 12 })
    const receiver = await Receiver.open({
      env,
      directory: '/server/log',
      tables: TABLE_NUMBERS,
      greatestStored,
      maxBytes: 60_000,
      limits: { segmentBytes: 6000, reserveBytes: 4000, dropMs: 3000, streams: 1000 },
    })
    const setAside = new SetAside(env, '/server/aside')
    const source = this.#sourceOf(receiver, life)
    const inserters = TABLES.map((table) => {
      const resolve = tagging.resolve.bind(tagging)
      const options = { env, table, source, store, encode: encodeRows, resolve, setAside }
      return new Inserter({ ...options, textBytesMax: this.#textBytesMax })
    })
    receiver.onSealed = () => {
      for (const inserter of inserters) inserter.wake()
    }
    receiver.onSealed()
    this.#server = { life, receiver, inserters, tagging }
    this.#network.server = { life, answer: ({ body }) => receiver.take(body!) }
  }

  #storeOf(life: Life): Store {
    const store = this.#engine.storeOf(life)
    if (this.#bugs.noLookUp) store.greatestByPartition = () => Promise.resolve(new Map())
    if (this.#bugs.forgetsIds) store.readNames = () => Promise.resolve([])
    return store
  }

  #sourceOf(receiver: Receiver, life: Life): Source {
    const received = (was: number): number => (this.#bugs.clampsByNow ? life.clock.wall() : was)
    return {
      next: (table) => receiver.next(table),
      blocks: (segment, table) =>
        receiver
          .blocks(segment, table)
          .map((block) => ({ ...block, received: received(block.received) })),
      advance: (table, segment) => receiver.advance(table, segment),
    }
  }

  #startAgent(): void {
    const life = this.#begin(this.#agentDisk, () => this.#startAgent())
    this.#agentLife = life
    const { onDeath } = life
    life.onDeath = () => {
      this.#mayBeLost += this.#agent?.made ?? 0
      this.#agent = undefined
      onDeath()
    }
    this.#openAgent(life).catch(() => life.die())
  }

  async #openAgent(life: Life): Promise<void> {
    const env = this.#envOf(life, this.#agentDisk)
    const transport = new Transport({
      env,
      serverUrl: 'http://server',
      directory: '/agent/spool',
      agentId: await agentIdOf(env, '/agent'),
      maxBytes: this.#chance.of([12_000, 50_000]),
      memoryBytes: 3000,
      reserveBytes: 1000,
      fileBytes: 3000,
    })
    const agent = { life, transport, made: 0, isStopping: false }
    this.#agent = agent
    this.#make(agent)
  }

  /** Makes a block now and then, of a few processes, some with a wrong clock or bad content. */
  #make(agent: RunningAgent): void {
    const { chance } = this.#world
    const { life, transport } = agent
    if (this.#isStorm)
      life.timers.after(chance.between(1, 1500), () => {
        if (agent.isStopping) return
        const now = Math.floor(life.clock.wall() / 1e6) + chance.between(-2, 2)
        const kind = chance.is(0.02) ? 'bad' : 'row'
        const rows = Array.from({ length: chance.between(1, 5) }, () => {
          const time = chance.is(0.05) ? now + chance.between(-3, 3) * 86_400 : now
          return { id: `${kind}${this.#rows++}`, time }
        })
        const process = `process ${chance.between(0, 15)}`
        agent.made += rows.length
        this.#story.made += rows.length
        for (const { id } of rows) {
          this.#made.set(id, 0)
          this.#processes.set(id, process)
        }
        try {
          transport.send(blockOf(chance.of(TABLES), rows, process), rows.length)
        } catch (error) {
          if (life.isAlive) throw error
        }
        if (life.isAlive) this.#make(agent)
      })
  }

  #scheduleMerge(): void {
    this.#world.after(this.#chance.between(1, 2 * SECOND), () => {
      this.#engine.merge(application1s)
      if (this.#isStorm) this.#scheduleMerge()
    })
  }

  #acknowledge(body: Uint8Array): void {
    for (const { header, bytes } of readRequest(body, new Set(TABLE_NUMBERS))) {
      // What was given up, and then came back with the power, is only acknowledged as a repeat.
      const number = `${header.lifetime}/${header.sequence}`
      if (header.rows === 0) this.#givenUp.add(number)
      if (this.#givenUp.has(number)) continue
      const table = TABLES.find(({ number }) => number === header.table)!
      const part = { block: decodeBlock(bytes), ids: NO_IDS, agentId: 0, segment: 0 }
      for (const { id } of rowsOf(table, part)) this.#acknowledged.add(id)
    }
  }

  #isAtRest(): boolean {
    const { disk, memory } = this.#agent?.transport.held ?? { disk: 1, memory: 1 }
    const isSent = disk === 0 && memory === 0 && this.#agent!.transport.isIdle
    return isSent && this.#server?.receiver.isIdle === true
  }

  #state(): string {
    return JSON.stringify({
      server: this.#serverLife?.isAlive,
      isOpen: this.#server !== undefined,
      size: this.#server?.receiver.size,
      agent: this.#agentLife?.isAlive,
      held: this.#agent?.transport.held,
      idle: this.#agent?.transport.isIdle,
    })
  }

  #judge(): void {
    const { receiver, inserters } = this.#server ?? {}
    if (!receiver || !inserters || !this.#agent) return
    for (const row of [...this.#engine.rows.values()].flat()) {
      this.#made.set(row.id, (this.#made.get(row.id) ?? Number.NaN) + 1)
      const name = this.#engine.names.get(row.instance)?.name
      if (name !== this.#processes.get(row.id) && name !== OTHER)
        this.#wrongs.push(`${row.id} is of ${this.#processes.get(row.id)}, not of ${name}`)
    }
    for (const [id, times] of this.#made) this.#judgeRow(id, times)
    let taken = 0
    for (const { rows, dropped } of receiver.streams) {
      taken += rows
      this.#story.dropped += dropped
    }
    this.#story.acknowledged = this.#acknowledged.size
    for (const { found } of inserters) this.#story.found += found
    this.#story.repeats = receiver.repeats
    this.#judgeLedger(taken, this.#story.stored + this.#story.dropped)
  }

  #judgeRow(id: string, times: number): void {
    const isBad = id.startsWith('bad')
    if (times === 1) this.#story.stored++
    else if (times > 1) this.#wrongs.push(`${id} is stored ${times} times`)
    else if (Number.isNaN(times)) this.#wrongs.push(`${id} is stored and was never made`)
    else if (this.#acknowledged.has(id) && isBad) this.#story.aside++
    else if (this.#acknowledged.has(id))
      this.#wrongs.push(`${id} was acknowledged and is not stored`)
  }

  /** Every row taken is stored, set aside or was dropped by count; what is missing died unsent. */
  #judgeLedger(taken: number, settled: number): void {
    const { made } = this.#story
    const { transport, made: madeNow } = this.#agent!
    const unexplained = taken - settled
    if (unexplained < this.#story.aside || unexplained > madeOfBad(this.#made))
      this.#wrongs.push(`the server took ${taken} rows; ${settled} are stored or dropped`)
    if (taken > made || taken + this.#mayBeLost < made)
      this.#wrongs.push(`${made} rows were made, ${taken} taken, ${this.#mayBeLost} may be lost`)
    const given = transport.counters.in
    if (given !== madeNow) this.#wrongs.push(`the agent counts ${given} rows of ${madeNow}`)
  }
}

const NO_IDS = {
  gprocess: new Uint32Array(),
  host: new Uint32Array(),
  instance: new Uint32Array(),
  instanceType: new Uint8Array(),
}

function madeOfBad(made: ReadonlyMap<string, number>): number {
  let rows = 0
  for (const id of made.keys()) if (id.startsWith('bad')) rows++
  return rows
}

/** Asks again until there is an answer. */
async function retried<T>(life: Life, ask: () => Promise<T>): Promise<T> {
  for (;;)
    try {
      return await ask()
    } catch (error) {
      if (!life.isAlive) throw error
      await life.wait(SECOND)
    }
}
