import { expect, test } from 'bun:test'
import { HAS_ENGINE, startEngine } from './engine.ts'

test.skipIf(!HAS_ENGINE)(
  'ClickHouse answers each of a hundred statements when the engine dies under them',
  async () => {
    const engine = await startEngine()
    const statements = Array.from({ length: 100 }, () =>
      engine.reader.query({ query: 'SELECT sleep(2)', format: 'JSONEachRow' }).then(
        (answer) => answer.text(),
        (error: Error) => error.message,
      ),
    )
    process.kill(engine.processId()!, 'SIGKILL')
    expect(await Promise.all(statements)).toHaveLength(100)
    await engine.end()
  },
  60_000,
)
