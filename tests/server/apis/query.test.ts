import { expect, test } from 'bun:test'
import type { ClickHouseClient } from '@clickhouse/client'
import { tables } from '../../../src/model/tables/registry.ts'
import { buildApp } from '../../../src/server/apis/app.ts'
import { catalogOf } from '../../../src/server/query/catalog.ts'
import { describeCatalog } from '../../../src/server/query/describe.ts'
import { Query } from '../../../src/server/query/query.ts'
import { ATTACKS } from '../query/attacks.ts'

const clock = { wall: () => 1_790_000_000_000_000, monotonic: () => 0 }
const catalog = catalogOf(tables)
/** An engine that no attack may reach. */
const untouchable = new Proxy({} as ClickHouseClient, {
  get: (_, name) => {
    throw new Error(`the engine was reached: ${String(name)}`)
  },
})
const part = { version: '1', startedAt: 0, cpuSeconds: 0, memoryBytes: 0, samples: [] }
const app = buildApp({
  clock,
  query: new Query({ client: untouchable, catalog, clock }),
  catalog: describeCatalog(catalog),
  takeBlocks: async () => ({ status: 200, headers: {}, body: new Uint8Array() }),
  engine: () => ({ healthy: true, sentence: 'serving' }),
  server: () => part,
  samples: () => [],
})

test('every attack is answered 4xx with a sentence over HTTP, in every form', async () => {
  for (const sql of ATTACKS) {
    const bodies: RequestInit[] = [
      { body: JSON.stringify({ sql }), headers: { 'content-type': 'application/json' } },
      { body: new URLSearchParams({ sql, format: 'CSV' }) },
    ]
    for (const init of bodies) {
      const response = await app.request('/v1/query', { method: 'POST', ...init })
      const body = (await response.json()) as { OPT_STATUS: string; DESCRIPTION: string }
      expect([sql.slice(0, 200), Math.floor(response.status / 100)]).toEqual([sql.slice(0, 200), 4])
      expect(body.DESCRIPTION).toMatch(/^Cannot [a-z]+ [^:]+: ./)
    }
  }
})

test('formats are from a list, not from the request', async () => {
  const formats = [
    'csv',
    'CSV SETTINGS x=1',
    "CSV INTO OUTFILE '/tmp/x'",
    'Template',
    'Protobuf',
    'Null',
  ]
  for (const format of [...formats, 'constructor', '__proto__', 'CSV;DROP TABLE x']) {
    const query = new URLSearchParams({ sql: 'SELECT 1', format })
    const response = await app.request(`/v1/query?${query}`)
    expect([format, response.status]).toEqual([format, 400])
  }
})

test('the database is a name to look in, not text of the statement', async () => {
  for (const db of ['system', "x'; DROP TABLE x", 'information_schema']) {
    const query = new URLSearchParams({ sql: 'SELECT 1 FROM one', db })
    expect((await app.request(`/v1/query?${query}`)).status).toBe(400)
  }
})

test('the catalog lists tables with their tags and metrics', async () => {
  const listed = (await (await app.request('/v1/catalog')).json()) as ReturnType<
    typeof describeCatalog
  >
  const map = listed.find(({ name }) => name === 'application_map')!
  const tag = map.tags.find(({ name }) => name === 'auto_instance')!
  expect([tag.client, tag.server, tag.type]).toEqual([
    'auto_instance_0',
    'auto_instance_1',
    'resource',
  ])
  expect(map.tags.find(({ name }) => name === 'l7_protocol')?.words).toMatchObject({ 20: 'HTTP' })
  expect(map.metrics.map(({ name }) => name)).toContain('rrt_sum')
  expect(JSON.stringify(listed)).not.toContain('_segment')
})
