import type { Row } from './api.ts'
import { place } from './location.ts'

/** How far back a view looks, and how it bins what it finds. */
export type Range = {
  readonly label: string
  readonly seconds: number
  /** Seconds a bin covers. */
  readonly step: number
  /** The points that serve it: by second or by minute. */
  readonly table: '1s' | '1m'
}

export const RANGES: readonly Range[] = [
  { label: '5 min', seconds: 300, step: 5, table: '1s' },
  { label: '15 min', seconds: 900, step: 10, table: '1s' },
  { label: '1 h', seconds: 3600, step: 60, table: '1s' },
  { label: '6 h', seconds: 21_600, step: 300, table: '1m' },
  { label: '24 h', seconds: 86_400, step: 900, table: '1m' },
  { label: '7 d', seconds: 604_800, step: 7200, table: '1m' },
]

export function currentRange(): Range {
  const seconds = Number(place.value.params.get('range'))
  return RANGES.find((range) => range.seconds === seconds) ?? RANGES[0]!
}

/** Points are whole this long after their second: what is younger is left out of rates. */
const SETTLED_SECONDS = 4
/** A last bin that has less than this, and less than half of its step, says nothing yet. */
const TELLING_SECONDS = 30

/** SQL that keeps the settled points of `range`. */
export function within(range: Range): string {
  return `time >= now() - ${range.seconds + SETTLED_SECONDS} AND time < now() - ${SETTLED_SECONDS}`
}

export function pointsTable(name: 'application' | 'application_map', range: Range): string {
  return `flow_metrics.\`${name}.${range.table}\``
}

/** SQL of the bin that a point is in: its start, s since 1970. */
export function binOf(range: Range): string {
  return `toUnixTimestamp(toStartOfInterval(time, INTERVAL ${range.step} SECOND))`
}

/** SQL of what `spanOf` reads from the rows of any grouping. */
export const SPAN = 'toUnixTimestamp(min(time)) AS first, toUnixTimestamp(now()) AS now'

export function spanSql(range: Range): string {
  return `SELECT ${SPAN} FROM ${pointsTable('application_map', range)} WHERE ${within(range)}`
}

/** What of a range has points, s since 1970: rates are over it, not over time before the first. */
export type Span = { readonly from: number; readonly until: number; readonly seconds: number }

export function spanOf(rows: readonly Row[], range: Range): Span {
  const settled = Number(rows[0]?.['now']) - SETTLED_SECONDS
  // A minute's points come when it is over.
  const until = range.table === '1m' ? Math.floor(settled / 60) * 60 : settled
  const first = Math.min(until - 1, ...rows.map((row) => Number(row['first'])))
  // Nothing says 1970.
  const from = Math.max(first, until - range.seconds)
  return { from, until, seconds: until - from }
}

/** A bin of a range, and how many of its seconds have points. */
export type Bin = { readonly start: number; readonly seconds: number }

/** Every bin of the span, so that silence shows as zero; those at its ends are not full. */
export function binsOf({ from, until }: Span, { step }: Range): Bin[] {
  const first = Math.floor(from / step) * step
  const bins = Array.from({ length: Math.ceil((until - first) / step) }, (_, at) => {
    const start = first + at * step
    return { start, seconds: Math.min(start + step, until) - Math.max(start, from) }
  })
  const isTelling = bins.at(-1)!.seconds >= Math.min(step / 2, TELLING_SECONDS)
  return isTelling || bins.length === 1 ? bins : bins.slice(0, -1)
}
