/** A statement that the engine does not end: by the real engine. */
import { expect, test } from 'bun:test'
import { DEFAULT_LIMITS } from '../../src/server/storage/clickhouse.ts'
import { HAS_ENGINE, rowsOf, startEngine } from '../server/storage/engine.ts'

/** One block, in one function, for an hour. */
const ENDLESS = `SELECT sum(editDistance(concat(repeat('ab', 30000), toString(number)),
  repeat('cd', 30000))) FROM numbers(1000)`

test.skipIf(!HAS_ENGINE)(
  'the engine begins anew where readers are at statements that do not end',
  async () => {
    const engine = await startEngine({ ...DEFAULT_LIMITS, readerSeconds: 1 })
    try {
      const stop = new AbortController()
      const endless = Array.from({ length: 4 }, () =>
        engine.reader.query({ query: ENDLESS, abort_signal: stop.signal }).catch(() => 'ended'),
      )
      setTimeout(() => stop.abort(), 500)
      expect(await Promise.all(endless)).toEqual(Array(4).fill('ended'))
      await engine.restarted(1)
      expect(await rowsOf(engine.reader, 'SELECT 1')).toEqual([[1]])
    } finally {
      await engine.end()
    }
  },
  60_000,
)
