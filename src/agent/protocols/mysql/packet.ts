/*
 *   packet   = size u24, number u8, payload           numbers count up from 0 at each command
 *   payload  of 2^24 - 1 bytes goes on in the next packet
 *   lenenc   = u8 ≤ fa / fc u16 / fd u24 / fe u64     fb is NULL, ff is none
 *
 * All numbers are little-endian.
 * https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_packets.html
 */

export const HEADER_SIZE = 4
/** The size of a packet that goes on in the next one. */
export const SIZE_MAX = 0xff_ffff

/** First bytes of a server's payload. */
export const OK = 0x00
export const INFILE = 0xfb
/** EOF, an OK in its place, or a request for another way to authenticate. */
export const EOF = 0xfe
export const ERR = 0xff

/** Flags of client and server. */
export const CLIENT_CONNECT_WITH_DB: number = 1 << 3
export const CLIENT_COMPRESS: number = 1 << 5
export const CLIENT_PROTOCOL_41: number = 1 << 9
export const CLIENT_SSL: number = 1 << 11
export const CLIENT_SECURE_CONNECTION: number = 1 << 15
export const CLIENT_PLUGIN_AUTH_LENENC: number = 1 << 21
export const CLIENT_DEPRECATE_EOF: number = 1 << 24
export const CLIENT_OPTIONAL_METADATA: number = 1 << 25
export const CLIENT_ZSTD: number = 1 << 26
export const CLIENT_QUERY_ATTRIBUTES: number = 1 << 27

/** Flags of a server's status. */
export const MORE_RESULTS = 0x0008
export const CURSOR_EXISTS = 0x0040

export function u16(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8)
}

export function u24(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16)
}

export function u32(bytes: Uint8Array, at: number): number {
  return (u24(bytes, at) | (bytes[at + 3]! << 24)) >>> 0
}

/** How many bytes the lenenc at `at` takes; 0 where there is none. */
export function lenencSize(bytes: Uint8Array, at: number): number {
  const first = bytes[at]!
  if (first <= 0xfa) return 1
  return first === 0xfc ? 3 : first === 0xfd ? 4 : first === 0xfe ? 9 : 0
}

/** The lenenc at `at`, which takes `size` bytes; beyond 2^53 it loses its last bits. */
export function lenenc(bytes: Uint8Array, at: number, size: number): number {
  if (size === 1) return bytes[at]!
  if (size === 3) return u16(bytes, at + 1)
  if (size === 4) return u24(bytes, at + 1)
  return u32(bytes, at + 1) + u32(bytes, at + 5) * 2 ** 32
}
