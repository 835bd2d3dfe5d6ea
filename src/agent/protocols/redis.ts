import type { Scratch } from '../../lib/scratch.ts'
import { type Kind, type Message, NO_ID, NO_TAG, STATUS } from '../../model/message.ts'
import {
  type Conversation,
  type Input,
  type Link,
  MORE,
  type Protocol,
  type Sender,
  SWITCH,
  WRONG,
} from './protocol.ts'
import {
  CLIENT,
  COMMAND,
  CONFIRMATIONS,
  indexOfWord,
  isWord,
  PUSHES,
  RESET,
  RESET_ALL,
  SUBSCRIPTION,
  SUBSCRIPTION_STEP,
  SYNC,
} from './redis/commands.ts'
import { Request } from './redis/request.ts'
import { HOLE, lineEnd, numberAt, numberEnd, Values } from './redis/resp.ts'

/*
 * Redis, RESP2 and RESP3.
 *
 *   request   = an array of bulks, or a line: see redis/request.ts
 *   response  = a value: see redis/resp.ts
 *
 * Responses come in order. A message is told at its beginning; the rest of its values goes by and
 * tells its end: of a value only the line with its size must be seen. A push answers nothing: RESP3
 * marks it with >, RESP2 sends it as an array that begins with a word of PUSHES to who has
 * subscribed. SUBSCRIBE is confirmed once a channel: the first confirmation is its response. What
 * MONITOR shows is a line that begins with a time.
 *
 * For who redacts: values stand behind the first space of the resource, keys and channels before
 * it (ECHO and PING, whose argument is a value, have none). Secrets are never in it.
 * https://redis.io/docs/latest/develop/reference/protocol-spec/
 */

export const redis: Protocol = {
  name: 'Redis',
  number: 80,
  ports: [6379, 6380, 7000, 26379],
  // Pipelines fill a call with messages, and servers answer in pieces of 16 KB.
  bytesPerCall: 16_384,
  claim: (head, sender) => (sender === 'client' ? requestScore(head) : responseScore(head)),
  open: (link) => new RedisConversation(link),
}

/** What becomes of the next responses: CLIENT REPLY. */
const REPLY = 0
const SKIP_NEXT = 1
const SKIP_ALL = 2
const REPLY_OFF = new TextEncoder().encode('reply off')
const REPLY_SKIP = new TextEncoder().encode('reply skip')
const REPLY_ON = new TextEncoder().encode('reply on')

/** A value of a server that answers a request, and one that answers none. */
const ANSWER = 1
const PUSH = 2

const ERROR_BYTES_MAX = 4096
const COUNT_TOLD_MAX = 65_535

const request = new Request()

/** One sender: what is still to go by of which message, and whether its end was not captured. */
class Side {
  readonly values: Values = new Values()
  kind: Kind = 'none'
  isLoose = false

  clear(): void {
    this.values.clear()
    this.isLoose = false
  }
}

class RedisConversation implements Conversation {
  readonly #link: Link
  readonly #client = new Side()
  readonly #server = new Side()
  /** Requests that wait for their response, and whether there was ever more than one. */
  #waiting = 0
  #pipelined = false
  #reply = REPLY
  #isResp3 = false
  #isSubscribed = false
  #isReplica = false
  /** Confirmations that are still to come of a subscription already answered. */
  #confirmations = 0

  constructor(link: Link) {
    this.#link = link
  }

  /**
   * Behind a message of unknown end bytes go by until the next one: without pipelining a client
   * asks again only when it has the whole response, so that a server that owes one, and a client
   * that is owed none, can only begin a message.
   */
  feed(sender: Sender, input: Input, message: Message): number {
    const { start } = input
    const bytes = input.bounded()
    if (start >= bytes.length) return MORE
    if (this.#isReplica) {
      message.next = 'Redis replication'
      return SWITCH
    }
    const side = sender === 'client' ? this.#client : this.#server
    if (side.values.left > 0) return rest(side, bytes, start, message)
    if (side.isLoose) {
      if (this.#pipelined || bytes[start] === 0) return WRONG
      const isServer = sender === 'server'
      const isOwed = isServer ? this.#link.pending(NO_ID) !== NO_TAG : this.#waiting > 0
      if (isOwed !== isServer) return bytes.length - start
      if (!isServer && bytes[start] !== STAR) return WRONG
      side.isLoose = false
    }
    return sender === 'client'
      ? this.#request(bytes, start, message)
      : this.#response(bytes, start, message)
  }

  lost(): void {
    this.#client.clear()
    this.#server.clear()
    this.#waiting = 0
    this.#reply = REPLY
    this.#isReplica = false
    this.#reset()
  }

  /** The connection is as it was when it began. */
  #reset(): void {
    this.#isResp3 = false
    this.#isSubscribed = false
    this.#confirmations = 0
  }

