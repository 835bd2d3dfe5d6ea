import type { VNode } from 'preact'
import { ENUMS } from '../../model/tables/enums.ts'
import { query, type Row, usePolled } from '../api.ts'
import { addHistogram, duration, histogramOf, percent, quantile, rate } from '../figures.ts'
import { hrefOf } from '../location.ts'
import { Chart, Sparkline } from '../parts/chart.tsx'
import { Show } from '../parts/states.tsx'
import { type Field, Table } from '../parts/table.tsx'
import { currentRange, pointsTable, type Range, within } from '../range.ts'

type Service = {
  readonly id: string
  readonly name: string
  readonly protocols: Set<string>
  readonly histogram: Map<number, number>
  readonly bins: number[]
  requests: number
  errors: number
}
type Overview = {
  readonly services: readonly Service[]
  readonly times: readonly number[]
  readonly rates: readonly number[]
  readonly errors: readonly number[]
  /** Seconds the range has points of: rates are over these, not over time before the first. */
  readonly covered: number
}

/** Live services with their rate, errors and duration: what is unhealthy right now? */
export function Services(): VNode {
  const range = currentRange()
  const data = usePolled(`services ${range.seconds}`, 2000, (stop) => load(range, stop))
  return (
    <Show data={data} isEmpty={({ services }) => services.length === 0} empty={<NoCalls />}>
      {(overview) => <Page overview={overview} />}
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

function Page({ overview }: { readonly overview: Overview }): VNode {
  const { services, times, rates, errors, covered } = overview
  const all = new Map<number, number>()
  for (const service of services) addHistogram(all, service.histogram)
  const requests = services.reduce((sum, service) => sum + service.requests, 0)
  const failed = services.reduce((sum, service) => sum + service.errors, 0)
  return (
    <>
      <div class="tiles">
        <Tile label="Services" value={String(services.length)} />
        <Tile label="Requests / s" value={rate(requests / covered)} />
        <Tile label="Errors" value={percent(failed, requests)} bad={failed > 0} />
        <Tile label="p50" value={duration(quantile(all, 0.5))} />
        <Tile label="p95" value={duration(quantile(all, 0.95))} />
        <Tile label="p99" value={duration(quantile(all, 0.99))} />
      </div>
      <Chart
        title="Requests and errors a second"
        times={times}
        format={rate}
        series={[
          { label: 'requests', colour: 'accent', values: rates, fill: true },
          { label: 'errors', colour: 'bad', values: errors, fill: true },
        ]}
      />
      <section class="card">
        <Table rows={services} fields={fieldsOf(covered)} keyOf={(service) => service.id} />
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
  { title: 'Speaks', cell: ({ protocols }) => [...protocols].join(', ') },
  { title: 'Trend', cell: ({ bins }) => <Sparkline values={bins} /> },
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
  const [rows, bins] = await Promise.all([
    query(
      `SELECT auto_instance_id AS id, auto_instance AS name, l7_protocol AS protocol,
        sum(request) AS requests, sum(error) AS errors, sumMap(rrt_histogram) AS histogram
        ${from} GROUP BY auto_instance_id, auto_instance, l7_protocol ORDER BY requests DESC
        LIMIT 1000`,
      stop,
    ),
    query(
      `SELECT auto_instance_id AS id,
        toUnixTimestamp(toStartOfInterval(time, INTERVAL ${range.step} SECOND)) AS t,
        sum(request) AS requests, sum(error) AS errors
        ${from} GROUP BY id, t ORDER BY t LIMIT 50000`,
      stop,
    ),
  ])
  return overviewOf(rows, bins, range)
}

function overviewOf(rows: readonly Row[], bins: readonly Row[], range: Range): Overview {
  const times = binTimes(bins, range.step)
  const services = new Map<string, Service>()
  for (const row of rows) {
    const id = String(row['id'])
    let service = services.get(id)
    if (!service) {
      const name = String(row['name']) || '(unknown)'
      const empty = { protocols: new Set<string>(), histogram: new Map<number, number>() }
      service = { id, name, ...empty, bins: times.map(() => 0), requests: 0, errors: 0 }
      services.set(id, service)
    }
    service.protocols.add(ENUMS['l7_protocol']?.[Number(row['protocol'])] ?? '?')
    service.requests += Number(row['requests'])
    service.errors += Number(row['errors'])
    addHistogram(service.histogram, histogramOf(row['histogram']))
  }
  const rates = times.map(() => 0)
  const errors = times.map(() => 0)
  for (const row of bins) {
    const at = (Number(row['t']) - times[0]!) / range.step
    const requests = Number(row['requests']) / range.step
    rates[at]! += requests
    errors[at]! += Number(row['errors']) / range.step
    const service = services.get(String(row['id']))
    if (service) service.bins[at]! += requests
  }
  const list = [...services.values()].sort((a, b) => b.requests - a.requests)
  return { services: list, times, rates, errors, covered: coveredSeconds(times, range) }
}

/** Every bin's start from the first that has points to the last, so that silence shows as zero. */
export function binTimes(rows: readonly Row[], step: number): number[] {
  if (rows.length === 0) return []
  const first = Number(rows[0]!['t'])
  const last = Number(rows.at(-1)!['t'])
  return Array.from({ length: (last - first) / step + 1 }, (_, at) => first + at * step)
}

/** How much of the range lies behind its first bin with points. */
export function coveredSeconds(times: readonly number[], range: Range): number {
  return Math.max(Math.min(times.length * range.step, range.seconds), 1)
}
