/** What reading and expanding a statement costs: `bun tests/bench/query.ts`. */
import { print } from '../../src/lib/log.ts'
import { tables } from '../../src/model/tables/registry.ts'
import { catalogOf } from '../../src/server/query/catalog.ts'
import { expand } from '../../src/server/query/resolve.ts'

const STATEMENTS: Readonly<Record<string, string>> = {
  least: 'SELECT 1',
  calls: `SELECT start_time, auto_instance_0 AS client, auto_instance_1 AS server, l7_protocol,
    request_type, request_resource, response_status, response_duration FROM flow_log.l7_flow_log
    WHERE time >= now() - 900 AND auto_instance = 'shop' AND l7_protocol IN ('HTTP', 'Redis')
    ORDER BY time DESC LIMIT 200`,
  services: `SELECT auto_instance AS name, l7_protocol AS protocol, sum(request) AS requests,
    sum(error) AS errors, quantile(0.95)(rrt_max) FROM application
    WHERE role = 1 AND time >= now() - 900 GROUP BY name, l7_protocol ORDER BY requests DESC`,
  star: 'SELECT * FROM l7_flow_log LIMIT 10',
  longList: `SELECT count() FROM l7_flow_log WHERE flow_id IN (${Array.from({ length: 2000 }, (_, i) => i).join(', ')})`,
}
const ROUNDS = 2000

const catalog = catalogOf(tables)
const result: Record<string, number> = {}
for (const [name, sql] of Object.entries(STATEMENTS)) {
  const rounds = name === 'longList' ? ROUNDS / 50 : ROUNDS
  const times: number[] = []
  for (let i = 0; i < rounds; i++) {
    const start = Bun.nanoseconds()
    expand(sql, { catalog, now: 1_790_000_000 })
    times.push((Bun.nanoseconds() - start) / 1000)
  }
  times.sort((a, b) => a - b)
  result[`${name}_us`] = Math.round(times[times.length >> 1]! * 10) / 10
}
print(`${JSON.stringify({ bench: 'query: parse and expand, median µs a statement', ...result })}\n`)
