import { Graph, layout } from '@dagrejs/dagre'
import type { VNode } from 'preact'
import { ENUMS } from '../../model/tables/enums.ts'
import { query, type Row, usePolled } from '../api.ts'
import { duration, histogramOf, percent, quantile, rate } from '../figures.ts'
import { hrefOf } from '../location.ts'
import { Show } from '../parts/states.tsx'
import { currentRange, pointsTable, type Range, within } from '../range.ts'
import { NoCalls } from './services.tsx'

type Edge = {
  readonly from: string
  readonly to: string
  readonly protocol: string
  readonly requests: number
  readonly errors: number
  readonly p95: number
}
type Topology = {
  readonly names: ReadonlyMap<string, string>
  readonly edges: readonly Edge[]
  /** Seconds the range has points of. */
  readonly covered: number
}

const NODE_WIDTH = 170
const NODE_HEIGHT = 36
const EDGES_MAX = 300

/** Who calls whom, and which edge has errors or is slow. */
export function ServiceMap(): VNode {
  const range = currentRange()
  const data = usePolled(`map ${range.seconds}`, 5000, (stop) => load(range, stop))
  return (
    <Show data={data} isEmpty={({ edges }) => edges.length === 0} empty={<NoCalls />}>
      {(topology) => (
        <section class="card map">
          <Drawing topology={topology} />
          <p class="faint">
            Arrows point from caller to called, as wide as their rate; red ones have errors. Click a
            service to open it.
            {topology.edges.length === EDGES_MAX && ` Shown: the ${EDGES_MAX} busiest edges.`}
          </p>
        </section>
      )}
    </Show>
  )
}

type Place = { readonly x: number; readonly y: number }
type Line = { readonly points: readonly Place[] }

function Drawing({ topology }: { readonly topology: Topology }): VNode {
  const graph = new Graph({ multigraph: true })
  graph.setGraph({ rankdir: 'LR', nodesep: 24, ranksep: 150, marginx: 12, marginy: 16 })
  graph.setDefaultEdgeLabel(() => ({}))
  for (const id of topology.names.keys())
    graph.setNode(id, { width: NODE_WIDTH, height: NODE_HEIGHT })
  for (const { from, to, protocol } of topology.edges)
    graph.setEdge(from, to, { width: 90, height: 28, labelpos: 'c' }, protocol)
  layout(graph)
  const { width = 600, height = 200 } = graph.graph() as { width?: number; height?: number }
  return (
    <svg
      viewBox={`0 0 ${width} ${height}`}
      style={{ maxWidth: `${width}px` }}
      role="img"
      aria-label="Service map"
    >
      <defs>
        <marker
          id="tip"
          viewBox="0 0 8 8"
          refX="7"
          refY="4"
          markerWidth="7"
          markerHeight="7"
          markerUnits="userSpaceOnUse"
          orient="auto"
        >
          <path d="M0,0 L8,4 L0,8 z" />
        </marker>
      </defs>
      {topology.edges.map((edge) => (
        <Arrow
          key={`${edge.from} ${edge.to} ${edge.protocol}`}
          edge={edge}
          line={graph.edge(edge.from, edge.to, edge.protocol) as unknown as Line & Place}
          covered={topology.covered}
        />
      ))}
      {[...topology.names].map(([id, name]) => {
        const { x, y } = graph.node(id) as unknown as Place
        return (
          <g
            key={id}
            class="node"
            transform={`translate(${x - NODE_WIDTH / 2},${y - NODE_HEIGHT / 2})`}
          >
            <a href={hrefOf(`/service/${id}`)}>
              <rect width={NODE_WIDTH} height={NODE_HEIGHT} rx="6" />
              <text x={NODE_WIDTH / 2} y={NODE_HEIGHT / 2 + 4}>
                {short(name)}
              </text>
              <title>{name}</title>
            </a>
          </g>
        )
      })}
    </svg>
  )
}

function Arrow(props: {
  readonly edge: Edge
  readonly line: Line & Place
  readonly covered: number
}): VNode {
  const { edge, line, covered } = props
  const perSecond = edge.requests / covered
  const path = line.points.map(({ x, y }, at) => `${at ? 'L' : 'M'}${x},${y}`).join(' ')
  const failing = edge.errors > 0
  return (
    <g class={failing ? 'edge failing' : 'edge'}>
      <path
        d={path}
        style={{ strokeWidth: 1 + Math.min(Math.log10(1 + perSecond), 4) }}
        marker-end="url(#tip)"
      />
      <text x={line.x} y={line.y - 5}>{`${edge.protocol} ${rate(perSecond)}/s`}</text>
      <text class="faint" x={line.x} y={line.y + 10}>
        {`p95 ${duration(edge.p95)}${failing ? ` · ${percent(edge.errors, edge.requests)} err` : ''}`}
      </text>
    </g>
  )
}

function short(name: string): string {
  return name.length > 24 ? `${name.slice(0, 11)}…${name.slice(-12)}` : name
}

async function load(range: Range, stop: AbortSignal): Promise<Topology> {
  const rows = await query(
    `SELECT auto_instance_id_0 AS from_id, auto_instance_0 AS from_name,
      auto_instance_id_1 AS to_id, auto_instance_1 AS to_name, l7_protocol AS protocol,
      observation_point, sum(request) AS requests, sum(error) AS errors,
      toUnixTimestamp(min(time)) AS first, toUnixTimestamp(max(time)) AS last,
      sumMap(rrt_histogram) AS histogram
      FROM ${pointsTable('application_map', range)} WHERE ${within(range)}
      GROUP BY auto_instance_id_0, auto_instance_0, auto_instance_id_1, auto_instance_1,
        l7_protocol, observation_point
      ORDER BY requests DESC LIMIT ${EDGES_MAX * 2}`,
    stop,
  )
  return topologyOf(rows, range)
}

/** An edge seen at both ends is counted at the server's, else at the client's. */
function topologyOf(rows: readonly Row[], range: Range): Topology {
  const names = new Map<string, string>()
  const edges = new Map<string, { readonly atServer: boolean; readonly edge: Edge }>()
  for (const row of rows) {
    const [from, to] = [String(row['from_id']), String(row['to_id'])]
    const protocol = ENUMS['l7_protocol']?.[Number(row['protocol'])] ?? '?'
    const key = `${from} ${to} ${protocol}`
    const atServer = row['observation_point'] === 's-p'
    if (edges.get(key)?.atServer) continue
    names.set(from, String(row['from_name']) || '(unknown)')
    names.set(to, String(row['to_name']) || '(unknown)')
    const p95 = quantile(histogramOf(row['histogram']), 0.95)
    const [requests, errors] = [Number(row['requests']), Number(row['errors'])]
    edges.set(key, { atServer, edge: { from, to, protocol, requests, errors, p95 } })
  }
  const first = Math.min(...rows.map((row) => Number(row['first'])))
  const last = Math.max(...rows.map((row) => Number(row['last'])))
  const covered = Math.min(last - first + (range.table === '1s' ? 1 : 60), range.seconds)
  return { names, edges: [...edges.values()].map(({ edge }) => edge).slice(0, EDGES_MAX), covered }
}
