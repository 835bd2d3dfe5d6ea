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
export const SETTLED_SECONDS = 4

/** SQL that keeps the settled points of `range`. */
export function within(range: Range): string {
  return `time >= now() - ${range.seconds + SETTLED_SECONDS} AND time < now() - ${SETTLED_SECONDS}`
}

export function pointsTable(name: 'application' | 'application_map', range: Range): string {
  return `flow_metrics.\`${name}.${range.table}\``
}
