import { Graph, layout } from '@dagrejs/dagre'
import type { VNode } from 'preact'
import { useMemo } from 'preact/hooks'
import { ENUMS } from '../../model/tables/enums.ts'
import { query, type Row, usePolled } from '../api.ts'
import { edgesOnce, edgesSql } from '../edges.ts'
import { duration, histogramOf, percent, quantile, rate } from '../figures.ts'
import { hrefOf } from '../location.ts'
import { Show } from '../parts/states.tsx'
import { currentRange, type Range, spanOf } from '../range.ts'
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
/** What a service asks of itself is told in its box, a line each. */
const LINE_HEIGHT = 14
const EDGES_MAX = 300
/** Drawn smaller than this nobody can read it: the map scrolls. */
const LEGIBLE = 0.75

/** Who calls whom, and which edge has errors or is slow. */
export function ServiceMap(): VNode {
  const range = currentRange()
  const data = usePolled(`map ${range.seconds}`, 5000, (stop) => load(range, stop))
  return (
    <Show data={data} isEmpty={({ edges }) => edges.length === 0} empty={<NoCalls />}>
      {(topology) => (
        <section class="card map" aria-label="Service map">
          <Drawing topology={topology} />
          <p class="faint">
            Arrows point from caller to called, as wide as their rate; red ones have errors. Click a
            service to open it.
            {topology.edges.length >= EDGES_MAX && ` Shown: the ${EDGES_MAX} busiest edges.`}
          </p>
        </section>
      )}
    </Show>
  )
}

type Place = { readonly x: number; readonly y: number }
type Line = { readonly points: readonly Place[] }

/** Where everything goes; it takes 300 edges a second, so it is kept until others come or go. */
function placed(topology: Topology): Graph {
  const { names } = topology
  const graph = new Graph({ multigraph: true })
  graph.setGraph({ rankdir: 'LR', nodesep: 24, ranksep: 150, marginx: 12, marginy: 16 })
  graph.setDefaultEdgeLabel(() => ({}))
  for (const id of names.keys())
    graph.setNode(id, { width: NODE_WIDTH, height: heightOf(loopsOf(topology, id)) })
  for (const { from, to, protocol } of topology.edges.filter(isBetween))
    graph.setEdge(from, to, { width: 90, height: 28, labelpos: 'c' }, protocol)
  layout(graph)
  return graph
}

function Drawing({ topology }: { readonly topology: Topology }): VNode {
  const shape = topology.edges.map(keyOf).sort().join()
  const graph = useMemo(() => placed(topology), [shape])
  const { width = 600, height = 200 } = graph.graph() as { width?: number; height?: number }
  return (
    // No role of an image either: nobody could reach the links inside.
    // biome-ignore lint/a11y/noSvgWithoutTitle: its section is named; a title would show everywhere
    <svg
      viewBox={`0 0 ${width} ${height}`}
      style={{ maxWidth: `${width}px`, minWidth: `${LEGIBLE * width}px` }}
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
      {topology.edges.filter(isBetween).map((edge) => (
        <Arrow
          key={keyOf(edge)}
          edge={edge}
          line={graph.edge(edge.from, edge.to, edge.protocol) as unknown as Line & Place}
          covered={topology.covered}
        />
      ))}
      {[...topology.names].map(([id, name]) => (
        <Box
          key={id}
          id={id}
          name={name}
          place={graph.node(id) as unknown as Place}
          loops={loopsOf(topology, id)}
          covered={topology.covered}
        />
      ))}
    </svg>
  )
}

const isBetween = ({ from, to }: Edge): boolean => from !== to

function loopsOf({ edges }: Topology, id: string): Edge[] {
  return edges.filter(({ from, to }) => from === id && to === id)
}

function heightOf(loops: readonly Edge[]): number {
  return NODE_HEIGHT + loops.length * LINE_HEIGHT
}

function Box(props: {
  readonly id: string
  readonly name: string
  readonly place: Place
  readonly loops: readonly Edge[]
  readonly covered: number
}): VNode {
  const { id, name, place, loops, covered } = props
  const height = heightOf(loops)
  return (
    <g class="node" transform={`translate(${place.x - NODE_WIDTH / 2},${place.y - height / 2})`}>
      <a href={hrefOf(`/service/${id}`)}>
        <rect width={NODE_WIDTH} height={height} rx="6" />
        <text x={NODE_WIDTH / 2} y={NODE_HEIGHT / 2 + 4}>
          {short(name)}
        </text>
        {loops.map(({ protocol, requests, errors }, at) => (
          <text
            key={protocol}
            class={errors > 0 ? 'loop failing' : 'loop'}
            x={NODE_WIDTH / 2}
            y={NODE_HEIGHT + at * LINE_HEIGHT + 2}
          >
            {`itself: ${protocol} ${rate(requests / covered)}/s`}
          </text>
        ))}
        <title>{name}</title>
      </a>
    </g>
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

function keyOf({ from, to, protocol }: Edge): string {
  return `${from} ${to} ${protocol}`
}

async function load(range: Range, stop: AbortSignal): Promise<Topology> {
  const rows = await query(edgesSql(range, '', EDGES_MAX * 2), stop)
  const once = edgesOnce(rows).slice(0, EDGES_MAX)
  const names = new Map<string, string>()
  for (const row of once)
    for (const end of ['from', 'to'])
      names.set(String(row[`${end}_id`]), String(row[`${end}_name`]) || '(unknown)')
  return { names, edges: once.map(edgeOf), covered: spanOf(rows, range).seconds }
}

function edgeOf(row: Row): Edge {
  return {
    from: String(row['from_id']),
    to: String(row['to_id']),
    protocol: ENUMS['l7_protocol']?.[Number(row['protocol'])] ?? '?',
    requests: Number(row['requests']),
    errors: Number(row['errors']),
    p95: quantile(histogramOf(row['histogram']), 0.95),
  }
}
