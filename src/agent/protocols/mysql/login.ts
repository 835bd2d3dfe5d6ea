import { Scratch } from '../../../lib/scratch.ts'
import {
  CLIENT_COMPRESS,
  CLIENT_CONNECT_WITH_DB,
  CLIENT_DEPRECATE_EOF,
  CLIENT_OPTIONAL_METADATA,
  CLIENT_PLUGIN_AUTH_LENENC,
  CLIENT_PROTOCOL_41,
  CLIENT_QUERY_ATTRIBUTES,
  CLIENT_SECURE_CONNECTION,
  CLIENT_SSL,
  CLIENT_ZSTD,
  HEADER_SIZE,
  lenenc,
  lenencSize,
  u16,
  u32,
} from './packet.ts'

/*
 *   greeting   = 10, version NUL, thread u32, salt 8, 0, flags u16, charset u8, status u16,
 *                flags u16 (upper half), salt size u8, 10 reserved, salt, plugin NUL
 *   login      = flags u32, packet max u32, charset u8, 23 zeros, user NUL, secret, [database NUL]
 *   secret     = lenenc bytes / size u8 bytes / bytes NUL        by flags; never read
 *   ssl        = the first 32 bytes of login, with a flag; TLS begins after it
 *
 * MariaDB's flags go on in the last 4 of the zeros.
 * https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html
 */

/** What a login has at the least, and an ssl request at all. */
export const LOGIN_HEAD_SIZE = 32
/** Zeros that both servers keep zero. */
const ZEROS = 19
const VERSION_BYTES_MAX = 64
/** As much of a greeting's packet shows that it is one. */
export const GREETING_SEEN: number = 80
const TEXT_BYTES_MAX = 512

/** What both ends agreed on: a flag that both have set. */
export class Agreement {
  /** A connection met in its middle does not say what its client asked for. */
  isKnown = false
  client = 0
  /** A greeting that was not seen is taken to offer what the client asks for. */
  server: number = ALL_FLAGS

  get isCompressed(): boolean {
    return this.#has(CLIENT_COMPRESS | CLIENT_ZSTD)
  }

  /** A byte before the count of columns says whether their definitions follow. */
  get hasOptionalMetadata(): boolean {
    return this.#has(CLIENT_OPTIONAL_METADATA)
  }

  /** Definitions are followed by an EOF. */
  get hasEofs(): boolean {
    return !this.#has(CLIENT_DEPRECATE_EOF)
  }

  /** Values sent with a statement are counted and named. */
  get hasAttributes(): boolean {
    return this.#has(CLIENT_QUERY_ATTRIBUTES)
  }

  #has(flags: number): boolean {
    return (this.client & this.server & flags) !== 0
  }
}

const text = new Scratch(TEXT_BYTES_MAX)
const USER = new TextEncoder().encode('user=')
const DATABASE = new TextEncoder().encode(' db=')

/** Whether a server's payload at `at` of `size` bytes is a greeting. */
export function isGreeting(bytes: Uint8Array, at: number, size: number): boolean {
  if (bytes[at] !== PROTOCOL || size < GREETING_SIZE_MIN || !isDigit(bytes[at + 1]!)) return false
  const stop = Math.min(at + 1 + VERSION_BYTES_MAX, bytes.length)
  for (let i = at + 1; i < stop; i++) {
    if (bytes[i] === 0) return true
    if (bytes[i]! < SP || bytes[i]! > TILDE) return false
  }
  return false
}

/** Whether a client's payload at `at` of `size` bytes is a login, or the ssl request before it. */
export function isLogin(bytes: Uint8Array, at: number, size: number): boolean {
  if (size < LOGIN_HEAD_SIZE || at + LOGIN_HEAD_SIZE > bytes.length) return false
  if ((u16(bytes, at) & CLIENT_PROTOCOL_41) === 0) return false
  for (let i = at + 9; i < at + 9 + ZEROS; i++) if (bytes[i] !== 0) return false
  return true
}

export function isSslRequest(bytes: Uint8Array, at: number, size: number): boolean {
  return size === LOGIN_HEAD_SIZE && (u16(bytes, at) & CLIENT_SSL) !== 0
}

/** Reads what the greeting whose payload is at `at` offers. */
export function readGreeting(bytes: Uint8Array, at: number, to: Agreement): void {
  const flags = bytes.indexOf(0, at) + FLAGS_BEHIND_VERSION
  if (flags + 7 > bytes.length) return
  to.server = u16(bytes, flags) | (u16(bytes, flags + 5) << 16)
}

/** Reads the login at `at`: what it asks for, and a text that says who logs in to what. */
export function readLogin(bytes: Uint8Array, at: number, end: number, to: Agreement): Scratch {
  const flags = u32(bytes, at)
  to.isKnown = true
  to.client = flags
  text.clear()
  const user = at + LOGIN_HEAD_SIZE
  const userEnd = textEnd(bytes, user, end)
  writeText(USER, bytes, user, userEnd)
  if ((flags & CLIENT_CONNECT_WITH_DB) === 0) return text
  const database = secretEnd(bytes, userEnd + 1, flags)
  if (database < end) writeText(DATABASE, bytes, database, textEnd(bytes, database, end))
  return text
}

/** The user of COM_CHANGE_USER, whose payload begins with it. */
export function readUser(bytes: Uint8Array, at: number, end: number): Scratch {
  text.clear()
  writeText(USER, bytes, at, textEnd(bytes, at, end))
  return text
}

/** Where what follows the secret at `at` begins. */
function secretEnd(bytes: Uint8Array, at: number, flags: number): number {
  if ((flags & CLIENT_PLUGIN_AUTH_LENENC) !== 0) {
    const size = lenencSize(bytes, at)
    return at + size + lenenc(bytes, at, size)
  }
  if ((flags & CLIENT_SECURE_CONNECTION) !== 0) return at + 1 + (bytes[at] ?? 0)
  return textEnd(bytes, at, bytes.length) + 1
}

function textEnd(bytes: Uint8Array, at: number, end: number): number {
  let stop = at
  while (stop < end && stop < bytes.length && bytes[stop] !== 0) stop++
  return stop
}

function writeText(name: Uint8Array, bytes: Uint8Array, start: number, end: number): void {
  text.text(name)
  text.range(bytes, start, end)
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39
}

/** Whether a packet with a greeting begins at `at`. */
export function beginsGreeting(bytes: Uint8Array, at: number, size: number): boolean {
  return bytes[at + 3] === 0 && isGreeting(bytes, at + HEADER_SIZE, size)
}

const PROTOCOL = 10
const ALL_FLAGS = -1
/** From the version's NUL: thread, salt and a zero. */
const FLAGS_BEHIND_VERSION = 14
const GREETING_SIZE_MIN = 32
const SP = 0x20
const TILDE = 0x7e
