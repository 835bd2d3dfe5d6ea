/** When a child that dies again and again is started again, by a clock and timers of our own. */
import { expect, test } from 'bun:test'
import { MetaflowError } from '../../../src/lib/errors.ts'
import type { Exit } from '../../../src/lib/process.ts'
import { Supervisor } from '../../../src/server/storage/supervisor.ts'

type Timer = { readonly ms: number; readonly run: () => void }

/** A child that ends when it is told to; `works` says whether it serves before that. */
class Trial {
  works = true
  now = 0
  timers: Timer[] = []
  starts = 0
  #end = Promise.withResolvers<Exit>()
  readonly supervisor = new Supervisor({
    name: 'the engine',
    env: {
      clock: { wall: () => 0, monotonic: () => this.now },
      timers: {
        after: (ms, run) => {
          const timer = { ms, run }
          this.timers.push(timer)
          return () => {
            this.timers = this.timers.filter((other) => other !== timer)
          }
        },
      },
    },
    start: () => {
      this.starts++
      this.#end = Promise.withResolvers<Exit>()
      const exited = this.#end.promise
      const stop = () => exited
      const child = { processId: this.starts, exited, stop, signal: () => undefined }
      const failed = new MetaflowError('unavailable', 'it does not serve')
      return {
        child,
        ready: this.works ? Promise.resolve() : Promise.reject(failed),
        lastLine: () => 'a word',
      }
    },
  })

  /** Ends the child and answers how long it is waited before the next one is started. */
  async dies(): Promise<number | undefined> {
    this.#end.resolve({ code: null, signal: 'SIGKILL' })
    await settled()
    return this.timers.at(-1)?.ms
  }

  /** Lets the wait be over. */
  async waits(): Promise<void> {
    this.timers.splice(0).at(-1)?.run()
    await settled()
  }
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('Supervisor waits longer before each restart, up to 10 s, and starts over after a calm', async () => {
  const trial = new Trial()
  await trial.supervisor.start()
  const delays: (number | undefined)[] = []
  for (let i = 0; i < 9; i++) {
    delays.push(await trial.dies())
    expect(trial.supervisor.health.state).toBe('down')
    await trial.waits()
    expect(trial.supervisor.health).toMatchObject({ state: 'up', restarts: i + 1 })
  }
  expect(delays).toEqual([100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000])
  trial.now += 61_000_000
  expect(await trial.dies()).toBe(100)
})

test('Supervisor tries again where the next child does not serve, and not once it is stopped', async () => {
  const trial = new Trial()
  await trial.supervisor.start()
  trial.works = false
  expect(await trial.dies()).toBe(100)
  await trial.waits()
  expect([trial.starts, trial.timers.at(-1)?.ms]).toEqual([2, 200])
  await trial.waits()
  expect([trial.starts, trial.timers.at(-1)?.ms]).toEqual([3, 400])
  const stopped = trial.supervisor.stop()
  await trial.dies()
  await stopped
  expect(trial.supervisor.health.state).toBe('stopped')
  expect([trial.starts, trial.timers]).toEqual([3, []])
})
