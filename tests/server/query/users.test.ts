/**
 * What users of this family of systems send, as far as it is of tables, tags and functions that are
 * here: by the real engine.
 */
import { expect } from 'bun:test'
import { useSample, withEngine } from './sample.ts'

const sample = useSample('users')

/** A statement, its columns where they are asked for, how many rows, and the first. */
const STATEMENTS: readonly (readonly [
  sql: string,
  columns: readonly string[],
  rows: number,
  first?: unknown,
])[] = [
  ['select request_length from l7_flow_log limit 1', ['request_length'], 1, [null]],
  ['select Uniq(ip_0) as uniq_ip_0 from l7_flow_log limit 1', ['uniq_ip_0'], 1, [1]],
  [
    'select (Max(response_duration) + Sum(response_duration))/1 as max_d from l7_flow_log limit 1',
    ['max_d'],
    1,
    [118_899_000],
  ],
  ['select Stddev(response_duration) as s from l7_flow_log limit 1', ['s'], 1],
  [
    'select Avg(rrt_sum) as avg_rrt from application where time >= 100+1 and time <= 102 limit 1',
    ['avg_rrt'],
    1,
    [null],
  ],
  [
    'select Max(`rrt_max`) AS `Max(rrt_max)`,Avg(`request`) AS `Avg(request)`,host_0 from application_map where `time` >= 60 AND `time` <= 2000000000 group by host_0 limit 1',
    ['Max(rrt_max)', 'Avg(request)', 'host_0'],
    1,
  ],
  [
    "select Max(response_duration) as 'max_d',auto_instance_0,host_1 from l7_flow_log group by auto_instance_0,host_1 order by 2 limit 1",
    ['max_d', 'auto_instance_0', 'host_1'],
    1,
    [99_000, '10.0.0.9', 'alpha'],
  ],
  [
    'select auto_instance_id_0 from l7_flow_log where auto_instance_id_0 !=14 group by auto_instance_id_0 order by 1',
    ['auto_instance_id_0'],
    2,
    [11],
  ],
  ['select host_id_0 from l7_flow_log group by host_id_0,gprocess_id_1', ['host_id_0'], 3, [1]],
  [
    'select response_duration as `123` from l7_flow_log where 1=1 group by `123` order by `123` limit 1 ',
    ['123'],
    1,
    [0],
  ],
  [
    "select auto_instance_0 as `label.abc` from l7_flow_log where `label.abc`='shop' group by `label.abc`",
    ['label.abc'],
    1,
    ['shop'],
  ],
  [
    'select Enum(observation_point) from l7_flow_log limit 0, 50',
    ['Enum(observation_point)'],
    50,
    ['s-p'],
  ],
  [
    'select Enum(type), Enum(response_status), type from l7_flow_log order by time limit 0, 50',
    ['Enum(type)', 'Enum(response_status)', 'type'],
    50,
  ],
  ["select host_0 from l7_flow_log where host regexp '系统*' limit 5", ['host_0'], 0],
  ["select host_0 from l7_flow_log where host regexp 'al.*' limit 5", ['host_0'], 5, ['alpha']],
  ['select protocol from l7_flow_log limit 2', ['protocol'], 2, [6]],
  ['select Count(1) from l7_flow_log having Count(1) > 0 ', ['Count(1)'], 1, [2400]],
  [
    'SELECT auto_instance_type_0, auto_instance_type_1 FROM l7_flow_log GROUP BY auto_instance_type_0, auto_instance_type_1 limit 1',
    ['auto_instance_type_0', 'auto_instance_type_1'],
    1,
    [120, 120],
  ],
  [
    `WITH query1 AS (SELECT Avg(request) AS \`请求速率\`, Max(rrt_max) AS \`响应时延\`, host_id_1,
       host_1, Enum(l7_protocol), l7_protocol FROM application_map WHERE time>=1704338640
       GROUP BY host_1, l7_protocol, host_id_1 ORDER BY \`请求速率\` DESC LIMIT 50 OFFSET 0),
     query2 AS (SELECT Sum(error) AS \`Sum(错误)\`, host_id_1, host_1, l7_protocol
       FROM application_map WHERE time>=1704338640 GROUP BY host_1, l7_protocol, host_id_1 LIMIT 50)
     SELECT query1.\`请求速率\` AS \`请求速率\`, query1.\`host_1\` AS \`host_1\`,
       query1.\`Enum(l7_protocol)\` AS \`Enum(l7_protocol)\`, query2.\`Sum(错误)\` AS \`Sum(错误)\`
     FROM query1 LEFT JOIN query2 ON query1.\`host_1\` = query2.\`host_1\`
       AND query1.\`l7_protocol\` = query2.\`l7_protocol\` AND query1.\`host_id_1\` = query2.\`host_id_1\``,
    ['请求速率', 'host_1', 'Enum(l7_protocol)', 'Sum(错误)'],
    2,
  ],
  [
    "SELECT host_0 as host_0, auto_instance_id_0 FROM `application_map` WHERE time>=1705040184 AND auto_instance_0 != 'a' AND auto_instance_id_0 != 1 GROUP BY host_0, auto_instance_id_0 limit 5",
    ['host_0', 'auto_instance_id_0'],
    1,
    ['', 14],
  ],
  [
    "SHOW tag host values from application where host like '*ta'",
    ['value', 'display_name'],
    1,
    [2, 'beta'],
  ],
  [
    "SHOW tag gprocess values from application where gprocess_id != '1'",
    ['value', 'display_name'],
    3,
  ],
  [
    "SHOW tag auto_instance values from application_map where auto_instance_id != 11 and auto_instance !='xx' limit 2 offset 1",
    ['value', 'display_name'],
    2,
  ],
  ['SHOW tag  host values from l7_flow_log', ['value', 'display_name'], 2, [1, 'alpha']],
  ['SHOW tag end_time values from l7_flow_log limit 7', ['value', 'display_name'], 7],
  ['SHOW tables', ['name', 'database', 'description'], 10],
  ['SHOW databases', ['name'], 3],
]

withEngine('what users of such systems send is answered', async () => {
  for (const [sql, columns, rows, first] of STATEMENTS) {
    const answer = await sample.query.run(sql).catch((thrown: Error) => {
      throw new Error(`${sql}: ${thrown.message}`, { cause: thrown })
    })
    expect([sql, answer.columns, answer.values.length]).toEqual([sql, [...columns], rows])
    if (first) expect([sql, JSON.parse(answer.values[0]!)]).toEqual([sql, first])
  }
})

withEngine('a tag, a metric and a table are described as the peers do', async () => {
  const tags = await sample.query.run('SHOW TAGS FROM l7_flow_log')
  expect(tags.columns).toEqual(
    (
      'name client_name server_name display_name type category operators permissions description ' +
      'related_tag deprecated not_supported_operators table'
    ).split(' '),
  )
  const names = tags.values.map((line) => (JSON.parse(line) as string[])[0])
  for (const name of ['time', 'auto_instance', 'host', 'gprocess', 'ip', 'l7_protocol', 'trace_id'])
    expect(names).toContain(name)
  const metrics = await sample.query.run('SHOW METRICS FROM application')
  expect(metrics.columns.slice(0, 5)).toEqual(['name', 'is_agg', 'display_name', 'unit', 'type'])
})
