import { wordsOf } from '../../lib/words.ts'
import { Message, NO_COUNT, NO_ID, NO_TAG, STATUS } from '../../model/message.ts'
import {
  BAD_LENGTH,
  HEAD_BYTES_MAX,
  Head,
  HOLE,
  lineEnd,
  mayEndHead,
  NO_END,
  NO_LENGTH,
} from './http/head.ts'
import { reasonOf } from './http/reasons.ts'
import {
  emptyLines,
  isVersion,
  methodEnd,
  requestScore,
  setTarget,
  statusOf,
  versionAt,
} from './http/start-line.ts'
import {
  type Conversation,
  ENDLESS,
  Input,
  type Link,
  MORE,
  type Protocol,
  type Sender,
  SWITCH,
  WRONG,
} from './protocol.ts'

/*
 * HTTP/1.0 and HTTP/1.1.
 *
 *   request   = method SP target SP "HTTP/1." DIGIT CRLF fields body
 *   response  = "HTTP/1." DIGIT SP 3DIGIT [SP reason] CRLF fields body
 *   target    = path [ "?" query ] / scheme "://" authority path / authority / "*"
 *   body      = chunked / Content-Length bytes / all until the connection closes
 *   chunked   = *( chunk-size [ext] CRLF data CRLF ) "0" [ext] CRLF *( field CRLF ) CRLF
 *
 * A message is told at its head; its body goes by unseen. A chunked one is told in parts: the head,
 * then a part a chunk that adds its length, so that only the few bytes before each chunk must have
 * been captured. Where those fall into a hole, the message ends as it is and its sender is read
 * again where one of its calls begins with a start line that can only be the next one.
 * https://www.rfc-editor.org/rfc/rfc9110 https://www.rfc-editor.org/rfc/rfc9112
 */

export const http: Protocol = {
  name: 'HTTP',
  number: 20,
  ports: [80, 8000, 8008, 8080, 8081, 8888],
  // A rich head with a token in it; a call costs no more than it is long.
  bytesPerCall: 4096,
  claim: (bytes, sender) => scoreOf(bytes, sender),
  open: (link) => (link.datagram ? NO_DATAGRAMS : new HttpConversation(link)),
}

/** Tags of requests: what must be known to read the response. */
const PLAIN = 0
const HEAD = 1
const CONNECT = 2

/** What a sender's next bytes are. */
const START_LINE = 0
const CHUNK = 1
/** Somewhere in a message whose end was not captured. */
const LOOSE = 2

/** A head that comes in many pieces is read from its beginning only up to this size. */
const AGAIN_BYTES_MAX = 2048
const CHUNK_LINE_BYTES_MAX = 4096
const TRAILERS_BYTES_MAX = 8192
const CHUNK_DIGITS_MAX = 12
/** Answer of `#next`: the next message begins here. */
const NEXT = -1000

/** What UPnP sends by datagram looks like HTTP; most of it is answered by nobody. */
const NO_DATAGRAMS: Conversation = {
  feed: () => WRONG,
  lost: () => {},
}

const head = new Head()
const claimed = new Input()

class HttpConversation implements Conversation {
  readonly #link: Link
  #client = START_LINE
  #server = START_LINE
  /** Bytes of a head that were read and did not hold its end. */
  #clientSeen = 0
  #serverSeen = 0
  #switched = false
  #upgrade = ''
  /** Requests that wait for their response, and whether there was ever more than one. */
  #waiting = 0
  #pipelined = false

  constructor(link: Link) {
    this.#link = link
  }

  feed(sender: Sender, input: Input, message: Message): number {
    const { bytes, start, end } = input
    if (start >= end) return MORE
    const state = sender === 'client' ? this.#client : this.#server
    if (state === CHUNK) return this.#chunk(sender, input, message)
    if (this.#switched) {
      message.next = this.#upgrade
      return SWITCH
    }
    if (state === LOOSE) {
      const next = this.#next(sender, input)
      if (next !== NEXT) return next
    }
    if (bytes[start] === CR || bytes[start] === LF) return emptyLines(input)
    if (this.#isSeen(sender, input)) return moreOfHead(input)
    const size =
      sender === 'client' ? this.#request(input, message) : this.#response(input, message)
    const seen = size === MORE ? end - start : 0
    if (sender === 'client') this.#clientSeen = seen
    else this.#serverSeen = seen
    return size
  }

  /** Whether a long head was read up to here before and what came since cannot be its end. */
  #isSeen(sender: Sender, input: Input): boolean {
    const { start, end } = input
    const seen = sender === 'client' ? this.#clientSeen : this.#serverSeen
    if (seen < AGAIN_BYTES_MAX || seen > end - start) return false
    if (mayEndHead(input, start + seen)) return false
    if (sender === 'client') this.#clientSeen = end - start
    else this.#serverSeen = end - start
    return true
  }

