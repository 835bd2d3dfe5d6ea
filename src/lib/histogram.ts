/*
 * Latency buckets: index = ceil(32·log2(seconds)), so bucket i holds (2^((i-1)/32), 2^(i/32)] s.
 * That is Prometheus' native histogram schema 5, and folds to every coarser one.
 */

/** 1 µs, and 2^16 s, beyond which all is one bucket. */
export const INDEX_MIN = -637
export const INDEX_MAX = 512
const STEPS = 32
const MICROSECONDS = 1e6

/**
 * The greatest whole µs in each bucket, from INDEX_MIN on. Doubles are exact enough: no bound but
 * the whole powers of two comes within 1e-5 of a whole number (a test compares with integers).
 */
const BOUNDS: Float64Array = Float64Array.from({ length: INDEX_MAX - INDEX_MIN + 1 }, (_, i) =>
  Math.floor(MICROSECONDS * 2 ** ((i + INDEX_MIN) / STEPS)),
)
const SMALL = 4096
/** Indexes of durations below SMALL µs, which most local calls are. */
const SMALL_INDEXES: Int16Array = Int16Array.from({ length: SMALL }, (_, µs) => search(µs))

/** The bucket of a duration in µs; parts of a µs are not counted, 0 counts as 1 µs. */
export function latencyIndex(duration: number): number {
  return duration < SMALL && duration >= 0 ? SMALL_INDEXES[duration | 0]! : search(duration)
}

function search(duration: number): number {
  const whole = Math.floor(duration)
  if (!(whole > 1)) return INDEX_MIN
  const guess = Math.ceil(STEPS * Math.log2(whole / MICROSECONDS)) | 0
  if (guess >= INDEX_MAX) return INDEX_MAX
  // The logarithm is rounded: at a bound it may land on either side.
  if (whole > BOUNDS[guess - INDEX_MIN]!) return guess + 1
  return guess > INDEX_MIN && whole <= BOUNDS[guess - 1 - INDEX_MIN]! ? guess - 1 : guess
}
