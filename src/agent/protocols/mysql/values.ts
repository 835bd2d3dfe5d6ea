import { Scratch } from '../../../lib/scratch.ts'
import { lenenc, lenencSize, u16, u32 } from './packet.ts'

/*
 * A value of the binary protocol, by its type:
 *
 *   tiny u8 / short, year u16 / long, int24 u32 / long long u64 / float f32 / double f64 / null
 *   date      = size u8 of 0, 4, 7, 11:
 *               year u16, month u8, day u8, hour u8, minute u8, second u8, microseconds u32
 *   time      = size u8 of 0, 8, 12:
 *               negative u8, days u32, hours u8, minutes u8, seconds u8, microseconds u32
 *   any other = size lenenc, bytes
 *
 * A date is a timestamp or a datetime, too. What has the flag UNSIGNED has no sign.
 * https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_binary_resultset.html
 */

/** The flag of a type, which is two bytes. */
const UNSIGNED = 0x8000
/** No type on the wire: a value that went by before, in parts. */
export const SENT_BEFORE = 0x100

const TINY = 1
const SHORT = 2
const LONG = 3
const FLOAT = 4
const DOUBLE = 5
export const NULL = 6
const TIMESTAMP = 7
const LONGLONG = 8
const INT24 = 9
const DATE = 10
const TIME = 11
const DATETIME = 12
const YEAR = 13

/** As much of all values is told: what a row shows of them. */
const TEXT_BYTES_MAX = 4096
const NOWHERE = Number.MAX_SAFE_INTEGER

/** The values that were written last. */
export const values: Scratch = new Scratch(TEXT_BYTES_MAX)

/** What says where a value ends, by its type: its type alone, a byte before it, a lenenc. */
const FIXED = 1
const DATED = 2
const TIMED = 3
const SIZED = 4
const FORMS = new Uint8Array(SENT_BEFORE + 1)
/** Bytes of the values that have one size. */
const SIZES = new Uint8Array(SENT_BEFORE + 1)
for (const [type, size] of [
  [TINY, 1],
  [SHORT, 2],
  [LONG, 4],
  [FLOAT, 4],
  [DOUBLE, 8],
  [NULL, 0],
  [LONGLONG, 8],
  [INT24, 4],
  [YEAR, 2],
  [SENT_BEFORE, 0],
] as const) {
  FORMS[type] = FIXED
  SIZES[type] = size
}
for (const type of [TIMESTAMP, DATE, DATETIME]) FORMS[type] = DATED
FORMS[TIME] = TIMED
/** Texts, decimals, bits, blobs, JSON, enumerations, geometry. */
for (const type of [0, 15, 16, 245, 246, 247, 248, 249, 250, 251, 252, 253, 254, 255])
  FORMS[type] = SIZED

/** Whether `type` is one of those that are bound to statements. */
export function isBoundType(type: number): boolean {
  const kind = type & ~UNSIGNED
  return kind < SENT_BEFORE && FORMS[kind] !== 0
}

/** Where a string that its size leads ends; beyond all bytes where it is none. */
export function stringEnd(bytes: Uint8Array, at: number): number {
  const size = lenencSize(bytes, at)
  return size === 0 ? NOWHERE : at + size + lenenc(bytes, at, size)
}

/** Where the value at `at` ends; beyond all bytes where it is none. */
export function valueEnd(bytes: Uint8Array, at: number, type: number): number {
  const kind = type & ~UNSIGNED
  const form = FORMS[kind]
  if (form === FIXED) return at + SIZES[kind]!
  if (form === SIZED) return stringEnd(bytes, at)
  const size = bytes[at]
  const isRight =
    form === TIMED
      ? size === 0 || size === 8 || size === 12
      : form === DATED && (size === 0 || size === 4 || size === 7 || size === 11)
  return isRight ? at + 1 + size! : NOWHERE
}

/** Whether what says the size of the value at `at` lies before `end`. */
export function isSizeSeen(bytes: Uint8Array, at: number, end: number, type: number): boolean {
  const isSized = FORMS[type & ~UNSIGNED] === SIZED
  return at + (isSized ? Math.max(lenencSize(bytes, at), 1) : 1) <= end
}

/** Writes the value that is `bytes[at, end)`. */
export function writeValue(bytes: Uint8Array, at: number, end: number, type: number): void {
  const kind = type & ~UNSIGNED
  switch (FORMS[kind]) {
    case SIZED:
      values.range(bytes, at + lenencSize(bytes, at), end)
      break
    case DATED:
      writeDate(bytes, at, kind)
      break
    case TIMED:
      writeTime(bytes, at)
      break
    default:
      writeFixed(bytes, at, kind, type >= UNSIGNED)
  }
}

/** Writes as much of a string as `bytes[at, end)` has; false where there is none. */
export function writeBeginning(bytes: Uint8Array, at: number, end: number, type: number): boolean {
  if (FORMS[type & ~UNSIGNED] !== SIZED || at >= end) return false
  const from = at + lenencSize(bytes, at)
  if (from < end) values.range(bytes, from, end)
  return from < end
}

