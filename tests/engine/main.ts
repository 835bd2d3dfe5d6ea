/** The engine mode alone, for tests that start it as a process. */
import { runEngine } from '../../src/engine/engine.ts'
import { sentenceOf } from '../../src/lib/errors.ts'
import { say } from '../../src/lib/log.ts'

const stop = new AbortController()
process.on('SIGTERM', () => stop.abort())
process.on('SIGINT', () => stop.abort())
process.exit(
  await runEngine(process.argv.slice(2), stop.signal).catch((error) => {
    say(`${sentenceOf(error)}\n`)
    return 1
  }),
)