  #request(bytes: Uint8Array, start: number, message: Message): number {
    const size = request.read(bytes, start)
    if (size <= 0 || request.operation.end === 0) return size
    // It may have been CLIENT REPLY.
    if (request.command === CLIENT && (request.isCut || request.hasHole)) return WRONG
    request.fill(message)
    message.tag = tagOf(request)
    message.kind = this.#willAnswer() ? 'request' : 'oneway'
    if (message.kind === 'request') {
      this.#pipelined ||= this.#waiting > 0
      this.#waiting++
    }
    const { values } = this.#client
    this.#client.kind = message.kind
    this.#client.isLoose = request.isCut
    if (request.isCut) return bytes.length - start
    values.left = request.left
    const more = values.left === 0 ? 0 : values.skip(bytes, start + size)
    message.last = values.left === 0
    return size + Math.max(more, 0)
  }

  /** Whether the request just read is answered: https://redis.io/docs/latest/commands/client-reply */
  #willAnswer(): boolean {
    const before = this.#reply
    if (before === SKIP_NEXT) this.#reply = REPLY
    if (request.command === RESET) {
      this.#reply = REPLY
      return before !== SKIP_NEXT
    }
    if (request.command !== CLIENT) return before === REPLY
    const { resource } = request
    if (isText(resource, REPLY_ON)) this.#reply = REPLY
    else if (isText(resource, REPLY_OFF)) this.#reply = SKIP_ALL
    else if (isText(resource, REPLY_SKIP) && before !== SKIP_ALL) this.#reply = SKIP_NEXT
    else return before === REPLY
    return this.#reply === REPLY
  }

  #response(bytes: Uint8Array, start: number, message: Message): number {
    const { values } = this.#server
    const type = bytes[start]!
    if (type === PIPE) return this.#attribute(bytes, start)
    values.left = 1
    const size = values.skip(bytes, start)
    const kind = size > 0 ? this.#kindOf(type, bytes, start) : size
    if (kind <= 0 || (type === BANG && isShort(bytes, start, size))) {
      values.again()
      return kind === MORE || kind > 0 ? MORE : WRONG
    }
    this.#server.kind = kind === PUSH ? 'none' : 'response'
    if (kind === PUSH) return size
    const asked = this.#link.pending(NO_ID)
    message.kind = 'response'
    message.last = values.left === 0
    this.#waiting = Math.max(this.#waiting - 1, 0)
    if (type === MINUS || type === BANG) readError(bytes, start, size, message)
    else if (asked === RESET_ALL) this.#reset()
    else if (asked === SYNC) return this.#replicate(bytes, start, message)
    return size
  }

  /** What lies between a value's attribute and its pairs' end goes by; then the value is read. */
  #attribute(bytes: Uint8Array, start: number): number {
    const { values } = this.#server
    const end = values.attribute(bytes, start)
    if (end <= 0) return end === MORE ? MORE : WRONG
    return end - start + (values.left > 0 ? Math.max(values.skip(bytes, end), 0) : 0)
  }

  /** From the line that answers SYNC on, a server sends what no request asked for. */
  #replicate(bytes: Uint8Array, start: number, message: Message): number {
    this.#server.values.clear()
    this.#isReplica = true
    message.last = true
    return lineEnd(bytes, start, ERROR_BYTES_MAX) - start
  }

  /** ANSWER, PUSH, or MORE where the word that decides is not here. */
  #kindOf(type: number, bytes: Uint8Array, start: number): number {
    const asked = this.#link.pending(NO_ID)
    if (type === PLUS && isDigit(bytes[start + 1]!) && isMonitored(bytes, start + 1)) return PUSH
    if (type !== GREATER && type !== STAR) return ANSWER
    const isPushable = asked !== COMMAND || (this.#isSubscribed && !this.#isResp3)
    if (type === STAR && !isPushable) return ANSWER
    if (type === GREATER) this.#isResp3 = true
    const word = firstWord(bytes, start)
    if (word === MORE) return MORE
    const confirmation = word < 0 ? -1 : indexOfWord(CONFIRMATIONS, bytes, word)
    if (confirmation >= 0) {
      const left = confirmation < UNSUBSCRIBE ? 1 : subscriptionsAt(bytes, word)
      return left < 0 ? MORE : this.#confirm(confirmation, asked, left > 0)
    }
    if (type === GREATER) return PUSH
    return word > 0 && indexOfWord(PUSHES, bytes, word) >= 0 ? PUSH : ANSWER
  }

  /** A confirmation answers the subscription that waits, unless one before it has more to come. */
  #confirm(confirmation: number, asked: number, isSubscribed: boolean): number {
    this.#isSubscribed = isSubscribed
    if (this.#confirmations > 0) {
      this.#confirmations--
      return PUSH
    }
    if (asked % SUBSCRIPTION_STEP !== SUBSCRIPTION + confirmation) return PUSH
    this.#confirmations = Math.max(Math.floor(asked / SUBSCRIPTION_STEP) - 1, 0)
    return ANSWER
  }
}

/** Lets the rest of a message go by; its last value ends it, and so does a hole. */
function rest(side: Side, bytes: Uint8Array, start: number, message: Message): number {
  const size = side.values.skip(bytes, start)
  side.isLoose = size === HOLE
  message.truncated = side.isLoose
  if (side.isLoose) side.values.clear()
  if (side.values.left === 0) message.kind = side.kind
  return side.isLoose ? bytes.length - start : size
}

