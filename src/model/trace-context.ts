import { areHex, fourOf, wordsOf } from '../lib/words.ts'
import type { Message } from './message.ts'

/*
 * How programs write a trace's id beside their own messages. Every reader takes a value's bytes
 * [start, end), sets trace and span id of the message where the value is well formed, and answers
 * whether it was. Who meets several formats on one message asks the readers in this file's order.
 */

const DASH = 0x2d
const COLON = 0x3a
const PERCENT = 0x25
const ZERO = 0x30
const ZEROS = fourOf(ZERO)
/** A sw8 header is less than 2 KB; its two ids are far less. */
const SCRATCH_SIZE = 1024
const scratch = new Uint8Array(SCRATCH_SIZE)

/**
 * `version "-" 32 hex "-" 16 hex "-" 2 hex`; versions after 00 may add fields, ff is forbidden.
 * https://www.w3.org/TR/trace-context/#traceparent-header-field-values
 */
export function readTraceparent(
  bytes: Uint8Array,
  start: number,
  end: number,
  message: Message,
): boolean {
  if (end - start < 55 || bytes[start + 2] !== DASH || bytes[start + 35] !== DASH) return false
  if (bytes[start + 52] !== DASH || (bytes[start] === 0x66 && bytes[start + 1] === 0x66))
    return false
  if (!isId(bytes, start + 3, start + 35) || !isId(bytes, start + 36, start + 52)) return false
  message.traceId.set(bytes, start + 3, 32)
  message.spanId.set(bytes, start + 36, 16)
  return true
}

/**
 * `1-<b64 trace id>-<b64 segment id>-<span>-…`; a span's id is its segment's with its number.
 * https://skywalking.apache.org/docs/main/latest/en/api/x-process-propagation-headers-v3/
 */
export function readSw8(bytes: Uint8Array, start: number, end: number, message: Message): boolean {
  if (bytes[start + 1] !== DASH) return false
  const trace = start + 2
  const segment = next(bytes, trace, end)
  const span = segment < 0 ? -1 : next(bytes, segment, end)
  if (span < 0) return false
  const traceEnd = decodeBase64(bytes, trace, segment - 1, 0)
  if (traceEnd <= 0) return false
  let at = decodeBase64(bytes, segment, span - 1, traceEnd)
  if (at <= traceEnd) return false
  const spanEnd = next(bytes, span, end)
  const digits = (spanEnd < 0 ? end : spanEnd - 1) - span
  if (digits < 1 || digits > 10 || at + 1 + digits > SCRATCH_SIZE) return false
  scratch[at++] = DASH
  for (let i = 0; i < digits; i++) scratch[at++] = bytes[span + i]!
  message.traceId.set(scratch, 0, traceEnd)
  message.spanId.set(scratch, traceEnd, at - traceEnd)
  return true
}

/**
 * `<trace id>-<span id>[-<sampled>[-<parent>]]`; a lone sampling decision (`0`) names no trace.
 * https://github.com/openzipkin/b3-propagation#single-header
 */
export function readB3(bytes: Uint8Array, start: number, end: number, message: Message): boolean {
  const span = next(bytes, start, end)
  if (span < 0) return false
  const size = span - 1 - start
  if ((size !== 32 && size !== 16) || end - span < 16) return false
  if (!isId(bytes, start, start + size) || !isId(bytes, span, span + 16)) return false
  message.traceId.set(bytes, start, size)
  message.spanId.set(bytes, span, 16)
  return true
}

/**
 * `<trace id>:<span id>:<parent>:<flags>` in hex, the colons perhaps as `%3A`.
 * https://www.jaegertracing.io/docs/1.22/client-libraries/#propagation-format
 */
export function readUberTraceId(
  bytes: Uint8Array,
  start: number,
  end: number,
  message: Message,
): boolean {
  const traceEnd = uberEnd(bytes, start, end)
  if (!isId(bytes, start, traceEnd) || traceEnd - start > 32) return false
  const span = traceEnd + (bytes[traceEnd] === PERCENT ? 3 : 1)
  const spanEnd = uberEnd(bytes, span, end)
  if (spanEnd >= end || !isId(bytes, span, spanEnd) || spanEnd - span > 16) return false
  message.traceId.set(bytes, start, traceEnd - start)
  message.spanId.set(bytes, span, spanEnd - span)
  return true
}

function uberEnd(bytes: Uint8Array, start: number, end: number): number {
  let at = start
  while (at < end && bytes[at] !== COLON && bytes[at] !== PERCENT) at++
  return at
}

/** Where the field after the next dash begins, or -1. */
function next(bytes: Uint8Array, start: number, end: number): number {
  for (let at = start; at < end; at++) if (bytes[at] === DASH) return at + 1
  return -1
}

/** Whether [start, end) is hex digits that are not all zero. */
function isId(bytes: Uint8Array, start: number, end: number): boolean {
  const view = wordsOf(bytes)
  let rest = 0
  let at = start
  for (; at + 4 <= end; at += 4) {
    const word = view.getInt32(at, true)
    if (!areHex(word)) return false
    rest |= word ^ ZEROS
  }
  for (; at < end; at++) {
    const byte = bytes[at]!
    if (HEX[byte] === 0) return false
    rest |= byte ^ ZERO
  }
  return rest !== 0
}

/** Decodes [start, end) into the scratch from `to`; answers where it ends there, or -1. */
function decodeBase64(bytes: Uint8Array, start: number, end: number, to: number): number {
  let at = to
  let bits = 0
  let held = 0
  for (let i = start; i < end; i++) {
    const value = BASE64[bytes[i]!]!
    if (value === 255) {
      if (bytes[i] === EQUALS) break
      return -1
    }
    bits = ((bits << 6) | value) & 0xfff
    held += 6
    if (held < 8) continue
    if (at >= SCRATCH_SIZE) return -1
    held -= 8
    scratch[at++] = (bits >> held) & 0xff
  }
  return at
}

const EQUALS = 0x3d
const HEX = new Uint8Array(256)
for (const digit of '0123456789abcdefABCDEF') HEX[digit.charCodeAt(0)] = 1
const BASE64 = new Uint8Array(256).fill(255)
for (const [value, digit] of [
  ...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/',
].entries())
  BASE64[digit.charCodeAt(0)] = value
