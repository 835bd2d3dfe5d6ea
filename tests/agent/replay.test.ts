/** What replay reads of real captures, beside what another parser says of each of their packets. */
import { afterAll, describe, expect, test } from 'bun:test'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { replay } from '../../src/agent/replay.ts'
import { CALL_TEXTS, CALL_TYPE, type Call } from '../../src/model/call.ts'
import { STATUS } from '../../src/model/message.ts'
import { writeCapture } from '../bench/replay-capture.ts'
import { ethernet, ip4, pcap, tcp, udp } from './capture/pcap-writer.ts'

const PCAP = join(import.meta.dir, '../../../shared/pcap')
const isThere = existsSync(PCAP)
if (!isThere) process.stderr.write(`skipped: sample captures are not at ${PCAP}\n`)

const directory = mkdtempSync(join(tmpdir(), 'metaflow-replay-'))
afterAll(() => rmSync(directory, { recursive: true }))

/** A message by its meaning; what a parser does not tell is absent. */
type Meaning = {
  readonly type: string
  readonly operation?: string
  readonly resource?: string
  readonly id?: number
  readonly status?: string
  readonly code?: number
}
const TYPES = ['Request', 'Response', 'Session'] as const
const STATUSES: Readonly<Record<number, string>> = {
  0: 'ok',
  3: 'server_error',
  4: 'client_error',
  5: 'unknown',
}

function textOf(call: Call, field: (typeof CALL_TEXTS)[number]): string {
  const at = CALL_TEXTS.indexOf(field)
  const { bytes, starts, ends } = call.texts
  return new TextDecoder().decode(bytes.subarray(starts[at], ends[at]))
}

async function messagesOf(path: string): Promise<Meaning[]> {
  const messages: Meaning[] = []
  await replay({
    path,
    onMessage: (call) => {
      const isResponse = call.type === 1
      messages.push({
        type: TYPES[call.type]!,
        operation: textOf(call, 'request_type'),
        resource: textOf(call, 'request_resource'),
        id: call.requestId,
        ...(isResponse && { status: STATUSES[call.status]!, code: call.code }),
      })
    },
  })
  return messages
}

function resultOf(name: string): string[] {
  return readFileSync(join(PCAP, `${name}.result`), 'utf8')
    .trim()
    .split('\n')
}

test.skipIf(!isThere).each(['dns/dns', 'dns/a-and-ns'])('replay reads %s as told', async (name) => {
  const told = resultOf(name).map((line): Meaning => {
    const said = JSON.parse(line.slice(0, line.lastIndexOf('}') + 1))
    const isResponse = said.msg_type === 'Response'
    return {
      type: said.msg_type,
      operation: said.request_type,
      resource: said.request_resource,
      id: said.request_id,
      ...(isResponse && { status: said.response_status, code: said.response_code }),
    }
  })
  expect(await messagesOf(join(PCAP, `${name}.pcap`))).toEqual(told)
})

test.skipIf(!isThere)('replay reads redis/redis-debug as told', async () => {
  const told = resultOf('redis/redis-debug').map((line) => {
    const [, request, operation] = /request: "(.*?)", request_type: "(.*?)"/.exec(line)!
    return { type: request ? 'Request' : 'Response', operation, text: request }
  })
  const read = await messagesOf(join(PCAP, 'redis/redis-debug.pcap'))
  const lines = read.map(({ type, operation, resource }) => {
    return { type, operation, text: `${operation} ${resource}`.trim() }
  })
  expect(lines).toEqual(told as typeof lines)
})

test.skipIf(!isThere)(
  'replay reads http/client-ip as told, a cut head as far as it goes',
  async () => {
    const [asked = '', answered = ''] = resultOf('http/client-ip')
    const field = (line: string, name: string): string =>
      new RegExp(`${name}: .*?"(.*?)"`).exec(line)![1]!
    const read: string[][] = []
    await replay({
      path: join(PCAP, 'http/client-ip.pcap'),
      onMessage: (call) => {
        const texts = ['request_resource', 'request_domain', 'trace_id', 'span_id'] as const
        read.push(texts.map((name) => textOf(call, name)))
        read.push([textOf(call, 'http_proxy_client'), textOf(call, 'endpoint')])
        read.push([String(call.code)])
      },
    })
    expect(answered).toContain('status_code: Some(200)')
    expect(read).toEqual([
      ['path', 'host', 'trace_ids', 'span_id'].map((name) => field(asked, name)),
      [field(asked, 'client_ip'), field(asked, 'endpoint')],
      ['NaN'],
      ['', '', '', ''],
      ['', ''],
      ['200'],
    ])
  },
)