function tagOf({ command, arguments: count }: Request): number {
  if (command.tag < SUBSCRIPTION) return command.tag
  return command.tag + SUBSCRIPTION_STEP * Math.min(count, COUNT_TOLD_MAX)
}

/** Whether a line tells of another client's command: seconds, a dot, microseconds, a bracket. */
function isMonitored(bytes: Uint8Array, start: number): boolean {
  let at = start
  while (isDigit(bytes[at]!) || bytes[at] === DOT) at++
  return bytes[at] === SP && bytes[at + 1] === BRACKET
}

/** Where the text of a group's first value begins, or MORE, or WRONG where it is no text. */
function firstWord(bytes: Uint8Array, start: number): number {
  const line = numberEnd(bytes, start)
  if (line <= 0) return line
  if (numberAt(bytes, start, line) === 0 || bytes[start + 1] === MINUS) return WRONG
  if (line >= bytes.length) return MORE
  if (bytes[line] === PLUS) {
    const end = lineEnd(bytes, line, ERROR_BYTES_MAX)
    return end > 0 ? line + 1 : end
  }
  if (bytes[line] !== DOLLAR) return WRONG
  const word = numberEnd(bytes, line)
  if (word <= 0) return word
  const size = numberAt(bytes, line, word)
  if (size < 0 || size > WORD_BYTES_MAX) return WRONG
  return word + size + 2 > bytes.length ? MORE : word
}

/**
 * How many subscriptions are left, as the confirmation says whose word is at `word`; some where it
 * does not say. Negative: that is still to come.
 */
function subscriptionsAt(bytes: Uint8Array, word: number): number {
  const channel = lineEnd(bytes, word, WORD_BYTES_MAX)
  probe.clear()
  probe.left = 1
  const size = channel > 0 ? probe.skip(bytes, channel) : channel
  if (size < 0 || size > CHANNEL_BYTES_MAX) return 1
  const count = channel + size
  const end = size === MORE || count >= bytes.length ? MORE : numberEnd(bytes, count)
  if (end <= 0) return end === MORE ? -1 : 1
  return Math.abs(numberAt(bytes, count, end))
}

/** Whether a blob error's text is still to come. */
function isShort(bytes: Uint8Array, start: number, size: number): boolean {
  return start + Math.min(size, ERROR_BYTES_MAX) > bytes.length
}

/** `-CODE text`, or the same as a bulk. */
function readError(bytes: Uint8Array, start: number, size: number, message: Message): void {
  message.status = STATUS.serverError
  const from = bytes[start] === BANG ? numberEnd(bytes, start) : start + 1
  const end = start + size - 2
  message.truncated = end - from > ERROR_BYTES_MAX
  message.error.set(bytes, from, Math.min(end - from, ERROR_BYTES_MAX))
}

/** An array of bulks whose first is a word. */
function requestScore(head: Uint8Array): number {
  if (head[0] !== STAR) return 0
  const line = numberEnd(head, 0)
  if (line === MORE) return head.length > 1 && isDigit(head[1]!) ? 30 : 0
  if (line < 0 || numberAt(head, 0, line) <= 0) return 0
  if (line >= head.length) return 60
  if (head[line] !== DOLLAR) return 0
  const word = numberEnd(head, line)
  if (word === MORE) return 70
  return word > 0 && numberAt(head, line, word) > 0 ? 95 : 0
}

const probe = new Values()

/** What a server says first is the same in several protocols of lines: a weak claim. */
function responseScore(head: Uint8Array): number {
  probe.clear()
  probe.left = 1
  const type = head[0]!
  if (type === 0 || probe.skip(head, 0) <= 0) return 0
  if (type === PLUS || type === MINUS) return isStatus(head) ? 50 : 0
  return type === STAR || type === DOLLAR || type === COLON || type === PERCENT ? 50 : 0
}

/** `+OK` and `+PONG`, or an error that begins with a word in upper case. */
function isStatus(head: Uint8Array): boolean {
  let at = 1
  while (at < head.length && head[at]! >= 0x41 && head[at]! <= 0x5a) at++
  return at >= 3 && (head[at] === CR || (head[0] === MINUS && head[at] === SP))
}

function isText({ bytes, end }: Scratch, word: Uint8Array): boolean {
  return end === word.length && isWord(bytes, 0, word)
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39
}

/** Place of the first of CONFIRMATIONS that ends a subscription. */
const UNSUBSCRIBE = 3
const WORD_BYTES_MAX = 64
/** The count behind a longer channel is not waited for. */
const CHANNEL_BYTES_MAX = 4096
const CR = 0x0d
const SP = 0x20
const BANG = 0x21
const DOLLAR = 0x24
const PERCENT = 0x25
const STAR = 0x2a
const PLUS = 0x2b
const MINUS = 0x2d
const DOT = 0x2e
const COLON = 0x3a
const GREATER = 0x3e
const BRACKET = 0x5b
const PIPE = 0x7c
