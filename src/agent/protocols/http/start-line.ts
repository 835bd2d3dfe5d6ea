import { wordsOf } from '../../../lib/words.ts'
import type { Message } from '../../../model/message.ts'
import { type Input, MORE, WRONG } from '../protocol.ts'
import { lineEnd, NO_END } from './head.ts'

/** Answer of `methodEnd`: these bytes begin no request. */
export const NO_METHOD = -2
const METHOD_BYTES_MAX = 32

/** Where the SP after the method is, or NO_END, or NO_METHOD. */
export function methodEnd({ bytes, start, end }: Input): number {
  let stop = start
  while (stop < end && TOKEN[bytes[stop]!] === 1) stop++
  if (stop - start > METHOD_BYTES_MAX) return NO_METHOD
  if (stop >= end) return NO_END
  return bytes[stop] === SP && stop > start ? stop : NO_METHOD
}

/** Where `HTTP/1.n` begins on the request line that ends with the LF at `end`, or NO_END. */
export function versionAt(view: DataView, target: number, end: number): number {
  const at = end - (view.getUint8(end - 1) === CR ? 9 : 8)
  return at - 2 >= target && view.getUint8(at - 1) === SP && isVersion(view, at) ? at : NO_END
}

/** Whether `HTTP/1.n` lies at `at`: all of it has been captured. */
export function isVersion(view: DataView, at: number): boolean {
  return (
    view.getInt32(at, true) === HTTP &&
    view.getInt32(at + 3, true) === P_SLASH_1_DOT &&
    isDigit(view.getUint8(at + 7))
  )
}

/** The code of a status line, or MORE where it is cut, or WRONG. */
export function statusOf({ bytes, view, start, end }: Input): number {
  if (end - start < STATUS_SIZE) return isBegun(bytes, start, end) ? MORE : WRONG
  if (!isVersion(view, start) || bytes[start + 8] !== SP) return WRONG
  const hundreds = bytes[start + 9]!
  const tens = bytes[start + 10]!
  const ones = bytes[start + 11]!
  if (!(isDigit(hundreds) && isDigit(tens) && isDigit(ones)) || hundreds === ZERO) return WRONG
  const after = bytes[start + 12]!
  if (after !== SP && after !== CR && after !== LF) return WRONG
  return (hundreds - ZERO) * 100 + (tens - ZERO) * 10 + ones - ZERO
}

function isBegun(bytes: Uint8Array, start: number, end: number): boolean {
  const seen = Math.min(end - start, VERSION.length)
  for (let i = 0; i < seen; i++) if (bytes[start + i] !== VERSION[i]) return false
  return true
}

/**
 * Sets resource and domain to the target [start, end). A target with a scheme names its host, and
 * then Host does not count (RFC 9112 §3.2.2); CONNECT's is a host alone (§3.2.3).
 */
export function setTarget(bytes: Uint8Array, start: number, end: number, message: Message): void {
  message.resource.set(bytes, start, end - start)
  if (bytes[start] === SLASH || bytes[start] === STAR) return
  let host = authorityAt(bytes, start, end)
  if (host < 0) return
  let path = host
  // A user's name and password before the host are not read (RFC 9110 §4.2.4).
  while (path < end && !ENDS_AUTHORITY[bytes[path]!]) if (bytes[path++] === AT) host = path
  message.domain.set(bytes, host, path - host)
  if (path < end && bytes[path] === SLASH) message.resource.set(bytes, path, end - path)
  else message.resource.set(ROOT, 0, ROOT.length)
}

function authorityAt(bytes: Uint8Array, start: number, end: number): number {
  let at = start
  while (at < end && SCHEME[bytes[at]!] === 1) at++
  return bytes[at] === COLON && bytes[at + 1] === SLASH && bytes[at + 2] === SLASH && at > start
    ? at + 3
    : -1
}

/** How surely the bytes begin a request, 0 to 100. */
export function requestScore(input: Input): number {
  const method = methodEnd(input)
  if (method < 0) return 0
  const { bytes, view, start, end } = input
  const target = method + 1
  const line = lineEnd(view, target, end)
  if (line >= 0) return versionAt(view, target, line) > 0 ? 95 : 0
  return target < end && bytes[target] === SLASH && method - start >= 3 ? 60 : 0
}

/** Empty lines before a start line are passed over (RFC 9112 §2.2): their size, or MORE, WRONG. */
export function emptyLines({ bytes, start, end }: Input): number {
  let at = start
  while (at < end && at - start < EMPTY_LINES_BYTES_MAX) {
    if (bytes[at] === LF) at++
    else if (bytes[at] === CR && at + 1 < end && bytes[at + 1] === LF) at += 2
    else break
  }
  if (at > start) return at - start
  return at + 1 >= end ? MORE : WRONG
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= ZERO + 9
}

const EMPTY_LINES_BYTES_MAX = 16
const LF = 0x0a
const CR = 0x0d
const SP = 0x20
const STAR = 0x2a
const SLASH = 0x2f
const ZERO = 0x30
const COLON = 0x3a
const AT = 0x40
const VERSION = new TextEncoder().encode('HTTP/1.')
/** Up to the byte behind the code. */
const STATUS_SIZE = 13
const HTTP = wordsOf(VERSION).getInt32(0, true)
const P_SLASH_1_DOT = wordsOf(VERSION).getInt32(3, true)
const ROOT = new TextEncoder().encode('/')

/** `tchar` of RFC 9110 §5.6.2. */
const TOKEN = tableOf(
  "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
)
/** `scheme` of RFC 3986 §3.1. */
const SCHEME = tableOf('+-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz')
const ENDS_AUTHORITY = tableOf('/?#')

function tableOf(members: string): Uint8Array {
  const table = new Uint8Array(256)
  for (const member of members) table[member.charCodeAt(0)] = 1
  return table
}
