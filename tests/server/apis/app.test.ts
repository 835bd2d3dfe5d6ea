import { expect, test } from 'bun:test'
import { MetaflowError } from '../../../src/lib/errors.ts'
import { type AppDeps, buildApp } from '../../../src/server/apis/app.ts'
import { Bodies } from '../../../src/server/apis/body.ts'
import { idleSeconds } from '../../../src/server/apis/door.ts'
import { until } from '../../until.ts'

const bytes = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text)
const part = { version: '1', startedAt: 1, cpuSeconds: 2, memoryBytes: 3, samples: [] }

/** An app whose rooms answer what was asked of them. */
function app(deps: Partial<AppDeps> = {}): ReturnType<typeof buildApp> {
  return buildApp({
    clock: { wall: () => 1_790_000_000_000_000, monotonic: () => 1 },
    query: {
      run: async (sql, { database, precision }) => ({
        sql,
        columns: ['a', 'b'],
        types: ['UInt64', 'String'],
        values: ['[18446744073709551615,"x"]', `["${database}","${precision}"]`],
        isTruncated: false,
        elapsedMs: 1.5,
      }),
      stream: async (sql, format) => ({
        contentType: 'text/csv',
        body: new Response(`${format}:${sql}`).body!,
      }),
    },
    catalog: { tables: [] },
    takeBlocks: async (body, authorization) => ({
      status: 202,
      headers: { 'content-type': 'application/json', 'x-size': String(body.length) },
      body: bytes(JSON.stringify({ authorization })),
    }),
    engine: () => ({ healthy: true, sentence: 'serving' }),
    server: () => part,
    samples: () => [],
    assets: new Map([
      ['/index.html', { bytes: bytes('<p>page</p>'), type: 'text/html', gzip: bytes('zipped') }],
      ['/app.js', { bytes: bytes('1'), type: 'text/javascript' }],
    ]),
    ...deps,
  })
}

const post = (body: string, type: string, headers: Record<string, string> = {}): RequestInit => ({
  method: 'POST',
  body,
  headers: { 'content-type': type, ...headers },
})
const json = (body: unknown, headers: Record<string, string> = {}): RequestInit =>
  post(JSON.stringify(body), 'application/json', headers)

test('query is taken from JSON, a form and a URL, with a slash or without', async () => {
  const form = 'sql=SELECT+1&db=flow_log&data_precision=1s'
  const requests: [string, RequestInit?][] = [
    ['/v1/query', json({ sql: 'SELECT 1', db: 'flow_log', data_precision: '1s' })],
    ['/v1/query/', post(form, 'application/x-www-form-urlencoded')],
    [`/v1/query?${form}`],
  ]
  for (const [path, init] of requests) {
    const response = await app().request(path, init)
    expect(await response.text()).toBe(
      '{"OPT_STATUS":"SUCCESS","DESCRIPTION":"","result":{"columns":["a","b"],' +
        '"schemas":["UInt64","String"],"values":[[18446744073709551615,"x"],["flow_log","1s"]]},' +
        '"truncated":false,"sql":"SELECT 1","elapsed_ms":1.5}',
    )
  }
})

test('query with a format streams what the engine gives', async () => {
  const response = await app().request('/v1/query?format=CSV', json({ sql: 'SELECT 1' }))
  expect(response.headers.get('content-type')).toBe('text/csv')
  expect(await response.text()).toBe('CSV:SELECT 1')
})

test('query refuses what it cannot read with a sentence and a status', async () => {
  const cases: [string, RequestInit | undefined, number, string][] = [
    ['/v1/query', undefined, 400, 'it has no sql'],
    ['/v1/query', json({ sql: 1 }), 400, 'it has no sql'],
    ['/v1/query', json([1]), 400, 'no JSON object'],
    ['/v1/query', post('{', 'application/json'), 400, 'no JSON'],
    ['/v1/query', post('{"sql":"SELECT 1"}', 'text/plain'), 400, 'content type'],
    ['/v1/query?sql=x&data_precision=2s', undefined, 400, '1s or 1m'],
    ['/v1/query', json({ sql: 'x'.repeat(300_000) }), 413, 'over 262144 bytes'],
    ['/v1/query', post('--x', 'multipart/form-data'), 400, 'broken'],
  ]
  for (const [path, init, status, said] of cases) {
    const response = await app().request(path, init)
    const body = (await response.json()) as { OPT_STATUS: string; DESCRIPTION: string }
    expect([response.status, body.DESCRIPTION]).toEqual([status, expect.stringContaining(said)])
  }
})

