import type { Row } from './api.ts'
import { pointsTable, type Range, SPAN, within } from './range.ts'

/** SQL of who calls whom, by protocol and by the end it was seen at; the busiest first. */
export function edgesSql(range: Range, condition: string, limit: number): string {
  return `SELECT auto_instance_id_0 AS from_id, auto_instance_0 AS from_name,
    auto_instance_id_1 AS to_id, auto_instance_1 AS to_name, l7_protocol AS protocol,
    observation_point, sum(request) AS requests, sum(error) AS errors, ${SPAN},
    sumMap(rrt_histogram) AS histogram
    FROM ${pointsTable('application_map', range)} WHERE ${within(range)}${condition}
    GROUP BY auto_instance_id_0, auto_instance_0, auto_instance_id_1, auto_instance_1,
      l7_protocol, observation_point
    ORDER BY requests DESC LIMIT ${limit}`
}

/** Each edge once: one that was seen at both ends is counted at the server's. */
export function edgesOnce(rows: readonly Row[]): Row[] {
  const edges = new Map<string, Row>()
  for (const row of rows) {
    const key = `${row['from_id']} ${row['to_id']} ${row['protocol']}`
    if (edges.get(key)?.['observation_point'] !== 's-p') edges.set(key, row)
  }
  return [...edges.values()]
}
