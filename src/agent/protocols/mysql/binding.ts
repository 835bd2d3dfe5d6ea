import type { Message } from '../../../model/message.ts'
import { isTraceparent, readTrace } from './attributes.ts'
import {
  STMT_BULK_EXECUTE,
  STMT_CLOSE,
  STMT_EXECUTE,
  STMT_RESET,
  STMT_SEND_LONG_DATA,
} from './commands.ts'
import type { Agreement } from './login.ts'
import { HEADER_SIZE, lenenc, lenencSize, u16, u24, u32 } from './packet.ts'
import { NOT_PREPARED, type Statement, type Statements } from './statements.ts'
import {
  isBoundType,
  isSizeSeen,
  NULL,
  SENT_BEFORE,
  stringEnd,
  valueEnd,
  values,
  writeBeginning,
  writeValue,
} from './values.ts'

/*
 *   execute  = 17, statement u32, flags u8, iterations u32, [count lenenc], [bound]
 *   bound    = nulls{(count + 7) / 8}, typed u8, [( type u16, [name] ){count}], value*
 *   name     = size lenenc, bytes
 *
 * Count and names are there where both ends agreed on CLIENT_QUERY_ATTRIBUTES: the statement's own
 * values come first, what is beyond them are attributes. Else the count is what PREPARE was
 * answered. `typed` is 1 where types follow; where it is 0 they are those of the EXECUTE before.
 * No value is there of a null, nor of what COM_STMT_SEND_LONG_DATA brought before.
 * https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_stmt_execute.html
 * https://mariadb.com/kb/en/com_stmt_execute/
 */

const HEAD_SIZE = 10
const FLAGS = 5
/** The flag of a client that says how many values it sends. */
const COUNT_AVAILABLE = 8
/** More values are not read. */
const COUNT_MAX = 4096

const SEPARATOR = new TextEncoder().encode(' , ')

/** Whether values may be bound by the EXECUTE at `at`: else nothing but its head is of interest. */
export function mayBind(bytes: Uint8Array, at: number, statement: Statement | undefined): boolean {
  return isCounted(bytes, at) || (statement !== undefined && statement.parameters > 0)
}

function isCounted(bytes: Uint8Array, at: number): boolean {
  return (bytes[at + FLAGS]! & COUNT_AVAILABLE) !== 0
}

/** Follows what clients bind to statements, one command after another. */
export class Binding {
  /** The types of the values that were read last, two bytes each. */
  readonly #types = new Uint8Array(2 * COUNT_MAX)
  #bytes: Uint8Array = this.#types
  #at = 0
  /** Where what was captured ends, and where the packet ends. */
  #end = 0
  #packetEnd = 0
  #count = 0
  #hasNames = false
  #nulls = 0
  /** Which value is the attribute that names a trace, or -1. */
  #traceparent = -1

  /** Sets what is followed: a packet's payload, of which `bytes[start, end)` was captured. */
  set(bytes: Uint8Array, start: number, end: number): void {
    this.#bytes = bytes
    this.#at = start
    this.#end = end
    this.#packetEnd = start + u24(bytes, start - HEADER_SIZE)
    this.#traceparent = -1
  }

