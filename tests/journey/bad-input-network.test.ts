/** What strangers send to the ports of a server: refused, bounded, and nothing else is disturbed. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { connect, type NetConnectOpts, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { l7FlowLog } from '../../src/model/tables/l7-flow-log.ts'
import { HEADER_SIZE, numberBlock, readHead, writeHead } from '../../src/wire/header.ts'
import { missing } from '../needs.ts'
import { blockOf } from '../simulation/blocks.ts'
import { until } from '../until.ts'
import { expectNoInsides, expectSentence, ran, ServerPart } from './bad-input.ts'

const reason = missing('executable') ?? ''
if (reason) process.stderr.write(`skipped, since ${reason}: bad input on the ports\n`)

type Bytes = Uint8Array<ArrayBuffer>
type Body = string | Bytes | ReadableStream<Uint8Array>

/** The same noise at every run (mulberry32). */
function noise(seed: number): (size: number) => Bytes {
  let state = seed
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return (t ^ (t >>> 14)) >>> 0
  }
  return (size) => Uint8Array.from({ length: size }, next) as Bytes
}

const opened: Socket[] = []
/** A connection that never throws: what is wrong with it shows in what it answers. */
function dial(to: NetConnectOpts): Socket {
  const socket = connect(to)
  socket.on('error', () => undefined)
  opened.push(socket)
  return socket
}

/** Sends `bytes` and answers all that came until the other side closed it, or said nothing more. */
async function send(to: NetConnectOpts, bytes: Uint8Array | string): Promise<string> {
  const socket = dial(to)
  let answer = ''
  let isOver = false
  socket.on('data', (chunk) => {
    answer += chunk.toString('latin1')
    socket.end()
  })
  socket.on('close', () => {
    isOver = true
  })
  socket.end(bytes)
  await until(() => isOver, 20)
  return answer
}

/** A block of one row that names itself, as the `sequence`th of a stream. */
function numbered(lifetime: string, sequence: number, id: string): Bytes {
  const time = Math.floor(Date.now() / 1000)
  const bytes = blockOf(l7FlowLog, [{ id, time }])
  numberBlock(bytes, { agent: 'a'.repeat(32), lifetime, lane: 0, sequence })
  return bytes as Bytes
}

/** The block with another body, which every check finds whole. */
function withBody(block: Uint8Array, body: Uint8Array, bodySize: number): Bytes {
  const bytes = new Uint8Array(HEADER_SIZE + body.length)
  bytes.set(block.subarray(0, HEADER_SIZE))
  bytes.set(body, HEADER_SIZE)
  const { header } = readHead(block)
  const bodyCheck = Bun.hash.crc32(body)
  writeHead(bytes, { header, bodySize, packedSize: body.length, bodyCheck })
  return bytes
}

