/**
 * Real captures beside what another parser says of each of their packets: the same messages must be
 * told, field by field, unless the protocol's specification says otherwise (then the test says so).
 */
import { describe, expect, test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import type { Protocol, Sender } from '../../../src/agent/protocols/protocol.ts'
import { protocols } from '../../../src/agent/protocols/registry.ts'
import { STATUS } from '../../../src/model/message.ts'
import { hasSamples, packetsOf, SAMPLES } from './capture.ts'
import { TestLink, TestStream, type Told } from './link.ts'

const skipped = hasSamples ? '' : ` (skipped: no captures at ${SAMPLES})`
const protocolOf = (name: string): Protocol => protocols.find((protocol) => protocol.name === name)!

/** What is told of all connections of a capture, in the order of its packets. */
function read(protocol: Protocol, file: string): Told[] {
  const streams = new Map<string, TestStream>()
  const clients = new Map<string, string>()
  const told: Told[] = []
  for (const { from, to, bytes } of packetsOf(`${SAMPLES}${file}`)) {
    const key = [from, to].sort((a, b) => (a < b ? -1 : 1)).join(' ')
    const isFirst = !clients.has(key)
    if (isFirst) clients.set(key, protocol.claim(bytes, 'server') > 50 ? to : from)
    const sender: Sender = clients.get(key) === from ? 'client' : 'server'
    const stream = streams.get(key) ?? new TestStream(protocol)
    streams.set(key, stream)
    const before = stream.told.length
    stream.push(sender, bytes)
    told.push(...stream.told.slice(before))
  }
  return told
}

type Line = {
  readonly msg_type: string
  readonly request_type: string | number
  readonly request_resource?: string
  readonly request_id?: number
  readonly statement_id?: number
  readonly response_status: string
  readonly response_code?: number
  readonly response_result?: string
  readonly sql_affected_rows?: number
}

/** The JSON at the beginning of each line. */
function resultOf(file: string): Line[] {
  return readFileSync(`${SAMPLES}${file}`, 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line.slice(0, line.lastIndexOf('}') + 1)) as Line)
}

const STATUSES: Readonly<Record<string, number>> = {
  ok: STATUS.ok,
  unknown: STATUS.ok,
  client_error: STATUS.clientError,
  server_error: STATUS.serverError,
}

describe.skipIf(!hasSamples)(`captures of DNS${skipped}`, () => {
  test.each(['a-and-ns', 'dns'])('dns/%s.pcap', (name) => {
    const protocol = protocolOf('DNS')
    // The link is told whether a capture's packets are datagrams.
    const told: Told[] = []
    const links = new Map<string, TestLink>()
    for (const { from, to, bytes, isDatagram } of packetsOf(`${SAMPLES}dns/${name}.pcap`)) {
      const key = [from, to].sort((a, b) => (a < b ? -1 : 1)).join(' ')
      const link = links.get(key) ?? new TestLink(protocol, isDatagram)
      links.set(key, link)
      const sender = to.endsWith(':53') ? 'client' : 'server'
      expect(link.feed(sender, bytes)).toBe(bytes.length)
      const { kind, id, code, status } = link.message
      const text = ({ bytes: from, start, end }: typeof link.message.result): string =>
        new TextDecoder().decode(from.subarray(start, end))
      const { operation, resource, result } = link.message
      told.push({
        kind,
        id,
        code,
        status,
        operation: text(operation),
        resource: text(resource),
        result: text(result),
      })
    }
    const want = resultOf(`dns/${name}.result`)
    expect(told.length).toBe(want.length)
    for (const [i, line] of want.entries()) {
      const message = told[i]!
      expect(message['kind']).toBe(line.msg_type.toLowerCase())
      expect(message['id']).toBe(line.request_id!)
      expect(message['operation']).toBe(line.request_type)
      expect(message['resource']).toBe(line.request_resource!)
      expect(message['code']).toBe(line.response_code ?? Number.NaN)
      expect(message['status']).toBe(STATUSES[line.response_status]!)
      // Time-to-live is left out here: it would make each text another.
      const result = line.response_result?.replaceAll(/ TTL=\d+/g, '') ?? ''
      expect(message['result']).toBe(result)
    }
  })
})

describe.skipIf(!hasSamples)(`captures of Redis${skipped}`, () => {
  test('redis/redis-debug.pcap', () => {
    expect(read(protocolOf('Redis'), 'redis/redis-debug.pcap')).toMatchObject([
      { kind: 'request', operation: 'LRANGE', resource: 'mylist 0 299' },
      { kind: 'response' },
    ])
  })
})

