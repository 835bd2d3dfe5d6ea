import { signal } from '@preact/signals'
import type { VNode } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import uPlot from 'uplot'
import { moment, tickLabels } from '../figures.ts'
import type { Bin, Range } from '../range.ts'

export type Series = {
  readonly label: string
  /** A colour of the style sheet, without its dashes. */
  readonly colour: string
  readonly values: readonly (number | null)[]
  readonly fill?: boolean
}

const HEIGHT = 180
/** Fewer bins make no line: they are shown as dots, and where they lie in the whole range. */
const LINE_BINS_MIN = 3

/** A canvas does not follow the style sheet: it is drawn anew when light turns dark. */
const dark = matchMedia('(prefers-color-scheme: dark)')
const isDark = signal(dark.matches)
dark.addEventListener('change', ({ matches }) => {
  isDark.value = matches
})

/** Series over the bins of a range that ends at `until`; `format` writes a value with its unit. */
export function Chart(props: {
  readonly title: string
  readonly bins: readonly Bin[]
  readonly until: number
  readonly range: Range
  readonly series: readonly Series[]
  readonly format: (value: number) => string
}): VNode {
  const box = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | null>(null)
  const latest = useRef(props)
  latest.current = props
  const names = props.series.map((series) => series.label).join()

  useEffect(() => {
    const element = box.current!
    const chart = new uPlot(
      optionsOf(() => latest.current, element),
      dataOf(props),
      element,
    )
    plot.current = chart
    const observer = new ResizeObserver(() =>
      chart.setSize({ width: element.clientWidth, height: HEIGHT }),
    )
    observer.observe(element)
    return () => {
      observer.disconnect()
      chart.destroy()
    }
  }, [names, isDark.value])
  useEffect(() => plot.current?.setData(dataOf(props)))

  return (
    <figure class="card chart">
      <figcaption>{props.title}</figcaption>
      <div ref={box} role="img" aria-label={spoken(props)} />
    </figure>
  )
}

/** A small line without axes, `values` from old to new. */
export function Sparkline({ values }: { readonly values: readonly number[] }): VNode {
  const top = Math.max(...values, 1e-9)
  const shown = values.length === 1 ? [...values, ...values] : values
  const step = 100 / Math.max(shown.length - 1, 1)
  const points = shown.map((value, at) => `${at * step},${22 - (20 * value) / top}`).join(' ')
  return (
    <svg class="spark" viewBox="0 0 100 24" preserveAspectRatio="none" aria-hidden="true">
      <polyline points={points} />
    </svg>
  )
}

type Props = Parameters<typeof Chart>[0]

function dataOf({ bins, series }: Props): uPlot.AlignedData {
  const times = bins.map(({ start }) => start)
  return [times, ...series.map(({ values }) => values as (number | null)[])]
}

/** The latest of each series, for whom the picture says nothing. */
function spoken({ title, series, format }: Props): string {
  const latest = series.map(({ label, values }) => {
    const value = values.at(-1)
    return `${label} ${value == null ? 'none' : format(value)}`
  })
  return `${title}, latest: ${latest.join(', ')}`
}

function optionsOf(latest: () => Props, element: HTMLElement): uPlot.Options {
  const { series, format } = latest()
  const isLine = (): boolean => latest().bins.length >= LINE_BINS_MIN
  const axis: uPlot.Axis = {
    stroke: colour('faint'),
    grid: { stroke: colour('line'), width: 1 },
    ticks: { stroke: colour('line'), width: 1, size: 4 },
    font: '11px system-ui',
  }
  return {
    width: element.clientWidth || 400,
    height: HEIGHT,
    cursor: { sync: { key: 'time' }, points: { size: 5 } },
    legend: { live: true },
    scales: {
      x: {
        range: (_, first, last) => {
          const { until, range } = latest()
          return isLine() ? [first, last] : [until - range.seconds, until]
        },
      },
      y: { range: (_, __, max) => [0, max > 0 ? max * 1.1 : 1] },
    },
    axes: [
      {
        ...axis,
        space: 64,
        values: (_, ticks) => tickLabels(ticks),
      },
      { ...axis, size: 64, values: (_, ticks) => ticks.map((tick) => format(tick)) },
    ],
    series: [
      { value: (_, time) => (time == null ? '–' : moment(time * 1e6).slice(0, -'.000'.length)) },
      ...series.map((one) => ({
        label: one.label,
        stroke: colour(one.colour),
        width: 1.5,
        ...(one.fill ? { fill: tint(one.colour) } : {}),
        points: { show: () => !isLine() },
        value: (_: uPlot, value: number | null) => (value == null ? '–' : format(value)),
      })),
    ],
  }
}

/** A colour of the style sheet as the page shows it now, light or dark, as rgb(). */
function colour(name: string): string {
  const probe = document.createElement('i')
  probe.style.color = `var(--${name})`
  document.body.append(probe)
  const shown = getComputedStyle(probe).color
  probe.remove()
  return shown
}

/** The same colour, faint enough to lie under a line. */
function tint(name: string): string {
  return colour(name).replace(/^rgb\((.*)\)$/, 'rgba($1, 0.13)')
}
