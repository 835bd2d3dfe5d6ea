import type { Message } from '../../../model/message.ts'
import { readTraceparent } from '../../../model/trace-context.ts'
import { lenencSize } from './packet.ts'
import { stringEnd, valueEnd } from './values.ts'

/*
 * What a client that agreed on CLIENT_QUERY_ATTRIBUTES puts before the text of COM_QUERY:
 *
 *   attributes = count lenenc, 1, [ nulls{(count + 7) / 8}, 1, ( type u16, name ){count}, value* ]
 *   name       = size lenenc, bytes
 *
 * A text has no byte 1 at its second place, so that its beginning tells whether attributes are
 * there. An attribute `traceparent` is how MySQL's own connectors hand on a trace.
 * https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_query.html
 */

const ATTRIBUTES_MAX = 64
const TRACEPARENT = new TextEncoder().encode('traceparent')

/** Where the text behind the attributes of [start, end) begins; `end` where that is not clear. */
export function textStart(bytes: Uint8Array, start: number, end: number, message: Message): number {
  const count = bytes[start]!
  if (end - start < 2 || bytes[start + 1] !== 1) return start
  if (count === 0) return start + 2
  const types = start + 2 + ((count + 7) >> 3) + 1
  if (count > ATTRIBUTES_MAX || bytes[types - 1] !== 1) return end
  let value = types
  for (let i = 0; i < count && value < end; i++) value = stringEnd(bytes, value + 2)
  let type = types
  for (let i = 0; i < count && value < end; i++) {
    const name = type + 2
    const isNull = ((bytes[start + 2 + (i >> 3)]! >> (i & 7)) & 1) === 1
    const next = isNull ? value : valueEnd(bytes, value, bytes[type]!)
    if (isTraceparent(bytes, name)) readTrace(bytes, value, next, message)
    type = stringEnd(bytes, name)
    value = next
  }
  return Math.min(value, end)
}

/** Whether the name at `at` is that of a trace. */
export function isTraceparent(bytes: Uint8Array, at: number): boolean {
  if (bytes[at] !== TRACEPARENT.length) return false
  for (let i = 0; i < TRACEPARENT.length; i++)
    if (bytes[at + 1 + i] !== TRACEPARENT[i]) return false
  return true
}

/** Reads the trace that the string [start, end) names. */
export function readTrace(bytes: Uint8Array, start: number, end: number, message: Message): void {
  const from = start + lenencSize(bytes, start)
  if (end <= bytes.length) readTraceparent(bytes, from, end, message)
}
