/**
 * Counters of one station: what came in, went out, and was dropped by cause. A station makes its
 * own with the causes it knows; the page above reads them all for metrics.
 */
export class Counters<Cause extends string = never> {
  readonly station: string
  in = 0
  out = 0
  readonly dropped: Record<Cause, number>

  constructor(station: string, causes: readonly Cause[]) {
    this.station = station
    this.dropped = Object.fromEntries(causes.map((cause) => [cause, 0])) as Record<Cause, number>
  }
}

/** A number to be shown: Prometheus name without prefix, labels, value. */
export type Sample = {
  readonly name: string
  readonly help: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** A number without labels. */
export function sampleOf(name: string, help: string, value: number): Sample {
  return { name, help, labels: {}, value }
}

/** The samples of a station: `<station>_in_total`, `_out_total`, `_dropped_total{why}`. */
export function samplesOf(counters: Counters<string>): Sample[] {
  const { station, dropped } = counters
  const samples: Sample[] = [
    sampleOf(`${station}_in_total`, `Taken by ${station}.`, counters.in),
    sampleOf(`${station}_out_total`, `Given on by ${station}.`, counters.out),
  ]
  for (const why in dropped)
    samples.push({
      name: `${station}_dropped_total`,
      help: `Dropped by ${station}, by cause.`,
      labels: { why },
      value: dropped[why]!,
    })
  return samples
}
