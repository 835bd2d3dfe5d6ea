/** The real engine, killed at each of its renames while blocks are stored: none lost, none twice. */
import { expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { realEnv } from '../../../src/lib/env-real.ts'
import { application1s } from '../../../src/model/tables/application.ts'
import { l7FlowLog } from '../../../src/model/tables/l7-flow-log.ts'
import { Receiver } from '../../../src/server/receiver/receiver.ts'
import { Inserter } from '../../../src/server/storage/inserter.ts'
import { encodeNative } from '../../../src/server/storage/native.ts'
import { migrate } from '../../../src/server/storage/schema.ts'
import { SetAside } from '../../../src/server/storage/set-aside.ts'
import { ClickHouseStore } from '../../../src/server/storage/store-clickhouse.ts'
import { Tagging } from '../../../src/server/tagging/tagging.ts'
import { numberBlock } from '../../../src/wire/header.ts'
import { missing } from '../../needs.ts'
import { blockOf, type Row } from '../../simulation/blocks.ts'
import { until } from '../../until.ts'
import { HAS_ENGINE, rowsOf, startEngine, type TestEngine } from './engine.ts'

const reason = HAS_ENGINE ? missing('root', 'strace') : 'libchdb is not installed'
if (reason) process.stderr.write(`skipped, since ${reason}: kills at renames\n`)

const TABLES = [l7FlowLog, application1s]
const env = realEnv()

/** Everything from acknowledged blocks to rows, on an engine of its own. */
type Server = {
  readonly engine: TestEngine
  readonly receiver: Receiver
  readonly inserters: readonly Inserter[]
  sent: number
  rounds: number
  end(): Promise<void>
}

async function openServer(): Promise<Server> {
  const directory = mkdtempSync(join(tmpdir(), 'metaflow-'))
  const engine = await startEngine()
  await migrate(engine.writer, {})
  const store = new ClickHouseStore({ clickhouse: engine, timers: env.timers })
  const tagging = await Tagging.open({ env, directory: `${directory}/ids`, store })
  const receiver = await Receiver.open({
    env,
    directory: `${directory}/log`,
    tables: TABLES.map(({ number }) => number),
    greatestStored: await store.greatestSegment(),
    maxBytes: 1 << 26,
    limits: { sealMs: 100, commitMs: 10 },
  })
  const setAside = new SetAside(env, `${directory}/set-aside`)
  const resolve = tagging.resolve.bind(tagging)
  const rest = { env, source: receiver, store, encode: encodeNative, resolve, setAside }
  const inserters = TABLES.map((table) => new Inserter({ ...rest, table }))
  receiver.onSealed = () => {
    for (const inserter of inserters) inserter.wake()
  }
  const end = async (): Promise<void> => {
    await receiver.close()
    await Promise.all(inserters.map((inserter) => inserter.stop()))
    tagging.close()
    await engine.end()
    rmSync(directory, { recursive: true, force: true })
  }
  return { engine, receiver, inserters, sent: 0, rounds: 0, end }
}

/** Sends rows of two partitions to both tables, under a name not seen before; waits for them. */
async function storeOneRound(server: Server): Promise<void> {
  const round = server.rounds++
  const now = Math.floor(env.clock.wall() / 1e6)
  const rows = Array.from({ length: 6 }, (_, i): Row => {
    return { id: `round ${round} row ${i}`, time: now - (i % 2) * 80_000 }
  })
  for (const table of TABLES) {
    const block = blockOf(table, rows, `process ${round}`)
    const sequence = ++server.sent
    numberBlock(block, { agent: 'a'.repeat(32), lifetime: 'b'.repeat(32), lane: 0, sequence })
    expect((await server.receiver.take(block)).status).toBe(200)
  }
  await until(() => server.receiver.isIdle, 90)
}

/**
 * strace on the engine. It counts calls thread by thread, so for the nth of all it stops the
 * process at each: an injected SIGSTOP takes effect when the rename is done, a SIGKILL before it.
 */
class Tracer {
  readonly #process: Bun.Subprocess<'ignore', 'ignore', 'pipe'>
  #text = ''

  constructor(pid: number, signal: 'STOP' | 'KILL') {
    const calls = 'rename,renameat,renameat2'
    const rules = ['-e', `trace=${calls}`, '-e', `inject=${calls}:signal=${signal}`]
    this.#process = Bun.spawn(['strace', '-f', '-p', String(pid), ...rules], {
      stdin: 'ignore',
      stdout: 'ignore',
      stderr: 'pipe',
    })
    void this.#listen()
  }

  /** Resolves when strace has said `words` once more than it had when it was asked before. */
  async says(words: string, isOver: () => boolean): Promise<boolean> {
    await until(() => isOver() || this.#text.includes(words), 60)
    const at = this.#text.indexOf(words)
    if (at >= 0) this.#text = this.#text.slice(at + words.length)
    return at >= 0
  }

  async end(): Promise<void> {
    this.#process.kill()
    await this.#process.exited
  }

  async #listen(): Promise<void> {
    for await (const bytes of this.#process.stderr) this.#text += new TextDecoder().decode(bytes)
  }
}

/** Has the engine die at the nth rename from now. Answers false where there is none. */
async function killAt(server: Server, rename: number, when: 'before' | 'after'): Promise<boolean> {
  const { engine } = server
  const pid = engine.processId()!
  const { restarts } = engine.health()
  let isOver = false
  const never = (): boolean => false
  const over = (): boolean => isOver
  const stops = when === 'after' ? rename : rename - 1
  const first = new Tracer(pid, stops > 0 ? 'STOP' : 'KILL')
  await first.says('attached', never)
  const stored = storeOneRound(server).finally(() => {
    isOver = true
  })
  let last = first
  for (let stop = 1; stop <= stops && !isOver; stop++) {
    if (!(await first.says('--- SIGSTOP {', over))) break
    await first.says('--- stopped by SIGSTOP ---', over)
    if (stop === stops && when === 'after') process.kill(pid, 'SIGKILL')
    else if (stop === stops) {
      await first.end()
      last = new Tracer(pid, 'KILL')
      await last.says('attached', over)
    }
    if (stop < stops || when === 'before') process.kill(pid, 'SIGCONT')
  }
  await stored
  await first.end()
  await last.end()
  return engine.health().restarts > restarts
}

const ROWS =
  'SELECT toString(count()), toString(uniqExact(endpoint)) FROM flow_log.l7_flow_log UNION ALL ' +
  'SELECT toString(sum(request)), toString(uniqExact(endpoint)) FROM flow_metrics.`application.1s`'

test.skipIf(reason !== undefined).each(['before', 'after'] as const)(
  'Inserter stores each row once, with the engine killed %s each of its renames',
  async (when) => {
    const server = await openServer()
    try {
      let kills = 0
      while (await killAt(server, kills + 1, when)) kills++
      // A part of each of two tables' two partitions, and the part of the names.
      expect(kills).toBeGreaterThanOrEqual(5)
      const rows = String(server.rounds * 6)
      // The last kill may have come when all was stored: then nobody waited for the engine.
      let stored: unknown
      await until(async () => {
        stored = await rowsOf(server.engine.reader, ROWS).catch(() => undefined)
        return stored !== undefined
      }, 60)
      expect(stored).toEqual([
        [rows, rows],
        [rows, rows],
      ])
      const found = server.inserters.reduce((sum, inserter) => sum + inserter.found, 0)
      if (when === 'after') expect(found).toBeGreaterThan(0)
    } finally {
      await server.end()
    }
  },
  240_000,
)
