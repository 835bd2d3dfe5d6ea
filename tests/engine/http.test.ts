import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { Agent } from 'node:http'
import { Readable } from 'node:stream'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import {
  type ClickHouseClient,
  ClickHouseError,
  ClickHouseLogLevel,
  createClient,
  TupleParam,
} from '@clickhouse/client'
import { DEFAULT_LIMITS } from '../../src/server/storage/clickhouse.ts'
import { HAS_ENGINE, rowsOf, startEngine, type TestEngine } from '../server/storage/engine.ts'
import { until } from '../until.ts'

/** The code of the error a promise rejects with. */
async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    const answer = await promise
    // The client reads a result, and what goes wrong in it, only when asked.
    if (answer instanceof Object && 'text' in answer) await (answer.text as () => Promise<string>)()
    return 'none'
  } catch (error) {
    return error instanceof ClickHouseError ? error.code : String(error)
  }
}

describe.skipIf(!HAS_ENGINE)('the engine behind @clickhouse/client', () => {
  let engine: TestEngine
  let writer: ClickHouseClient
  let reader: ClickHouseClient
  beforeAll(async () => {
    engine = await startEngine({ ...DEFAULT_LIMITS, readerSeconds: 20, readerRows: 500_000 })
    ;({ writer, reader } = engine)
    await writer.command({ query: 'CREATE DATABASE flow_log' })
    await writer.command({
      query: 'CREATE TABLE flow_log.t (n UInt64, s String) ENGINE = MergeTree ORDER BY n',
    })
    await writer.insert({
      table: 'flow_log.t',
      values: [
        { n: 1, s: 'one;' },
        { n: 2, s: "two '\n\\" },
      ],
      format: 'JSONEachRow',
    })
  })
  afterAll(() => engine.end())

  test('ping answers, by address and by a statement', async () => {
    expect((await reader.ping()).success).toBe(true)
    expect((await reader.ping({ select: true })).success).toBe(true)
  })

  test('query answers in every format, whole or streamed', async () => {
    const query = 'SELECT n, s FROM flow_log.t ORDER BY n'
    const json = await (await reader.query({ query })).json<{ n: number; s: string }>()
    expect(json.data).toEqual([
      { n: 1, s: 'one;' },
      { n: 2, s: "two '\n\\" },
    ] as never)
    const csv = await (await reader.query({ query, format: 'CSVWithNames' })).text()
    expect(csv).toBe('"n","s"\n1,"one;"\n2,"two \'\n\\"\n')
    let rows = 0
    const result = await reader.query({
      query: 'SELECT number AS n, toString(number) AS s FROM numbers(300000)',
      format: 'JSONEachRow',
    })
    for await (const some of result.stream<{ n: number; s: string }>())
      for (const row of some) if (row.json().s === String(rows)) rows++
    expect(rows).toBe(300_000)
    const large = await reader.query({ query: 'SELECT number FROM numbers(200000)' })
    expect((await large.json()).rows).toBe(200_000)
  })

  test('query takes parameters of every shape as values, never as SQL', async () => {
    const [row] = await (
      await reader.query({
        query: `SELECT {text: String} AS text, {list: Array(String)} AS list, {n: UInt64} AS n,
          {none: Nullable(String)} AS none, {pair: Tuple(UInt8, String)} AS pair, {at: DateTime64(3)} AS at,
          {flag: Bool} AS flag, s, '{text: String}' AS quoted /* {text: String} */
        FROM {table: Identifier}.t WHERE s = {s: String}`,
        query_params: {
          text: "'; DROP TABLE t -- \t\n\\ größe",
          list: ["a'b", 'c\\d', ''],
          n: '18446744073709551615',
          none: null,
          pair: new TupleParam([1, "a'b"]),
          at: new Date('2026-01-02T03:04:05.678Z'),
          flag: true,
          table: 'flow_log',
          s: "two '\n\\",
        },
        format: 'JSONEachRow',
      })
    ).json<Record<string, unknown>>()
    expect(row).toEqual({
      text: "'; DROP TABLE t -- \t\n\\ größe",
      list: ["a'b", 'c\\d', ''],
      n: 18446744073709552000,
      none: null,
      pair: [1, "a'b"],
      at: '2026-01-02 03:04:05.678',
      flag: true,
      s: "two '\n\\",
      quoted: '{text: String}',
    })
    expect(
      await codeOf(reader.query({ query: 'SELECT {n: UInt8}', query_params: { n: '1)' } })),
    ).toBe('6')
    expect(await codeOf(reader.query({ query: 'SELECT {n: UInt8}' }))).toBe('456')
  })

  test('many long parameters arrive as a form', async () => {
    const long = 'ü'.repeat(20_000)
    const [row] = await (
      await reader.query({
        query: 'SELECT length({long: String}) AS size',
        query_params: { long },
        use_multipart_params: true,
        format: 'JSONEachRow',
      })
    ).json<{ size: number }>()
    expect(row?.size).toBe(40_000)
  })

  test('errors have the code, type and sentence of ClickHouse', async () => {
    const error = await reader.query({ query: 'SELECT * FROM nothing' }).catch((thrown) => thrown)
    expect(error).toBeInstanceOf(ClickHouseError)
    expect([error.code, error.type]).toEqual(['60', 'UNKNOWN_TABLE'])
    const cases: [string, string][] = [
      ['SELECT 1 x y z', '62'],
      ["SELECT 'a\\'b' FROM (", '62'],
      ['DROP TABLE flow_log.t; nonsense here x', '62'],
      ['SELECT nothing', '47'],
      ['SELECT 1 FROM flow_log.t WHERE', '62'],
    ]
    for (const [query, code] of cases)
      expect([query, await codeOf(reader.query({ query }))]).toEqual([query, code])
  })

  test('an error in the middle of a streamed answer reaches the client', async () => {
    const result = await writer.query({
      query: 'SELECT throwIf(number = 5000000) AS n FROM numbers(6000000)',
      format: 'JSONEachRow',
    })
    let rows = 0
    const read = async (): Promise<void> => {
      for await (const some of result.stream()) rows += some.length
    }
    expect(await codeOf(read())).toBe('395')
    expect(rows).toBeGreaterThan(50_000)
    for (let i = 0; i < 8; i++) expect(await rowsOf(writer, 'SELECT 1')).toEqual([[1]])
  })

  test('readers read one statement at a time and cannot change anything', async () => {
    const cases: [string, string][] = [
      ['SELECT 1; SELECT 2', '164'],
      ['DROP TABLE flow_log.t', '164'],
      ["INSERT INTO flow_log.t VALUES (3, 'x')", '164'],
      ['INSERT INTO flow_log.t FORMAT CSV\n3,x\n', '164'],
      ['SET max_execution_time = 0', '164'],
      ["SELECT 1 INTO OUTFILE '/tmp/never'", '164'],
      ['KILL QUERY WHERE 1', '164'],
      ['SYSTEM SHUTDOWN', '164'],
      ['CREATE TEMPORARY TABLE x (a UInt8)', '164'],
      ['USE system', '164'],
      ['SELECT 1 SETTINGS max_execution_time = 0', '164'],
      ["SELECT * FROM file('/etc/passwd', 'LineAsString')", '497'],
      ["SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')", '497'],
      ["SELECT * FROM s3('http://127.0.0.1:1/bucket/key.csv', 'CSV', 'a String')", '497'],
      ["SELECT * FROM remote('127.0.0.1', system.one)", '497'],
      ["SELECT * FROM mysql('127.0.0.1:1', 'a', 'b', 'c', 'd')", '497'],
      ["SELECT * FROM executable('cat', 'TSV', 'a String')", '164'],
    ]
    for (const [query, code] of cases)
      expect([query, await codeOf(reader.exec({ query }))]).toEqual([query, code])
    expect(
      await codeOf(reader.query({ query: 'SELECT 1', clickhouse_settings: { max_threads: 1 } })),
    ).toBe('164')
    expect(await rowsOf(reader, 'SELECT count() FROM flow_log.t')).toEqual([[2]])
  })

  test('readers have fixed limits of time, memory and rows', async () => {
    expect(await codeOf(reader.query({ query: 'SELECT number FROM numbers(600000)' }))).toBe('396')
    expect(
      await codeOf(reader.query({ query: 'SELECT groupArray(number) FROM numbers(1000000000)' })),
    ).toBe('241')
    expect(
      await rowsOf(reader, "SELECT getSetting('max_execution_time'), getSetting('readonly')"),
    ).toEqual([[20, 1]])
  })

  test("a statement's own settings are its own alone", async () => {
    const threads = async (settings = {}): Promise<unknown> => {
      const answer = await writer.query({
        query: "SELECT toString(getSetting('max_block_size')) AS v",
        format: 'JSONEachRow',
        clickhouse_settings: settings,
      })
      return ((await answer.json()) as { v: string }[])[0]?.v
    }
    const before = await threads()
    expect(await threads({ max_block_size: '77' })).toBe('77')
    for (let i = 0; i < 8; i++) expect(await threads()).toBe(before)
    const rows = "SELECT toString(getSetting('min_insert_block_size_rows'))"
    await codeOf(
      writer.query({ query: rows, clickhouse_settings: { min_insert_block_size_rows: '5' } }),
    )
    for (let i = 0; i < 8; i++) expect(await rowsOf(writer, rows)).toEqual([['100000000']])
    expect(
      await codeOf(
        writer.query({ query: 'SELECT 1', clickhouse_settings: { nonsense: 1 } as never }),
      ),
    ).toBe('115')
  })

  test('insert takes rows packed by gzip or zstd, and rows in the statement', async () => {
    await writer.command({ query: 'CREATE TABLE flow_log.packed (n UInt64) ENGINE = Memory' })
    const url = 'http://engine/?query=INSERT%20INTO%20flow_log.packed%20FORMAT%20TSV'
    const { Authorization } = await authorization(writer)
    const post = async (encoding: string, body: Uint8Array): Promise<number> =>
      (
        await fetch(url, {
          method: 'POST',
          unix: `${engine.directory}/engine.sock`,
          headers: { Authorization, 'Content-Encoding': encoding },
          body: body as Uint8Array<ArrayBuffer>,
        })
      ).status
    expect(await post('gzip', gzipSync('1\n2\n'))).toBe(200)
    expect(await post('zstd', zstdCompressSync('3\n'))).toBe(200)
    expect(await post('br', Buffer.from('x'))).toBe(501)
    await writer.command({ query: 'INSERT INTO flow_log.packed VALUES (4), (5)' })
    await writer.command({ query: 'INSERT INTO flow_log.packed FORMAT CSV\n6\n7\n' })
    await writer.command({ query: 'INSERT INTO flow_log.packed SELECT 8' })
    expect(await rowsOf(reader, 'SELECT count(), sum(n) FROM flow_log.packed')).toEqual([[8, 36]])
  })

  test('answers are packed where the client asks', async () => {
    const { Authorization } = await authorization(reader)
    const answer = await fetch(
      'http://engine/?enable_http_compression=1&query=SELECT%20number%20FROM%20numbers(100000)',
      {
        unix: `${engine.directory}/engine.sock`,
        headers: { Authorization, 'Accept-Encoding': 'gzip' },
        decompress: false,
      },
    )
    expect(answer.headers.get('content-encoding')).toBe('gzip')
    const packed = new Uint8Array(await answer.arrayBuffer())
    expect(Buffer.from(Bun.gunzipSync(packed)).toString().split('\n').length).toBe(100_001)
  })

  test('an insert says how much it wrote, and its rows come whole', async () => {
    await writer.command({
      query: 'CREATE TABLE flow_log.much (n UInt64) ENGINE = MergeTree ORDER BY n',
    })
    const values = new BigUint64Array(1_500_000).map((_, i) => BigInt(i))
    const { stream, summary } = await writer.exec({
      query: 'INSERT INTO flow_log.much FORMAT RowBinary',
      values: Readable.from([Buffer.from(values.buffer)], { objectMode: false }),
    })
    for await (const _ of stream);
    expect(summary?.written_rows).toBe('1500000')
    expect(await rowsOf(reader, 'SELECT count(), sum(n) FROM flow_log.much')).toEqual([
      [1_500_000, 1124999250000],
    ])
    const parts = "SELECT count() FROM system.parts WHERE table = 'much' AND active"
    expect(await rowsOf(writer, parts)).toEqual([[1]])
  })

  test('a broken insert is refused and leaves nothing', async () => {
    const cut = writer.exec({
      query: 'INSERT INTO flow_log.t FORMAT Native',
      values: Readable.from([Buffer.from('0201016e0655496e743634', 'hex')], { objectMode: false }),
    })
    expect(await codeOf(cut)).toBe('33')
    expect(await rowsOf(reader, 'SELECT count() FROM flow_log.t')).toEqual([[2]])
  })

  test('a statement whose client goes away is ended', async () => {
    const running = async (): Promise<unknown> =>
      (
        await rowsOf(
          writer,
          "SELECT count() FROM system.processes WHERE query LIKE '%count_me%' AND query NOT LIKE '%system.processes%'",
        )
      )[0]?.[0]
    const stop = new AbortController()
    const slow = reader.query({
      query: "SELECT 'count_me', count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1",
      abort_signal: stop.signal,
    })
    const failed = codeOf(slow)
    await until(async () => (await running()) === 1)
    stop.abort()
    expect(await failed).not.toBe('none')
    await until(async () => (await running()) === 0)
    const whole = await reader.query({
      query: "SELECT number, repeat('x', 1000) FROM numbers(400000)",
      format: 'JSONEachRow',
    })
    whole.close()
    for (let i = 0; i < 8; i++) expect(await rowsOf(reader, 'SELECT 1')).toEqual([[1]])
  })

  test('statements wait for a connection and all are answered', async () => {
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, i) =>
        rowsOf(reader, `SELECT ${i}, sum(number) FROM numbers(100000)`),
      ),
    )
    expect(answers.map((rows) => rows[0]?.[0])).toEqual(Array.from({ length: 40 }, (_, i) => i))
  })

  test('who does not know a password is refused', async () => {
    const options = { keepAlive: false, socketPath: `${engine.directory}/engine.sock` }
    for (const username of ['writer', 'reader', 'default', '']) {
      const stranger = createClient({
        url: 'http://engine',
        username,
        password: 'guess',
        http_agent: new Agent(options),
        log: { level: ClickHouseLogLevel.OFF },
      })
      expect(await codeOf(stranger.query({ query: 'SELECT 1' }))).toBe('516')
      await stranger.close()
    }
  })

  test('what the engine cannot do is refused by name', async () => {
    expect(await codeOf(reader.query({ query: 'SELECT 1', session_id: 'x' }))).toBe('48')
    const { Authorization } = await authorization(reader)
    for (const path of [
      '?client_protocol_version=54460&query=SELECT+1',
      '?compress=1&query=SELECT+1',
    ])
      expect(
        (
          await fetch(`http://engine/${path}`, {
            unix: `${engine.directory}/engine.sock`,
            headers: { Authorization },
          })
        ).status,
      ).toBe(501)
    const nowhere = await fetch('http://engine/play', { unix: `${engine.directory}/engine.sock` })
    expect(nowhere.status).toBe(404)
  })
})

/** What a client sends to say who it is, by asking a server that only listens. */
async function authorization(client: ClickHouseClient): Promise<{ Authorization: string }> {
  const params = (
    client as unknown as { connectionParams: { auth: { username: string; password: string } } }
  ).connectionParams
  const { username, password } = params.auth
  return { Authorization: `Basic ${btoa(`${username}:${password}`)}` }
}
