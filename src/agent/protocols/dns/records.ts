import { Scratch } from '../../../lib/scratch.ts'
import { typeNames } from './names.ts'

/*
 *   name    = *( size u8 1..63, label ) ( 0 | 11 offset u14 )      an offset points backward
 *   record  = name type u16 class u16 ttl u32 size u16 data
 */

/** Answer of name readers: the bytes run out, or are no name. */
export const NO_NAME = -1

const LABEL_MAX = 63
const NAME_MAX = 255
/** Records whose data is told: the first few are what a reader looks for. */
const SHOWN_MAX = 16
/** Records walked at all; a full 64 KB message of the least records holds 5,957. */
const RECORDS_MAX = 6000

/** Where what follows the name at `at` begins, or NO_NAME. A name ends at its first pointer. */
export function nameEnd(bytes: Uint8Array, start: number, end: number): number {
  let at = start
  while (at < end && at - start <= NAME_MAX) {
    const size = bytes[at]!
    if (size === 0) return at + 1
    if (size >= POINTER) return at + 2 <= end ? at + 2 : NO_NAME
    if (size > LABEL_MAX) return NO_NAME
    at += size + 1
  }
  return NO_NAME
}

/**
 * Writes the name at `start` as RFC 1035 §5.1 does, without its last dot. Each pointer must lead
 * before all that was read of the name so far, so that no chain of them has a circle.
 */
export function writeName(bytes: Uint8Array, start: number, message: Extent, to: Scratch): boolean {
  const from = to.end
  let at = start
  let limit = start
  let total = 0
  for (;;) {
    if (at >= message.end) return false
    const size = bytes[at]!
    if (size === 0) break
    if (size >= POINTER) {
      at = message.start + (((size & 0x3f) << 8) | (bytes[at + 1] ?? 0))
      if (at >= limit) return false
      limit = at
      continue
    }
    total += size + 1
    if (size > LABEL_MAX || total > NAME_MAX || at + 1 + size > message.end) return false
    if (to.end > from) to.byte(DOT)
    for (let i = 1; i <= size; i++) writeCharacter(bytes[at + i]!, to)
    at += size + 1
  }
  if (to.end === from) to.byte(DOT)
  return true
}

/** A character of a label: what is not printable as `\DDD`. */
function writeCharacter(byte: number, to: Scratch): void {
  if (byte > SP && byte < DEL && byte !== DOT && byte !== BACKSLASH) {
    to.byte(byte)
    return
  }
  to.byte(BACKSLASH)
  to.decimal(Math.floor(byte / 100))
  to.decimal(Math.floor(byte / 10) % 10)
  to.decimal(byte % 10)
}

/** Where a message lies in its bytes; offsets in names count from its start. */
export type Extent = { start: number; end: number }

/** What the records of a message say. */
export class Records {
  /** Upper bits of the response code, from EDNS (RFC 6891 §6.1.3). */
  extendedCode = 0
  /** The records did not end where the message does. */
  isCut = false
  readonly text: Scratch = new Scratch(1024)
  #bytes: Uint8Array = this.text.bytes
  #message: Extent = { start: 0, end: 0 }

  /**
   * Walks `shown` records whose data is told as `TYPE=data`, then `others`. Time-to-live is left
   * out: it differs each second, and the text is kept in a dictionary.
   */
  read(bytes: Uint8Array, start: number, message: Extent, counts: Counts): void {
    this.extendedCode = 0
    this.isCut = false
    this.text.clear()
    this.#bytes = bytes
    this.#message = message
    const all = Math.min(counts.shown + counts.others, RECORDS_MAX)
    let at = start
    for (let i = 0; i < all && at >= 0; i++)
      at = this.#record(at, i < counts.shown && i < SHOWN_MAX)
    this.isCut = at < 0
  }

  /** Reads the record at `at`; answers where the next one begins, or NO_NAME. */
  #record(at: number, isShown: boolean): number {
    const bytes = this.#bytes
    const { end } = this.#message
    const head = nameEnd(bytes, at, end)
    const data = head + RECORD_HEAD_SIZE
    if (head < 0 || data > end) return NO_NAME
    const type = u16(bytes, head)
    const next = data + u16(bytes, head + 8)
    // No record has type 0: its bytes were not captured.
    if (next > end || type === 0) return NO_NAME
    if (type === OPT) this.extendedCode = bytes[head + 4]!
    else if (isShown) this.#show(type, data, next)
    return next
  }

  /** Adds a record's data to the text, unless it is no data of its type or does not fit. */
  #show(type: number, start: number, end: number): void {
    const { text } = this
    const from = text.end
    const name = typeNames.get(type)
    if (name === undefined || text.isFull) return
    if (from > 0) {
      text.byte(SEMICOLON)
      text.byte(SP)
    }
    text.text(name)
    text.byte(EQUALS)
    if (!this.#data(type, start, end) || text.isFull) text.end = from
  }

  #data(type: number, start: number, end: number): boolean {
    const { text } = this
    const bytes = this.#bytes
    switch (type) {
      case A:
        if (end - start === 4) text.ip4(bytes, start)
        return end - start === 4
      case AAAA:
        if (end - start === 16) text.ip6(bytes, start)
        return end - start === 16
      case NS:
      case CNAME:
      case SOA:
      case PTR:
      case DNAME:
        return end > start && writeName(bytes, start, this.#message, text)
      case MX:
      case SRV:
      case SVCB:
      case HTTPS:
        return this.#ranked(type === SRV ? 3 : 1, start, end)
      case TXT:
      case SPF:
        return this.#strings(start, end)
      default:
        return false
    }
  }

  /** Numbers, then a name: MX, SRV, SVCB and HTTPS. */
  #ranked(numbers: number, start: number, end: number): boolean {
    const name = start + 2 * numbers
    if (name >= end) return false
    for (let at = start; at < name; at += 2) {
      this.text.decimal(u16(this.#bytes, at))
      this.text.byte(SP)
    }
    return writeName(this.#bytes, name, this.#message, this.text)
  }

  /** Character strings, each a size and its bytes: RFC 1035 §3.3.14. */
  #strings(start: number, end: number): boolean {
    let at = start
    while (at < end) {
      const stop = Math.min(at + 1 + this.#bytes[at]!, end)
      for (at++; at < stop; at++) this.text.byte(Math.max(this.#bytes[at]!, SP))
    }
    return true
  }
}

export type Counts = { shown: number; others: number }

export function u16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!
}

/** Bytes between a record's name and its data. */
export const RECORD_HEAD_SIZE = 10
const POINTER = 0xc0
const A = 1
const NS = 2
const CNAME = 5
export const SOA = 6
const PTR = 12
const MX = 15
const TXT = 16
const AAAA = 28
const SRV = 33
const DNAME = 39
const OPT = 41
const SVCB = 64
const HTTPS = 65
const SPF = 99
const SP = 0x20
const DOT = 0x2e
const SEMICOLON = 0x3b
const EQUALS = 0x3d
const BACKSLASH = 0x5c
const DEL = 0x7f
