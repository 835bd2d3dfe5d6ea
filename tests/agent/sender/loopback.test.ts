import { afterEach, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { agentIdOf } from '../../../src/agent/sender/agent-id.ts'
import { Transport } from '../../../src/agent/sender/transport.ts'
import { realEnv } from '../../../src/lib/env-real.ts'
import { l7FlowLog } from '../../../src/model/tables/l7-flow-log.ts'
import { Receiver } from '../../../src/server/receiver/receiver.ts'
import { readHeader } from '../../../src/wire/header.ts'
import { blockOf } from '../../simulation/blocks.ts'
import { until } from '../../until.ts'

const env = realEnv()
const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

function directory(): string {
  const path = mkdtempSync(join(tmpdir(), 'metaflow-'))
  cleanups.push(() => rmSync(path, { recursive: true }))
  return path
}

async function openReceiver(path: string): Promise<Receiver> {
  const limits = { commitMs: 5, sealMs: 20, reserveBytes: 1 << 20 }
  return Receiver.open({
    env,
    directory: path,
    tables: [l7FlowLog.number],
    greatestStored: 0,
    token: 'secret',
    maxBytes: 1 << 26,
    limits,
  })
}

function serve(receiver: Receiver, port = 0): { port: number; stop(): Promise<void> } {
  const server = Bun.serve({
    port,
    hostname: '127.0.0.1',
    async fetch(request) {
      const authorization = request.headers.get('authorization') ?? undefined
      const answer = await receiver.take(await request.bytes(), authorization)
      return new Response(answer.body as never, { status: answer.status, headers: answer.headers })
    },
  })
  return { port: server.port!, stop: () => server.stop(true) }
}

async function openTransport(port: number, path: string): Promise<Transport> {
  const agentId = await agentIdOf(env, path)
  const spool = `${path}/spool`
  const serverUrl = `http://127.0.0.1:${port}`
  const options = { env, serverUrl, token: 'secret', directory: spool, agentId }
  return new Transport({ ...options, maxBytes: 1 << 26, reserveBytes: 0 })
}

const block = (id: string): Uint8Array => blockOf(l7FlowLog, [{ id, time: 1_800_000_000 }])

function rowsTaken(receiver: Receiver): number {
  let rows = 0
  for (let s = receiver.next(1); s !== undefined; s = undefined)
    for (const { bytes } of receiver.blocks(s, 1)) rows += readHeader(bytes).rows
  return rows
}

test('Transport brings blocks to a Receiver, which has them in a sealed segment', async () => {
  const receiver = await openReceiver(directory())
  const server = serve(receiver)
  const transport = await openTransport(server.port, directory())
  cleanups.push(
    () => receiver.close(),
    () => server.stop(),
    () => transport.close(),
  )
  for (let i = 0; i < 20; i++) transport.send(block(`row ${i}`), 1)
  expect(await transport.flush(5000)).toBe(true)
  expect(transport.counters.out).toBe(20)
  expect(receiver.streams).toMatchObject([{ synced: 20, rows: 20 }])
  await receiver.stop()
  expect(rowsTaken(receiver)).toBe(20)
})

test('Transport spools while the server is away, over a restart of its own', async () => {
  const path = directory()
  const away = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response('') })
  const port = away.port!
  await away.stop(true)
  const first = await openTransport(port, path)
  for (let i = 0; i < 5; i++) first.send(block(`early ${i}`), 1)
  await until(() => first.failures > 0)
  await first.close()

  const receiver = await openReceiver(directory())
  const server = serve(receiver, port)
  const second = await openTransport(port, path)
  cleanups.push(
    () => receiver.close(),
    () => server.stop(),
    () => second.close(),
  )
  second.send(block('late'), 1)
  expect(await second.flush(5000)).toBe(true)
  const streams = receiver.streams.map(({ synced, rows }) => [synced, rows])
  expect(streams.sort()).toEqual([
    [1, 1],
    [5, 5],
  ])
  expect(second.held.disk).toBe(0)
})

test('Receiver answers a wrong token, noise and a gap with a status and a sentence', async () => {
  const receiver = await openReceiver(directory())
  cleanups.push(() => receiver.close())
  const text = ({ body }: { body: Uint8Array }): string => new TextDecoder().decode(body)
  const wrong = await receiver.take(block('x'), 'Bearer no')
  expect(wrong.status).toBe(401)
  const noise = await receiver.take(new Uint8Array(200), 'Bearer secret')
  expect([noise.status, text(noise)]).toEqual([400, expect.stringContaining('Cannot read block')])
})
