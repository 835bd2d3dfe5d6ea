import { expect, test } from 'bun:test'
import { Utc } from '../../src/lib/utc.ts'

test('Utc.offset is wall less monotonic time, measured again every 10 s', () => {
  const clock = {
    now: 1_000_000,
    ahead: 500,
    wall: () => clock.now + clock.ahead,
    monotonic: () => clock.now,
  }
  const utc = new Utc(clock)
  clock.ahead = 900
  clock.now += 9_999_999
  expect(utc.offset(clock.now)).toBe(500)
  clock.now += 1
  expect(utc.offset(clock.now)).toBe(900)
  clock.ahead = -7
  expect(utc.offset(clock.now)).toBe(900)
  utc.measure()
  expect(utc.offset(clock.now)).toBe(-7)
})
