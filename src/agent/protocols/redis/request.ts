import { Scratch } from '../../../lib/scratch.ts'
import type { Message } from '../../../model/message.ts'
import { MORE, WRONG } from '../protocol.ts'
import { type Command, commandOf, OTHER } from './commands.ts'
import { HOLE, numberAt, numberEnd, readSize, size } from './resp.ts'

/*
 *   request   = * count CR LF ( $ size CR LF bytes CR LF ){count}
 *   inline    = [blanks] word *( blanks word ) [CR] LF                blanks are SP, HT
 *
 * The operation is put in upper case, since the case of a command says nothing. The resource is the
 * arguments joined by spaces, up to ARGUMENTS_TOLD_MAX of them and RESOURCE_BYTES_MAX; what follows
 * is not waited for.
 */

/** Redis' own limit is an int. */
const ARGUMENTS_MAX = 2 ** 31 - 1
const COMMAND_BYTES_MAX = 64
const RESOURCE_BYTES_MAX = 1024
/** Further arguments are not told, so that a request in many pieces is not read again at length. */
const ARGUMENTS_TOLD_MAX = 128
const INLINE_BYTES_MAX = 65_536

/** A request as it is read; its texts are valid until the next one is. */
export class Request {
  command: Command = OTHER
  /** How many arguments it has, and how many of them are still to go by. */
  arguments = 0
  left = 0
  /** A hole began in it, so that its end is unknown. */
  isCut = false
  /** A text of it lies in a hole. */
  hasHole = false
  readonly operation: Scratch = new Scratch(COMMAND_BYTES_MAX)
  readonly resource: Scratch = new Scratch(RESOURCE_BYTES_MAX)

  /** Reads the request at `start`; answers how many bytes of it are known, or MORE, WRONG. */
  read(bytes: Uint8Array, start: number): number {
    this.command = OTHER
    this.arguments = 0
    this.left = 0
    this.isCut = false
    this.hasHole = false
    this.operation.clear()
    this.resource.clear()
    return bytes[start] === STAR ? this.#array(bytes, start) : this.#inline(bytes, start)
  }

  /** Gives the texts to `message`. */
  fill(message: Message): void {
    const { operation, resource } = this
    message.operation.set(operation.bytes, 0, operation.end)
    message.resource.set(resource.bytes, 0, resource.end)
    const isLong = resource.isFull || this.arguments > ARGUMENTS_TOLD_MAX
    message.truncated = this.isCut || this.hasHole || isLong
  }

  #array(bytes: Uint8Array, start: number): number {
    const end = numberEnd(bytes, start)
    if (end <= 0) return end === MORE ? MORE : WRONG
    const count = numberAt(bytes, start, end)
    if (count > ARGUMENTS_MAX || count < NULL) return WRONG
    this.arguments = Math.max(count - 1, 0)
    let at = end
    for (let i = 0; i < count; i++) {
      this.left = count - i
      if (i > this.command.shown || this.resource.isFull || i > ARGUMENTS_TOLD_MAX) break
      const next = this.#argument(bytes, at, i)
      this.isCut = next === HOLE && i > 0
      if (this.isCut) break
      if (next <= 0) return next === MORE ? MORE : WRONG
      at = next
      this.left--
    }
    return at - start
  }

  /** Reads argument `i`, as much of it as is told; answers where the next one begins. */
  #argument(bytes: Uint8Array, at: number, i: number): number {
    if (at >= bytes.length) return MORE
    if (bytes[at] !== DOLLAR) return bytes[at] === 0 ? HOLE : WRONG
    if (!readSize(bytes, at)) {
      const end = numberEnd(bytes, at)
      return end <= 0 ? end : WRONG
    }
    const { value, end: from } = size
    if (i === 0 && (value === 0 || value > COMMAND_BYTES_MAX)) return WRONG
    if (from + Math.min(value, this.resource.room) + 1 > bytes.length) return MORE
    const end = from + value
    // A zero where the line ends is a hole that has swallowed the end of the text.
    if (bytes[end] === 0) this.hasHole = true
    else if (end < bytes.length && bytes[end] !== CR) return WRONG
    if (i > 0) this.#add(bytes, from, end, i)
    else if (!this.#name(bytes, from, end)) return WRONG
    return end + 2
  }

  /** False where a hole took a part of the name: nobody knows how the command is answered. */
  #name(bytes: Uint8Array, start: number, end: number): boolean {
    this.command = commandOf(bytes, start, end)
    const { operation } = this
    let isWhole = true
    for (let at = start; at < end; at++) {
      const byte = UPPER[bytes[at]!]!
      operation.bytes[at - start] = byte
      if (byte === 0) isWhole = false
    }
    operation.end = end - start
    return isWhole
  }

  /** Adds argument `i`, which may be empty: who redacts must see where the first one ends. */
  #add(bytes: Uint8Array, start: number, end: number, i: number): void {
    if (i > 1) this.resource.byte(SP)
    this.resource.range(bytes, start, end)
  }

  /** A command as a person types it. Redis passes over an empty line without an answer. */
  #inline(bytes: Uint8Array, start: number): number {
    let from = start
    while (isBlank(bytes[from])) from++
    let stop = from
    while (stop < bytes.length && WORD[bytes[stop]!] === 1) stop++
    const length = stop - from
    if (length > COMMAND_BYTES_MAX) return WRONG
    if (stop === bytes.length) return stop - start > INLINE_BYTES_MAX ? WRONG : MORE
    const after = bytes[stop]
    if (!isBlank(after) && after !== CR && after !== LF) return WRONG
    const end = bytes.indexOf(LF, stop)
    if (end < 0) return bytes.length - start > INLINE_BYTES_MAX ? WRONG : MORE
    if (length === 0) return end + 1 - start
    this.#name(bytes, from, stop)
    const last = bytes[end - 1] === CR ? end - 1 : end
    if (last > stop + 1) this.#inlineArguments(bytes, stop + 1, last)
    return end + 1 - start
  }

  #inlineArguments(bytes: Uint8Array, start: number, end: number): void {
    let from = start
    while (from < end && this.arguments < this.command.shown) {
      let to = from
      while (to < end && !isBlank(bytes[to])) to++
      if (to > from) this.#add(bytes, from, to, ++this.arguments)
      from = to + 1
    }
  }
}

function isBlank(byte: number | undefined): boolean {
  return byte === SP || byte === HT
}

const NULL = -1
const HT = 0x09
const LF = 0x0a
const CR = 0x0d
const SP = 0x20
const DOLLAR = 0x24
const STAR = 0x2a

const UPPER = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= 0x61 && byte <= 0x7a ? byte - 0x20 : byte,
)
/** What the name of a command is made of. */
const WORD = new Uint8Array(256)
for (const letter of 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-')
  WORD[letter.charCodeAt(0)] = 1
