import { afterAll, expect, test } from 'bun:test'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ownCommand, runProgram, startChild } from '../../src/lib/process.ts'
import {
  ethernet,
  type Frame,
  ip4,
  ip6,
  pcap,
  type Tcp,
  tcp,
  udp,
} from '../agent/capture/pcap-writer.ts'
import { writeCapture } from '../bench/replay-capture.ts'
import { until } from '../until.ts'

const directory = mkdtempSync(join(tmpdir(), 'metaflow-replay-'))
afterAll(() => rmSync(directory, { recursive: true }))

const C = '10.0.0.1:40000'
const S = '10.0.0.2:8080'
const START = 1_790_000_000_000_000

const REQUEST =
  'GET /api/users/42/cart?secret=1 HTTP/1.1\r\nHost: shop.example\r\nX-Request-ID: r-1\r\n' +
  'traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n'
const RESPONSE = 'HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\nX-Request-ID: r-2\r\n\r\nhello'

function packet(time: number, spec: Tcp): Frame {
  return { time: START + time, frame: ethernet(ip4({ ...spec, protocol: 6, payload: tcp(spec) })) }
}

/** A connection with one call; its response comes in two packets. */
const HTTP: readonly Frame[] = [
  packet(0, { from: C, to: S, flags: 'S', sequence: 99 }),
  packet(10, { from: S, to: C, flags: 'SA', sequence: 499, acknowledge: 100 }),
  packet(100, { from: C, to: S, sequence: 100, text: REQUEST }),
  packet(1600, { from: S, to: C, sequence: 500, text: RESPONSE.slice(0, -5) }),
  packet(1700, { from: S, to: C, sequence: 495 + RESPONSE.length, text: 'hello' }),
]

function fileOf(bytes: Uint8Array): string {
  const path = join(directory, `${Bun.hash(bytes).toString(16)}.pcap`)
  writeFileSync(path, bytes)
  return path
}

type Run = { readonly code: number; readonly stdout: string; readonly stderr: string }

function metaflow(...args: readonly string[]): Promise<Run> {
  return runProgram(ownCommand(['replay', ...args])) as Promise<Run>
}

async function rowsOf(bytes: Uint8Array, ...args: readonly string[]): Promise<unknown[]> {
  const run = await metaflow(fileOf(bytes), ...args)
  expect([run.code, run.stderr]).toEqual([0, ''])
  return run.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
}

const SHARED = {
  observation_point: 's-p',
  signal_source: 'Packet',
  l7_protocol: 'HTTP',
  protocol: 'TCP',
  is_tls: 0,
  is_ipv4: 1,
  ip4_0: '10.0.0.1',
  ip4_1: '10.0.0.2',
  client_port: 40_000,
  server_port: 8080,
  flow_id: 1,
  is_truncated: 0,
  version: '1.1',
}
const ASKED = {
  start_time: '2026-09-21 14:13:20.000100',
  request_type: 'GET',
  request_domain: 'shop.example',
  request_resource: '/api/users/42/cart?secret=1',
  endpoint: '/api/users',
  x_request_id_0: 'r-1',
  trace_id: '0af7651916cd43dd8448eb211c80319c',
  span_id: 'b7ad6b7169203331',
  captured_request_byte: REQUEST.length,
  req_tcp_seq: 100,
}
const ANSWERED = {
  time: '2026-09-21 14:13:20',
  end_time: '2026-09-21 14:13:20.001600',
  response_status: 'Client error',
  response_code: 404,
  response_exception: 'Not Found',
  response_length: 5,
  x_request_id_1: 'r-2',
  resp_tcp_seq: 500,
}

test('metaflow replay --table messages prints each message with what it says, and no more', async () => {
  const [asked, answered, ...more] = await rowsOf(pcap(HTTP), '--table', 'messages')
  expect(asked).toEqual({ ...SHARED, ...ASKED, time: ANSWERED.time, type: 'request' })
  expect(answered).toMatchObject({ ...SHARED, ...ANSWERED, type: 'response' })
  expect(answered).not.toContainAnyKeys([...Object.keys(ASKED), 'response_duration'])
  expect(more).toEqual([])
})

test('metaflow replay prints calls: both halves, and how long it took', async () => {
  const calls = await rowsOf(pcap(HTTP))
  expect(calls).toMatchObject([
    { ...SHARED, ...ASKED, ...ANSWERED, type: 'session', response_duration: 1500 },
  ])
})

test('metaflow replay prints a request nobody answered, without what an answer would say', async () => {
  const [call] = await rowsOf(pcap(HTTP.slice(0, 3)), '--table=calls')
  expect(call).toMatchObject({ ...ASKED, type: 'request', response_status: 'Unknown' })
  expect(call).not.toContainAnyKeys(['end_time', 'response_code', 'response_duration'])
})

