import { Scratch } from '../../lib/scratch.ts'
import { type Message, STATUS } from '../../model/message.ts'
import { codeNames, opcodeNames, typeNames } from './dns/names.ts'
import { type Counts, type Extent, nameEnd, Records, u16, writeName } from './dns/records.ts'
import { AXFR, IXFR, Transfer } from './dns/transfer.ts'
import {
  type Conversation,
  type Input,
  type Link,
  MORE,
  type Protocol,
  type Sender,
  WRONG,
} from './protocol.ts'

/*
 * DNS over UDP (a message a datagram) and TCP (a size u16 before each message).
 *
 *   message   = id u16 flags u16 questions u16 answers u16 authorities u16 additionals u16
 *               question{questions} record{answers + authorities + additionals}
 *   flags     = response 1 · opcode 4 · authoritative 1 · truncated 1 · recursion 2 · zero 1 ·
 *               authentic 1 · unchecked 1 · code 4
 *   question  = name type u16 class u16
 *
 * Whether a message asks or answers is in its flags; ids pair them. A truncated answer (its client
 * asks again by TCP) is an answer. EDNS adds upper bits to the code. A zone's transfer is one
 * answer in many messages. What multicast DNS asks has id 0 and no flags: who knows tells all.
 * https://www.rfc-editor.org/rfc/rfc1035#section-4 https://www.rfc-editor.org/rfc/rfc6891
 * https://www.rfc-editor.org/rfc/rfc6762#section-18
 */

export const dns: Protocol = {
  name: 'DNS',
  number: 120,
  ports: [53],
  // The greatest message that EDNS implementations ask for by UDP.
  bytesPerCall: 4096,
  // Who claims is not told of the transport: a message that is one as it stands, or past a size.
  claim: (head, sender) =>
    Math.max(
      scoreAt(head, 0, head.length, sender),
      isPrefixed(head) ? scoreAt(head, PREFIX_SIZE, PREFIX_SIZE + u16(head, 0), sender) : 0,
    ),
  open: (link) => new DnsConversation(link),
}

const HEADER_SIZE = 12
const PREFIX_SIZE = 2
const QUESTIONS_MAX = 32
const NAME_TEXT_MAX = 1024
/** Transfers followed at once on one connection. */
const TRANSFERS_MAX = 16

const name = new Scratch(NAME_TEXT_MAX)
const folded = new Uint8Array(NAME_TEXT_MAX)
const records = new Records()
const extent: Extent = { start: 0, end: 0 }
const counts: Counts = { shown: 0, others: 0 }

class DnsConversation implements Conversation {
  readonly #link: Link
  /** Transfers that have begun, by the ids of their questions. */
  #transfers: Map<number, Transfer> | undefined

  constructor(link: Link) {
    this.#link = link
  }

