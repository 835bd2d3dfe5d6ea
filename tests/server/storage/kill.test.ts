/** The real engine, killed at each of its renames while blocks are stored: none lost, none twice. */
import { afterAll, beforeAll, expect, test } from 'bun:test'
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
let engine: TestEngine
let receiver: Receiver
let tagging: Tagging
let inserters: Inserter[]
const directory = mkdtempSync(join(tmpdir(), 'metaflow-'))
let sent = 0
let rounds = 0

beforeAll(async () => {
  if (reason) return
  engine = await startEngine()
  await migrate(engine.writer, {})
  const store = new ClickHouseStore({ clickhouse: engine, timers: env.timers })
  tagging = await Tagging.open({ env, directory: `${directory}/ids`, store })
  receiver = await Receiver.open({
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
  inserters = TABLES.map((table) => new Inserter({ ...rest, table }))
  receiver.onSealed = () => {
    for (const inserter of inserters) inserter.wake()
  }
}, 120_000)

afterAll(async () => {
  if (!reason) {
    await receiver.close()
    await Promise.all(inserters.map((inserter) => inserter.stop()))
    tagging.close()
    await engine.end()
  }
  rmSync(directory, { recursive: true, force: true })
}, 60_000)

/** Sends rows of two partitions to both tables, under a name not seen before; waits for them. */
async function storeOneRound(): Promise<void> {
  const rows = Array.from({ length: 6 }, (_, i): Row => {
    return {
      id: `round ${rounds} row ${i}`,
      time: Math.floor(env.clock.wall() / 1e6) - (i % 2) * 80_000,
    }
  })
  const blocks = TABLES.map((table) => blockOf(table, rows, `process ${rounds}`))
  rounds++
  for (const block of blocks) {
    const number = { agent: 'a'.repeat(32), lifetime: 'b'.repeat(32), lane: 0, sequence: ++sent }
    numberBlock(block, number)
    expect((await receiver.take(block)).status).toBe(200)
  }
  await until(() => receiver.isIdle, 90)
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

/** Has the engine die at the nth rename from now. Answers false where `isOver` came before it. */
async function killAt(
  rename: number,
  when: 'before' | 'after',
  round: () => Promise<void>,
): Promise<boolean> {
  const pid = engine.processId()!
  const { restarts } = engine.health()
  let isOver = false
  const never = (): boolean => false
  const over = (): boolean => isOver
  const stops = when === 'after' ? rename : rename - 1
  const first = new Tracer(pid, stops > 0 ? 'STOP' : 'KILL')
  await first.says('attached', never)
  const stored = round().finally(() => {
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

for (const when of ['before', 'after'] as const)
  test.skipIf(reason !== undefined)(
    `Inserter stores each row once, with the engine killed ${when} each of its renames`,
    async () => {
      let kills = 0
      while (await killAt(kills + 1, when, storeOneRound)) kills++
      expect(kills).toBeGreaterThanOrEqual(4)
      const rows = String(rounds * 6)
      expect(
        await rowsOf(
          engine.reader,
          'SELECT toString(count()), toString(uniqExact(endpoint)) FROM flow_log.l7_flow_log',
        ),
      ).toEqual([[rows, rows]])
      expect(
        await rowsOf(
          engine.reader,
          'SELECT toString(sum(request)), toString(uniqExact(endpoint)) FROM flow_metrics.`application.1s`',
        ),
      ).toEqual([[rows, rows]])
      if (when === 'after')
        expect(inserters.reduce((found, inserter) => found + inserter.found, 0)).toBeGreaterThan(0)
    },
    240_000,
  )
