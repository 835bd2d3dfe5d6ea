import type { Message } from '../../../model/message.ts'
import { readTraceparent } from '../../../model/trace-context.ts'
import { lenenc, lenencSize } from './packet.ts'

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
    if (isTraceparent(bytes, name)) readValue(bytes, value, next, message)
    type = stringEnd(bytes, name)
    value = next
  }
  return Math.min(value, end)
}

function isTraceparent(bytes: Uint8Array, at: number): boolean {
  if (bytes[at] !== TRACEPARENT.length) return false
  for (let i = 0; i < TRACEPARENT.length; i++)
    if (bytes[at + 1 + i] !== TRACEPARENT[i]) return false
  return true
}

function readValue(bytes: Uint8Array, start: number, end: number, message: Message): void {
  const from = start + lenencSize(bytes, start)
  if (end <= bytes.length) readTraceparent(bytes, from, end, message)
}

function stringEnd(bytes: Uint8Array, at: number): number {
  const size = lenencSize(bytes, at)
  return size === 0 ? bytes.length : at + size + lenenc(bytes, at, size)
}

/** Where a value of the binary protocol ends, or the end of all where its type is not known. */
function valueEnd(bytes: Uint8Array, at: number, type: number): number {
  const size = SIZES[type]
  if (size !== undefined) return at + size
  if (LED_BY_SIZE.has(type)) return at + 1 + bytes[at]!
  return STRINGS.has(type) ? stringEnd(bytes, at) : bytes.length
}

/** Bytes of a value by its type: tiny, short, long, float, double, null, long long, int24, year. */
const SIZES: Readonly<Record<number, number>> = {
  1: 1,
  2: 2,
  3: 4,
  4: 4,
  5: 8,
  6: 0,
  8: 8,
  9: 4,
  13: 2,
}
/** Timestamp, date, time, datetime: a byte says how long they are. */
const LED_BY_SIZE: ReadonlySet<number> = new Set([7, 10, 11, 12])
/** Texts, decimals, bits, blobs, JSON, geometry. */
const STRINGS: ReadonlySet<number> = new Set([
  0, 15, 16, 245, 246, 247, 248, 249, 250, 251, 252, 253, 254, 255,
])