test('query answers an error of the room with its status and what the peers call it', async () => {
  const run = async (): Promise<never> => {
    throw new MetaflowError('refused', 'Cannot read the statement: no')
  }
  const deps = { query: { run, stream: run } }
  const response = await app(deps).request('/v1/query?sql=x')
  expect(response.status).toBe(400)
  expect(await response.json()).toEqual({
    OPT_STATUS: 'INVALID_PARAMETERS',
    DESCRIPTION: 'Cannot read the statement: no',
    result: null,
    code: 'refused',
  })
})

test('a token is asked for everywhere but on the page and /healthz', async () => {
  const secured = app({ token: 'secret' })
  for (const path of ['/v1/query?sql=x', '/metrics', '/v1/status', '/v1/catalog', '/v1/none']) {
    const bare = await secured.request(path)
    expect([path, bare.status]).toEqual([path, 401])
    expect(bare.headers.get('www-authenticate')).toContain('Bearer')
    const wrong = await secured.request(path, { headers: { authorization: 'Bearer secre' } })
    expect([path, wrong.status]).toEqual([path, 401])
    const right = await secured.request(path, { headers: { authorization: 'Bearer secret' } })
    expect([path, right.status]).toEqual([path, path === '/v1/none' ? 404 : 200])
  }
  for (const path of ['/', '/healthz']) expect((await secured.request(path)).status).toBe(200)
})

test('a request for another name, or from another site, is refused', async () => {
  const cases: [Record<string, string>, number][] = [
    [{ host: 'localhost:20416' }, 200],
    [{ host: '127.0.0.1:20416' }, 200],
    [{ host: '[::1]:20416' }, 200],
    [{ host: 'evil.example:20416' }, 403],
    [{ host: '127.0.0.1.evil.example' }, 403],
    [{ host: 'localhost:1', origin: 'http://localhost:1' }, 200],
    [{ host: 'localhost:1', origin: 'http://localhost:2' }, 403],
    [{ host: 'localhost:1', origin: 'https://evil.example' }, 403],
    [{ host: 'localhost:1', origin: 'null' }, 403],
    [{ host: 'localhost:1', 'sec-fetch-site': 'cross-site' }, 403],
    [{ host: 'localhost:1', 'sec-fetch-site': 'same-origin' }, 200],
  ]
  for (const [headers, status] of cases) {
    const response = await app().request('/v1/query', json({ sql: 'SELECT 1' }, headers))
    expect([headers, response.status]).toEqual([headers, status])
  }
  const link = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' }
  expect((await app().request('/', { headers: link })).status).toBe(200)
})

test('a name of its own is allowed where it is set, and any where a token is', async () => {
  const named = app({ hosts: ['Metaflow.lan'] })
  const ask = (on: ReturnType<typeof buildApp>): Promise<Response> =>
    Promise.resolve(on.request('/healthz', { headers: { host: 'metaflow.lan:1' } }))
  expect((await ask(named)).status).toBe(200)
  expect((await ask(app())).status).toBe(403)
  expect((await ask(app({ token: 'secret' }))).status).toBe(200)
})

test('blocks are handed to the receiver with their authorization, its answer is passed on', async () => {
  const response = await app({ token: 't' }).request('/v1/blocks', {
    method: 'POST',
    body: bytes('12345'),
    headers: { authorization: 'Bearer t' },
  })
  expect([response.status, response.headers.get('x-size')]).toEqual([202, '5'])
  expect(await response.json()).toEqual({ authorization: 'Bearer t' })
})

test('blocks beyond the bound are refused, announced or not', async () => {
  const body = new Uint8Array(17 * 1024 * 1024)
  const response = await app().request('/v1/blocks', { method: 'POST', body })
  expect(response.status).toBe(413)
  const stream = new Blob([body]).stream()
  expect((await app().request('/v1/blocks', { method: 'POST', body: stream })).status).toBe(413)
})