  feed(sender: Sender, input: Input, message: Message): number {
    const { start } = input
    const bytes = input.bounded()
    extent.start = start
    extent.end = bytes.length
    if (!this.#link.datagram) {
      if (bytes.length - start < PREFIX_SIZE) return MORE
      extent.start = start + PREFIX_SIZE
      extent.end = extent.start + u16(bytes, start)
      if (extent.end - extent.start < HEADER_SIZE) return WRONG
      if (extent.end > bytes.length) return MORE
    }
    if (!isHeader(bytes, extent)) return WRONG
    // By datagram the message's kind says who is the client; on a stream the sender must fit it.
    const isResponse = bytes[extent.start + 2]! >= RESPONSE
    if (!this.#link.datagram && isResponse !== (sender === 'server')) return WRONG
    const records = read(bytes, isResponse, message)
    if (records < 0) return WRONG
    if (this.#link.datagram) {
      if (isMulticast(bytes, extent.start)) message.kind = 'oneway'
    } else if (isResponse) this.#follow(bytes, records, message)
    else this.#transfers?.delete(message.id)
    return extent.end - start
  }

  lost(): void {
    this.#transfers = undefined
  }

  /** Tells a part of a transfer: what the first said of it stands for all. */
  #follow(bytes: Uint8Array, records: number, message: Message): void {
    const asked = this.#link.pending(message.id)
    if (asked !== AXFR && asked !== IXFR) return
    this.#transfers ??= new Map()
    const begun = this.#transfers.get(message.id)
    const transfer = begun ?? new Transfer()
    if (begun !== undefined) {
      message.result.clear()
      message.truncated = false
    } else if (this.#transfers.size < TRANSFERS_MAX) this.#transfers.set(message.id, transfer)
    else return
    const answers = u16(bytes, extent.start + 6)
    message.last =
      message.code !== 0 ||
      transfer.isOver(bytes, records, extent, answers) ||
      (asked === IXFR && transfer.isAlone)
    if (message.last) this.#transfers.delete(message.id)
  }
}

/** Reads the message that lies at `extent`; answers where its records begin, or WRONG. */
function read(bytes: Uint8Array, isResponse: boolean, message: Message): number {
  const { start } = extent
  const questions = u16(bytes, start + 4)
  let at = start + HEADER_SIZE
  for (let i = 0; i < questions; i++) {
    const end = nameEnd(bytes, at, extent.end)
    if (end < 0 || end + 4 > extent.end) return WRONG
    if (i === 0 && !question(bytes, at, end, message)) return WRONG
    at = end + 4
  }
  const opcode = (bytes[start + 2]! >> 3) & 15
  const operation = opcodeNames.get(opcode)
  if (operation !== undefined) message.operation.set(operation, 0, operation.length)
  message.kind = isResponse ? 'response' : 'request'
  message.id = u16(bytes, start)
  message.requestId = message.id
  if (isResponse) answer(bytes, at, message)
  return at
}

/** The first question: its type, its name as it was asked, and its name in lower case. */
function question(bytes: Uint8Array, at: number, end: number, message: Message): boolean {
  name.clear()
  if (!writeName(bytes, at, extent, name)) return false
  const type = u16(bytes, end)
  message.tag = type
  const operation = typeNames.get(type)
  if (operation === undefined) unknownType(type, message)
  else message.operation.set(operation, 0, operation.length)
  const size = name.end
  message.resource.set(name.bytes, 0, size)
  if (type === A || type === AAAA) message.domain.set(name.bytes, 0, size)
  // Resolvers mix the case of names at random against forgery; they are equal (RFC 4343).
  for (let i = 0; i < size; i++) folded[i] = LOWER[name.bytes[i]!]!
  message.endpoint.set(folded, 0, size)
  return true
}

const typeText = new Scratch(16)
const TYPE = new TextEncoder().encode('TYPE')

/** RFC 3597 §5: `TYPE` and its number. */
function unknownType(type: number, message: Message): void {
  typeText.clear()
  typeText.text(TYPE)
  typeText.decimal(type)
  message.operation.set(typeText.bytes, 0, typeText.end)
}

function answer(bytes: Uint8Array, at: number, message: Message): void {
  const { start } = extent
  counts.shown = u16(bytes, start + 6) + u16(bytes, start + 8)
  counts.others = u16(bytes, start + 10)
  records.read(bytes, at, extent, counts)
  const code = (records.extendedCode << 4) | (bytes[start + 3]! & 15)
  message.code = code
  message.truncated = records.isCut
  message.result.set(records.text.bytes, 0, records.text.end)
  if (code === 0) return
  message.status =
    code === FORMAT_ERROR || code === NO_DOMAIN ? STATUS.clientError : STATUS.serverError
  const error = codeNames.get(code)
  if (error !== undefined) message.error.set(error, 0, error.length)
}

/** Whether the header at `start` is that of a multicast question, however many follow it. */
function isMulticast(bytes: Uint8Array, start: number): boolean {
  return u16(bytes, start) === 0 && (u16(bytes, start + 2) & ~MORE_FOLLOW) === 0
}

/** Whether a header can be one: known operation, the bit that must be zero, a question or none. */
function isHeader(bytes: Uint8Array, { start, end }: Extent): boolean {
  if (end - start < HEADER_SIZE) return false
  const opcode = (bytes[start + 2]! >> 3) & 15
  return (
    opcode <= OPCODE_MAX &&
    opcode !== OPCODE_UNUSED &&
    (bytes[start + 3]! & MUST_BE_ZERO) === 0 &&
    u16(bytes, start + 4) <= QUESTIONS_MAX
  )
}

function isPrefixed(head: Uint8Array): boolean {
  return head.length >= PREFIX_SIZE + HEADER_SIZE && u16(head, 0) >= HEADER_SIZE + 5
}

/** How surely a message begins at `start`: one question, of a class there is, asked or answered. */
function scoreAt(head: Uint8Array, start: number, end: number, sender: Sender): number {
  const seen = { start, end: Math.min(end, head.length) }
  if (!isHeader(head, seen) || u16(head, start + 4) !== 1) return 0
  if (head[start + 2]! >= RESPONSE !== (sender === 'server')) return 0
  const type = nameEnd(head, start + HEADER_SIZE, seen.end)
  if (type < 0 || type + 4 > seen.end) return head.length < end ? cutScore(head, start) : 0
  if (u16(head, type) === 0) return 0
  const group = u16(head, type + 2)
  return group === INTERNET || group === CHAOS || group === HESIOD || group === ANY ? 90 : 0
}

/** A question that is not all here yet, by a stream: it has no answer, at most EDNS and a key. */
function cutScore(head: Uint8Array, start: number): number {
  const isResponse = head[start + 2]! >= RESPONSE
  const others = u16(head, start + 6) | u16(head, start + 8)
  return !isResponse && others === 0 && u16(head, start + 10) <= 2 ? 40 : 0
}

const RESPONSE = 0x80
const MORE_FOLLOW = 0x0200
const MUST_BE_ZERO = 0x40
const OPCODE_MAX = 6
const OPCODE_UNUSED = 3
const FORMAT_ERROR = 1
const NO_DOMAIN = 3
const A = 1
const AAAA = 28
const INTERNET = 1
const CHAOS = 3
const HESIOD = 4
const ANY = 255
const LOWER = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte,
)
