import { expect, test } from 'bun:test'
import { http } from '../../../src/agent/protocols/http.ts'
import type { Sender } from '../../../src/agent/protocols/protocol.ts'
import { bytesOf, TestLink, textOf } from './link.ts'

/** What a message says, in one line: only what is set. */
function show({ message: m }: TestLink, size: number): string {
  const words: (string | number)[] = [m.kind === 'none' ? '-' : m.kind]
  if (m.operation.end) words.push(textOf(m.operation))
  if (m.resource.end) words.push(textOf(m.resource))
  if (m.domain.end) words.push(`host=${textOf(m.domain)}`)
  if (!Number.isNaN(m.code)) words.push(m.code)
  if (m.status) words.push(`status=${m.status}`)
  if (m.error.end) words.push(`"${textOf(m.error)}"`)
  if (m.length >= 0) words.push(`length=${m.length}`)
  if (m.version.end) words.push(`v${textOf(m.version)}`)
  if (m.traceId.end) words.push(`trace=${textOf(m.traceId)}`)
  if (m.spanId.end) words.push(`span=${textOf(m.spanId)}`)
  if (m.xRequestId.end) words.push(`x=${textOf(m.xRequestId)}`)
  if (m.proxyClient.end) words.push(`from=${textOf(m.proxyClient)}`)
  if (!m.last) words.push('…')
  if (m.truncated) words.push('cut')
  return `${words.join(' ')} ${size}`
}

const HEADS: readonly (readonly [string, Sender, string, string])[] = [
  ['a request', 'client', 'GET /a HTTP/1.1\r\nHost: h\r\n\r\n', 'request GET /a host=h v1.1 28'],
]

test.each(HEADS)('http reads %s', (_, sender, input, want) => {
  const link = new TestLink(http)
  expect(show(link, link.feed(sender, bytesOf(input)))).toBe(want)
})