test('blocks are read of so many at a time as there is room for', async () => {
  const bodies = new Bodies(100)
  const one = app({ bodies })
  const rest = Promise.withResolvers<void>()
  const slow = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(new Uint8Array(60)),
    pull: async (controller) => {
      await rest.promise
      controller.close()
    },
  })
  const first = one.request('/v1/blocks', { method: 'POST', body: slow })
  const post = (size: number): Response | Promise<Response> =>
    one.request('/v1/blocks', { method: 'POST', body: new Uint8Array(size) })
  await until(async () => {
    const { status, headers } = await post(50)
    return status === 503 && headers.get('retry-after') === '1'
  })
  expect(bodies.refused).toBe(1)
  expect((await post(40)).status).toBe(202)
  rest.resolve()
  expect((await first).status).toBe(202)
  expect((await post(100)).status).toBe(202)
})

test('status tells of the server, the engine and the latest report of each agent', async () => {
  const one = app()
  const sample = { name: 'ring_lost_total', help: 'Lost.', labels: { cpu: '0' }, value: 1 }
  const agent = { ...part, agent: '0'.repeat(32), host: 'h', family: 'socket', samples: [sample] }
  expect((await one.request('/v1/agents/status', json({ ...agent, host: 'g' }))).status).toBe(204)
  expect((await one.request('/v1/agents/status', json(agent))).status).toBe(204)
  expect(await (await one.request('/v1/status')).json()).toEqual({
    now: 1_790_000_000_000,
    server: part,
    engine: { healthy: true, sentence: 'serving' },
    agents: [{ ...agent, seenAt: 1_790_000_000_000 }],
  })
})

test('status refuses a report that is none', async () => {
  for (const body of [{}, { ...part, agent: 'x', host: 'h', family: 'f' }, [], 'text']) {
    const response = await app().request('/v1/agents/status', json(body))
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ code: 'refused' })
  }
})

test('healthz says whether the engine serves', async () => {
  expect((await app().request('/healthz')).status).toBe(200)
  const sick = app({ engine: () => ({ healthy: false, sentence: 'it is starting' }) })
  const response = await sick.request('/healthz')
  expect(response.status).toBe(503)
  expect(await response.json()).toEqual({ status: 'unavailable', engine: 'it is starting' })
})

test('metrics are Prometheus text, one family together, labels escaped', async () => {
  const samples = [
    { name: 'in_total', help: 'Taken.', labels: { why: 'a"b\\c\nd' }, value: 1 },
    { name: 'memory_bytes', help: 'Used.', labels: {}, value: 5 },
    { name: 'in_total', help: 'Taken.', labels: { why: 'e' }, value: 2 },
  ]
  const response = await app({ samples: () => samples }).request('/metrics')
  expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4')
  expect(await response.text()).toBe(
    [
      '# HELP metaflow_in_total Taken.',
      '# TYPE metaflow_in_total counter',
      'metaflow_in_total{why="a\\"b\\\\c\\nd"} 1',
      'metaflow_in_total{why="e"} 2',
      '# HELP metaflow_memory_bytes Used.',
      '# TYPE metaflow_memory_bytes gauge',
      'metaflow_memory_bytes 5',
      '',
    ].join('\n'),
  )
})

test('the page is served at every view, gzipped where that is taken, and once per version', async () => {
  for (const path of ['/', '/services', '/service/3']) {
    const response = await app().request(path, { headers: { 'accept-encoding': 'gzip, br' } })
    expect(await response.text()).toBe('zipped')
    expect(response.headers.get('content-encoding')).toBe('gzip')
  }
  const plain = await app().request('/')
  expect(await plain.text()).toBe('<p>page</p>')
  const etag = plain.headers.get('etag')!
  const again = await app().request('/', { headers: { 'if-none-match': etag } })
  expect([again.status, await again.text()]).toEqual([304, ''])
  expect((await app().request('/none.js')).status).toBe(404)
})

test('every answer forbids foreign scripts, frames and guesses at its type', async () => {
  for (const path of ['/', '/healthz', '/v1/query', '/none.js']) {
    const { headers } = await app().request(path)
    expect(headers.get('content-security-policy')).toContain("default-src 'none'")
    expect(headers.get('content-security-policy')).toContain("frame-ancestors 'none'")
    expect(headers.get('x-content-type-options')).toBe('nosniff')
    expect(headers.get('referrer-policy')).toBe('no-referrer')
  }
})

test('a fault of ours is answered without its inside', async () => {
  const broken = app({
    server: () => {
      throw new Error('inside')
    },
  })
  const response = await broken.request('/v1/status')
  expect(response.status).toBe(500)
  expect(await response.text()).not.toContain('inside')
})

test('a connection may be silent for as long as a query may take, and some more', () => {
  expect([30, 69.5, 600].map(idleSeconds)).toEqual([60, 100, 255])
})
