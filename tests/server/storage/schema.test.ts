import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { ClickHouseError } from '@clickhouse/client'
import { tables } from '../../../src/model/tables/registry.ts'
import type { User } from '../../../src/server/storage/remote.ts'
import { createTable, migrate, SCHEMA_VERSION } from '../../../src/server/storage/schema.ts'
import { HAS_ENGINE, rowsOf, startEngine, type TestEngine } from './engine.ts'

describe.skipIf(!HAS_ENGINE)('migrate', () => {
  let engine: TestEngine
  beforeAll(async () => {
    engine = await startEngine()
    await migrate(engine.writer)
  })
  afterAll(() => engine.end())

  const created = (): Promise<unknown[][]> =>
    rowsOf(
      engine.writer,
      "SELECT database, name, create_table_query FROM system.tables WHERE database LIKE 'flow%' AND engine != 'Dictionary' ORDER BY 1, 2",
    )

  test('migrate makes every declared table with its columns, and changes nothing the second time', async () => {
    const before = await created()
    await migrate(engine.writer)
    expect(await created()).toEqual(before)
    for (const table of tables) {
      const columns = await rowsOf(
        engine.writer,
        `SELECT name, type FROM system.columns WHERE database = '${table.database}' AND table = '${table.name}' ORDER BY position`,
      )
      const want = table.columns
        .filter(({ stored }) => stored !== false)
        .map(({ name, type }) => [name, type])
      expect(columns).toEqual(want)
    }
  })

  test('migrate adds columns and indexes that are new, and keeps the rows', async () => {
    const [table] = tables
    await engine.writer.command({ query: 'DROP TABLE flow_log.l7_flow_log' })
    const old = {
      ...table!,
      columns: table!.columns.filter(
        ({ name }) => !['endpoint', 'response_code', 'flow_id'].includes(name),
      ),
    }
    await engine.writer.command({ query: createTable(old) })
    await engine.writer.command({
      query:
        'INSERT INTO flow_log.l7_flow_log (time, start_time, agent_id) VALUES (now(), now64(6), 7)',
    })
    await migrate(engine.writer)
    expect(
      await rowsOf(
        engine.reader,
        'SELECT agent_id, endpoint, response_code, toString(flow_id) FROM flow_log.l7_flow_log',
      ),
    ).toEqual([[7, '', null, '0']])
    const indexes = await rowsOf(
      engine.writer,
      "SELECT name FROM system.data_skipping_indices WHERE table = 'l7_flow_log' AND name IN ('idx_endpoint', 'idx_flow_id') ORDER BY 1",
    )
    expect(indexes).toEqual([['idx_endpoint'], ['idx_flow_id']])
  })

  test('migrate makes tables durable and drops by age as is set', async () => {
    await migrate(engine.writer, { 'application.1s': 5 })
    const full = async (name: string): Promise<string> =>
      String(
        (
          await rowsOf(
            engine.writer,
            `SELECT engine_full FROM system.tables WHERE name = '${name}'`,
          )
        )[0]?.[0],
      )
    expect(await full('application.1s')).toContain('TTL time + toIntervalHour(5) ')
    for (const { name } of tables) {
      expect(await full(name)).toContain('fsync_after_insert = 1, fsync_part_directory = 1')
      expect(await full(name)).toContain('ttl_only_drop_parts = 1')
    }
    await migrate(engine.writer)
    expect(await full('application.1s')).toContain('TTL time + toIntervalHour(24) ')
  })

  /** The engine with one that refuses statements which begin so. */
  const refusing = (beginning: string, why: (query: string) => string): TestEngine['writer'] =>
    new Proxy(engine.writer, {
      get(client, name) {
        if (name !== 'command') return Reflect.get(client, name).bind(client)
        return async ({ query }: { query: string }) => {
          if (!query.startsWith(beginning)) return await client.command({ query })
          throw new ClickHouseError({ message: why(query), code: '497', type: 'ACCESS_DENIED' })
        }
      },
    })

  test('migrate makes no database that is there, and says what it was not let do', async () => {
    const why = 'flow: Not enough privileges. It is necessary to have the grant.\nSee users.xml'
    await migrate(refusing('CREATE DATABASE', () => why))
    const refused = (beginning: string, source?: User): Promise<string> =>
      migrate(
        refusing(beginning, (query) => why.replace('.\n', ` for ${query}.\n`)),
        {},
        source,
      ).catch((error) => error.message)
    expect(await refused('CREATE TABLE')).toMatch(
      /^Cannot make the tables in ClickHouse: flow: Not enough privileges.*for CREATE TABLE/,
    )
    const source = { user: 'flow', password: `it's a \\ secret` }
    const said = await refused('CREATE OR REPLACE DICTIONARY', source)
    expect(said).toContain('Cannot make the tables in ClickHouse: flow: Not enough privileges')
    expect(said).not.toContain('secret')
  })

  test('migrate says where dictionaries cannot be read', async () => {
    const source = { user: 'flow', password: 'p' }
    expect(await migrate(engine.writer, {}, source).catch((error) => error.message)).toMatch(
      /^Cannot read names in ClickHouse as user flow from 127.0.0.1, as its dictionaries do: flow: Authentication failed/,
    )
    await migrate(engine.writer)
  })

  test('migrate refuses what a later program has written', async () => {
    const versions = await rowsOf(engine.writer, 'SELECT version FROM flow_tag.schema_version')
    expect(versions).toEqual([[SCHEMA_VERSION]])
    await engine.writer.command({
      query: `INSERT INTO flow_tag.schema_version (version) VALUES (${SCHEMA_VERSION + 1})`,
    })
    expect(migrate(engine.writer)).rejects.toThrow(
      `Cannot use this data: its schema is version ${SCHEMA_VERSION + 1}, this program knows ${SCHEMA_VERSION}`,
    )
  })
})