describe.skipIf(!hasSamples)(`captures of HTTP${skipped}`, () => {
  test('http/client-ip.pcap, whose request lacks the end of its head', () => {
    const stream = new TestStream(protocolOf('HTTP'))
    const [request, response] = packetsOf(`${SAMPLES}http/client-ip.pcap`)
    stream.push('client', request!.bytes)
    stream.push('client', new Uint8Array(200))
    stream.push('server', response!.bytes)
    expect(stream.told).toMatchObject([
      {
        kind: 'request',
        operation: 'POST',
        resource:
          '/biz-inquiry-bff/bff/v1/common/check/polymerization?channel=webportal&terminalType=bff',
        domain: 'api-webizft1.intranet.local',
        version: '1.1',
        traceId: '6d4ae9e1fb8a4399aba252d65b5a83c9.76.17016891360410347',
        spanId: '6d4ae9e1fb8a4399aba252d65b5a83c9.76.17016891360410346-6',
        proxyClient: '10.90.14.76,10.158.233.64',
        length: 50,
        truncated: true,
      },
      { kind: 'response', code: 200, version: '1.1' },
    ])
  })

  test.each(['grpc-service-name', 'h2c_ascii', 'httpv2-stream-id'])(
    'http/%s.pcap, HTTP/2, is not taken for HTTP/1',
    (name) => {
      const http = protocolOf('HTTP')
      for (const { bytes } of packetsOf(`${SAMPLES}http/${name}.pcap`))
        for (const sender of ['client', 'server'] as const)
          expect(http.claim(bytes, sender)).toBe(0)
      expect(read(http, `http/${name}.pcap`)).toEqual([])
    },
  )
})

const COMMANDS: Readonly<Record<number, string>> = {
  0: 'COM_CONNECT',
  1: 'COM_QUIT',
  3: 'COM_QUERY',
  22: 'COM_STMT_PREPARE',
  23: 'COM_STMT_EXECUTE',
  25: 'COM_STMT_CLOSE',
}

describe.skipIf(!hasSamples)(`captures of MySQL${skipped}`, () => {
  test.each([
    'mysql-exec',
    'mysql-statement',
    'mysql-table-delete',
    'mysql-table-insert',
    'mysql-use',
    'mysql-compressed-response',
  ])('mysql/%s.pcap', (name) => {
    const told = read(protocolOf('MySQL'), `mysql/${name}.pcap`)
    const want = resultOf(`mysql/${name}.result`).filter(({ msg_type }) => msg_type !== 'Other')
    const asked = told.filter(({ kind }) => kind !== 'response')
    const lines = want.filter(({ msg_type }) => msg_type !== 'Response')
    expect(asked.length).toBe(lines.length)
    for (const [i, line] of lines.entries()) {
      const message = asked[i]!
      expect(message['kind']).toBe(line.msg_type === 'Session' ? 'oneway' : 'request')
      expect(message['operation']).toBe(COMMANDS[Number(line.request_type)]!)
      if (Number(line.statement_id) > 0) expect(message['requestId']).toBe(line.statement_id!)
      // A login reads otherwise here, and EXECUTE shows its statement instead of what is bound.
      if (line.request_type === 3 || line.request_type === 22)
        expect(message['resource']).toBe(line.request_resource!)
    }
    const answers = told.filter(({ kind }) => kind === 'response')
    const affected = want.flatMap(({ sql_affected_rows: rows }) => rows ?? [])
    expect(answers.every((answer) => answer['code'] === undefined)).toBe(true)
    // What is not OK at the place of affected rows is none: column counts (98) of PREPARE are not.
    if (name === 'mysql-table-insert')
      expect(answers.flatMap(({ rows }) => (rows as number) || [])).toEqual(affected)
    // What is deflated is not read: its status is unknown, not ok.
    const unknown = name === 'mysql-compressed-response' ? 1 : 0
    expect(answers.filter(({ status }) => status === STATUS.unknown).length).toBe(unknown)
  })

  test('mysql/171-mysql.pcap: every command has its answer, none has two', () => {
    expect(existsSync(`${SAMPLES}mysql/171-mysql.pcap`)).toBe(true)
    const told = read(protocolOf('MySQL'), 'mysql/171-mysql.pcap')
    const asked = told.filter(({ kind }) => kind === 'request').length
    const answered = told.filter(({ kind }) => kind === 'response').length
    expect(asked).toBeGreaterThan(100)
    expect(asked - answered).toBeWithin(0, 5)
  })
})
