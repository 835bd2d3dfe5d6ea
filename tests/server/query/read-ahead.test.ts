import { expect, test } from 'bun:test'
import { ReadAhead } from '../../../src/server/query/read-ahead.ts'
import { until } from '../../until.ts'

/** Chunks of 10 bytes, and how many of them were taken. */
function source(count: number, failure?: Error) {
  const state = { given: 0, isCancelled: false }
  const stream = new ReadableStream<Uint8Array>(
    {
      pull(controller): void {
        if (state.given < count) controller.enqueue(new Uint8Array(10).fill(++state.given))
        else if (failure) controller.error(failure)
        else controller.close()
      },
      cancel(): void {
        state.isCancelled = true
      },
    },
    { highWaterMark: 0 },
  )
  return { stream, state }
}

test('ReadAhead takes an answer whole before anybody reads it', async () => {
  const { stream, state } = source(50)
  const body = new ReadAhead(1000).of(stream)
  await until(() => state.given === 50)
  const bytes = await new Response(body).bytes()
  expect([bytes.length, bytes[0], bytes.at(-1)]).toEqual([500, 1, 50])
})

test('ReadAhead takes no more than there is room for, of all answers together', async () => {
  const ahead = new ReadAhead(100)
  const one = source(50)
  const other = source(50)
  const first = ahead.of(one.stream)
  await until(() => one.state.given === 11)
  const second = ahead.of(other.stream)
  await until(() => other.state.given === 1)
  expect((await new Response(second).bytes()).length).toBe(500)
  expect(one.state.given).toBeLessThan(50)
  expect((await new Response(first).bytes()).length).toBe(500)
  const third = source(10)
  ahead.of(third.stream)
  await until(() => third.state.given === 10)
})

test('ReadAhead fails where the answer fails, behind what came before', async () => {
  const body = new ReadAhead().of(source(3, new Error('broken')).stream).getReader()
  for (let i = 1; i <= 3; i++) expect((await body.read()).value?.[0]).toBe(i)
  await expect(body.read()).rejects.toThrow('broken')
})

test('ReadAhead lets the answer go where nobody reads on, and what it held', async () => {
  const ahead = new ReadAhead(100)
  const { stream, state } = source(50)
  const body = ahead.of(stream)
  await until(() => state.given === 11)
  await body.cancel()
  expect(state.isCancelled).toBe(true)
  const next = source(10)
  ahead.of(next.stream)
  await until(() => next.state.given === 10)
})
