import { expect, test } from 'bun:test'
import { Pipeline } from '../../src/agent/pipeline.ts'
import { Messages } from '../../src/agent/replay-messages.ts'
import { CALL_TEXTS, type Call, REQUEST_RESOURCE } from '../../src/model/call.ts'
import { each } from './each.ts'
import { Wire } from './flow/wire.ts'

function row(call: Call): string {
  const { texts } = call
  const said = CALL_TEXTS.flatMap((name, i) => {
    const text = new TextDecoder().decode(texts.bytes.subarray(texts.starts[i]!, texts.ends[i]!))
    return text === '' ? [] : [`${name}=${text}`]
  })
  return `${call.type} ${call.observationPoint} ${call.code} ${call.duration} ${said.join(' ')}`
}

test('Pipeline makes a call of an HTTP request and its response', () => {
  const rows: string[] = []
  const pipeline = new Pipeline({ onCalls: each((call) => rows.push(row(call))), redact: true })
  const wire = new Wire(pipeline.segment)
  wire.send('GET /orders/17/items?token=s3cret HTTP/1.1\r\nHost: shop\r\n\r\n')
  wire.receive('HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno')
  pipeline.tick(0)
  expect(rows).toEqual([
    '2 c-p 404 100 request_type=GET request_domain=shop request_resource=/orders/17/items?token=? ' +
      'endpoint=/orders/* version=1.1 response_exception=Not Found',
  ])
})

const GET = 'GET /a HTTP/1.0\r\n\r\n'

test('Pipeline counts what went by of a body that lasts as long as its connection', () => {
  const rows: number[][] = []
  const pipeline = new Pipeline({
    onCalls: each((call) => rows.push([call.type, call.code, call.duration, call.responseLength])),
    redact: true,
  })
  const wire = new Wire(pipeline.segment, { role: 'client' })
  wire.open()
  wire.send(GET)
  wire.receive('HTTP/1.0 200 OK\r\n\r\nbody')
  wire.receive('x'.repeat(100_000), { captured: 10 })
  wire.receive('HTTP/1.0 500 no\r\n\r\n')
  pipeline.tick(wire.time)
  expect(rows).toEqual([])
  wire.close('receive')
  pipeline.tick(wire.time)
  expect(rows).toEqual([[2, 200, 100, 4 + 100_000 + 19]])
})

test('Pipeline says no length of a body that is not over in time, nor of one that was lost', () => {
  const rows: (number | boolean)[][] = []
  const pipeline = new Pipeline({
    onCalls: each((call) => rows.push([call.type, call.responseLength, call.isTruncated])),
    redact: true,
  })
  for (const key of [1, 2]) {
    const wire = new Wire(pipeline.segment, { role: 'client', key })
    wire.open()
    wire.send(GET)
    wire.receive('HTTP/1.0 200 OK\r\n\r\nbody')
    if (key === 2) wire.sayAt(wire.next('receive') + 2 ** 30 + 1, 'receive', 'x')
    pipeline.tick(wire.time + 119e6)
    pipeline.tick(wire.time + 121e6)
    wire.close('receive')
  }
  pipeline.drain()
  expect(rows).toEqual([
    [2, -1, false],
    [2, -1, true],
  ])
})

test('Messages tells one that goes on for long once, though many others came meanwhile', () => {
  let rows = 0
  const messages = new Messages(() => rows++)
  const pipeline = new Pipeline({
    onCalls: () => {},
    redact: false,
    onMessage: (message, mark, connection, number) =>
      messages.take(message, mark, connection, number),
  })
  const long = new Wire(pipeline.segment, { role: 'client', key: 1 })
  long.open()
  long.send(GET)
  long.receive('HTTP/1.0 200 OK\r\n\r\nbody')
  const wire = new Wire(pipeline.segment, { key: 2 })
  for (let i = 0; i < 6000; i++) {
    wire.send('GET /b HTTP/1.1\r\n\r\n')
    wire.receive('HTTP/1.1 204 No Content\r\n\r\n')
  }
  long.close('receive')
  pipeline.drain()
  messages.finish()
  expect(rows).toBe(2 + 12_000)
})