function writeFixed(bytes: Uint8Array, at: number, type: number, isUnsigned: boolean): void {
  switch (type) {
    case NULL:
      values.text(NULL_TEXT)
      break
    case SENT_BEFORE:
      values.byte(QUESTION)
      break
    case TINY:
      writeInteger(isUnsigned ? bytes[at]! : (bytes[at]! << 24) >> 24)
      break
    case SHORT:
    case YEAR:
      writeInteger(isUnsigned ? u16(bytes, at) : (u16(bytes, at) << 16) >> 16)
      break
    case LONGLONG:
      writeLong(u32(bytes, at), u32(bytes, at + 4), isUnsigned)
      break
    case FLOAT:
    case DOUBLE:
      writeReal(bytes, at, type)
      break
    default:
      writeInteger(isUnsigned ? u32(bytes, at) : u32(bytes, at) | 0)
  }
}

function writeInteger(value: number): void {
  if (value < 0) values.byte(MINUS)
  values.decimal(Math.abs(value))
}

/** 64 bits from two halves: beyond 2^53 by quarters, so that no sum loses its last bits. */
function writeLong(low: number, high: number, isUnsigned: boolean): void {
  let lower = low
  let upper = high
  if (!isUnsigned && high >= 2 ** 31) {
    values.byte(MINUS)
    lower = -low >>> 0
    upper = (~high + (low === 0 ? 1 : 0)) >>> 0
  }
  if (upper < 2 ** 21) {
    values.decimal(upper * 2 ** 32 + lower)
    return
  }
  let quotient = 0
  let rest = 0
  for (const quarter of [upper >>> 16, upper & 0xffff, lower >>> 16, lower & 0xffff]) {
    rest = rest * 0x1_0000 + quarter
    quotient = quotient * 0x1_0000 + Math.floor(rest / BILLION)
    rest %= BILLION
  }
  values.decimal(quotient)
  writeDigits(rest, 9)
}

/** The shortest text that reads back as the same number. */
function writeReal(bytes: Uint8Array, at: number, type: number): void {
  for (let i = 0; i < 8; i++) real.setUint8(i, bytes[at + i]!)
  const value = type === FLOAT ? real.getFloat32(0, true) : real.getFloat64(0, true)
  if (Number.isInteger(value) && value > 0 && value < 2 ** 53) {
    values.decimal(value)
    return
  }
  const text = Object.is(value, -0) ? '-0' : type === FLOAT ? shortest(value) : String(value)
  for (let i = 0; i < text.length; i++) values.byte(text.charCodeAt(i))
}

const real = new DataView(new ArrayBuffer(8))

/** 24 bits are told apart by 6 to 9 digits. */
function shortest(value: number): string {
  let text = String(value)
  for (let digits = 9; digits >= 6; digits--) {
    const shorter = Number(value.toPrecision(digits))
    if (Math.fround(shorter) !== value) break
    text = String(shorter)
  }
  return text
}

/** As MySQL prints it: a date alone where nothing more was sent of one, else with its time. */
function writeDate(bytes: Uint8Array, at: number, type: number): void {
  const size = bytes[at]!
  writeDigits(size > 0 ? u16(bytes, at + 1) : 0, 4)
  values.byte(MINUS)
  writeDigits(size > 0 ? bytes[at + 3]! : 0, 2)
  values.byte(MINUS)
  writeDigits(size > 0 ? bytes[at + 4]! : 0, 2)
  if (type === DATE && size <= 4) return
  values.byte(SPACE)
  writeDigits(size > 4 ? bytes[at + 5]! : 0, 2)
  writeMinutes(bytes, at + 6, size > 4)
  if (size === 11) writeFraction(u32(bytes, at + 8))
}

/** Days are hours, as MySQL prints them. */
function writeTime(bytes: Uint8Array, at: number): void {
  const size = bytes[at]!
  if (size > 0 && bytes[at + 1] !== 0) values.byte(MINUS)
  writeDigits(size > 0 ? u32(bytes, at + 2) * 24 + bytes[at + 6]! : 0, 2)
  writeMinutes(bytes, at + 7, size > 0)
  if (size === 12) writeFraction(u32(bytes, at + 9))
}

function writeMinutes(bytes: Uint8Array, at: number, isThere: boolean): void {
  values.byte(COLON)
  writeDigits(isThere ? bytes[at]! : 0, 2)
  values.byte(COLON)
  writeDigits(isThere ? bytes[at + 1]! : 0, 2)
}

function writeFraction(microseconds: number): void {
  values.byte(DOT)
  writeDigits(microseconds, 6)
}

/** `value` with as many zeros before it as make `size` digits of it. */
function writeDigits(value: number, size: number): void {
  let least = 10
  for (let digits = 1; digits < size; digits++) {
    if (value < least) {
      for (let i = digits; i < size; i++) values.byte(ZERO)
      break
    }
    least *= 10
  }
  values.decimal(value)
}

const NULL_TEXT = new TextEncoder().encode('NULL')
const BILLION = 1_000_000_000
const SPACE = 0x20
const MINUS = 0x2d
const DOT = 0x2e
const ZERO = 0x30
const COLON = 0x3a
const QUESTION = 0x3f
