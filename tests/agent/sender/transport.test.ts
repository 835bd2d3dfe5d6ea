import { afterEach, expect, test } from 'bun:test'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { agentIdOf } from '../../../src/agent/sender/agent-id.ts'
import { Transport, type TransportOptions } from '../../../src/agent/sender/transport.ts'
import type { Env, HttpAnswer, HttpRequest } from '../../../src/lib/env.ts'
import { realEnv } from '../../../src/lib/env-real.ts'
import { setWide, viewOf } from '../../../src/lib/wide.ts'
import type { BlockHeader } from '../../../src/model/block.ts'
import { l7FlowLog } from '../../../src/model/tables/l7-flow-log.ts'
import { HEADER_SIZE, numberBlock, readHead } from '../../../src/wire/header.ts'
import { blockOf } from '../../simulation/blocks.ts'
import { until } from '../../until.ts'

const real = realEnv()
const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

function newDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), 'metaflow-'))
  cleanups.push(() => rmSync(path, { recursive: true }))
  return path
}

/** A server that takes blocks as the receiver does, and may be told to be away or to refuse. */
class Server {
  isAway = false
  refuses: (header: BlockHeader) => boolean = () => false
  readonly blocks: BlockHeader[] = []
  readonly authorizations = new Set<string | undefined>()
  streams = new Map<string, { synced: number; rows: number }>()

