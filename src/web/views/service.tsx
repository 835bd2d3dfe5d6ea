import type { VNode } from 'preact'
import { ENUMS } from '../../model/tables/enums.ts'
import { query, type Row, usePolled } from '../api.ts'
import { edgesOnce, edgesSql } from '../edges.ts'
import { duration, histogramOf, percent, quantile, rate } from '../figures.ts'
import { hrefOf, useTitle } from '../location.ts'
import { Chart } from '../parts/chart.tsx'
import { Show } from '../parts/states.tsx'
import { type Field, Table } from '../parts/table.tsx'
import {
  binOf,
  binsOf,
  currentRange,
  pointsTable,
  type Range,
  type Span,
  spanOf,
  spanSql,
  within,
} from '../range.ts'
import { NoCalls } from './services.tsx'

type Detail = {
  readonly name: string
  readonly span: Span
  /** Empty where nobody called it. */
  readonly bins: readonly Row[]
  readonly endpoints: readonly Row[]
  readonly callers: readonly Row[]
  readonly callees: readonly Row[]
}

const PEERS_MAX = 200

/** One service over time: which endpoint, caller or dependency is to blame? */
export function Service({ id }: { readonly id: number }): VNode {
  const range = currentRange()
  const data = usePolled(`service ${id} ${range.seconds}`, 2000, (stop) => load(id, range, stop))
  return (
    <Show data={data} isEmpty={isSilent} empty={<NoCalls />}>
      {(detail) => <Page detail={detail} range={range} />}
    </Show>
  )
}

function isSilent({ bins, callers, callees }: Detail): boolean {
  return bins.length + callers.length + callees.length === 0
}

function Page({ detail, range }: { readonly detail: Detail; readonly range: Range }): VNode {
  const covered = detail.span.seconds
  useTitle(detail.name)
  return (
    <>
      <h1>
        {detail.name}
        <a class="more" href={hrefOf('/calls', { service: detail.name })}>
          its calls
        </a>
      </h1>
      {detail.bins.length > 0 && <Charts detail={detail} range={range} />}
      {detail.endpoints.length > 0 && (
        <section class="card">
          <h2>Endpoints</h2>
          <Table
            rows={detail.endpoints}
            fields={fieldsOf('Endpoint', covered)}
            keyOf={(row) => `${row['name']}${row['protocol']}`}
          />
        </section>
      )}
      <div class="columns">
        <Peers title="Called by" rows={detail.callers} covered={covered} />
        <Peers title="Calls" rows={detail.callees} covered={covered} />
      </div>
    </>
  )
}

function Charts(props: { readonly detail: Detail; readonly range: Range }): VNode {
  const { range } = props
  const { span, bins: rows } = props.detail
  const bins = binsOf(span, range)
  const at = new Map(rows.map((row) => [Number(row['t']), row]))
  const per = (name: string): number[] =>
    bins.map(({ start, seconds }) => Number(at.get(start)?.[name] ?? 0) / seconds)
  const latency = (q: number): (number | null)[] =>
    bins.map(({ start }) => quantile(histogramOf(at.get(start)?.['histogram']), q) || null)
  const shared = { bins, until: span.until, range }
  return (
    <div class="columns">
      <Chart
        {...shared}
        title="Requests a second"
        format={rate}
        series={[
          { label: 'requests', colour: 'accent', values: per('requests'), fill: true },
          { label: 'client errors', colour: 'warn', values: per('client_errors') },
          { label: 'server errors', colour: 'bad', values: per('server_errors') },
        ]}
      />
      <Chart
        {...shared}
        title="Response time"
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
  const ends = ` AND (auto_instance_id_0 = ${id} OR auto_instance_id_1 = ${id})`
  const [all, own, endpoints, rows] = await Promise.all([
    // As in the list of services: rates are over the time in which anybody was observed.
    query(spanSql(range), stop),
    query(binsSql(range, one), stop),
    query(
      `SELECT endpoint AS name, l7_protocol AS protocol, ${SUMS} ${one}
        GROUP BY endpoint, l7_protocol ORDER BY requests DESC LIMIT 200`,
      stop,
    ),
    query(edgesSql(range, ends, PEERS_MAX * 2), stop),
  ])
  const edges = edgesOnce(rows)
  const [callers, callees] = [edges.filter(isTo(id)), edges.filter(isFrom(id))]
  // Of what is not observed itself, those who call it tell.
  const bins = own.length > 0 || callers.length === 0 ? own : await query(told(id, range), stop)
  const name = String(callers[0]?.['to_name'] ?? callees[0]?.['from_name'] ?? '')
  return {
    name: name || '(unknown)',
    span: spanOf(all, range),
    bins,
    endpoints,
    callers: callers.map((row) => ({ ...row, id: row['from_id']!, name: row['from_name']! })),
    callees: callees.map((row) => ({ ...row, id: row['to_id']!, name: row['to_name']! })),
  }
}

const isTo = (id: number) => (row: Row) => Number(row['to_id']) === id
const isFrom = (id: number) => (row: Row) => Number(row['from_id']) === id

function told(id: number, range: Range): string {
  const edges = `FROM ${pointsTable('application_map', range)}
    WHERE observation_point = 'c-p' AND auto_instance_id_1 = ${id} AND ${within(range)}`
  return binsSql(range, edges)
}

function binsSql(range: Range, from: string): string {
  return `SELECT ${binOf(range)} AS t, sum(client_error) AS client_errors,
    sum(server_error) + sum(timeout) AS server_errors, ${SUMS}
    ${from} GROUP BY t ORDER BY t`
}