  lost(): void {
    this.#client = START_LINE
    this.#server = START_LINE
    this.#clientSeen = 0
    this.#serverSeen = 0
    this.#switched = false
    this.#upgrade = ''
    this.#waiting = 0
    // Who pipelined once may do so where it is not seen.
  }

  /**
   * Whether bytes behind a message of unknown end begin the next one: NEXT, or how many of them go
   * by, or MORE, WRONG. Without pipelining a client asks again only when it has the whole response,
   * so that a server that owes one, and a client that is owed none, can only begin a message. A
   * client that begins one though it is owed a response has had one that nobody saw.
   */
  #next(sender: Sender, input: Input): number {
    const size = input.end - input.start
    if (this.#pipelined) return WRONG
    if (sender === 'server') {
      if (this.#link.pending(NO_ID) === NO_TAG) return size
      const code = statusOf(input)
      return code > 0 ? NEXT : code
    }
    if (this.#waiting > 0) return requestScore(input) > 0 ? WRONG : size
    if (methodEnd(input) === NO_END) return MORE
    return requestScore(input) > 0 ? NEXT : WRONG
  }

  #request(input: Input, message: Message): number {
    const { bytes, view, start, end } = input
    const method = methodEnd(input)
    if (method < 0) return method === NO_END ? MORE : WRONG
    const target = method + 1
    const line = lineEnd(view, target, end)
    if (line === NO_END) return moreOfHead(input)
    let fields = HOLE
    if (line === HOLE) {
      if (requestScore(input) === 0) return WRONG
      head.clear(message)
      setTarget(bytes, target, bytes.indexOf(0, target), message)
    } else {
      const version = versionAt(view, target, line)
      if (version < 0) return WRONG
      fields = head.read(input, line + 1, message)
      if (fields === MORE) return moreOfHead(input)
      message.version.set(bytes, version + 5, 3)
      setTarget(bytes, target, version - 1, message)
    }
    message.operation.set(bytes, start, method - start)
    message.tag = tagOf(view, start, method - start)
    const size = this.#requestSize(fields - start, end - start, message)
    if (size === WRONG) return WRONG
    message.kind = 'request'
    this.#pipelined ||= this.#waiting > 0
    this.#waiting++
    return size
  }

  /** RFC 9112 §6.3. `size` is the head's, `seen` what there is of the stream. */
  #requestSize(size: number, seen: number, message: Message): number {
    this.#client = START_LINE
    if (size < 0) {
      this.#client = LOOSE
      message.truncated = true
      message.isEndLost = true
      // What the head said of the length before it was cut still holds.
      if (head.contentLength >= 0) message.length = head.contentLength
      return seen
    }
    // Any other last coding leaves a request without an end: servers refuse it.
    if (head.encoded && !head.chunked) return WRONG
    if (head.encoded) {
      this.#client = CHUNK
      return begin(size, message)
    }
    if (head.contentLength === BAD_LENGTH) return WRONG
    if (head.contentLength === NO_LENGTH) return size
    message.length = head.contentLength
    return size + head.contentLength
  }

