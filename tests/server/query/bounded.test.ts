import { expect, test } from 'bun:test'
import { Readable } from 'node:stream'
import type { ClickHouseClient } from '@clickhouse/client'
import { realEnv } from '../../../src/lib/env-real.ts'
import { tables } from '../../../src/model/tables/registry.ts'
import { bounded } from '../../../src/server/query/bounded.ts'
import { catalogOf } from '../../../src/server/query/catalog.ts'
import { Query } from '../../../src/server/query/query.ts'

const FRAME =
  '\r\n__exception__\r\nTAG\r\nCode: 159. DB::Exception: too slow\n24 TAG\r\n__exception__\r\n'

function read(
  chunks: readonly string[],
  bytesMax = 1000,
): { text: Promise<string>; left: number[] } {
  const left: number[] = []
  const source = Readable.from(chunks.map((chunk) => Buffer.from(chunk)))
  const body = bounded({ source, bytesMax, tag: 'TAG', leave: () => left.push(1) })
  return { text: new Response(body).text(), left }
}

test('bounded gives on every byte, in whatever pieces they come', async () => {
  const whole = 'abc\r\n__exception__\r\nOTHER\r\n'.repeat(5)
  for (const size of [1, 3, 7, 100]) {
    const chunks = whole.match(new RegExp(`[^]{1,${size}}`, 'g'))!
    const { text, left } = read(chunks)
    expect(await text).toBe(whole)
    expect(left).toEqual([1])
  }
  expect(await read([]).text).toBe('')
})

test('bounded fails where the engine failed in the middle, wherever it was cut', async () => {
  const whole = `1\n2\n${FRAME}`
  for (let cut = 1; cut < whole.length; cut++) {
    const { text, left } = read([whole.slice(0, cut), whole.slice(cut)])
    await expect(text).rejects.toThrow('Cannot go on with the answer')
    expect(left).toEqual([1])
  }
  await expect(read([whole]).text).rejects.toThrow('too slow')
})

test('bounded fails where there is more than it may give', async () => {
  const { text, left } = read(['x'.repeat(900), 'x'.repeat(900)])
  await expect(text).rejects.toThrow('more than 1000 bytes')
  expect(left).toEqual([1])
})

test('bounded gives its place back where nobody reads on', async () => {
  const left: number[] = []
  const source = Readable.from([Buffer.from('a'), Buffer.from('b')])
  const body = bounded({ source, bytesMax: 10, tag: undefined, leave: () => left.push(1) })
  await body.cancel()
  expect([left, source.destroyed]).toEqual([[1], true])
})

test('Query.run reads no further into a row that is longer than an answer may be', async () => {
  let given = 0
  function* chunks(): Generator<Buffer> {
    yield Buffer.from('{\n\t"meta":\n\t[\n\t\t{"name": "a", "type": "String"}\n\t],\n')
    yield Buffer.from('\n\t"data":\n\t[\n\t\t["a"],\n\t\t["')
    for (; given < 1000; given++) yield Buffer.from('x'.repeat(1000))
  }
  const exec = (): Promise<unknown> =>
    Promise.resolve({ stream: Readable.from(chunks()), response_headers: {} })
  const query = new Query({
    client: { exec } as unknown as ClickHouseClient,
    catalog: catalogOf(tables),
    clock: realEnv().clock,
    limits: { bytes: 10_000 },
  })
  const { columns, values, isTruncated } = await query.run('SELECT 1 AS a')
  expect([columns, values, isTruncated]).toEqual([['a'], ['["a"]'], true])
  expect(given).toBeLessThan(50)
})
