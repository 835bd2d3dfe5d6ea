import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'
import { realEnv } from '../../../src/lib/env-real.ts'
import { tables } from '../../../src/model/tables/registry.ts'
import { qualifiedName } from '../../../src/model/tables/table.ts'
import { diskBytes, Retention } from '../../../src/server/storage/retention.ts'
import { migrate } from '../../../src/server/storage/schema.ts'
import { HAS_ENGINE, rowsOf, startEngine, type TestEngine } from './engine.ts'

const HOUR = 3600

describe.skipIf(!HAS_ENGINE)('Retention', () => {
  let engine: TestEngine
  beforeAll(async () => {
    engine = await startEngine()
    await migrate(engine.writer)
  })
  beforeEach(async () => {
    for (const table of tables)
      await engine.writer.command({ query: `TRUNCATE TABLE ${qualifiedName(table)}` })
  })
  afterAll(() => engine.end())

  /** Rows that do not pack, `hours` ago. */
  async function fill(name: string, hours: number, rows: number): Promise<void> {
    const table = tables.find((one) => one.name === name)!
    const text = name === 'l7_flow_log' ? 'request_resource' : 'endpoint'
    await engine.writer.command({
      query: `INSERT INTO ${qualifiedName(table)} (time, ${text}) SELECT now() - ${hours * HOUR}, randomPrintableASCII(1000) FROM numbers(${rows})`,
    })
  }

  const left = async (): Promise<Record<string, number>> => {
    const answer: Record<string, number> = {}
    for (const table of tables) {
      const ages = await rowsOf(
        engine.writer,
        `SELECT intDiv(now() - time + 60, ${HOUR}) AS hours, count() FROM ${qualifiedName(table)} GROUP BY hours`,
      )
      for (const [hours, count] of ages as [number, number][])
        answer[`${table.name} ${hours} h`] = count
    }
    return answer
  }

  function retention(limit: number, others = 0): Retention {
    return new Retention({
      env: realEnv(),
      client: engine.writer,
      limit: () => limit,
      others: () => others,
    })
  }

  test('diskBytes are those of the file system the tables lie on', async () => {
    expect(await diskBytes(engine.writer)).toBe(realEnv().files.space(engine.directory).total)
  })

  async function fillAll(): Promise<void> {
    await fill('l7_flow_log', 48, 1000)
    await fill('l7_flow_log', 24, 1000)
    await fill('application.1s', 20, 1000)
    await fill('application.1m', 72, 1000)
    await fill('l7_flow_log', 0, 1000)
    await fill('l7_flow_log', 0, 1000)
  }
  const ALL = {
    'l7_flow_log 48 h': 1000,
    'l7_flow_log 24 h': 1000,
    'application.1s 20 h': 1000,
    'application.1m 72 h': 1000,
    'l7_flow_log 0 h': 2000,
  }
  const MB = 1_000_000

  test('check leaves everything while it is within the limit', async () => {
    await fillAll()
    const small = retention(100 * MB)
    await small.check()
    expect(await left()).toEqual(ALL)
    expect(small.tableBytes).toBeGreaterThan(5 * MB)
    expect(small.dropped).toEqual({ pieces: 0, rows: 0, bytes: 0 })
  })

  test('check drops rows and 1 s points first, the oldest partition before others, and counts them', async () => {
    await fillAll()
    const used = retention(1e12)
    await used.check()
    const tight = retention(used.tableBytes - 1.5 * MB + 7 * MB, 7 * MB)
    await tight.check()
    expect(await left()).toEqual({
      'application.1s 20 h': 1000,
      'application.1m 72 h': 1000,
      'l7_flow_log 0 h': 2000,
    })
    expect(tight.dropped).toMatchObject({ pieces: 2, rows: 2000 })
    expect(tight.dropped.bytes).toBeGreaterThan(1.5 * MB)
  })

  test('check drops the oldest parts of what is being filled before 1 m points', async () => {
    await fillAll()
    const used = retention(1e12)
    await used.check()
    await retention(used.tableBytes - 3.2 * MB).check()
    const rest = await left()
    expect(rest['application.1m 72 h']).toBe(1000)
    expect(Object.keys(rest)).not.toContain('application.1s 20 h')
    expect(rest['l7_flow_log 0 h']).toBeLessThan(2000)
    await retention(0).check()
    expect(await left()).toEqual({})
  })
})
