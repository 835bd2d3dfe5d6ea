import type { VNode } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import uPlot from 'uplot'

export type Series = {
  readonly label: string
  /** A colour of the style sheet, without its dashes. */
  readonly colour: string
  readonly values: readonly (number | null)[]
  readonly fill?: boolean
}

const HEIGHT = 180

/** Series over time. `times` are seconds; `format` writes a value with its unit. */
export function Chart(props: {
  readonly title: string
  readonly times: readonly number[]
  readonly series: readonly Series[]
  readonly format: (value: number) => string
}): VNode {
  const box = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | null>(null)
  const names = props.series.map((series) => series.label).join()

  useEffect(() => {
    const element = box.current!
    const chart = new uPlot(optionsOf(props, element), dataOf(props), element)
    plot.current = chart
    const observer = new ResizeObserver(() =>
      chart.setSize({ width: element.clientWidth, height: HEIGHT }),
    )
    observer.observe(element)
    return () => {
      observer.disconnect()
      chart.destroy()
    }
  }, [names])
  useEffect(() => plot.current?.setData(dataOf(props)))

  return (
    <figure class="card chart">
      <figcaption>{props.title}</figcaption>
      <div ref={box} />
    </figure>
  )
}

/** A small line without axes, `values` from old to new. */
export function Sparkline({ values }: { readonly values: readonly number[] }): VNode {
  const top = Math.max(...values, 1e-9)
  const step = 100 / Math.max(values.length - 1, 1)
  const points = values.map((value, at) => `${at * step},${22 - (20 * value) / top}`).join(' ')
  return (
    <svg class="spark" viewBox="0 0 100 24" preserveAspectRatio="none" aria-hidden="true">
      <polyline points={points} />
    </svg>
  )
}

type Props = Parameters<typeof Chart>[0]

function dataOf({ times, series }: Props): uPlot.AlignedData {
  return [times as number[], ...series.map(({ values }) => values as (number | null)[])]
}

function optionsOf({ series, format }: Props, element: HTMLElement): uPlot.Options {
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
    scales: { y: { range: (_, __, max) => [0, max > 0 ? max * 1.1 : 1] } },
    axes: [axis, { ...axis, size: 64, values: (_, ticks) => ticks.map((tick) => format(tick)) }],
    series: [
      { value: (_, time) => (time == null ? '–' : new Date(time * 1000).toLocaleTimeString()) },
      ...series.map((one) => ({
        label: one.label,
        stroke: colour(one.colour),
        width: 1.5,
        ...(one.fill ? { fill: tint(one.colour) } : {}),
        points: { show: false },
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
