/** A real engine with a few names, calls and points in it, and a Query that reads them. */
import { afterAll, beforeAll, test } from 'bun:test'
import { realEnv } from '../../../src/lib/env-real.ts'
import { tables } from '../../../src/model/tables/registry.ts'
import { catalogOf } from '../../../src/server/query/catalog.ts'
import { Query } from '../../../src/server/query/query.ts'
import { migrate } from '../../../src/server/storage/schema.ts'
import { HAS_ENGINE, startEngine, type TestEngine } from '../storage/engine.ts'

export type Sample = { readonly engine: TestEngine; readonly query: Query }

/** Ids 11 and 12 are two process groups called shop on two hosts; 13 is redis. */
const NAMES = `INSERT INTO flow_tag.names VALUES
  (1, 6, 'a', 'alpha', '', 1, 'a', 'alpha'), (2, 6, 'b', 'beta', '', 2, 'b', 'beta'),
  (11, 120, 'a/shop', 'shop', 'node', 1, 'a', 'alpha'),
  (12, 120, 'b/shop', 'shop', 'bun', 2, 'b', 'beta'),
  (13, 120, 'a/redis', 'redis-server', 'redis-server', 1, 'a', 'alpha'),
  (14, 0, '10.0.0.9', '10.0.0.9', '', 0, '', '')`

/** 40 calls a minute for the last hour: from shop to redis, from an address to shop. */
const CALLS = `INSERT INTO flow_log.l7_flow_log
  (time, start_time, end_time, response_duration, type, observation_point, signal_source,
   l7_protocol, protocol, is_ipv4, ip4_0, ip4_1, server_port, endpoint, request_type,
   request_resource, response_status, response_code, gprocess_id_0, host_id_0,
   auto_instance_id_0, auto_instance_type_0, gprocess_id_1, host_id_1, auto_instance_id_1,
   auto_instance_type_1, agent_id, _segment)
  SELECT now() - intDiv(number, 40) * 60 - 5 AS t, t, t, number % 100 * 1000, 2, 's-p', 3,
    number % 2 ? 20 : 80, 6, 1, toIPv4('10.0.0.9'), toIPv4('10.0.0.1'), number % 2 ? 80 : 6379,
    '/cart/*', number % 2 ? 'GET' : 'SET', 'x', number % 10 = 1 ? 3 : 0, number % 10 = 1 ? 500 : 200,
    number % 2 ? 0 : 11 + number % 4 / 2, 1, number % 2 ? 14 : 11 + number % 4 / 2, 120,
    number % 2 ? 11 + number % 4 DIV 2 : 13, 1, number % 2 ? 11 + number % 4 DIV 2 : 13, 120,
    200, 7 FROM numbers(2400)`

const POINTS = (table: string, span: number): string => `INSERT INTO flow_metrics.\`${table}\`
  (time, observation_point, signal_source, l7_protocol, protocol, is_ipv4, server_port, endpoint,
   request, response, rrt_sum, rrt_count, rrt_max, client_error, server_error, timeout, error,
   rrt_histogram, gprocess_id_0, auto_instance_id_0, gprocess_id_1, host_id_1, auto_instance_id_1,
   auto_instance_type_1, agent_id, _segment)
  SELECT now() - number * ${span} - 10, 's-p', 3, number % 2 ? 20 : 80, 6, 1, 80, '/cart/*',
    number, number, number * 100, number, 500 + number, 0, number % 3, 0, number % 3,
    map(-320, number, -288, 1), 14, 14, 11 + number % 3, 1 + number % 2, 11 + number % 3, 120, 200, 7
  FROM numbers(300)`

async function startSample(): Promise<Sample> {
  const engine = await startEngine()
  const { writer, reader } = engine
  await migrate(writer)
  const points = POINTS('application_map.1s', 1)
  const role = points.replace('observation_point', 'role').replace("'s-p'", '1')
  const one = role
    .replace('application_map', 'application')
    .replace(/gprocess_id_0, auto_instance_id_0, /, '')
    .replace(/(\w+)_1\b/g, '$1')
    .replace('1), 14, 14, ', '1), ')
  for (const query of [NAMES, CALLS, points, POINTS('application_map.1m', 60), one])
    await writer.command({ query })
  for (const name of ['auto_instance_map', 'host_map', 'gprocess_map'])
    await writer.command({ query: `SYSTEM RELOAD DICTIONARY flow_tag.${name}` })
  const query = new Query({ client: reader, catalog: catalogOf(tables), clock: realEnv().clock })
  return { engine, query }
}

export const withEngine: ReturnType<typeof test.skipIf> = test.skipIf(!HAS_ENGINE)

/** The sample of one test file, from before its first test until after its last. */
export function useSample(what: string): Sample {
  if (!HAS_ENGINE) process.stderr.write(`skipped, since libchdb is not installed: ${what}\n`)
  let sample: Sample | undefined
  beforeAll(async () => {
    if (HAS_ENGINE) sample = await startSample()
  }, 60_000)
  afterAll(async () => {
    await sample?.engine.end()
  })
  return {
    get engine() {
      return sample!.engine
    },
    get query() {
      return sample!.query
    },
  }
}
