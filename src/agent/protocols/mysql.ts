import { type Message, NO_COUNT, NO_ID, NO_TAG, STATUS } from '../../model/message.ts'
import { readSqlComments } from '../../model/sql-comment.ts'
import { textStart } from './mysql/attributes.ts'
import { Binding, mayBind } from './mysql/binding.ts'
import { FRAME_HEADER_SIZE, isCommand, isFrame, score } from './mysql/claim.ts'
import {
  CHANGE_USER,
  COMPRESSED,
  CONNECT,
  FIELD_LIST,
  hasStatement,
  hasText,
  isOneway,
  nameOf,
  QUERY,
  STMT_EXECUTE,
  STMT_PREPARE,
} from './mysql/commands.ts'
import {
  Agreement,
  beginsGreeting,
  GREETING_SEEN,
  isLogin,
  isSslRequest,
  LOGIN_HEAD_SIZE,
  readGreeting,
  readLogin,
  readUser,
} from './mysql/login.ts'
import { ERR, HEADER_SIZE, u24, u32 } from './mysql/packet.ts'
import { Answer, GOES_ON, HOLE, IS_WHOLE } from './mysql/response.ts'
import { Statements } from './mysql/statements.ts'
import {
  AGAIN,
  type Conversation,
  type Input,
  type Link,
  MORE,
  type Protocol,
  type Sender,
  SWITCH,
  WRONG,
} from './protocol.ts'

/*
 * MySQL and MariaDB: the protocol between client and server since 4.1.
 *
 *   connection = greeting, [ssl request, TLS], login, answer, (command, answer)*
 *   command    = packet{1..}: a command u8 and what it acts on        see mysql/commands.ts
 *   answer     = packet{1..}: OK, ERR, columns and rows               see mysql/response.ts
 *
 * Commands begin with packet number 0; a client's packets with any other number are a login, a
 * secret, a file or the rest of a long command, and say nothing of themselves. Between them they
 * tell all that must be known, so that a connection can be met in its middle.
 *
 * EXECUTE shows the text that was prepared under its id, and the values that are bound to it. A
 * connection that agreed on compression is told by its frames: what is deflated is marked as
 * COMPRESSED with an unknown status; frames too short for deflating are read as they are.
 * https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html
 * https://mariadb.com/kb/en/clientserver-protocol/
 */

export const mysql: Protocol = {
  name: 'MySQL',
  number: 60,
  ports: [3306, 3307],
  // Ends of rows must be seen, and servers send rows in pieces of 16 KB.
  bytesPerCall: 16_384,
  claim: score,
  open: (link) => new MysqlConversation(link),
}

/** As much of a statement is told: what a row shows of it. */
const TEXT_BYTES_MAX = 4096
/** As much of an execution is looked at: types of values and as many of them as a row shows. */
const EXECUTE_BYTES_MAX = 8192
/** As much of a command without a text or values is looked at. */
const COMMAND_BYTES_MAX = 64
const LOGIN_BYTES_MAX = 65_536
/** As much of an answer's first frame is looked at. */
const FRAME_BYTES_MAX = 16_384

const binding = new Binding()

class MysqlConversation implements Conversation {
  readonly #link: Link
  readonly #agreement = new Agreement()
  readonly #statements = new Statements()
  readonly #answer = new Answer()
  /** Packets of an answer are still to come, and whether a part of it was told. */
  #isAnswering = false
  #isBegun = false
  /** The end of the last answer was not captured. */
  #isLoose = false
  /** The last command that expects an answer, and the command that is being answered. */
  #asked = 0
  #answered = 0
  /** Number of the client's last packet, or frame. */
  #number = 0
  /** Commands that wait for their answer, and whether there was ever more than one. */
  #waiting = 0
  #pipelined = false
  /** A client's packets are a file that the server asked for. */
  #isFile = false
  #isTls = false
  #isCompressed = false
  /** Deflated commands that wait: what nobody answers may be among them. */
  #deflated = 0
  /** Whether a client's packet was seen: the first may be a frame whose agreement was not. */
  #isMet = false
  /** Where in a frame the next packet lies. */
  #inner = 0
  /** Where what was captured of a packet ends at the latest. */
  #end = 0