describe.skipIf(reason !== '')('bad input on the ports of a server', () => {
  const directory = mkdtempSync(join(tmpdir(), 'metaflow-ports-'))
  let server: ServerPart
  beforeAll(async () => {
    server = await ServerPart.start(join(directory, 'open'))
  }, 90_000)
  afterAll(async () => {
    for (const socket of opened) socket.destroy()
    await server?.child.stop()
    rmSync(directory, { recursive: true })
  }, 30_000)

  const http = (): NetConnectOpts => ({ host: '127.0.0.1', port: server.port })
  const post = async (path: string, body: Body, headers = {}): Promise<[number, string]> => {
    const response = await server.get(path, { method: 'POST', body, headers })
    return [response?.status ?? 0, (await response?.text()) ?? '']
  }
  const expectWell = async (): Promise<void> => {
    expect((await server.get('/healthz'))?.status).toBe(200)
    expect(server.lines.filter((line) => / error /.test(line))).toEqual([])
    expectNoInsides(server.words)
  }

  test('random bytes on the HTTP port are refused or hung up on', async () => {
    const random = noise(1)
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, at) => send(http(), random(1 + at * 37))),
    )
    for (const answer of answers) expect(answer).toMatch(/^$|^HTTP\/1\.1 (400|505) /)
    await expectWell()
  }, 60_000)

  test.each([
    ['no version', 'GET /\r\n\r\n'],
    ['no method', '/ HTTP/1.1\r\n\r\n'],
    ['another protocol', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['no host', 'GET /healthz HTTP/1.1\r\n\r\n'],
    ['a host that is none', 'GET /v1/status HTTP/1.1\r\nHost: [[[:::\r\n\r\n'],
    ['a path that is none', 'GET //[::%zz/%00%ff\\..\\ HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['a way up', 'GET /../../../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['a coded way up', 'GET /%2e%2e%2f%2e%2e%2fetc%2fpasswd HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['NUL in a header', 'GET / HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n'],
    ['a size below nothing', 'POST /v1/query HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n'],
    ['a size that is none', 'POST /v1/query HTTP/1.1\r\nHost: a\r\nContent-Length: 1e3\r\n\r\n'],
    [
      'two sizes',
      'POST /v1/query HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd',
    ],
    [
      'a size and chunks',
      'POST /v1/query HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    [
      'a chunk of all there is',
      'POST /v1/blocks HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx\r\n',
    ],
    ['a long path', `GET /${'a'.repeat(1 << 20)} HTTP/1.1\r\nHost: localhost\r\n\r\n`],
    ['a long header', `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'a'.repeat(1 << 20)}\r\n\r\n`],
    ['many headers', `GET / HTTP/1.1\r\nHost: localhost\r\n${'X: y\r\n'.repeat(50_000)}\r\n`],
  ])(
    'a request with %s gets no 5xx but the one that says so',
    async (_, request) => {
      const answer = await send(http(), request)
      expect(answer).toMatch(/^$|^HTTP\/1\.1 (4\d\d|505) |^HTTP\/1\.1 200 [\s\S]*<!doctype html>/i)
      expect(answer).not.toContain('root:')
      await expectWell()
    },
    60_000,
  )

  test('bodies that are none are 4xx with a sentence', async () => {
    const random = noise(2)
    for (const path of ['/v1/blocks', '/v1/query', '/v1/agents/status'])
      for (const type of ['application/json', 'multipart/form-data', 'text/x', 'a;;=;boundary'])
        for (const size of [0, 1, 99, 5000]) {
          const [status, text] = await post(path, random(size), { 'content-type': type })
          expect([path, type, status]).toEqual([path, type, 400])
          expect(text).toContain('Cannot ')
          expectNoInsides(text)
        }
    await expectWell()
  }, 60_000)

  test('bodies that are too large are 413, said or unsaid', async () => {
    const bytes = new Uint8Array(17 * 1024 * 1024)
    for (const path of ['/v1/blocks', '/v1/query', '/v1/agents/status']) {
      expect((await post(path, bytes, JSON_TYPE))[0]).toBe(413)
      const stream = new Response(bytes).body!
      expect((await post(path, stream, JSON_TYPE))[0]).toBe(413)
    }
    const said = `POST /v1/blocks HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${2 ** 40}\r\n\r\n`
    expect(await send(http(), said)).toMatch(/^HTTP\/1\.1 413 |^$/)
    await expectWell()
  }, 60_000)

  test('a block with any byte changed, or cut anywhere, is refused and never stored', async () => {
    const block = numbered('b'.repeat(32), 1, 'changed')
    const flipped = Array.from({ length: 150 }, (_, at) => {
      const bytes = block.slice()
      bytes[Math.floor((at * block.length) / 150)]! ^= 1 << (at % 8)
      return bytes
    })
    const cut = Array.from({ length: 50 }, (_, at) =>
      block.subarray(0, Math.floor((at * block.length) / 50)),
    )
    for (const bytes of [...flipped, ...cut]) {
      const [status, text] = await post('/v1/blocks', bytes)
      expect([400, 413]).toContain(status)
      expect(text).toContain('Cannot ')
    }
    await expectWell()
  }, 60_000)

  test('hostile blocks whose checks are right are set aside, and the next is stored', async () => {
    const lifetime = 'c'.repeat(32)
    const random = noise(3)
    const bomb = Bun.zstdCompressSync(new Uint8Array(256 * 1024 * 1024))
    const { header } = readHead(numbered(lifetime, 1, 'x'))
    const hostile = [
      ...Array.from({ length: 20 }, (_, at) => random(at * at)),
      ...Array.from({ length: 20 }, (_, at) => Bun.zstdCompressSync(random(8 + at * 40))),
      bomb,
    ]
    for (const [at, body] of hostile.entries()) {
      const block = numbered(lifetime, at + 1, 'hostile')
      const size = body === bomb ? 1000 : 8 + at * 40
      expect((await post('/v1/blocks', withBody(block, body, size)))[0]).toBe(200)
    }
    const last = numbered(lifetime, hostile.length + 1, 'after-the-hostile')
    expect((await post('/v1/blocks', last))[0]).toBe(200)
    await until(
      async () =>
        Number(
          await server.value(
            "SELECT count() FROM flow_log.l7_flow_log WHERE endpoint = 'after-the-hostile'",
          ),
        ) === header.rows,
      30,
    )
    expect(await server.metric('metaflow_set_aside_total')).toBe(hostile.length)
    expect((await server.get('/healthz'))?.status).toBe(200)
    expectNoInsides(server.words)
    server.lines.length = 0
  }, 60_000)

  test('requests that are cut off disturb nobody, and are no error of ours', async () => {
    const [before] = [openFiles(server.child.processId)]
    for (let at = 0; at < 100; at++) {
      const socket = dial(http())
      socket.write('POST /v1/blocks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n')
      if (at % 2) socket.write('\r\nsome of it')
      await new Promise((resolve) => socket.once('connect', resolve))
      if (at % 4 < 2) socket.resetAndDestroy()
      else socket.destroy()
    }
    await until(() => openFiles(server.child.processId) <= before! + 2)
    await expectWell()
  }, 60_000)

  test('5,000 half-open connections take little, and others are answered meanwhile', async () => {
    const { processId } = server.child
    const [before, memory] = [openFiles(processId), residentBytes(processId)]
    const sockets: Socket[] = []
    for (let at = 0; at < 5000; at++) {
      const socket = dial(http())
      socket.write('POST /v1/blocks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n')
      if (at % 2) socket.write('\r\nslow')
      sockets.push(socket)
      if (at % 500 === 499) await until(() => openFiles(processId) >= before + at - 20, 20)
    }
    await expectWell()
    expect((await post('/v1/query', 'sql=SELECT 1', FORM))[0]).toBe(200)
    expect(residentBytes(processId) - memory).toBeLessThan(100 * 1024 * 1024)
    for (const socket of sockets) socket.destroy()
    await until(() => openFiles(processId) <= before + 5, 30)
    await expectWell()
  }, 120_000)

  test("random bytes on the engine's socket, which is ours alone, do not reach the engine", async () => {
    const path = join(server.data, 'clickhouse', 'engine.sock')
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(statSync(join(server.data, 'clickhouse')).mode & 0o777).toBe(0o700)
    const random = noise(4)
    for (let at = 0; at < 50; at++)
      expect(await send({ path }, random(1 + at * 91))).toMatch(/^$|^HTTP\/1\.1 (400|505) /)
    const asks = (as: string): string =>
      `GET /?query=SELECT+1 HTTP/1.1\r\nHost: engine\r\n${as}Connection: close\r\n\r\n`
    const basic = (text: string): string => `Authorization: Basic ${btoa(text)}\r\n`
    for (const as of [
      '',
      basic('writer:'),
      basic('writer:wrong'),
      basic('default:'),
      'Authorization: Basic %%%\r\n',
    ])
      expect(await send({ path }, asks(as))).toMatch(/AUTHENTICATION_FAILED/)
    expect(await server.value('SELECT 1')).toBe(1)
    await expectWell()
  }, 60_000)

  test('a second server is told who has the data dir or the port; the first does not mind', async () => {
    const open = join(directory, 'open')
    const same = await ran(['--mode=server', '--data-dir', open, '--listen', '127.0.0.1:0'])
    expectSentence(same, 1, `Cannot use the data directory ${open}: another server has it`)
    const at = `127.0.0.1:${server.port}`
    const other = join(directory, 'other')
    const taken = await ran(['--mode=server', '--data-dir', other, '--listen', at])
    expectSentence(taken, 1, `Cannot listen on ${at}: the port is in use`)
    await expectWell()
  }, 120_000)
})

describe.skipIf(reason !== '')('a server that may open few files', () => {
  const directory = mkdtempSync(join(tmpdir(), 'metaflow-door-'))
  let server: ServerPart
  beforeAll(async () => {
    const by = ['prlimit', '--nofile=256:256', '--']
    server = await ServerPart.start(join(directory, 'data'), [], 0, { by })
  }, 90_000)
  afterAll(async () => {
    for (const socket of opened) socket.destroy()
    await server?.child.stop()
    rmSync(directory, { recursive: true })
  }, 30_000)

  const flood = (count: number): void => {
    for (let at = 0; at < count; at++)
      dial({ host: '127.0.0.1', port: server.port }).write('GET / HTTP/1.1\r\nHost: local')
  }

  test('hangs up on a flood, then takes blocks and answers as before', async () => {
    flood(1000)
    await server.says('Too many connections')
    await until(async () => (await server.get('/healthz'))?.status === 200, 30)
    await server.says('Connections are let in again')
    const body = numbered('f'.repeat(32), 1, 'after-the-flood')
    expect((await server.get('/v1/blocks', { method: 'POST', body }))?.status).toBe(200)
    const sql = "SELECT count() FROM flow_log.l7_flow_log WHERE endpoint = 'after-the-flood'"
    await until(async () => Number(await server.value(sql)) === 1, 30)
    expectNoInsides(server.words)
  }, 90_000)

  test('stops in order while others hold connections half-open', async () => {
    flood(50)
    await until(() => openFiles(server.child.processId) > 50)
    server.child.signal('SIGINT')
    expect(await server.child.exited).toEqual({ code: 0, signal: null })
  }, 60_000)
})

describe.skipIf(reason !== '')('a server with a token', () => {
  const directory = mkdtempSync(join(tmpdir(), 'metaflow-token-'))
  const token = 'canary-4b1d-token'
  let server: ServerPart
  beforeAll(async () => {
    server = await ServerPart.start(join(directory, 'data'), ['--server-token', token])
  }, 90_000)
  afterAll(async () => {
    await server?.child.stop()
    rmSync(directory, { recursive: true })
  }, 30_000)

  test('answers 401 to whoever does not bear it, whatever is asked', async () => {
    const paths = ['/v1/status', '/v1/query?sql=SELECT+1', '/v1/catalog', '/metrics', '/v1/absent']
    const block = numbered('d'.repeat(32), 1, 'unauthorized')
    const wrong = ['', 'Bearer', 'Bearer x', `Bearer ${token}x`, `Basic ${btoa(token)}`, token]
    for (const authorization of wrong) {
      const headers = authorization === '' ? {} : { authorization }
      for (const path of paths)
        expect([path, (await server.get(path, { headers }))?.status]).toEqual([path, 401])
      const taken = await server.get('/v1/blocks', { method: 'POST', body: block, headers })
      expect(taken?.status).toBe(401)
      expectNoInsides((await taken?.text()) ?? '')
    }
    const headers = { authorization: `Bearer ${token}` }
    expect((await server.get('/v1/status', { headers }))?.status).toBe(200)
    expect((await server.get('/healthz'))?.status).toBe(200)
  }, 60_000)

  test('is asked by metaflow query with the right one only', async () => {
    const args = ['query', '--server', server.url, '--output', 'json', 'SELECT 1 AS one']
    expectSentence(await ran(args), 1, 'the token is missing or wrong')
    const wrong = await ran([...args, '--token', 'canary-wrong'])
    expectSentence(wrong, 1, 'the token is missing or wrong')
    expect(wrong.stderr).not.toContain('canary')
    const right = await ran(args, { environment: { METAFLOW_AGENT_TOKEN: token } })
    expect([JSON.parse(right.stdout), right.code]).toEqual([[{ one: 1 }], 0])
    expect(server.words).not.toContain('canary')
  }, 60_000)
})

const JSON_TYPE = { 'content-type': 'application/json' }
const FORM = { 'content-type': 'application/x-www-form-urlencoded' }

function openFiles(processId: number): number {
  return readdirSync(`/proc/${processId}/fd`).length
}

function residentBytes(processId: number): number {
  const text = readFileSync(`/proc/${processId}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+)/.exec(text)?.[1]) * 1024
}
