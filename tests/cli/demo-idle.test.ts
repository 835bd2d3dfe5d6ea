/** The demo's decision, from calls on a wire to what a server on loopback tells of its agents. */
import { afterAll, expect, test } from 'bun:test'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { replay } from '../../src/agent/replay.ts'
import { isIdle, type Status } from '../../src/cli/demo-idle.ts'
import type { Sample } from '../../src/lib/counters.ts'
import { buildApp } from '../../src/server/apis/app.ts'
import { ethernet, type Frame, ip4, pcap, type Tcp, tcp } from '../agent/capture/pcap-writer.ts'

const directory = mkdtempSync(join(tmpdir(), 'metaflow-idle-'))
afterAll(() => rmSync(directory, { recursive: true }))

const ENDS = ['10.0.0.1:40000', '10.0.0.2:8080'] as const
const ASKED = 'GET /a HTTP/1.1\r\nHost: a\r\n\r\n'
const ANSWERED = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'

/** What an agent tells of itself once it saw so many calls: the numbers of its own rooms. */
async function samplesAfter(calls: number): Promise<readonly Sample[]> {
  const frames: Frame[] = []
  const add = (spec: Tcp): void => {
    const frame = ethernet(ip4({ ...spec, protocol: 6, payload: tcp(spec) }))
    frames.push({ time: 1_790_000_000_000_000 + frames.length * 100, frame })
  }
  const [from, to] = ENDS
  for (let i = 0; i < calls; i++) {
    add({ from, to, sequence: 100 + i * ASKED.length, text: ASKED })
    add({ from: to, to: from, sequence: 900 + i * ANSWERED.length, text: ANSWERED })
  }
  const path = join(directory, `${calls}.pcap`)
  writeFileSync(path, pcap(frames))
  return (await replay({ path, onCall: () => undefined })).samples
}

/** A server on loopback that agents report to, and the demo asks. */
function serve(): { url: string; stop(): Promise<void> } {
  const part = { version: '1', startedAt: 0, cpuSeconds: 0, memoryBytes: 0, samples: [] }
  const refuse = async (): Promise<never> => {
    throw new Error('nobody asks this')
  }
  const app = buildApp({
    clock: { wall: () => 1_790_000_000_000_000, monotonic: () => 0 },
    query: { run: refuse, stream: refuse },
    catalog: {},
    takeBlocks: refuse,
    engine: () => ({ healthy: true, sentence: 'serving' }),
    server: () => part,
    samples: () => [],
  })
  const server = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: app.fetch })
  return { url: server.url.origin, stop: () => server.stop(true) }
}

async function report(url: string, agent: string, calls: number): Promise<void> {
  const response = await fetch(`${url}/v1/agents/status`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      ...{ agent: agent.repeat(32), host: agent, family: 'socket', version: '1' },
      ...{ startedAt: 0, cpuSeconds: 0, memoryBytes: 0, samples: await samplesAfter(calls) },
    }),
  })
  expect(response.status).toBe(204)
}

async function statusOf(url: string): Promise<Status | undefined> {
  const answer = await fetch(`${url}/v1/status`).catch(() => undefined)
  return answer?.ok ? ((await answer.json()) as Status) : undefined
}

type Calls = Readonly<Record<string, number>>
/** Calls each agent saw before and after the look; whether the host is idle then. */
const CASES: readonly [before: Calls, after: Calls, isIdle: boolean][] = [
  [{ a: 0 }, { a: 0 }, true],
  [{ a: 0 }, { a: 19 }, true],
  [{ a: 0 }, { a: 20 }, false],
  [{ a: 500 }, { a: 519 }, true],
  [{ a: 500 }, { a: 600 }, false],
  [{ a: 5, b: 7 }, { a: 14, b: 17 }, true],
  [{ a: 5, b: 7 }, { a: 15, b: 17 }, false],
]

test.each(CASES)('calls %j, then %j: the host is idle: %p', async (before, after, expected) => {
  const server = serve()
  try {
    const reportAll = async (calls: Calls): Promise<void> => {
      for (const agent in calls) await report(server.url, agent, calls[agent]!)
    }
    await reportAll(before)
    const waited: number[] = []
    const idle = await isIdle({
      status: () => statusOf(server.url),
      wait: async (ms) => {
        waited.push(ms)
        await reportAll(after)
      },
    })
    // Long enough for two reports of an agent.
    expect([idle, waited]).toEqual([expected, [4000]])
  } finally {
    await server.stop()
  }
})

test('a host of which nobody knows is not idle', async () => {
  const server = serve()
  await report(server.url, 'a', 500)
  const status = (): Promise<Status | undefined> => statusOf(server.url)
  expect(await isIdle({ status, wait: () => server.stop() })).toBe(false)
  expect(await isIdle({ status, wait: async () => undefined })).toBe(false)
})