test('metaflow replay --table metrics prints the points of seconds and minutes', async () => {
  const points = await rowsOf(pcap(HTTP), '--table', 'metrics')
  const sums = {
    server_port: 8080,
    endpoint: '/api/users',
    request: 1,
    response: 1,
    rrt_sum: 1500,
    rrt_count: 1,
    rrt_max: 1500,
    client_error: 1,
    server_error: 0,
    timeout: 0,
    error: 1,
    rrt_histogram: { '-300': 1 },
  }
  const [second, minute] = ['2026-09-21 14:13:20', '2026-09-21 14:13:00']
  const [from, to] = ['10.0.0.1', '10.0.0.2']
  expect(points).toMatchObject([
    { table: 'application_map.1s', time: second, ip4_0: from, ip4_1: to, ...sums },
    { table: 'application.1s', time: second, role: 'server', ip4: to, ...sums },
    { table: 'application_map.1m', time: minute, observation_point: 's-p', ...sums },
    { table: 'application.1m', time: minute, ...sums },
  ])
})

test('metaflow replay prints IPv6 addresses as people write them', async () => {
  const c = `${'20010db8'.padEnd(31, '0')}1:53000`
  const s = `${'0'.repeat(31)}1:53`
  const question = '\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x1c\x00\x01'
  const payload = udp(c, s, question)
  const frame = ethernet(ip6({ from: c, to: s, protocol: 17, payload }))
  const rows = await rowsOf(pcap([{ time: START, frame }]), '--table', 'messages')
  expect(rows).toMatchObject([
    { ip6_0: '2001:db8::1', ip6_1: '::1', is_ipv4: 0, request_type: 'AAAA' },
  ])
})

test('metaflow replay --output table prints columns, and no control characters of a stranger', async () => {
  const evil = [
    packet(100, { from: C, to: S, sequence: 1, text: REQUEST.replace('cart', '\u{7f}') }),
  ]
  const run = await metaflow(fileOf(pcap(evil)), '--output', 'table', '--table', 'messages')
  const [head, line] = run.stdout.split('\n')
  expect(head).toMatch(/^time {17}type {5}l7_protocol {2}ip4_0 /)
  expect(line).toMatch(/^2026-09-21 14:13:20 {2}request {2}HTTP {9}10\.0\.0\.1 /)
  expect(run.stdout).not.toContain('\u{7f}')
})

test('metaflow replay --output table keeps its columns where characters are wide', async () => {
  const ask = (time: number, from: string, path: string): Frame =>
    packet(time, { from, to: S, sequence: 1, text: REQUEST.replace('cart', path) })
  const wide = [ask(100, C, '请求'), ask(200, '10.0.0.1:40001', 'ab')]
  const run = await metaflow(fileOf(pcap(wide)), '--output=table', '--table=calls')
  const [, ...lines] = run.stdout.trimEnd().split('\n')
  const columns = lines.map((line) => Bun.stringWidth(line.slice(0, line.indexOf('Unknown'))))
  expect(columns).toHaveLength(2)
  expect(columns[0]).toBe(columns[1]!)
})

test('metaflow replay prints what it could read of a cut capture, says where it ends, exits 1', async () => {
  const whole = pcap(HTTP)
  const run = await metaflow(fileOf(whole.subarray(0, -3)))
  expect(run.code).toBe(1)
  expect(JSON.parse(run.stdout)).toMatchObject({ type: 'session', response_code: 404 })
  const at = whole.length - HTTP.at(-1)!.frame.length - 16
  expect(run.stderr).toMatch(
    new RegExp(
      `^metaflow: Cannot read /.*\\.pcap to its end: its last record, at byte ${at}, is cut short\n$`,
    ),
  )
})

test('metaflow replay stops soon at Ctrl-C, exits 1, and has printed whole lines only', async () => {
  const path = join(directory, 'large.pcap')
  const written = writeCapture(path, 150 << 20)
  const lines: string[] = []
  const errors: string[] = []
  const child = startChild({
    command: ownCommand(['replay', path]),
    name: 'replay',
    onLine: (line, from) => (from === 'stdout' ? lines : errors).push(line),
  })
  await until(() => lines.length > 0, 20)
  const from = performance.now()
  child.signal('SIGINT')
  expect(await child.exited).toEqual({ code: 1, signal: null })
  expect(performance.now() - from).toBeLessThan(2000)
  expect(errors).toEqual([])
  expect(lines.length).toBeLessThan(written / 2)
  for (const line of lines) expect(JSON.parse(line)).toMatchObject({ l7_protocol: 'HTTP' })
}, 30_000)

test.each([
  [
    ['x.pcap', '--tabel=calls'],
    2,
    'Cannot read --tabel: there is no such flag; did you mean --table?',
  ],
  [
    ['x.pcap', '--table=call'],
    2,
    'Cannot use --table call: expected messages or calls or metrics; did you mean calls?',
  ],
  [
    ['x.pcap', '--output=json'],
    2,
    'Cannot use --output json: expected jsonl or table; did you mean jsonl?',
  ],
  [[], 2, 'Cannot replay: no capture file was given'],
  [['a.pcap', 'b.pcap'], 2, 'Cannot replay b.pcap: one file at a time'],
  [['/nowhere.pcap'], 1, 'Cannot read /nowhere.pcap: ENOENT'],
  [[import.meta.path], 1, 'to its end: it is no pcap or pcapng capture'],
  [['/'], 1, 'EISDIR'],
])('metaflow replay %j exits %d and says why', async (args, code, sentence) => {
  const run = await metaflow(...args)
  expect(run.code).toBe(code)
  expect(run.stderr).toContain(sentence)
  expect(run.stdout).toBe('')
})
