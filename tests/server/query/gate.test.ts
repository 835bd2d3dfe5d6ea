import { expect, test } from 'bun:test'
import { Gate } from '../../../src/server/query/gate.ts'

test('Gate lets so many in, so many wait in order, and sends the rest away', async () => {
  const gate = new Gate(1, 2)
  const order: number[] = []
  const came = async (who: number): Promise<() => void> => {
    const go = await gate.enter()
    order.push(who)
    return go
  }
  const leave = await gate.enter()
  const second = came(2)
  const third = came(3)
  await expect(gate.enter()).rejects.toThrow('1 run and 2 wait already')
  leave()
  leave()
  const leaveSecond = await second
  expect(order).toEqual([2])
  leaveSecond()
  ;(await third)()
  ;(await gate.enter())()
  expect(order).toEqual([2, 3])
})

test('Gate lets who gives up waiting go, and others wait in its place', async () => {
  const gate = new Gate(1, 1)
  const leave = await gate.enter()
  const stop = new AbortController()
  const gone = gate.enter(stop.signal)
  await expect(gate.enter()).rejects.toThrow('1 run and 1 wait already')
  stop.abort()
  await expect(gone).rejects.toThrow('nobody waits for it')
  const next = gate.enter()
  leave()
  ;(await next)()
  expect(await gate.enter()).toBeFunction()
})
