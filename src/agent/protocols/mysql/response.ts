import { type Message, NO_COUNT, STATUS } from '../../../model/message.ts'
import { MORE, WRONG } from '../protocol.ts'
import {
  BINLOG_DUMP,
  BINLOG_DUMP_GTID,
  CHANGE_USER,
  CONNECT,
  FIELD_LIST,
  PROCESS_INFO,
  QUERY,
  STATISTICS,
  STMT_BULK_EXECUTE,
  STMT_EXECUTE,
  STMT_FETCH,
  STMT_PREPARE,
} from './commands.ts'
import type { Agreement } from './login.ts'
import {
  CURSOR_EXISTS,
  EOF,
  ERR,
  HEADER_SIZE,
  INFILE,
  lenenc,
  lenencSize,
  MORE_RESULTS,
  OK,
  SIZE_MAX,
  u16,
  u24,
  u32,
} from './packet.ts'

/*
 *   answer     = OK / ERR / set / prepared                  by what was asked
 *   set        = count of columns, definition{count}, [EOF], row*, EOF / ERR
 *   prepared   = OK statement u32 columns u16 parameters u16 …,
 *                [definition{parameters} [EOF]], [definition{columns} [EOF]]
 *   OK         = 00, rows lenenc, id lenenc, status u16, warnings u16, …   7 bytes and more
 *   EOF        = fe, warnings u16, status u16                              5 bytes
 *   ERR        = ff, code u16, ["#" state 5], text                     no state before a login
 *
 * The EOFs in brackets are left out, and the last one is an OK that begins with fe, where both ends
 * agreed on CLIENT_DEPRECATE_EOF. Nobody needs to know: an EOF is 5 bytes, an OK 7 and more, and
 * packets are numbered through. A status with MORE_RESULTS is followed by another answer.
 * https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_query_response.html
 */

/** Answers of `packet` besides MORE and WRONG: more packets follow, the answer is whole, a hole. */
export const GOES_ON = 1
export const IS_WHOLE = 2
export const HOLE = -2000

/** Where in an answer its next packet is. */
const FIRST = 0
const DEFINITIONS = 1
const AFTER_DEFINITIONS = 2
const ROWS = 3
const AUTHENTICATION = 4
const STREAM = 5

const UNKNOWN = 0
const YES = 1
const NO = 2

const EOF_SIZE = 5
const OK_SIZE_MIN = 5
/** As much of an OK or a count is looked at, and of an error's text. */
const HEAD_BYTES_MAX = 32
const ERROR_BYTES_MAX = 1024
const ZEROS_SEEN = 16
const COLUMNS_MAX = 65_535
const PROGRESS = 0xffff

/** The answer to one command as its packets go by. */
export class Answer {
  /** Told by the packets: the server wants a file; a statement was prepared under an id. */
  wantsFile = false
  statement = -1
  /** How many values that statement takes. */
  parameters = 0
  /** Where the packets end that were read last. */
  end = 0
  #hasOptionalMetadata = false
  /** Whether an EOF follows definitions: agreed on, or learnt from the first result. */
  #eofs = UNKNOWN
  #command = 0
  #phase = FIRST
  /** The number of the next packet. */
  #number = 1
  /** Definitions to come, of these and of the group after them. */
  #definitions = 0
  #columns = 0
  /** The packet before goes on in the next one. */
  #isSplit = false

  agree({ hasOptionalMetadata, hasEofs }: Agreement): void {
    this.#hasOptionalMetadata = hasOptionalMetadata
    this.#eofs = hasEofs ? YES : NO
  }

  /** Begins the answer to `command`, whose last packet had the number before `number`. */
  begin(command: number, number: number): void {
    this.#command = command
    this.#number = number
    this.#isSplit = false
    this.#definitions = 0
    this.#columns = 0
    this.statement = -1
    this.wantsFile = false
    this.#phase = FIRST
    if (command === STMT_FETCH || command === FIELD_LIST) this.#phase = ROWS
    if (command === CONNECT || command === CHANGE_USER) this.#phase = AUTHENTICATION
    if (command === BINLOG_DUMP || command === BINLOG_DUMP_GTID) this.#phase = STREAM
  }

  /** A client sent packets in between (a file, a secret): numbers go on from theirs. */
  goesOnFrom(number: number): void {
    this.#number = (number + 1) & 0xff
  }

  /** Whether the EOF of `size` bytes at `at` belongs to an answer that seemed whole. */
  isLeftOver(bytes: Uint8Array, at: number, size: number): boolean {
    const isEof = size === EOF_SIZE && bytes[at + HEADER_SIZE] === EOF
    return isEof && this.#command === STMT_PREPARE && bytes[at + 3] === this.#number
  }

