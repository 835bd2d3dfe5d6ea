/**
 * One agent and one server over a simulated disk, network and engine, by seed: what was
 * acknowledged is stored exactly once, and every row is accounted for, whatever fails. A seed that
 * fails is run again alone by the line that is printed with it.
 */
import { afterAll, beforeAll, expect, test } from 'bun:test'
import { type Bugs, Simulation, type Story } from './simulation.ts'

const SEEDS = 400
/** A planted bug must be seen within so many seeds. */
const SEEDS_OF_BUG = 1000

const { write } = process.stderr
beforeAll(() => {
  // The storms log what they do by the thousand.
  process.stderr.write = () => true
})
afterAll(() => {
  process.stderr.write = write
})

test('Simulation stores what was acknowledged exactly once, whatever dies', async () => {
  const sum: Partial<Story> = {}
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { wrongs, story } = await new Simulation(seed).run()
    const again = `node_modules/.bin/bun tests/simulation/seed.ts ${seed}`
    expect(wrongs.length > 0 ? [again, ...wrongs.slice(0, 5)] : []).toEqual([])
    for (const key of Object.keys(story) as (keyof Story)[]) sum[key] = (sum[key] ?? 0) + story[key]
  }
  // Storms in which nothing happens prove nothing.
  for (const key of Object.keys(sum) as (keyof Story)[])
    expect([key, sum[key]! > SEEDS / 10]).toEqual([key, true])
}, 300_000)

test('Simulation tells the same story for the same seed', async () => {
  const stories = [await new Simulation(7).run(), await new Simulation(7).run()]
  expect(stories[0]).toEqual(stories[1])
})

const BUGS: readonly (readonly [string, Bugs])[] = [
  ['blocks acknowledged before they are synced', { unsynced: /\/server\/log\/\d+\.log$/ }],
  ["the log's names not synced", { unsynced: /\/server\/log$/ }],
  ['progress not synced', { unsynced: /\/progress-/ }],
  ['marks not synced before segments are dropped', { unsynced: /\/server\/log\/state$/ }],
  ['ids not synced, where flow_tag cannot make up for it', { forgetsIds: true }],
  ['inserts not looked up before they are sent again', { noLookUp: true }],
  ['look-ups that do not see inserts still running', { forgetsRunning: true }],
  ['times held against the clock of now', { clampsByNow: true }],
]
test.each(BUGS)(
  'Simulation sees: %s',
  async (_, bugs) => {
    let seed = 0
    let wrongs: readonly string[] = []
    while (wrongs.length === 0 && seed < SEEDS_OF_BUG)
      wrongs = (await new Simulation(++seed, bugs).run()).wrongs
    expect(wrongs.length, `not seen in ${seed} seeds`).toBeGreaterThan(0)
  },
  120_000,
)