  /** Keeps what its client need not say again, and tells what an EXECUTE binds. */
  follow(statements: Statements, agreement: Agreement, message: Message): void {
    const bytes = this.#bytes
    const at = this.#at
    const id = u32(bytes, at + 1)
    const statement = statements.get(id)
    switch (bytes[at]) {
      case STMT_EXECUTE: {
        const size = this.#read(statement, agreement, message)
        if (statement !== undefined) statements.executed(statement, this.#types, size)
        break
      }
      case STMT_BULK_EXECUTE:
        if (statement !== undefined) statements.executed(statement, this.#types, 0)
        break
      case STMT_SEND_LONG_DATA:
        statements.addPart(id, at + 7 > this.#end ? -1 : u16(bytes, at + 5))
        break
      case STMT_RESET:
        if (statement !== undefined) statements.dropParts(statement)
        break
      case STMT_CLOSE:
        statements.close(id)
    }
  }

  /** Tells what is bound; answers how many bytes of types are known of it. */
  #read(statement: Statement = NOT_PREPARED, agreement: Agreement, message: Message): number {
    this.#readCount(statement, agreement)
    if (!this.#readTypes(statement)) return 0
    const isRight = statement.isDoubtful || this.#readValues(statement, message)
    return isRight ? 2 * this.#count : 0
  }

  /** How many values are bound, the statement's own among them; 0 where that is not clear. */
  #readCount({ parameters }: Statement, { isKnown, hasAttributes }: Agreement): void {
    const bytes = this.#bytes
    const isSaid = isCounted(bytes, this.#at)
    this.#hasNames = isKnown ? hasAttributes && (isSaid || parameters > 0) : isSaid
    this.#count = parameters
    this.#at += HEAD_SIZE
    if (!this.#hasNames) return
    const size = lenencSize(bytes, this.#at)
    const count = lenenc(bytes, this.#at, size)
    this.#at += size
    const isClear = size > 0 && this.#at <= this.#end && count >= parameters
    this.#count = isClear && count <= COUNT_MAX ? count : 0
  }

  /** Reads the types, or takes those that were sent before; false where they are not known. */
  #readTypes({ types: before }: Statement): boolean {
    const types = this.#types
    const count = this.#count
    this.#nulls = this.#at
    this.#at += (count + 7) >> 3
    const typed = this.#bytes[this.#at++]
    if (count === 0 || count > COUNT_MAX || this.#at > this.#end) return false
    if (typed === 1) return this.#readNewTypes()
    if (typed !== 0 || before.length !== 2 * count) return false
    for (let i = 0; i < before.length; i++) types[i] = before[i]!
    return true
  }

  #readNewTypes(): boolean {
    const bytes = this.#bytes
    let at = this.#at
    for (let i = 0; i < this.#count; i++) {
      if (at + 2 > this.#end || !isBoundType(u16(bytes, at))) return false
      this.#types[2 * i] = bytes[at]!
      this.#types[2 * i + 1] = bytes[at + 1]!
      at += 2
      if (!this.#hasNames) continue
      const next = stringEnd(bytes, at)
      if (next > this.#end) return false
      if (isTraceparent(bytes, at)) this.#traceparent = i
      at = next
    }
    this.#at = at
    return true
  }

  /** Reads value after value; false where they are not what their types say. */
  #readValues({ parameters, parts }: Statement, message: Message): boolean {
    const bytes = this.#bytes
    let at = this.#at
    let trace = 0
    let traceEnd = 0
    values.clear()
    for (let i = 0; i < this.#count; i++) {
      const type = this.#typeOf(i, parts)
      const next = valueEnd(bytes, at, type)
      if (i < parameters) this.#write(i, at, next, type)
      if (next > this.#end)
        return this.#isCut(at, next, type) && tell(message, i < parameters || parts.length > 0)
      if (i === this.#traceparent) {
        trace = at
        traceEnd = next
      }
      at = next
    }
    if (at !== this.#packetEnd) return false
    if (trace > 0) readTrace(bytes, trace, traceEnd, message)
    return tell(message, parts.length > 0)
  }

  #typeOf(parameter: number, parts: Uint8Array): number {
    if (hasBit(parts, 0, parameter)) return SENT_BEFORE
    return hasBit(this.#bytes, this.#nulls, parameter) ? NULL : u16(this.#types, 2 * parameter)
  }

  #write(parameter: number, at: number, next: number, type: number): void {
    const { end } = values
    if (parameter > 0) values.text(SEPARATOR)
    if (next <= this.#end) writeValue(this.#bytes, at, next, type)
    else if (!writeBeginning(this.#bytes, at, this.#end, type)) values.end = end
  }

  /** Whether a value that does not end in what was captured may end in the packet. */
  #isCut(at: number, next: number, type: number): boolean {
    if (this.#end === this.#packetEnd) return false
    return next <= this.#packetEnd || !isSizeSeen(this.#bytes, at, this.#end, type)
  }
}

function hasBit(bytes: Uint8Array, start: number, bit: number): boolean {
  return ((bytes[start + (bit >> 3)]! >> (bit & 7)) & 1) === 1
}

function tell(message: Message, isCut: boolean): true {
  message.values.set(values.bytes, 0, values.end)
  message.valuesTruncated = isCut || values.isFull
  return true
}
