import type { Sender } from '../protocol.ts'
import {
  FIELD_LIST,
  hasText,
  nameOf,
  QUERY,
  STMT_BULK_EXECUTE,
  STMT_CLOSE,
  STMT_EXECUTE,
  STMT_FETCH,
  STMT_PREPARE,
  STMT_RESET,
  STMT_SEND_LONG_DATA,
} from './commands.ts'
import { beginsGreeting, isLogin } from './login.ts'
import { ERR, HEADER_SIZE, SIZE_MAX, u16, u24, u32 } from './packet.ts'

/*
 *   frame = size u24, number u8, size when inflated u24 (0: not deflated), packets or zlib data
 *
 * https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_compression_packet.html
 */
export const FRAME_HEADER_SIZE = 7
const DEFLATED_MIN = 50
const ZLIB = 0x78

/** How surely a sender's first bytes are MySQL's, 0 to 100. */
export function score(head: Uint8Array, sender: Sender): number {
  if (head.length <= HEADER_SIZE) return 0
  const size = u24(head, 0)
  const isEntire = head.length === HEADER_SIZE + size
  if (sender === 'server') {
    if (beginsGreeting(head, 0, size)) return 95
    return isEntire && isRefusal(head, size) ? 80 : 0
  }
  if (head[3] === 1) return isLogin(head, HEADER_SIZE, size) ? 85 : 0
  if (isFrame(head, 0)) return 70
  if (!isCommand(head, 0)) return 0
  // An empty statement is right, but looks like too much else.
  if (size === 1 && hasText(head[HEADER_SIZE]!)) return 0
  if (isStatement(head[HEADER_SIZE]!) && hasVerb(head)) return 90
  return isEntire || isCommand(head, HEADER_SIZE + size) ? 45 : 0
}

/** Whether a server's first packet says why it lets nobody in: before a login without a state. */
function isRefusal(head: Uint8Array, size: number): boolean {
  if (head[HEADER_SIZE] !== ERR || size < REFUSAL_SIZE_MIN) return false
  if (head[HEADER_SIZE + 3] === HASH) return true
  const code = u16(head, HEADER_SIZE + 1)
  if (head[3] !== 0 || code < CODE_MIN || code > CODE_MAX) return false
  for (let at = HEADER_SIZE + 3; at < head.length; at++) if (head[at]! < SP) return false
  return true
}

/** Whether a packet at `at` can be a command: its number, its name, its size, the text it holds. */
export function isCommand(bytes: Uint8Array, at: number): boolean {
  if (bytes.length - at <= HEADER_SIZE || bytes[at + 3] !== 0) return false
  const size = u24(bytes, at)
  const command = bytes[at + HEADER_SIZE]!
  if (nameOf(command) === undefined || size === 0) return false
  switch (command) {
    case STMT_CLOSE:
    case STMT_RESET:
      return size === 5
    case STMT_FETCH:
      return size === 9
    case STMT_EXECUTE:
      return size >= 10 && (bytes.length < at + 14 || u32(bytes, at + 10) === 1)
    case STMT_SEND_LONG_DATA:
    case STMT_BULK_EXECUTE:
      return size >= 7
    case FIELD_LIST:
      return size >= 2
    default:
      if (hasText(command)) return isText(bytes, at + HEADER_SIZE + 1, at + HEADER_SIZE + size)
      return SIZES[command] === undefined || SIZES[command] === size
  }
}

/**
 * A text begins with no control character, unless attributes lie before it: anything may stand
 * between quotes. It may be empty.
 */
function isText(bytes: Uint8Array, start: number, end: number): boolean {
  const stop = Math.min(end, bytes.length, start + TEXT_SEEN)
  if (bytes[start + 1] === 1 && end > start + 1) return true
  for (let at = start; at < stop; at++) {
    const what = WHAT[bytes[at]!]!
    if (what !== 0) return what === OPENING
  }
  return true
}

/** Whether a frame of the compressed protocol begins at `at`, where nobody said which it is. */
export function isFrame(bytes: Uint8Array, at: number): boolean {
  if (bytes.length - at < FRAME_HEADER_SIZE + HEADER_SIZE + 1 || bytes[at + 3] !== 0) return false
  const size = u24(bytes, at)
  const inflated = u24(bytes, at + 4)
  const data = at + FRAME_HEADER_SIZE
  if (inflated === 0)
    return u24(bytes, data) <= size - HEADER_SIZE && size < SIZE_MAX && isCommand(bytes, data)
  // A text holds no zero; an inflated size below 64 KB has one where the text would be.
  return bytes[at + 6] === 0 && bytes[data] === ZLIB && inflated >= DEFLATED_MIN && inflated > size
}

function isStatement(command: number): boolean {
  return command === QUERY || command === STMT_PREPARE
}

/** Whether a statement begins with a word that statements begin with. */
function hasVerb(head: Uint8Array): boolean {
  let at = HEADER_SIZE + 1
  if (head[at + 1] === 1) return true
  while (at < head.length && (head[at]! <= SP || head[at] === PARENTHESIS)) at++
  return VERBS.some((verb) => {
    for (let i = 0; i < verb.length; i++) if ((head[at + i]! | 0x20) !== verb[i]) return false
    return true
  })
}

/** An error's first byte, its code, a state or as much of a text. */
const REFUSAL_SIZE_MIN = 9
/** Codes of servers. */
const CODE_MIN = 1000
const CODE_MAX = 4999
const SP = 0x20
const HASH = 0x23
const PARENTHESIS = 0x28
/** Bytes of a text that are looked at. */
const TEXT_SEEN = 64

const VERBS: readonly Uint8Array[] = [
  ...['select', 'insert', 'update', 'delete', 'replace', 'create', 'alter', 'drop', 'truncate'],
  ...['set ', 'show', 'use ', 'begin', 'commit', 'rollback', 'start', 'call', 'explain', 'with'],
  ...['describe', 'desc ', 'lock', 'unlock', 'load', 'savepoint', 'release', 'analyze', 'grant'],
  ...['prepare', 'execute', 'deallocate', 'xa ', 'kill', 'flush', 'do ', 'values', '/*', '-- '],
].map((verb) => new TextEncoder().encode(verb))

/** Sizes of commands that have one size: quit, statistics, debug, ping, kill, reset, option. */
const SIZES: Readonly<Record<number, number>> = {
  1: 1,
  9: 1,
  10: 1,
  12: 5,
  13: 1,
  14: 1,
  27: 3,
  31: 1,
}

/** What ends the look at a text: a control character, or a quote. */
const CONTROL = 1
const OPENING = 2
const WHAT = new Uint8Array(256).fill(CONTROL, 0, SP)
for (const space of '\t\n\r\v\f') WHAT[space.charCodeAt(0)] = 0
for (const quote of '\'"`') WHAT[quote.charCodeAt(0)] = OPENING
