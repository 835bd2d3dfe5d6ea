import type { VNode } from 'preact'
import { ENUMS } from '../../model/tables/enums.ts'
import { type Cell, query, type Row, usePolled } from '../api.ts'
import {
  addHistogram,
  duration,
  type Histogram,
  histogramOf,
  percent,
  quantile,
  rate,
} from '../figures.ts'
import { hrefOf } from '../location.ts'
import { Chart, Sparkline } from '../parts/chart.tsx'
import { Show } from '../parts/states.tsx'
import { type Field, Table } from '../parts/table.tsx'
import {
  type Bin,
  binOf,
  binsOf,
  currentRange,
  pointsTable,
  type Range,
  SPAN,
  type Span,
  spanOf,
  within,
} from '../range.ts'

/** Services that are shown: a page of more helps nobody, and takes a browser seconds. */
const SERVICES_MAX = 1000

type Service = {
  readonly id: string
  readonly name: string
  readonly protocols: readonly string[]
  readonly histogram: Histogram
  /** Requests a second, bin by bin. */
  readonly trend: readonly number[]
  readonly requests: number
  readonly errors: number
}
type Overview = {
  readonly services: readonly Service[]
  readonly bins: readonly Bin[]
  readonly rates: readonly number[]
  readonly errors: readonly number[]
  readonly span: Span
}

/** Live services with their rate, errors and duration: what is unhealthy right now? */
export function Services(): VNode {
  const range = currentRange()
  const data = usePolled(`services ${range.seconds}`, 2000, (stop) => load(range, stop))
  return (
    <Show data={data} isEmpty={({ services }) => services.length === 0} empty={<NoCalls />}>
      {(overview) => <Page overview={overview} range={range} />}
    </Show>
  )
}

export function NoCalls(): VNode {
  return (
    <>
      <h2>No calls in this time</h2>
      <p>
        MetaFlow watches this host: as soon as a program speaks HTTP, DNS, Redis or MySQL, its calls
        appear here within seconds. Try <code>curl http://127.0.0.1</code>, or look at{' '}
        <a href={hrefOf('/metaflow')}>what the agent sees and what it cannot read</a>.
      </p>
    </>
  )
}

function Page(props: { readonly overview: Overview; readonly range: Range }): VNode {
  const { services, bins, rates, errors, span } = props.overview
  const all = new Map<number, number>()
  for (const service of services) addHistogram(all, service.histogram)
  const requests = services.reduce((sum, service) => sum + service.requests, 0)
  const failed = services.reduce((sum, service) => sum + service.errors, 0)
  return (
    <>
      <div class="tiles">
        <Tile label="Services" value={String(services.length)} />
        <Tile label="Requests / s" value={rate(requests / span.seconds)} />
        <Tile label="Errors" value={percent(failed, requests)} bad={failed > 0} />
        <Tile label="p50" value={duration(quantile(all, 0.5))} />
        <Tile label="p95" value={duration(quantile(all, 0.95))} />
        <Tile label="p99" value={duration(quantile(all, 0.99))} />
      </div>
      <Chart
        title="Requests and errors a second"
        bins={bins}
        until={span.until}
        range={props.range}
        format={rate}
        series={[
          { label: 'requests', colour: 'accent', values: rates, fill: true },
          { label: 'errors', colour: 'bad', values: errors, fill: true },
        ]}
      />
      <section class="card">
        <Table rows={services} fields={fieldsOf(span.seconds)} keyOf={(service) => service.id} />
        {services.length === SERVICES_MAX && (
          <p class="faint">Shown, and counted above: the {SERVICES_MAX} busiest services.</p>
        )}
      </section>
    </>
  )
}

export function Tile(props: {
  readonly label: string
  readonly value: string
  readonly bad?: boolean
}): VNode {
  return (
    <div class="card tile">
      <span>{props.label}</span>
      <b class={props.bad ? 'bad' : ''}>{props.value}</b>
    </div>
  )
}