  /** Reads as many packets from `start` on as there are; `end` says where they end. */
  packets(bytes: Uint8Array, start: number, message: Message): number {
    let at = start
    let verdict = GOES_ON
    while (verdict === GOES_ON && at + HEADER_SIZE <= bytes.length && !this.wantsFile) {
      verdict = this.packet(bytes, at, message)
      if (verdict > 0) at += HEADER_SIZE + u24(bytes, at)
    }
    this.end = at
    return verdict
  }

  /** Reads the packet at `at`, whose header is there. */
  packet(bytes: Uint8Array, at: number, message: Message): number {
    const size = u24(bytes, at)
    const number = bytes[at + 3]!
    if (size === 0 && number === 0 && !this.#isSplit) return HOLE
    const first = bytes[at + HEADER_SIZE]
    if (number !== this.#number && !(number === 0 && first === ERR))
      return isHole(bytes, at + 3) ? HOLE : WRONG
    const isRest = this.#isSplit
    if (!isRest && (size === 0 || first === undefined)) return size === 0 ? WRONG : MORE
    const verdict = isRest ? GOES_ON : this.#payload(bytes, at + HEADER_SIZE, size, message)
    if (verdict < GOES_ON) return verdict
    this.#number = (number + 1) & 0xff
    this.#isSplit = size === SIZE_MAX
    return verdict
  }

  #payload(bytes: Uint8Array, at: number, size: number, message: Message): number {
    const first = bytes[at]!
    // Events begin with 00. An EOF ends the events of who does not wait for more.
    if (this.#phase === STREAM && first !== ERR && first !== EOF) return GOES_ON
    const isRow = this.#phase === ROWS && first !== ERR && (first !== EOF || size === SIZE_MAX)
    if (isRow) return GOES_ON
    if (at + Math.min(size, first === ERR ? ERROR_BYTES_MAX : HEAD_BYTES_MAX) > bytes.length)
      return MORE
    if (first === ERR) return readError(bytes, at, size, message)
    switch (this.#phase) {
      case FIRST:
        return this.#first(bytes, at, size, message)
      case DEFINITIONS:
        return this.#definition(bytes, at, size)
      case AFTER_DEFINITIONS:
        return this.#afterDefinitions(bytes, at, size)
      case ROWS:
        return this.#lastOfRows(bytes, at, size)
      case STREAM:
        return IS_WHOLE
      default:
        // Anything else than an OK or an error is a plugin's own: its data need not begin with 01.
        return first === OK ? IS_WHOLE : GOES_ON
    }
  }

  #first(bytes: Uint8Array, at: number, size: number, message: Message): number {
    const first = bytes[at]!
    const command = this.#command
    if (command === STATISTICS) return IS_WHOLE
    if (command === STMT_PREPARE) return first === OK ? this.#prepared(bytes, at, size) : WRONG
    if (this.#hasOptionalMetadata && isQuery(command) && size > 1 && size < OK_SIZE_MIN)
      return this.#count(bytes, at + 1, first === 1)
    if (first === OK) return this.#ok(bytes, at, size, message)
    if (first === EOF) return size === EOF_SIZE || size >= 7 ? IS_WHOLE : WRONG
    if (!isQuery(command)) return WRONG
    if (first !== INFILE) return this.#countOfSize(bytes, at, size)
    this.wantsFile = true
    return GOES_ON
  }

  #ok(bytes: Uint8Array, at: number, size: number, message: Message): number {
    if (size < OK_SIZE_MIN) return WRONG
    const rowsSize = lenencSize(bytes, at + 1)
    const id = at + 1 + rowsSize
    const status = id + lenencSize(bytes, id)
    if (rowsSize === 0 || status === id) return WRONG
    message.rows = Math.max(message.rows, 0) + lenenc(bytes, at + 1, rowsSize)
    if (!isQuery(this.#command) || status + 2 > at + size) return IS_WHOLE
    return this.#next(u16(bytes, status))
  }

  /** Another answer follows where the status says so. */
  #next(status: number): number {
    if ((status & MORE_RESULTS) === 0) return IS_WHOLE
    this.#phase = FIRST
    return GOES_ON
  }

  #prepared(bytes: Uint8Array, at: number, size: number): number {
    if (size < 10) return WRONG
    this.statement = u32(bytes, at + 1)
    const columns = u16(bytes, at + 5)
    const parameters = u16(bytes, at + 7)
    this.parameters = parameters
    if (size > 12 && this.#hasOptionalMetadata && bytes[at + 12] === 0) return IS_WHOLE
    this.#columns = parameters > 0 ? columns : 0
    this.#definitions = parameters > 0 ? parameters : columns
    if (this.#definitions === 0) return IS_WHOLE
    this.#phase = DEFINITIONS
    return GOES_ON
  }

  /** The count alone; MariaDB may say behind it, MySQL before it, whether definitions follow. */
  #countOfSize(bytes: Uint8Array, at: number, size: number): number {
    const countSize = lenencSize(bytes, at)
    if (size === countSize) return this.#count(bytes, at, true)
    if (size !== countSize + 1) return WRONG
    const after = bytes[at + countSize]!
    if (after <= 1) return this.#count(bytes, at, after === 1)
    return bytes[at]! === 1 && size === 2 ? this.#count(bytes, at + 1, true) : WRONG
  }

  #count(bytes: Uint8Array, at: number, isDefined: boolean): number {
    const size = lenencSize(bytes, at)
    const count = size === 0 ? 0 : lenenc(bytes, at, size)
    if (count === 0 || count > COLUMNS_MAX) return WRONG
    this.#definitions = isDefined ? count : 0
    this.#phase = isDefined ? DEFINITIONS : AFTER_DEFINITIONS
    return GOES_ON
  }

  /** A definition begins with its catalogue, which is always "def". */
  #definition(bytes: Uint8Array, at: number, size: number): number {
    if (this.#command === STMT_PREPARE && bytes[at] === EOF && size === EOF_SIZE) {
      this.#eofs = YES
      return this.#definitions > 0 ? GOES_ON : IS_WHOLE
    }
    if (this.#definitions === 0 || size < 12 || u32(bytes, at) !== DEF) return WRONG
    this.#definitions--
    if (this.#definitions > 0) return GOES_ON
    if (this.#command !== STMT_PREPARE) this.#phase = AFTER_DEFINITIONS
    else if (this.#columns > 0) {
      this.#definitions = this.#columns
      this.#columns = 0
    } else if (this.#eofs !== YES) return IS_WHOLE
    return GOES_ON
  }

  /** An EOF between definitions and rows, or the first row, or the end of none. */
  #afterDefinitions(bytes: Uint8Array, at: number, size: number): number {
    this.#phase = ROWS
    const isEof = bytes[at] === EOF && size === EOF_SIZE
    this.#eofs = isEof ? YES : NO
    if (bytes[at] !== EOF || size === SIZE_MAX) return GOES_ON
    if (!isEof) return this.#lastOfRows(bytes, at, size)
    // Rows of a cursor are fetched by a command of their own.
    return (u16(bytes, at + 3) & CURSOR_EXISTS) === 0 ? GOES_ON : IS_WHOLE
  }

  #lastOfRows(bytes: Uint8Array, at: number, size: number): number {
    if (size === EOF_SIZE) return this.#next(u16(bytes, at + 3))
    const id = at + 1 + lenencSize(bytes, at + 1)
    const status = id + lenencSize(bytes, id)
    return size < 7 ? WRONG : this.#next(u16(bytes, status))
  }
}

/** Whether zeros stand where the rest of a header and a payload would be: all, or a good many. */
function isHole(bytes: Uint8Array, at: number): boolean {
  const stop = Math.min(at + ZEROS_SEEN, bytes.length)
  for (let i = at; i < stop; i++) if (bytes[i] !== 0) return false
  return true
}

function isQuery(command: number): boolean {
  return (
    command === QUERY ||
    command === STMT_EXECUTE ||
    command === PROCESS_INFO ||
    command === STMT_BULK_EXECUTE
  )
}

/** Codes 2000 to 2999 are a client's own, all others a server's. Progress is no error. */
function readError(bytes: Uint8Array, at: number, size: number, message: Message): number {
  if (size < 3) return WRONG
  const code = u16(bytes, at + 1)
  if (code === PROGRESS) return GOES_ON
  const hasState = bytes[at + 3] === HASH && size >= 9
  const from = at + (hasState ? 9 : 3)
  const end = at + Math.min(size, ERROR_BYTES_MAX)
  message.code = code
  message.status = code >= 2000 && code < 3000 ? STATUS.clientError : STATUS.serverError
  message.error.set(bytes, from, Math.max(end - from, 0))
  if (hasState) message.result.set(bytes, at + 4, 5)
  message.rows = NO_COUNT
  return IS_WHOLE
}

const HASH = 0x23
/** 3, "def", as a u32. */
const DEF = 0x66_65_64_03
