import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { INDEX_MAX, INDEX_MIN, latencyIndex } from '../../src/lib/histogram.ts'

/** Whether µs <= 10^6 · 2^(index/32), in whole numbers: µs^32 · 2^-index <= 10^192. */
function isWithin(µs: number, index: number): boolean {
  const left = BigInt(µs) ** 32n
  const right = 10n ** 192n
  return index < 0 ? left << BigInt(-index) <= right : left <= right << BigInt(index)
}

/** The smallest index whose bucket reaches up to the duration. */
function oracle(µs: number): number {
  let low = INDEX_MIN
  let high = INDEX_MAX
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    if (isWithin(µs, middle)) high = middle
    else low = middle + 1
  }
  return low
}

test('latencyIndex is ceil(32·log2(seconds)) at, below and above every bound', () => {
  for (let index = INDEX_MIN; index < INDEX_MAX; index++) {
    const bound = Math.floor(1e6 * 2 ** (index / 32))
    for (const µs of [bound - 1, bound, bound + 1])
      if (µs >= 1) expect([µs, latencyIndex(µs)]).toEqual([µs, oracle(µs)])
  }
})

test('latencyIndex is ceil(32·log2(seconds)) of any duration', () => {
  const durations = fc.oneof(fc.nat(), fc.nat(10_000), fc.nat(2 ** 36))
  fc.assert(
    fc.property(durations, (µs) => expect(latencyIndex(µs)).toBe(oracle(Math.max(µs, 1)))),
    { numRuns: 5000 },
  )
})

test.each([
  [0, -637],
  [0.9, -637],
  [1, -637],
  [-5, -637],
  [Number.NaN, -637],
  [1_000_000, 0],
  [1_000_001, 1],
  [2_000_000, 32],
  [1_999_999, 32],
  [500_000, -32],
  [500_000.9, -32],
  [2 ** 16 * 1e6, 512],
  [2 ** 16 * 1e6 + 1, 512],
  [Number.MAX_SAFE_INTEGER, 512],
])('latencyIndex of %d µs is %d', (µs, index) => expect(latencyIndex(µs)).toBe(index))