test('Pipeline takes no answer to a request that lies in a hole for that of the next', () => {
  const rows: string[] = []
  const pipeline = new Pipeline({ onCalls: each((call) => rows.push(row(call))), redact: true })
  const wire = new Wire(pipeline.segment, { role: 'client' })
  const answer = (id: string): string =>
    `HTTP/1.1 200 OK\r\nX-Request-ID: ${id}\r\nContent-Length: 0\r\n\r\n`
  wire.open()
  const put =
    'PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /b HTTP/1.1\r\n\r\n'
  wire.send(put, { captured: put.indexOf('0\r\n') })
  wire.receive(answer('a') + answer('b'))
  wire.send('GET /c HTTP/1.1\r\n\r\n')
  wire.receive(answer('c'))
  pipeline.drain()
  expect(rows.map((one) => one.match(/resource=.\w|x_request_id_1=\w/g)?.join(' '))).toEqual([
    'resource=/a x_request_id_1=a',
    'x_request_id_1=b',
    'resource=/c x_request_id_1=c',
  ])
})

test('Pipeline reads on behind a hole in what was sent after 100 Continue', () => {
  const rows: string[] = []
  const pipeline = new Pipeline({
    onCalls: each(({ type, code, isTruncated }) => rows.push(`${type} ${code} ${isTruncated}`)),
    redact: true,
  })
  const wire = new Wire(pipeline.segment, { role: 'client' })
  wire.open()
  wire.send('PUT /a HTTP/1.1\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n')
  wire.receive('HTTP/1.1 100 Continue\r\n\r\n')
  wire.send(`1770\r\n${'x'.repeat(6000)}\r\n0\r\n\r\n`, { captured: 4096 })
  wire.receive('HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n')
  wire.send('GET /b HTTP/1.1\r\n\r\n')
  wire.receive('HTTP/1.1 204 No Content\r\n\r\n')
  pipeline.drain()
  expect(rows).toEqual(['2 201 true', '2 204 false'])
})

test('Pipeline reads what a program takes a byte at a time', () => {
  const rows: string[] = []
  const pipeline = new Pipeline({ onCalls: each((call) => rows.push(row(call))), redact: true })
  const wire = new Wire(pipeline.segment)
  for (const byte of 'OPTIONS * HTTP/1.1\r\n\r\n') wire.receive(byte)
  wire.send('HTTP/1.1 204 No Content\r\n\r\n')
  pipeline.tick(0)
  expect(rows).toEqual(['2 s-p 204 2200 request_type=OPTIONS request_resource=* version=1.1'])
})

test('Messages begins anew where framing was lost in the midst of one', () => {
  const rows: string[] = []
  const messages = new Messages(({ texts }) => {
    const bytes = texts.bytes.subarray(
      texts.starts[REQUEST_RESOURCE]!,
      texts.ends[REQUEST_RESOURCE]!,
    )
    rows.push(new TextDecoder().decode(bytes))
  })
  const pipeline = new Pipeline({
    onCalls: () => {},
    redact: false,
    onMessage: (message, mark, connection, number) =>
      messages.take(message, mark, connection, number),
    onLost: (connection) => messages.lost(connection),
  })
  const wire = new Wire(pipeline.segment)
  wire.send('PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n')
  wire.lose('send', 100_000)
  wire.send('x')
  pipeline.tick(wire.time + 20_000)
  wire.receive('HTTP/1.1 204 No Content\r\n\r\n')
  wire.send('GET /b HTTP/1.1\r\n\r\n')
  pipeline.drain()
  messages.finish()
  expect(rows).toEqual(['/a', '/b'])
})