  constructor(link: Link) {
    this.#link = link
  }

  feed(sender: Sender, input: Input, message: Message): number {
    const { start } = input
    const bytes = input.bounded()
    this.#end = input.capturedEnd(start)
    if (this.#isTls) {
      message.next = 'TLS'
      return SWITCH
    }
    // Nobody is owed an answer: it is the rest of one whose end was not captured, however short.
    const isRest = sender === 'server' && this.#isLoose && !this.#isCompressed
    if (isRest && !this.#pipelined && this.#link.pending(NO_ID) === NO_TAG)
      return bytes.length - start
    if (bytes.length - start <= HEADER_SIZE) return this.#short(bytes, start)
    if (sender === 'client') {
      if (!this.#isMet) this.#meet(bytes, start)
      return this.#isCompressed
        ? this.#clientFrame(bytes, start, message)
        : this.#clientPacket(bytes, start, message)
    }
    if (this.#isCompressed) return this.#serverFrame(bytes, start, message)
    if (this.#isLoose) {
      if (this.#pipelined) return WRONG
      // Nobody asks before an answer is whole: what comes behind a question answers it.
      if (bytes[start + 3] !== this.#number + 1) return WRONG
      this.#isLoose = false
    }
    return this.#isAnswering
      ? this.#packets(bytes, start, message)
      : this.#begin(bytes, start, message)
  }

  lost(): void {
    this.#statements.lost()
    this.#isAnswering = false
    this.#isLoose = false
    this.#waiting = 0
    this.#deflated = 0
    this.#isFile = false
    this.#isMet = false
    this.#inner = 0
  }

  #meet(bytes: Uint8Array, start: number): void {
    this.#isMet = true
    if (!this.#agreement.isKnown) this.#isCompressed = isFrame(bytes, start)
  }

  /** A packet without a payload ends a file, or a command of a multiple of 16 MB. */
  #short(bytes: Uint8Array, start: number): number {
    if (bytes.length - start < HEADER_SIZE || u24(bytes, start) > 0) return MORE
    if (!this.#isFile && bytes[start + 3] === 0) return WRONG
    return this.#rest(bytes, start)
  }

  #clientPacket(bytes: Uint8Array, start: number, message: Message): number {
    const size = u24(bytes, start)
    const number = bytes[start + 3]!
    const at = start + HEADER_SIZE
    if (this.#isFile) return this.#rest(bytes, start)
    if (number === 1 && !this.#agreement.isKnown) {
      if (at + Math.min(size, LOGIN_HEAD_SIZE) > bytes.length) return MORE
      if (isLogin(bytes, at, size)) return this.#login(bytes, start, message)
    }
    if (number !== 0) return this.#rest(bytes, start)
    const told = this.#command(bytes, at, size, message)
    return told > 0 ? HEADER_SIZE + size : told
  }

  /** A packet that says nothing of itself. The server's numbers go on from it. */
  #rest(bytes: Uint8Array, start: number): number {
    const size = u24(bytes, start)
    if (size === 0) this.#isFile = false
    this.#number = bytes[start + 3]!
    if (this.#isAnswering) this.#answer.goesOnFrom(this.#number)
    return HEADER_SIZE + size
  }

  #login(bytes: Uint8Array, start: number, message: Message): number {
    const size = u24(bytes, start)
    const at = start + HEADER_SIZE
    if (size > LOGIN_BYTES_MAX) return WRONG
    if (at + size > bytes.length) return MORE
    if (isSslRequest(bytes, at, size)) {
      this.#isTls = true
      return HEADER_SIZE + size
    }
    const text = readLogin(bytes, at, at + size, this.#agreement)
    this.#answer.agree(this.#agreement)
    message.resource.set(text.bytes, 0, text.end)
    message.truncated = this.#end < at + size
    this.#ask(CONNECT, 1, message)
    return HEADER_SIZE + size
  }

  /** Reads the command whose payload of `size` bytes is at `at`; answers 1, MORE or WRONG. */
  #command(bytes: Uint8Array, at: number, size: number, message: Message): number {
    const command = bytes[at]!
    if (!isCommand(bytes, at - HEADER_SIZE)) return WRONG
    const wanted = at + Math.min(size, this.#bytesWanted(bytes, at))
    const end = Math.min(wanted, Math.max(this.#end, at + 1))
    // What a hole took is not waited for. A lone zero only asks whether this may be all.
    if (wanted > bytes.length && bytes.length - this.#end <= 1) return MORE
    if (hasStatement(command)) this.#statement(bytes, at, end, message)
    else message.truncated = end < (hasText(command) ? at + size : wanted)
    if (hasText(command)) this.#text(bytes, at, end, message)
    else if (command === FIELD_LIST) {
      const name = bytes.indexOf(0, at + 1)
      message.resource.set(bytes, at + 1, (name < 0 ? end : Math.min(name, end)) - at - 1)
    } else if (command === CHANGE_USER) {
      const text = readUser(bytes, at + 1, end)
      message.resource.set(text.bytes, 0, text.end)
    }
    this.#ask(command, 0, message)
    return 1
  }

  #bytesWanted(bytes: Uint8Array, at: number): number {
    const command = bytes[at]!
    if (hasText(command)) return 1 + TEXT_BYTES_MAX
    const isBound =
      command === STMT_EXECUTE && mayBind(bytes, at, this.#statements.get(u32(bytes, at + 1)))
    return isBound ? EXECUTE_BYTES_MAX : COMMAND_BYTES_MAX
  }

  #text(bytes: Uint8Array, at: number, end: number, message: Message): void {
    const from = bytes[at] === QUERY ? textStart(bytes, at + 1, end, message) : at + 1
    message.resource.set(bytes, from, end - from)
    if (message.traceId.end === 0) readSqlComments(bytes, from, end, message)
    if (bytes[at] === STMT_PREPARE) this.#statements.ask(bytes, from, end)
  }

  #statement(bytes: Uint8Array, at: number, end: number, message: Message): void {
    if (at + 5 > end) {
      this.#statements.doubt()
      return
    }
    const id = u32(bytes, at + 1)
    const text = this.#statements.text(id)
    message.requestId = id
    message.resource.set(text, 0, text.length)
    binding.set(bytes, at, end)
    binding.follow(this.#statements, this.#agreement, message)
    if (text.length > 0 && message.traceId.end === 0) readSqlComments(text, 0, text.length, message)
  }

  #ask(command: number, number: number, message: Message): void {
    const name = nameOf(command)!
    message.operation.set(name, 0, name.length)
    message.tag = command
    message.kind = isOneway(command) ? 'oneway' : 'request'
    this.#number = number
    if (isOneway(command)) return
    this.#asked = command
    this.#pipelined ||= this.#waiting > 0
    this.#waiting++
  }

  #begin(bytes: Uint8Array, start: number, message: Message): number {
    const size = u24(bytes, start)
    if (this.#answer.isLeftOver(bytes, start, size)) return HEADER_SIZE + size
    const asked = this.#link.pending(NO_ID)
    // A greeting may be reported behind the login, and a request be given up before its answer.
    const isGreeting = bytes[start + 3] === 0 && bytes[start + HEADER_SIZE] !== ERR
    if (isGreeting || (asked === NO_TAG && this.#waiting === 0))
      return this.#unasked(bytes, start, message)
    this.#answered = asked === NO_TAG ? this.#asked : asked
    this.#answer.begin(this.#answered, (this.#number + 1) & 0xff)
    this.#isBegun = false
    return this.#packets(bytes, start, message)
  }

  /** A server greets, or says why it ends the connection. */
  #unasked(bytes: Uint8Array, start: number, message: Message): number {
    const size = u24(bytes, start)
    if (start + Math.min(size, GREETING_SEEN) > bytes.length) return MORE
    if (beginsGreeting(bytes, start, size)) {
      readGreeting(bytes, start + HEADER_SIZE, this.#agreement)
      if (this.#agreement.isKnown) this.#answer.agree(this.#agreement)
      return HEADER_SIZE + size
    }
    if (bytes[start + HEADER_SIZE] !== ERR) return WRONG
    this.#answer.begin(0, bytes[start + 3]!)
    const verdict = this.#answer.packet(bytes, start, message)
    if (verdict !== IS_WHOLE) return verdict === MORE ? MORE : WRONG
    message.kind = 'response'
    return HEADER_SIZE + size
  }

  /** Reads as many packets of an answer as there are. */
  #packets(bytes: Uint8Array, start: number, message: Message): number {
    const verdict = this.#answer.packets(bytes, start, message)
    const at = this.#answer.end
    if (verdict === HOLE && (at > start || this.#isAnswering)) {
      message.truncated = true
      this.#isLoose = true
      this.#tell(true, message)
      return bytes.length - start
    }
    if (at === start) return verdict === MORE || verdict === GOES_ON ? MORE : WRONG
    this.#isFile = this.#answer.wantsFile
    this.#answer.wantsFile = false
    this.#tell(verdict === IS_WHOLE, message)
    return at - start
  }

  /** Tells the first and the last part of an answer, and what says something in between. */
  #tell(isWhole: boolean, message: Message): void {
    if (!this.#isBegun || isWhole || message.rows !== NO_COUNT) {
      message.kind = 'response'
      message.last = isWhole
    }
    this.#isBegun = true
    this.#isAnswering = !isWhole
    if (isWhole) this.#answeredWhole(message)
  }

  #answeredWhole(message: Message): void {
    this.#waiting = Math.max(this.#waiting - 1, 0)
    if (this.#waiting === 0) this.#deflated = 0
    if (this.#answered === CONNECT)
      this.#isCompressed = this.#agreement.isCompressed && message.error.end === 0
    if (this.#answered !== STMT_PREPARE) return
    if (this.#answer.statement < 0) {
      this.#statements.refused()
      return
    }
    message.requestId = this.#answer.statement
    this.#statements.prepared(message.requestId, this.#answer.parameters)
  }

  #clientFrame(bytes: Uint8Array, start: number, message: Message): number {
    if (bytes.length - start < FRAME_HEADER_SIZE) return MORE
    const size = u24(bytes, start)
    const end = FRAME_HEADER_SIZE + size
    this.#number = bytes[start + 3]!
    if (this.#number !== 0) return end
    if (u24(bytes, start + 4) > 0) {
      message.truncated = true
      this.#statements.doubt()
      this.#ask(COMPRESSED, 0, message)
      this.#deflated++
      return end
    }
    const at = start + FRAME_HEADER_SIZE + this.#inner
    this.#end = Math.min(this.#end, start + end)
    if (at + HEADER_SIZE >= bytes.length) return MORE
    const inner = u24(bytes, at)
    const told = bytes[at + 3] === 0 ? this.#command(bytes, at + HEADER_SIZE, inner, message) : 1
    if (told <= 0) return told
    this.#inner += HEADER_SIZE + inner
    if (this.#inner + HEADER_SIZE < size) return AGAIN
    this.#inner = 0
    return end
  }

  /** An answer's first frame tells it, if it is whole there; the others go by. */
  #serverFrame(bytes: Uint8Array, start: number, message: Message): number {
    if (bytes.length - start < FRAME_HEADER_SIZE) return MORE
    const size = FRAME_HEADER_SIZE + u24(bytes, start)
    if (this.#waiting === 0 || bytes[start + 3] !== ((this.#number + 1) & 0xff)) return size
    // It may answer a later one: long data is not answered, and may be deflated.
    if (this.#deflated > 0 && this.#waiting > 1) return WRONG
    const asked = this.#link.pending(NO_ID)
    this.#answered = asked === NO_TAG ? this.#asked : asked
    this.#answer.begin(this.#answered, bytes[start + FRAME_HEADER_SIZE + 3] ?? 0)
    if (u24(bytes, start + 4) === 0) {
      const end = start + Math.min(size, FRAME_BYTES_MAX)
      const seen = end < bytes.length ? bytes.subarray(0, end) : bytes
      const verdict = this.#answer.packets(seen, start + FRAME_HEADER_SIZE, message)
      if ((verdict === MORE || verdict === GOES_ON) && end > bytes.length) return MORE
      message.truncated = verdict !== IS_WHOLE
    } else message.truncated = true
    if (message.truncated) {
      message.status = STATUS.unknown
      message.rows = NO_COUNT
    }
    this.#isBegun = true
    this.#tell(true, message)
    return size
  }
}
