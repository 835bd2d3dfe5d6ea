import type { VNode } from 'preact'
import { ENUMS } from '../../model/tables/enums.ts'
import { query, type Row, usePolled } from '../api.ts'
import { duration, histogramOf, percent, quantile, rate } from '../figures.ts'
import { hrefOf } from '../location.ts'
import { Chart } from '../parts/chart.tsx'
import { Show } from '../parts/states.tsx'
import { type Field, Table } from '../parts/table.tsx'
import { currentRange, pointsTable, type Range, within } from '../range.ts'
import { binTimes, coveredSeconds, NoCalls } from './services.tsx'

type Detail = {
  readonly name: string
  readonly bins: readonly Row[]
  readonly endpoints: readonly Row[]
  readonly callers: readonly Row[]
  readonly callees: readonly Row[]
}

/** One service over time: which endpoint, caller or dependency is to blame? */
export function Service({ id }: { readonly id: number }): VNode {
  const range = currentRange()
  const data = usePolled(`service ${id} ${range.seconds}`, 2000, (stop) => load(id, range, stop))
  return (
    <Show data={data} isEmpty={({ bins }) => bins.length === 0} empty={<NoCalls />}>
      {(detail) => <Page detail={detail} range={range} />}
    </Show>
  )
}

function Page({ detail, range }: { readonly detail: Detail; readonly range: Range }): VNode {
  const covered = coveredSeconds(binTimes(detail.bins, range.step), range)
  return (
    <>
      <h1>
        {detail.name}
        <a class="more" href={hrefOf('/calls', { service: detail.name })}>
          its calls
        </a>
      </h1>
      <Charts bins={detail.bins} step={range.step} />
      <section class="card">
        <h2>Endpoints</h2>
        <Table
          rows={detail.endpoints}
          fields={fieldsOf('Endpoint', covered)}
          keyOf={(row) => `${row['name']}${row['protocol']}`}
        />
      </section>
      <div class="columns">
        <Peers title="Called by" rows={detail.callers} covered={covered} />
        <Peers title="Calls" rows={detail.callees} covered={covered} />
      </div>
    </>
  )
}

function Charts({ bins, step }: { readonly bins: readonly Row[]; readonly step: number }): VNode {
  const times = binTimes(bins, step)
  const at = new Map(bins.map((row) => [Number(row['t']), row]))
  const per = (name: string): number[] => times.map((t) => Number(at.get(t)?.[name] ?? 0) / step)
  const latency = (q: number): (number | null)[] =>
    times.map((t) => quantile(histogramOf(at.get(t)?.['histogram']), q) || null)
  return (
    <div class="columns">
      <Chart
        title="Requests a second"
        times={times}
        format={rate}
        series={[
          { label: 'requests', colour: 'accent', values: per('requests'), fill: true },
          { label: 'client errors', colour: 'warn', values: per('client_errors') },
          { label: 'server errors', colour: 'bad', values: per('server_errors') },
        ]}
      />
      <Chart
        title="Response time"
        times={times}
        format={duration}
        series={[
          { label: 'p50', colour: 'good', values: latency(0.5) },
          { label: 'p95', colour: 'warn', values: latency(0.95) },
          { label: 'p99', colour: 'bad', values: latency(0.99) },
        ]}
      />
    </div>
  )
}

function Peers(props: {
  readonly title: string
  readonly rows: readonly Row[]
  readonly covered: number
}): VNode {
  return (
    <section class="card">
      <h2>{props.title}</h2>
      {props.rows.length === 0 ? (
        <p class="faint">nobody in this time</p>
      ) : (
        <Table
          rows={props.rows}
          fields={fieldsOf('Service', props.covered)}
          keyOf={(row) => `${row['id']} ${row['protocol']}`}
        />
      )}
    </section>
  )
}

const fieldsOf = (title: string, covered: number): readonly Field<Row>[] => [
  {
    title,
    by: (row) => String(row['name']),
    cell: (row) =>
      row['id'] ? (
        <a href={hrefOf(`/service/${row['id']}`)}>{String(row['name']) || '(unknown)'}</a>
      ) : (
        String(row['name']) || '(none)'
      ),
  },
  { title: 'Protocol', cell: (row) => ENUMS['l7_protocol']?.[Number(row['protocol'])] ?? '?' },
  {
    title: 'Requests / s',
    numeric: true,
    by: (row) => Number(row['requests']),
    cell: (row) => rate(Number(row['requests']) / covered),
  },
  {
    title: 'Errors',
    numeric: true,
    by: (row) => Number(row['errors']) / Math.max(Number(row['requests']), 1),
    cell: (row) => (
      <span class={Number(row['errors']) > 0 ? 'bad' : ''}>
        {percent(Number(row['errors']), Number(row['requests']))}
      </span>
    ),
  },
  {
    title: 'p95',
    numeric: true,
    by: (row) => quantile(histogramOf(row['histogram']), 0.95) || 0,
    cell: (row) => duration(quantile(histogramOf(row['histogram']), 0.95)),
  },
]

const SUMS = `sum(request) AS requests, sum(error) AS errors, sumMap(rrt_histogram) AS histogram`

async function load(id: number, range: Range, stop: AbortSignal): Promise<Detail> {
  const one = `FROM ${pointsTable('application', range)}
    WHERE role = 1 AND auto_instance_id = ${id} AND ${within(range)}`
  const peers = (mine: 0 | 1, other: 0 | 1): string =>
    `SELECT auto_instance_id_${other} AS id, auto_instance_${other} AS name,
      l7_protocol AS protocol, ${SUMS}
      FROM ${pointsTable('application_map', range)}
      WHERE auto_instance_id_${mine} = ${id} AND observation_point = '${mine ? 's-p' : 'c-p'}'
      AND ${within(range)}
      GROUP BY auto_instance_id_${other}, auto_instance_${other}, l7_protocol
      ORDER BY requests DESC LIMIT 100`
  const [bins, endpoints, callers, callees] = await Promise.all([
    query(
      `SELECT auto_instance AS name,
        toUnixTimestamp(toStartOfInterval(time, INTERVAL ${range.step} SECOND)) AS t,
        sum(client_error) AS client_errors, sum(server_error) + sum(timeout) AS server_errors, ${SUMS}
        ${one} GROUP BY auto_instance, t ORDER BY t LIMIT 10000`,
      stop,
    ),
    query(
      `SELECT endpoint AS name, l7_protocol AS protocol, ${SUMS} ${one}
        GROUP BY endpoint, l7_protocol ORDER BY requests DESC LIMIT 200`,
      stop,
    ),
    query(peers(1, 0), stop),
    query(peers(0, 1), stop),
  ])
  return { name: String(bins[0]?.['name'] ?? ''), bins, endpoints, callers, callees }
}
