import type { Message } from '../../../model/message.ts'
import { MORE, WRONG } from '../protocol.ts'
import { lineEnd, NO_END } from './head.ts'

/** Answer of `methodEnd`: these bytes begin no request. */
export const NO_METHOD = -2
const METHOD_BYTES_MAX = 32

/** Where the SP after the method at `at` is, or NO_END, or NO_METHOD. */
export function methodEnd(bytes: Uint8Array, at: number): number {
  const size = bytes.length
  let end = at
  while (end < size && TOKEN[bytes[end]!] === 1) end++
  if (end - at > METHOD_BYTES_MAX) return NO_METHOD
  if (end >= size) return NO_END
  return bytes[end] === SP && end > at ? end : NO_METHOD
}

/** Where `HTTP/1.n` begins on the request line that ends with the LF at `end`, or NO_END. */
export function versionAt(bytes: Uint8Array, target: number, end: number): number {
  const at = end - (bytes[end - 1] === CR ? 9 : 8)
  return at - 2 >= target && bytes[at - 1] === SP && isVersion(bytes, at) ? at : NO_END
}

export function isVersion(bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < VERSION.length; i++) if (bytes[at + i] !== VERSION[i]) return false
  return isDigit(bytes[at + 7]!)
}

/** The code of the status line at `at`, or MORE where it is cut, or WRONG. */
export function statusAt(bytes: Uint8Array, at: number): number {
  const seen = Math.min(bytes.length - at, VERSION.length)
  for (let i = 0; i < seen; i++) if (bytes[at + i] !== VERSION[i]) return WRONG
  if (bytes.length - at < 13) return MORE
  if (!isDigit(bytes[at + 7]!) || bytes[at + 8] !== SP) return WRONG
  const [hundreds, tens, ones] = [bytes[at + 9]!, bytes[at + 10]!, bytes[at + 11]!]
  if (!(isDigit(hundreds) && isDigit(tens) && isDigit(ones)) || hundreds === ZERO) return WRONG
  const after = bytes[at + 12]!
  if (after !== SP && after !== CR && after !== LF) return WRONG
  return (hundreds - ZERO) * 100 + (tens - ZERO) * 10 + ones - ZERO
}

/**
 * Sets resource and domain to the target [start, end). A target with a scheme names its host, and
 * then Host does not count (RFC 9112 §3.2.2); CONNECT's is a host alone (§3.2.3).
 */
export function setTarget(bytes: Uint8Array, start: number, end: number, message: Message): void {
  message.resource.set(bytes, start, end - start)
  if (bytes[start] === SLASH || bytes[start] === STAR) return
  const host = authorityAt(bytes, start, end)
  if (host < 0) return
  let path = host
  while (path < end && !ENDS_AUTHORITY[bytes[path]!]) path++
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

/** How surely the bytes at `at` begin a request, 0 to 100. */
export function requestScore(bytes: Uint8Array, at: number): number {
  const method = methodEnd(bytes, at)
  if (method < 0) return 0
  const target = method + 1
  const end = lineEnd(bytes, target)
  if (end >= 0) return versionAt(bytes, target, end) > 0 ? 95 : 0
  return bytes[target] === SLASH && method - at >= 3 ? 60 : 0
}

/** Empty lines before a start line are passed over (RFC 9112 §2.2): their size, or MORE, WRONG. */
export function emptyLines(bytes: Uint8Array, start: number): number {
  let at = start
  while (at - start < EMPTY_LINES_BYTES_MAX) {
    if (bytes[at] === LF) at++
    else if (bytes[at] === CR && bytes[at + 1] === LF) at += 2
    else break
  }
  if (at > start) return at - start
  return at + 1 >= bytes.length ? MORE : WRONG
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
const VERSION = new TextEncoder().encode('HTTP/1.')
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
