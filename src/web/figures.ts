import type { Cell } from './api.ts'

/** Bucket `index` ends at 2^(index/32) seconds: the points' latency histogram. */
const BUCKETS_PER_OCTAVE = 32

export type Histogram = ReadonlyMap<number, number>

export function histogramOf(cell: Cell | undefined): Map<number, number> {
  const histogram = new Map<number, number>()
  if (cell && typeof cell === 'object' && !Array.isArray(cell))
    for (const [index, count] of Object.entries(cell)) histogram.set(Number(index), Number(count))
  return histogram
}

export function addHistogram(to: Map<number, number>, from: Histogram): void {
  for (const [index, count] of from) to.set(index, (to.get(index) ?? 0) + count)
}

/** The `q` quantile in µs, geometric within its bucket; NaN where nothing was counted. */
export function quantile(histogram: Histogram, q: number): number {
  let total = 0
  for (const count of histogram.values()) total += count
  if (total === 0) return Number.NaN
  let rest = q * total
  for (const [index, count] of [...histogram].sort(([a], [b]) => a - b)) {
    if (rest <= count) return 2 ** ((index - 1 + rest / count) / BUCKETS_PER_OCTAVE) * 1e6
    rest -= count
  }
  return Number.NaN
}

export function duration(us: number): string {
  if (!Number.isFinite(us)) return '–'
  if (us < 1000) return `${us < 10 ? us.toFixed(1) : us.toFixed(0)} µs`
  if (us < 1e6) return `${(us / 1000).toFixed(us < 1e4 ? 2 : us < 1e5 ? 1 : 0)} ms`
  return `${(us / 1e6).toFixed(us < 1e7 ? 2 : 1)} s`
}

const MINUTE = 60
const DAY = 86_400

/** What stands at the ticks of a time axis, s since 1970: times, and days where they begin. */
export function tickLabels(ticks: readonly number[]): string[] {
  const step = ticks.length > 1 ? ticks[1]! - ticks[0]! : MINUTE
  return ticks.map((seconds) => {
    const date = new Date(seconds * 1000)
    const time = date.toTimeString().slice(0, step < MINUTE ? 8 : 5)
    return step >= DAY || time === '00:00' ? date.toLocaleDateString('sv').slice(5) : time
  })
}

/** A moment (µs since 1970) by the reader's clock, with its day where that is not today. */
export function moment(us: number): string {
  const date = new Date(us / 1000)
  const time = `${date.toTimeString().slice(0, 8)}.${String(date.getMilliseconds()).padStart(3, '0')}`
  if (date.toDateString() === new Date().toDateString()) return time
  return `${date.toLocaleDateString('sv').slice(5)} ${time}`
}

export function rate(perSecond: number): string {
  if (perSecond === 0) return '0'
  if (perSecond < 0.01) return '< 0.01'
  if (perSecond < 10) return perSecond.toFixed(2)
  if (perSecond < 100) return perSecond.toFixed(1)
  return count(perSecond)
}

export function count(n: number): string {
  if (n < 1000) return n.toFixed(0)
  if (n < 1e6) return `${(n / 1e3).toFixed(n < 1e4 ? 2 : 1)} k`
  if (n < 1e9) return `${(n / 1e6).toFixed(2)} M`
  return `${(n / 1e9).toFixed(2)} G`
}

export function percent(part: number, whole: number): string {
  if (whole === 0) return '–'
  const share = (100 * part) / whole
  if (share > 0 && share < 0.01) return '< 0.01 %'
  return share === 0 ? '0 %' : `${share < 1 ? share.toFixed(2) : share.toFixed(1)} %`
}

export function bytes(n: number): string {
  for (const unit of ['B', 'KB', 'MB', 'GB'])
    if (n < 1024) return `${n < 10 && unit !== 'B' ? n.toFixed(1) : n.toFixed(0)} ${unit}`
    else n /= 1024
  return `${n.toFixed(1)} TB`
}