  #response(input: Input, message: Message): number {
    const { bytes, view, start, end } = input
    const code = statusOf(input)
    if (code === WRONG) return WRONG
    const line = lineEnd(view, start, end)
    if (line === NO_END) return moreOfHead(input)
    if (code === MORE) return WRONG
    head.clear(message)
    const fields = line === HOLE ? HOLE : head.read(input, line + 1, message)
    if (fields === MORE) return moreOfHead(input)
    if (code < 200 && code !== SWITCHING) {
      // Interim: it answers nothing, and no cookie makes it long (RFC 9110 §15.2).
      message.clear()
      return fields === HOLE ? WRONG : fields - start
    }
    message.version.set(bytes, start + 5, 3)
    message.code = code
    message.status = code < 400 ? STATUS.ok : code < 500 ? STATUS.clientError : STATUS.serverError
    if (code >= 400) setReason(bytes, start, line, message)
    const size = this.#responseSize(input, fields, message)
    if (size === WRONG) return WRONG
    message.kind = 'response'
    this.#waiting = Math.max(this.#waiting - 1, 0)
    return size
  }

  /** RFC 9112 §6.3. A response without its request may be one to HEAD: then bytes decide. */
  #responseSize({ view, start, end }: Input, fields: number, message: Message): number {
    const asked = this.#link.pending(NO_ID)
    const size = fields - start
    const { code } = message
    this.#server = START_LINE
    if (fields === HOLE) {
      this.#server = LOOSE
      message.truncated = true
      message.isEndLost = true
      return end - start
    }
    if (head.contentLength >= 0) message.length = head.contentLength
    if (code === SWITCHING || (asked === CONNECT && code < 300)) {
      this.#switched = true
      this.#upgrade = head.upgrade
      return size
    }
    if (asked === HEAD || code === NO_CONTENT || code === NOT_MODIFIED) return size
    if (head.chunked) {
      this.#server = CHUNK
      return begin(size, message)
    }
    if (head.contentLength === BAD_LENGTH) return WRONG
    if (asked === NO_TAG && (head.contentLength < 0 || isNext(view, fields, end))) return size
    if (!head.encoded && head.contentLength >= 0) return size + head.contentLength
    message.length = NO_COUNT
    message.last = false
    return size + ENDLESS
  }

  #chunk(sender: Sender, input: Input, message: Message): number {
    const { bytes, view, start, end } = input
    const digits = hexEnd(bytes, start, end)
    if (digits - start > CHUNK_DIGITS_MAX) return WRONG
    const line = lineEnd(view, digits, end)
    if (line === NO_END) return end - start > CHUNK_LINE_BYTES_MAX ? WRONG : MORE
    if (line !== HOLE && (digits === start || bytes[line - 1] !== CR)) return WRONG
    const length = line === HOLE ? 0 : hex(bytes, start, digits)
    let rest = line
    if (length === 0 && line !== HOLE) rest = head.read(input, line + 1, trash)
    if (rest === MORE) return end - start > TRAILERS_BYTES_MAX ? WRONG : MORE
    message.kind = sender === 'client' ? 'request' : 'response'
    message.length = length
    message.last = length === 0
    if (length > 0) return line + 1 - start + length + 2
    this.#endBody(sender, rest === HOLE ? LOOSE : START_LINE, message)
    return (rest === HOLE ? end : rest) - start
  }

  #endBody(sender: Sender, state: number, message: Message): void {
    if (sender === 'client') this.#client = state
    else this.#server = state
    message.truncated = state === LOOSE
    message.isEndLost = state === LOOSE
  }
}

/** How surely a sender's first bytes are HTTP. */
function scoreOf(bytes: Uint8Array, sender: Sender): number {
  claimed.set(bytes, 0, bytes.length)
  if (sender === 'client') return requestScore(claimed)
  return statusOf(claimed) > 0 ? 95 : 0
}

/** Begins a chunked message: its parts add their lengths to nothing. */
function begin(size: number, message: Message): number {
  message.length = 0
  message.last = false
  return size
}

function moreOfHead({ start, end }: Input): number {
  return end - start > HEAD_BYTES_MAX ? WRONG : MORE
}

/** Whether the next response was captured behind a head that ends at `at`. */
function isNext(view: DataView, at: number, end: number): boolean {
  return at + 8 <= end && isVersion(view, at)
}

/** Methods are told apart whole: CHECKIN (RFC 3253) opens no tunnel. */
function tagOf(view: DataView, start: number, size: number): number {
  if (size === 4) return view.getInt32(start, true) === WORD_HEAD ? HEAD : PLAIN
  if (size !== 7 || view.getInt32(start, true) !== WORD_CONN) return PLAIN
  return view.getInt32(start + 3, true) === WORD_NECT ? CONNECT : PLAIN
}

/** The registry's words, else the server's own. */
function setReason(bytes: Uint8Array, start: number, end: number, message: Message): void {
  const reason = reasonOf(message.code)
  if (reason !== undefined) message.error.set(reason, 0, reason.length)
  else if (end > start + 13)
    message.error.set(bytes, start + 13, end - (bytes[end - 1] === CR ? 1 : 0) - start - 13)
}

function hexEnd(bytes: Uint8Array, start: number, end: number): number {
  let at = start
  while (at < end && HEX_DIGITS[bytes[at]!]! > 0) at++
  return at
}

function hex(bytes: Uint8Array, start: number, end: number): number {
  let value = 0
  for (let at = start; at < end; at++) value = value * 16 + HEX_DIGITS[bytes[at]!]! - 1
  return value
}

const LF = 0x0a
const CR = 0x0d
const SWITCHING = 101
const NO_CONTENT = 204
const NOT_MODIFIED = 304
const METHODS = wordsOf(new TextEncoder().encode('HEADCONNECT'))
const WORD_HEAD = METHODS.getInt32(0, true)
const WORD_CONN = METHODS.getInt32(4, true)
const WORD_NECT = METHODS.getInt32(7, true)
/** Where trailers go: nothing in them is wanted (RFC 9110 §6.5.1). */
const trash = new Message()

/** A hex digit's value plus one; 0 for what is none. */
const HEX_DIGITS = new Uint8Array(256)
for (const [value, digit] of [...'0123456789abcdef'].entries()) {
  HEX_DIGITS[digit.charCodeAt(0)] = value + 1
  HEX_DIGITS[digit.toUpperCase().charCodeAt(0)] = value + 1
}