  readonly env: Env = { ...real, network: { send: (request) => this.#answer(request) } }

  #answer({ body, headers }: HttpRequest): Promise<HttpAnswer> {
    if (this.isAway) return Promise.reject(new Error('away'))
    this.authorizations.add(headers['authorization'])
    for (let at = 0; at < body!.length; ) {
      const { header, packedSize } = readHead(body!.subarray(at))
      at += HEADER_SIZE + packedSize
      const key = header.lifetime
      const stream = this.streams.get(key) ?? { synced: 0, rows: 0 }
      this.streams.set(key, stream)
      if (this.refuses(header)) return Promise.resolve(answerOf(400, { error: 'no' }))
      if (header.sequence > stream.synced + 1)
        return Promise.resolve(answerOf(409, { expected: stream.synced + 1, rows: stream.rows }))
      if (header.sequence <= stream.synced) continue
      stream.synced++
      stream.rows += header.rows + header.dropped
      this.blocks.push(header)
    }
    const { synced, rows } = this.streams.get(readHead(body!).header.lifetime)!
    return Promise.resolve(answerOf(200, { expected: synced + 1, rows }))
  }
}

function answerOf(status: number, body: object): HttpAnswer {
  return { status, headers: {}, body: new TextEncoder().encode(JSON.stringify(body)) }
}

function open(server: Server, directory: string, more: Partial<TransportOptions> = {}): Transport {
  const transport = new Transport({
    env: server.env,
    serverUrl: 'http://server',
    directory,
    agentId: 'a'.repeat(32),
    maxBytes: 1 << 20,
    reserveBytes: 0,
    ...more,
  })
  cleanups.push(() => transport.close())
  return transport
}

let made = 0
function send(transport: Transport, rows: number): void {
  const list = Array.from({ length: rows }, () => ({ id: `row ${made++}`, time: 1_795_500_000 }))
  transport.send(blockOf(l7FlowLog, list), rows)
}

test('Transport numbers blocks from 1 and sends its token', async () => {
  const server = new Server()
  const transport = open(server, newDirectory(), { token: 'secret' })
  for (const rows of [3, 1, 2]) send(transport, rows)
  expect(await transport.flush(5000)).toBe(true)
  expect(server.blocks.map(({ sequence, rows }) => [sequence, rows])).toEqual([
    [1, 3],
    [2, 1],
    [3, 2],
  ])
  expect([...server.authorizations]).toEqual(['Bearer secret'])
  expect(transport.counters).toMatchObject({ in: 6, out: 6 })
})

test('Transport sends a refused block empty, with its count, and counts it', async () => {
  const server = new Server()
  server.refuses = ({ rows }) => rows === 2
  const transport = open(server, newDirectory())
  for (const rows of [3, 2, 1]) send(transport, rows)
  expect(await transport.flush(5000)).toBe(true)
  expect(server.blocks.map(({ rows, dropped }) => [rows, dropped])).toEqual([
    [3, 0],
    [0, 2],
    [1, 0],
  ])
  expect(transport.counters).toMatchObject({ in: 6, out: 4, dropped: { refused: 2 } })
})

test('Transport drops the oldest when its spool is full; the server counts every row', async () => {
  const server = new Server()
  server.isAway = true
  const transport = open(server, newDirectory(), { maxBytes: 20_000, fileBytes: 4000 })
  let rows = 0
  while (transport.counters.dropped.full === 0) {
    send(transport, 7)
    rows += 7
    await until(() => transport.held.memory === 0 || transport.failures === 0)
  }
  expect(transport.held.disk).toBeLessThanOrEqual(20_000)
  server.isAway = false
  expect(await transport.flush(10_000)).toBe(true)
  const taken = server.blocks.reduce((sum, block) => sum + block.rows, 0)
  const lost = server.blocks.reduce((sum, block) => sum + block.dropped, 0)
  expect(taken + lost).toBe(rows)
  expect(lost).toBe(transport.counters.dropped.full)
  expect(transport.held.disk).toBe(0)
})

test('Transport begins with the oldest of what several runs left', async () => {
  const server = new Server()
  server.isAway = true
  const directory = newDirectory()
  const lifetimes = ['c', 'f', 'a'].map((digit) => digit.repeat(32))
  for (const [age, lifetime] of lifetimes.entries()) {
    const transport = open(server, directory, { lifetime })
    const block = blockOf(l7FlowLog, [{ id: 'row', time: 1_795_500_000 }])
    setWide(viewOf(block), 56, 1e15 + age)
    numberBlock(block, { agent: lifetime, lifetime, lane: 0, sequence: 1 })
    transport.send(block, 1)
    await until(() => transport.failures > 0)
    await transport.close()
  }
  server.isAway = false
  expect(await open(server, directory).flush(5000)).toBe(true)
  expect(server.blocks.map(({ lifetime }) => lifetime)).toEqual(lifetimes)
})

test('Transport keeps the newest in a small spool, too', async () => {
  const server = new Server()
  server.isAway = true
  const transport = open(server, newDirectory(), { maxBytes: 20_000 })
  let sent = 0
  for (; transport.counters.dropped.full < 30; sent++) {
    send(transport, 1)
    await until(() => transport.held.memory === 0 || transport.failures === 0)
  }
  server.isAway = false
  expect(await transport.flush(10_000)).toBe(true)
  const last = server.blocks.slice(-20)
  expect(last.map(({ rows }) => rows)).toEqual(Array(20).fill(1))
  expect(transport.counters.out + transport.counters.dropped.full).toBe(sent)
})

test('Transport drops what does not fit in memory when the disk will not have it', async () => {
  const server = new Server()
  server.isAway = true
  const append = (): never => {
    throw Object.assign(new Error('Cannot write: ENOSPC'), { code: 'ENOSPC' })
  }
  const env = { ...server.env, files: { ...server.env.files, append } }
  const transport = open(server, newDirectory(), { env, memoryBytes: 4000 })
  for (let i = 0; i < 50; i++) send(transport, 2)
  const { full } = transport.counters.dropped
  expect(full).toBeGreaterThan(0)
  server.isAway = false
  expect(await transport.flush(10_000)).toBe(true)
  expect(transport.counters.out).toBe(100 - full)
  expect([...server.streams.values()]).toEqual([expect.objectContaining({ rows: 100 })])
})

test('Transport goes on as a new stream when the server has forgotten it', async () => {
  const server = new Server()
  const transport = open(server, newDirectory())
  send(transport, 3)
  expect(await transport.flush(5000)).toBe(true)
  server.streams = new Map()
  send(transport, 2)
  expect(await transport.flush(5000)).toBe(true)
  expect(server.blocks.map(({ sequence, rows }) => [sequence, rows])).toEqual([
    [1, 3],
    [1, 2],
  ])
})

test('Transport keeps the new name of a stream the server forgot, for the next run', async () => {
  const server = new Server()
  const directory = newDirectory()
  const first = open(server, directory)
  for (let i = 0; i < 3; i++) send(first, 3)
  expect(await first.flush(5000)).toBe(true)
  server.streams = new Map()
  server.blocks.length = 0
  for (let i = 0; i < 2; i++) send(first, 2)
  expect(await first.flush(5000)).toBe(true)
  server.isAway = true
  for (let i = 0; i < 3; i++) send(first, 1)
  await until(() => first.failures > 0)
  await first.close()
  server.isAway = false
  const second = open(server, directory)
  expect(await second.flush(5000)).toBe(true)
  expect(server.blocks.map(({ sequence, rows, dropped }) => [sequence, rows, dropped])).toEqual([
    [1, 2, 0],
    [2, 2, 0],
    [3, 1, 0],
    [4, 1, 0],
    [5, 1, 0],
  ])
  expect(new Set(server.blocks.map(({ lifetime }) => lifetime)).size).toBe(1)
  expect(readdirSync(directory)).toEqual([])
})

test('Transport sends less at once where the way is too slow for more', async () => {
  const server = new Server()
  server.isAway = true
  const sizes: number[] = []
  const network = {
    send: (request: HttpRequest): Promise<HttpAnswer> => {
      sizes.push(request.body!.length)
      const isSlow = request.body!.length > 3000
      const error = Object.assign(new Error('no answer in time'), { code: 'ETIMEDOUT' })
      return isSlow ? Promise.reject(error) : server.env.network.send(request)
    },
  }
  const transport = open(server, newDirectory(), { env: { ...server.env, network } })
  for (let i = 0; i < 40; i++) send(transport, 1)
  await until(() => transport.failures > 0)
  server.isAway = false
  expect(await transport.flush(60_000)).toBe(true)
  expect(transport.counters.out).toBe(40)
  expect(Math.max(...sizes)).toBeGreaterThan(3000)
  expect(sizes.filter((size) => size > 1500 && size <= 3000).length).toBeGreaterThan(0)
}, 60_000)

test('Transport goes on as a new stream when another sends under its name', async () => {
  const server = new Server()
  const lifetime = 'b'.repeat(32)
  const transport = open(server, newDirectory(), { lifetime })
  send(transport, 3)
  expect(await transport.flush(5000)).toBe(true)
  server.streams.set(lifetime, { synced: 40, rows: 500 })
  for (let i = 0; i < 3; i++) send(transport, 2)
  expect(await transport.flush(5000)).toBe(true)
  send(transport, 1)
  expect(await transport.flush(5000)).toBe(true)
  const after = server.blocks.slice(1)
  expect(after.map(({ sequence, rows }) => [sequence, rows])).toEqual([
    [1, 2],
    [2, 2],
    [3, 2],
    [4, 1],
  ])
  expect(after[0]!.lifetime).not.toBe(lifetime)
})

test('Transport waits as long as it is told, within reason', async () => {
  const server = new Server()
  let asked = 0
  const network = {
    send: async () => {
      asked++
      return { ...answerOf(503, {}), headers: { 'retry-after': '31536000' } }
    },
  }
  const transport = open(server, newDirectory(), { env: { ...server.env, network } })
  send(transport, 1)
  await transport.flush(1500)
  expect(asked).toBe(1)
})

test('Transport asks a server that takes nothing again later, not without end', async () => {
  for (const status of [200, 409]) {
    const server = new Server()
    let asked = 0
    const network = {
      send: async () => {
        if (++asked > 50) throw new Error('asked without end')
        return answerOf(status, { expected: 1, rows: 0 })
      },
    }
    const transport = open(server, newDirectory(), { env: { ...server.env, network } })
    send(transport, 1)
    expect(await transport.flush(100)).toBe(false)
    expect(asked).toBe(1)
    await transport.close()
  }
})

test.each(['spoilt', 'removed'])('Transport counts what is lost with a %s file', async (how) => {
  const server = new Server()
  server.isAway = true
  const directory = newDirectory()
  const transport = open(server, directory, { fileBytes: 1500 })
  let sent = 0
  for (; readdirSync(directory).length < 3; sent++) {
    send(transport, 1)
    await until(() => transport.held.memory === 0 || transport.failures === 0)
  }
  const path = join(directory, readdirSync(directory)[0]!)
  const bytes = readFileSync(path)
  bytes[100]! ^= 1
  if (how === 'spoilt') writeFileSync(path, bytes)
  else rmSync(path)
  server.isAway = false
  expect(await transport.flush(5000)).toBe(true)
  const taken = server.blocks.reduce((sum, { rows }) => sum + rows, 0)
  const lost = server.blocks.reduce((sum, { dropped }) => sum + dropped, 0)
  expect(taken + lost).toBe(sent)
  expect(how === 'spoilt' ? lost : Math.min(lost, taken)).toBeGreaterThan(0)
  if (how === 'spoilt') expect(lost).toBe(1)
  expect(readdirSync(directory)).toEqual([])
})

test('Transport reads what another run left, up to a torn end', async () => {
  const server = new Server()
  server.isAway = true
  const directory = newDirectory()
  const first = open(server, directory)
  for (let i = 0; i < 3; i++) send(first, 2)
  await until(() => first.failures > 0)
  await first.close()
  const [name = ''] = readdirSync(directory)
  const bytes = readFileSync(join(directory, name))
  writeFileSync(join(directory, name), bytes.subarray(0, bytes.length - 5))
  server.isAway = false
  const second = open(server, directory)
  expect(await second.flush(5000)).toBe(true)
  expect(server.blocks.map(({ rows }) => rows)).toEqual([2, 2])
  expect(readdirSync(directory)).toEqual([])
})

test('agentIdOf makes an id once', async () => {
  const directory = newDirectory()
  const id = await agentIdOf(real, directory)
  expect(id).toMatch(/^[0-9a-f]{32}$/)
  expect(await agentIdOf(real, directory)).toBe(id)
  expect(await agentIdOf(real, newDirectory())).not.toBe(id)
})