const COMMANDS: Readonly<Record<number, string>> = {
  1: 'COM_QUIT',
  3: 'COM_QUERY',
  22: 'COM_STMT_PREPARE',
  23: 'COM_STMT_EXECUTE',
  25: 'COM_STMT_CLOSE',
}
const MYSQL = [
  'mysql-exec',
  'mysql-statement',
  'mysql-table-delete',
  'mysql-table-insert',
  'mysql-use',
  'mysql-compressed-response',
]

test.skipIf(!isThere).each(MYSQL)('replay reads the commands of mysql/%s as told', async (name) => {
  const told = resultOf(`mysql/${name}`)
    .map((line) => JSON.parse(line.slice(0, line.lastIndexOf('}') + 1)))
    .filter(({ request_type: command }) => command in COMMANDS)
    .map(({ request_type: command, request_resource: resource }) => {
      // Theirs names the type of some numbers that are bound.
      const bound = resource?.replaceAll(/LongLong\((-?\d+)\)/g, '$1')
      const isTold = command === 3 || command === 22 || command === 23
      return { operation: COMMANDS[command], ...(isTold && { resource: bound }) }
    })
  const read = await messagesOf(join(PCAP, `mysql/${name}.pcap`))
  const commands = read.filter(({ operation }) => Object.values(COMMANDS).includes(operation!))
  expect(commands).toMatchObject(told)
  expect(commands.length).toBe(told.length)
})

test.skipIf(!isThere)(
  'replay reads every sample capture, each cut anywhere, without throwing',
  async () => {
    const names = [...new Bun.Glob('**/*.pcap').scanSync(PCAP)]
    const path = join(directory, 'cut.pcap')
    const cuts = fc.tuple(fc.constantFrom(...names), fc.nat(), fc.nat(), fc.nat(255))
    await fc.assert(
      fc.asyncProperty(cuts, async ([name, size, at, value]) => {
        const bytes = readFileSync(join(PCAP, name))
        const cut = bytes.subarray(0, size % (bytes.length + 1))
        if (cut.length > 0) cut[at % cut.length] = value
        writeFileSync(path, cut)
        await replay({ path, onMessage: () => {}, onCall: () => {}, onPoint: () => {} })
      }),
      { numRuns: 300 },
    )
  },
)

test('Replay reads calls as they were asked where the file is larger than its buffer', async () => {
  const path = join(directory, 'large.pcap')
  const written = writeCapture(path, 4 << 20)
  let right = 0
  await replay({
    path,
    onCall: (call) => {
      const asked = textOf(call, 'x_request_id_0')
      const isWhole = call.type === CALL_TYPE.session && asked.length === 36
      if (isWhole && asked === textOf(call, 'x_request_id_1')) right++
    },
  })
  expect(right).toBe(written)
})

test('Replay lets time pass in what was captured before, and follows in the file', async () => {
  const path = join(directory, 'back.pcap')
  const [client, server] = ['10.0.0.1:5353', '10.0.0.3:53']
  const ask = (id: number): Uint8Array => {
    const question = `\0${String.fromCharCode(id)}\x01\0\0\x01\0\0\0\0\0\0\x01a\0\0\x01\0\x01`
    const payload = udp(client, server, question)
    return ethernet(ip4({ from: client, to: server, protocol: 17, payload }))
  }
  const start = 1_000_000_000_000_000
  const at = (second: number, id: number) => ({ time: start + second * 1e6, frame: ask(id) })
  const late = { time: start + 1016e6, frame: new Uint8Array(14) }
  writeFileSync(path, pcap([at(1000, 1), late, at(0, 2), at(20, 3)]))
  const statuses: [number, number][] = []
  await replay({ path, onCall: ({ requestId, status }) => statuses.push([requestId, status]) })
  expect(statuses).toEqual([
    [1, STATUS.timeout],
    [2, STATUS.timeout],
    [3, STATUS.unknown],
  ])
})

