/** Runs one seed alone, with all that the storm logs: `bun tests/simulation/seed.ts SEED`. */
import { print } from '../../src/lib/log.ts'
import { Simulation } from './simulation.ts'

const { wrongs, story } = await new Simulation(Number(process.argv[2] ?? 1)).run()
print(`${JSON.stringify(story)}\n${wrongs.join('\n')}\n`)
process.exitCode = wrongs.length > 0 ? 1 : 0
