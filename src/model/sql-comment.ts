import type { Message } from './message.ts'
import { readTraceparent } from './trace-context.ts'

/*
 * Trace ids that a program writes into comments of its statements, as sqlcommenter does: a comment
 * that holds `action='show',traceparent='00-<32 hex>-<16 hex>-01'`.
 *
 * Keys and values stand with `=` or `:` between them, values bare or in single or double quotes,
 * pairs with `,` or white space between them. A lone trace_id and span_id are read too.
 * https://google.github.io/sqlcommenter/spec/
 */

const STAR = 0x2a
const SLASH = 0x2f
const COLON = 0x3a
const EQUALS = 0x3d
const KEY_BYTES_MAX = 16
const VALUE_BYTES_MAX = 128

const encoder = new TextEncoder()
const TRACEPARENT = encoder.encode('traceparent')
const TRACE_IDS = ['trace_id', 'traceid', 'trace-id'].map((key) => encoder.encode(key))
const SPAN_IDS = ['span_id', 'spanid', 'span-id'].map((key) => encoder.encode(key))

/** Reads the trace ids in the comments of the statement [start, end). */
export function readSqlComments(
  bytes: Uint8Array,
  start: number,
  end: number,
  message: Message,
): void {
  let star = bytes.indexOf(STAR, start + 1)
  while (star > 0 && star < end) {
    let from = star + 1
    if (bytes[star - 1] === SLASH) {
      from = commentEnd(bytes, star + 1, end)
      if (readComment(bytes, star + 1, from, message)) return
    }
    star = bytes.indexOf(STAR, from)
  }
}

function commentEnd(bytes: Uint8Array, start: number, end: number): number {
  let at = start
  while (at < end && !(bytes[at] === STAR && bytes[at + 1] === SLASH)) at++
  return at
}

/** Reads the pairs of one comment; answers whether it names a trace by traceparent. */
function readComment(bytes: Uint8Array, start: number, end: number, message: Message): boolean {
  for (let at = start; at < end; at++) {
    if (bytes[at] !== EQUALS && bytes[at] !== COLON) continue
    const key = keyStart(bytes, start, at)
    const value = skip(AROUND, bytes, at + 1, end)
    const stop = valueEnd(bytes, value, end)
    if (isKey(TRACEPARENT, bytes, key, at)) {
      if (readTraceparent(bytes, value, stop, message)) return true
    } else if (TRACE_IDS.some((word) => isKey(word, bytes, key, at)))
      message.traceId.set(bytes, value, stop - value)
    else if (SPAN_IDS.some((word) => isKey(word, bytes, key, at)))
      message.spanId.set(bytes, value, stop - value)
  }
  return false
}

function keyStart(bytes: Uint8Array, start: number, end: number): number {
  let at = end
  while (at > start && end - at < KEY_BYTES_MAX && KEY[bytes[at - 1]!] === 1) at--
  return at
}

function isKey(word: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start !== word.length) return false
  for (let i = 0; i < word.length; i++)
    if ((bytes[start + i]! | 0x20) !== (word[i]! | 0x20)) return false
  return true
}

function valueEnd(bytes: Uint8Array, start: number, end: number): number {
  const stop = Math.min(end, start + VALUE_BYTES_MAX)
  let at = start
  while (at < stop && ENDS[bytes[at]!] === 0) at++
  return at
}

function skip(table: Uint8Array, bytes: Uint8Array, start: number, end: number): number {
  let at = start
  while (at < end && table[bytes[at]!] === 1) at++
  return at
}

function tableOf(members: string): Uint8Array {
  const table = new Uint8Array(256)
  for (const member of members) table[member.charCodeAt(0)] = 1
  return table
}
const KEY = tableOf('abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-')
/** What may stand between a key's sign and its value, and what ends a value. */
const AROUND = tableOf(' \t\'"')
const ENDS = tableOf(' \t\r\n\'",;*')