test('Replay says so where no packet is of a link that it knows', async () => {
  const path = join(directory, 'wireless.pcap')
  const records = [{ time: 1, frame: new Uint8Array(60) }]
  writeFileSync(path, pcap(records, { link: 105 }))
  expect((await replay({ path })).problem).toBe(
    `Cannot read ${path}: its packets are of link type 105, which is not known here`,
  )
  writeFileSync(path, pcap(records))
  expect((await replay({ path })).problem).toBe('')
})

test('Replay of standard input waits for what comes late, and ends where it is told to', async () => {
  const path = join(directory, 'late.pcap')
  const question = '\0\x01\x01\0\0\x01\0\0\0\0\0\0\x01a\0\0\x01\0\x01'
  const payload = udp('10.0.0.1:5353', '10.0.0.3:53', question)
  const frame = ethernet(ip4({ from: '10.0.0.1:5353', to: '10.0.0.3:53', protocol: 17, payload }))
  writeFileSync(path, pcap([0, 1, 2].map((at) => ({ time: at * 20_000_000, frame }))))
  const bytes = readFileSync(path)
  const main = join(import.meta.dir, '../../src/main.ts')
  const child = Bun.spawn([process.execPath, main, 'replay', '-'], { stdin: 'pipe' })
  try {
    for (const [from, to] of [
      [0, 3],
      [3, 30],
      [30, bytes.length - 1],
    ] as const) {
      child.stdin.write(bytes.subarray(from, to))
      await child.stdin.flush()
      await Bun.sleep(300)
    }
    child.kill('SIGINT')
    expect(await child.exited).toBe(1)
    // The third is not there whole: two questions, of which one was answered by nobody in time.
    const rows = (await new Response(child.stdout).text()).trim().split('\n')
    expect(rows.map((row) => JSON.parse(row).response_status)).toEqual(['Timeout', 'Unknown'])
  } finally {
    child.kill('SIGKILL')
  }
})

describe('what is lost at the beginning of a flow gives no answer to another request:', () => {
  const [client, server] = ['10.0.0.1:4000', '10.0.0.2:80']
  const ask = (name: string): string => `GET /${name} HTTP/1.1\r\n\r\n`
  const answer = (code: number): string => `HTTP/1.1 ${code} So\r\ncontent-length: 0\r\n\r\n`
  const size = ask('a').length
  const asked = (flags: string, at: number, acknowledge: number, ...names: string[]) => ({
    ...{ from: client, to: server, flags, sequence: 1000 + at * size, acknowledge },
    text: names.map(ask).join(''),
  })
  const answered = (flags: string, at: number, ...codes: number[]) => ({
    ...{ from: server, to: client, flags, sequence: 5000 + at * answer(200).length },
    ...{ acknowledge: 1000, text: codes.map(answer).join('') },
  })
  const syn = { from: client, to: server, flags: 'S', sequence: 999 }
  const synAck = { ...answered('SA', 0), sequence: 4999 }

  test.each([
    [
      'an answer with the next request, no SYN seen',
      [asked('A', 0, 5000, 'a'), answered('A', 1, 404)],
    ],
    ['the answer to the SYN and the first', [syn, asked('A', 0, 5000, 'a'), answered('A', 1, 404)]],
    [
      'the first of three requests at once',
      [syn, synAck, asked('A', 1, 5000, 'b', 'c'), answered('A', 0, 200, 404, 500)],
    ],
  ])('%s', async (_, specs) => {
    const frames = specs.map((spec, at) => ({
      time: 1000 * (at + 1),
      frame: ethernet(ip4({ ...spec, protocol: 6, payload: tcp(spec) })),
    }))
    const path = join(directory, 'begins.pcap')
    writeFileSync(path, pcap(frames))
    const rows: [string, number][] = []
    await replay({
      path,
      onCall: (call) => rows.push([textOf(call, 'request_resource'), call.code]),
    })
    const truth: Readonly<Record<string, number>> = { '/a': 200, '/b': 404, '/c': 500 }
    for (const [resource, code] of rows)
      if (!Number.isNaN(code) && resource !== '') expect(code).toBe(truth[resource]!)
    expect(rows.length).toBeGreaterThan(0)
  })
})
