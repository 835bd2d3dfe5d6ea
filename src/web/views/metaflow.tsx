import type { VNode } from 'preact'
import type { Sample } from '../../lib/counters.ts'
import { fetchJson, usePolled } from '../api.ts'
import { bytes, count, duration } from '../figures.ts'
import { Show } from '../parts/states.tsx'
import { type Field, Table } from '../parts/table.tsx'
import { Tile } from './services.tsx'

/** One process of MetaFlow as `/v1/status` tells of it. Times are ms since 1970. */
type Part = {
  readonly version: string
  readonly startedAt: number
  readonly cpuSeconds: number
  readonly memoryBytes: number
  readonly samples: readonly Sample[]
}
type Agent = Part & {
  readonly agent: string
  readonly host: string
  readonly family: string
  readonly seenAt: number
}
type Status = {
  readonly now: number
  readonly server: Part
  readonly engine: { readonly healthy: boolean; readonly sentence: string }
  readonly agents: readonly Agent[]
}

const SILENT_MS = 15_000

/** What MetaFlow itself costs, and everything it did not see or had to let go. */
export function MetaFlow(): VNode {
  const data = usePolled('status', 2000, (stop) => fetchJson('/v1/status', stop) as Promise<Status>)
  return (
    <Show data={data} isEmpty={() => false} empty="">
      {(status) => <Page status={status} />}
    </Show>
  )
}

function Page({ status }: { readonly status: Status }): VNode {
  const { server, engine, agents, now } = status
  const samples = together([...server.samples, ...agents.flatMap((agent) => agent.samples)])
  const dropped = samples.filter(isLoss)
  const tls = sum(samples, 'protocols_tls_connections_total')
  return (
    <>
      <div class="tiles">
        <Tile label="Storage" value={engine.healthy ? 'healthy' : 'down'} bad={!engine.healthy} />
        <Tile label="Agents" value={String(agents.length)} />
        <Tile label="Server memory" value={bytes(server.memoryBytes)} />
        <Tile label="Server CPU" value={share(server, now)} />
        <Tile label="Dropped" value={count(sum(dropped))} bad={dropped.length > 0} />
        <Tile label="TLS connections, not read" value={count(tls)} />
      </div>
      {!engine.healthy && <p class="problem">{engine.sentence}</p>}
      <section class="card">
        <h2>Agents</h2>
        {agents.length === 0 ? (
          <p class="faint">
            No agent has reported yet. Start one: <code>metaflow --mode=agent --server URL</code>
          </p>
        ) : (
          <Table rows={agents} fields={agentFields(now)} keyOf={({ agent }) => agent} />
        )}
      </section>
      <section class="card">
        <h2>Losses, by cause</h2>
        {dropped.length === 0 ? (
          <p class="good">Nothing was lost.</p>
        ) : (
          <Table rows={dropped} fields={SAMPLE_FIELDS} keyOf={keyOf} />
        )}
      </section>
      <section class="card">
        <h2>All counters{agents.length > 1 && ', of all agents together'}</h2>
        <Table rows={samples} fields={SAMPLE_FIELDS} keyOf={keyOf} />
      </section>
    </>
  )
}

/** Samples of one name and labels as their sum: all agents count the same things. */
function together(samples: readonly Sample[]): Sample[] {
  const sums = new Map<string, Sample>()
  for (const sample of samples) {
    const before = sums.get(keyOf(sample))?.value ?? 0
    sums.set(keyOf(sample), { ...sample, value: before + sample.value })
  }
  return [...sums.values()]
}

/** What is left out on purpose (MetaFlow's own calls, what was sent twice) is no loss. */
const ON_PURPOSE = new Set(['muted', 'duplicate', 'empty'])

function isLoss({ name, labels, value }: Sample): boolean {
  return value > 0 && name.endsWith('_dropped_total') && !ON_PURPOSE.has(labels['why'] ?? '')
}

function sum(samples: readonly Sample[], name?: string): number {
  return samples.reduce((all, one) => (name && one.name !== name ? all : all + one.value), 0)
}

/** CPU used since the start, in percent of one core. */
function share({ cpuSeconds, startedAt }: Part, now: number): string {
  return `${((100_000 * cpuSeconds) / Math.max(now - startedAt, 1)).toFixed(1)} %`
}

function keyOf({ name, labels }: Sample): string {
  return `${name} ${JSON.stringify(labels)}`
}

const agentFields = (now: number): readonly Field<Agent>[] => [
  { title: 'Host', by: ({ host }) => host, cell: ({ host }) => host },
  { title: 'Version', cell: ({ version }) => version },
  { title: 'Hooks', cell: ({ family }) => family },
  {
    title: 'Seen',
    numeric: true,
    by: ({ seenAt }) => now - seenAt,
    cell: ({ seenAt }) => (
      <span class={now - seenAt > SILENT_MS ? 'bad' : 'good'}>
        {duration(Math.max(now - seenAt, 0) * 1000)} ago
      </span>
    ),
  },
  { title: 'Memory', numeric: true, by: (a) => a.memoryBytes, cell: (a) => bytes(a.memoryBytes) },
  { title: 'CPU', numeric: true, by: (a) => a.cpuSeconds, cell: (a) => share(a, now) },
]

const SAMPLE_FIELDS: readonly Field<Sample>[] = [
  {
    title: 'What',
    by: ({ name }) => name,
    cell: ({ name, help }) => <span title={help}>{name}</span>,
  },
  {
    title: 'Of',
    cell: ({ labels }) =>
      Object.entries(labels)
        .map(([key, value]) => `${key} ${value}`)
        .join(', '),
  },
  { title: 'How many', numeric: true, by: ({ value }) => value, cell: ({ value }) => count(value) },
]
