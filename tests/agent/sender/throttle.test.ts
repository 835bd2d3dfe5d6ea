import { expect, test } from 'bun:test'
import { Throttle } from '../../../src/agent/sender/throttle.ts'
import { Call } from '../../../src/model/call.ts'
import { STATUS } from '../../../src/model/message.ts'

/** A block as a throttle sees it: rows that are appended to or replaced. */
class Rows {
  rows: string[] = []
  readonly throttle: Throttle

  constructor(rowsPerSecond: number) {
    this.throttle = new Throttle(rowsPerSecond, () => {})
  }

  add(name: string, second: number, changes: Partial<Call> = {}): void {
    const row = this.throttle.place(Object.assign(new Call(), { endTime: second * 1e6 }, changes))
    if (row === Throttle.APPEND) this.throttle.placed(this.rows.push(name) - 1)
    else if (row !== Throttle.DROP) this.rows[row] = name
  }

  flush(): string[] {
    const { rows } = this
    this.rows = []
    this.throttle.forget()
    return rows
  }
}

const error = { status: STATUS.serverError }

test('Throttle keeps so many rows a second, and counts each that it drops', () => {
  const rows = new Rows(100)
  for (let second = 0; second < 3; second++)
    for (let i = 0; i < 250; i++) rows.add('ordinary', second)
  expect(rows.rows.length).toBe(300)
  expect(rows.throttle.counters).toMatchObject({
    in: 750,
    out: 300,
    dropped: { ordinary: 450, important: 0 },
  })
})

test('Throttle lets ordinary rows give way to errors, wherever in the second they come', () => {
  const rows = new Rows(100)
  for (let i = 0; i < 1000; i++) {
    if (i % 20 === 7) rows.add(`error ${i}`, 1, error)
    else rows.add('ordinary', 1)
  }
  expect(rows.rows.filter((name) => name.startsWith('error')).length).toBe(50)
  expect(rows.rows.length).toBe(100)
  expect(rows.throttle.counters.dropped).toEqual({ ordinary: 900, important: 0 })
})

test('Throttle lets slow calls stay where others go', () => {
  const rows = new Rows(200)
  for (let i = 0; i < 10_000; i++)
    rows.add(i % 100 === 50 ? 'slow' : 'quick', 1, {
      hasDuration: true,
      duration: i % 100 === 50 ? 50_000 : 100 + (i % 7),
    })
  const slow = rows.rows.filter((name) => name === 'slow').length
  // 100 of 10,000 calls are slow: even sampling would leave 2 of them.
  expect(slow).toBeGreaterThan(90)
})

test('Throttle keeps an even sample of a second, not its beginning', () => {
  const rows = new Rows(500)
  for (let i = 0; i < 10_000; i++) rows.add(String(i), 1)
  const late = rows.rows.filter((name) => Number(name) >= 5000).length
  expect(late).toBeGreaterThan(150)
  expect(late).toBeLessThan(350)
  expect(new Set(rows.rows).size).toBe(500)
})

test('Throttle keeps an even sample of each second, also where its calls are fewer or more', () => {
  const rows = new Rows(500)
  let writes = 0
  for (const [second, calls] of [10_000, 10_000, 5000, 20_000].entries()) {
    for (let i = 0; i < calls; i++) {
      const before = rows.rows.join()
      rows.add(String(i), second + 1)
      if (second === 1 && rows.rows.join() !== before) writes++
    }
    const kept = rows.flush().map(Number)
    expect(new Set(kept).size).toBe(500)
    // Where fewer come than were expected, the first of them keep more of the rows.
    const late = kept.filter((i) => i >= calls / 2).length
    expect(late).toBeGreaterThan(second === 2 ? 70 : 175)
    expect(late).toBeLessThan(325)
  }
  // 500 rows and at most as many again, where sampling alone writes 500 · (1 + ln 20) = 2,000.
  expect(writes).toBeLessThan(1000)
})

test('Throttle gives errors a tenth more where no ordinary row is left in the block', () => {
  const rows = new Rows(100)
  for (let i = 0; i < 100; i++) rows.add('ordinary', 1)
  expect(rows.flush().length).toBe(100)
  for (let i = 0; i < 50; i++) rows.add('error', 1, error)
  rows.add('ordinary', 1)
  expect(rows.flush()).toEqual(new Array(10).fill('error'))
  expect(rows.throttle.counters.dropped).toEqual({ ordinary: 1, important: 40 })
  rows.add('next', 2)
  expect(rows.flush()).toEqual(['next'])
})

test('Throttle counts calls of a second gone by in the present one', () => {
  const rows = new Rows(2)
  for (const second of [5, 4, 5, 3, 5]) rows.add('x', second)
  expect(rows.rows.length).toBe(2)
})

test('Throttle without a limit keeps all', () => {
  const rows = new Rows(Number.POSITIVE_INFINITY)
  for (let i = 0; i < 1000; i++) rows.add('x', 1)
  expect([rows.rows.length, rows.throttle.counters.out]).toEqual([1000, 1000])
})
