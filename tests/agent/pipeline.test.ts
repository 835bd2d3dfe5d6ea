import { expect, test } from 'bun:test'
import { Pipeline } from '../../src/agent/pipeline.ts'
import { CALL_TEXTS, type Call } from '../../src/model/call.ts'
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