const fieldsOf = (covered: number): readonly Field<Service>[] => [
  {
    title: 'Service',
    by: ({ name }) => name,
    cell: ({ id, name }) => <a href={hrefOf(`/service/${id}`)}>{name}</a>,
  },
  { title: 'Speaks', cell: ({ protocols }) => protocols.join(', ') },
  { title: 'Trend', cell: ({ trend }) => <Sparkline values={trend} /> },
  {
    title: 'Requests / s',
    numeric: true,
    by: ({ requests }) => requests,
    cell: ({ requests }) => rate(requests / covered),
  },
  {
    title: 'Errors',
    numeric: true,
    by: ({ requests, errors }) => errors / Math.max(requests, 1),
    cell: ({ requests, errors }) => (
      <span class={errors > 0 ? 'bad' : ''}>{percent(errors, requests)}</span>
    ),
  },
  ...([0.5, 0.95, 0.99] as const).map((q) => ({
    title: `p${q * 100}`,
    numeric: true,
    by: ({ histogram }: Service) => quantile(histogram, q) || 0,
    cell: ({ histogram }: Service) => duration(quantile(histogram, q)),
  })),
]

async function load(range: Range, stop: AbortSignal): Promise<Overview> {
  const from = `FROM ${pointsTable('application', range)} WHERE role = 1 AND ${within(range)}`
  const [rows, totals, trends] = await Promise.all([
    query(
      `SELECT auto_instance_id AS id, auto_instance AS name,
        groupUniqArray(l7_protocol) AS protocols,
        sum(request) AS requests, sum(error) AS errors, sumMap(rrt_histogram) AS histogram
        ${from} GROUP BY auto_instance_id, auto_instance ORDER BY requests DESC
        LIMIT ${SERVICES_MAX}`,
      stop,
    ),
    query(
      `SELECT ${binOf(range)} AS t, sum(request) AS requests, sum(error) AS errors, ${SPAN}
        ${from} GROUP BY t ORDER BY t`,
      stop,
    ),
    // A row a service: a row a service and bin would be more than an answer may have.
    query(
      `SELECT id, groupArray(t) AS times, groupArray(requests) AS counts
        FROM (SELECT auto_instance_id AS id, ${binOf(range)} AS t, sum(request) AS requests
          ${from} GROUP BY id, t)
        GROUP BY id ORDER BY sum(requests) DESC LIMIT ${SERVICES_MAX}`,
      stop,
    ),
  ])
  return overviewOf(rows, totals, trends, range)
}

function overviewOf(
  rows: readonly Row[],
  totals: readonly Row[],
  trends: readonly Row[],
  range: Range,
): Overview {
  const span = spanOf(totals, range)
  const bins = totals.length > 0 ? binsOf(span, range) : []
  const byTime = new Map(totals.map((row) => [Number(row['t']), row]))
  const perSecond = (name: string): number[] =>
    bins.map(({ start, seconds }) => Number(byTime.get(start)?.[name] ?? 0) / seconds)
  const trendOf = new Map(trends.map((row) => [String(row['id']), trendIn(bins, row)]))
  const services = rows.map((row): Service => {
    const protocols = (row['protocols'] as readonly Cell[]).map(
      (number) => ENUMS['l7_protocol']?.[Number(number)] ?? '?',
    )
    return {
      id: String(row['id']),
      name: String(row['name']) || '(unknown)',
      protocols: protocols.sort(),
      trend: trendOf.get(String(row['id'])) ?? [],
      requests: Number(row['requests']),
      errors: Number(row['errors']),
      histogram: histogramOf(row['histogram']),
    }
  })
  return { services, bins, rates: perSecond('requests'), errors: perSecond('errors'), span }
}

/** Requests a second of a service, bin by bin. */
function trendIn(bins: readonly Bin[], row: Row): number[] {
  const times = row['times'] as readonly Cell[]
  const counts = row['counts'] as readonly Cell[]
  const at = new Map(times.map((t, i) => [Number(t), Number(counts[i])]))
  return bins.map(({ start, seconds }) => (at.get(start) ?? 0) / seconds)
}
