/** Statements that a connection remembers; programs that prepare more forget to close them. */
const STATEMENTS_MAX = 256
/** Bytes that a connection remembers in all: past them the oldest give way. */
const BYTES_MAX = 65_536
/** What a row shows of a statement: see TEXT_BYTES_MAX of calls. */
const TEXT_BYTES_MAX = 4096
/** Statements whose id has not come yet. */
const ASKED_MAX = 64

const NOTHING = new Uint8Array(0)

/** A prepared statement, and what its client need not say again. */
export type Statement = {
  readonly text: Uint8Array
  /** How many values it takes. */
  readonly parameters: number
  /** Two bytes for each value sent with it: its type and flags; empty where they are not known. */
  types: Uint8Array
  /** A bit for each parameter whose value went by in parts of its own; empty where none did. */
  parts: Uint8Array
  /** What went by unseen may have been such a part. */
  isDoubtful: boolean
}

/** What is known of a statement that was prepared unseen. */
export const NOT_PREPARED: Statement = {
  text: NOTHING,
  parameters: 0,
  types: NOTHING,
  parts: NOTHING,
  isDoubtful: false,
}

/** Prepared statements by their id, so that a row of EXECUTE says what it executes. */
export class Statements {
  readonly #statements = new Map<number, Statement>()
  readonly #asked: Uint8Array[] = []
  /** How many were asked for after those, without room to remember them. */
  #forgotten = 0
  #bytes = 0
  #lastText: Uint8Array = NOTHING
  /** The statement of the last text; undefined until its id comes. */
  #last: Statement | undefined
  /** Parts of its values went by before its id came. */
  #isLastDoubtful = false

  /** A text that is to be prepared: the next prepared id is its own. */
  ask(bytes: Uint8Array, start: number, end: number): void {
    const size = Math.min(end - start, TEXT_BYTES_MAX)
    this.#lastText = bytes.slice(start, start + size)
    this.#last = undefined
    this.#isLastDoubtful = false
    if (this.#forgotten > 0 || this.#asked.length === ASKED_MAX) this.#forgotten++
    else this.#asked.push(this.#lastText)
  }

  /** The server named the oldest text that was asked for, which takes `parameters` values. */
  prepared(id: number, parameters: number): void {
    const text = this.#oldest()
    if (text === undefined) return
    this.close(id)
    const isLast = text === this.#lastText
    const isDoubtful = isLast && this.#isLastDoubtful
    const statement = { text, parameters, types: NOTHING, parts: NOTHING, isDoubtful }
    if (isLast) this.#last = statement
    this.#statements.set(id, statement)
    this.#bytes += text.length
    for (const oldest of this.#statements.keys()) {
      if (this.#bytes <= BYTES_MAX && this.#statements.size <= STATEMENTS_MAX) break
      this.close(oldest)
    }
  }

  /** The server refused the oldest text that was asked for. */
  refused(): void {
    this.#oldest()
  }

  /** What is known of a statement; MariaDB's clients name the last one by no id of its own. */
  get(id: number): Statement | undefined {
    return id === LAST ? this.#last : this.#statements.get(id)
  }

  /** The text of a statement: that of the last one before its id is known. */
  text(id: number): Uint8Array {
    return id === LAST ? this.#lastText : (this.#statements.get(id)?.text ?? NOTHING)
  }

  /**
   * A statement was executed with values of `types[0, size)`, which its client need not send again.
   * Parts of values that went by before are used with it.
   */
  executed(statement: Statement, types: Uint8Array, size: number): void {
    this.dropParts(statement)
    if (statement.types.length !== size) {
      this.#bytes -= statement.types.length
      statement.types = this.#take(size)
    }
    for (let i = 0; i < statement.types.length; i++) statement.types[i] = types[i]!
  }

  /** A part of a value went by: EXECUTE does not repeat it. Negative: nobody saw of which value. */
  addPart(id: number, parameter: number): void {
    const statement = this.get(id)
    if (statement === undefined) {
      this.#isLastDoubtful ||= id === LAST
      return
    }
    if (parameter >= statement.parameters) return
    if (statement.parts.length === 0) statement.parts = this.#take((statement.parameters + 7) >> 3)
    if (parameter < 0 || statement.parts.length === 0) statement.isDoubtful = true
    else statement.parts[parameter >> 3]! |= 1 << (parameter & 7)
  }

  /** Parts of values that went by are thrown away. */
  dropParts(statement: Statement): void {
    this.#bytes -= statement.parts.length
    statement.parts = NOTHING
    statement.isDoubtful = false
  }

  close(id: number): void {
    const statement = this.#statements.get(id)
    if (statement === undefined) return
    this.#bytes -= statement.text.length + statement.types.length + statement.parts.length
    this.#statements.delete(id)
    if (statement === this.#last) this.#last = undefined
  }

  /** Commands went by unread: any may have been about any statement, or have prepared one. */
  doubt(): void {
    this.#lastText = NOTHING
    this.#last = undefined
    for (const statement of this.#statements.values()) {
      this.executed(statement, NOTHING, 0)
      statement.isDoubtful = true
    }
  }

  /** Bytes were lost: what was asked for may have been answered unseen. */
  lost(): void {
    this.#asked.length = 0
    this.#forgotten = 0
    this.doubt()
  }

  /** The oldest text that has no answer yet, if it is remembered. */
  #oldest(): Uint8Array | undefined {
    const text = this.#asked.shift()
    if (text === undefined && this.#forgotten > 0) this.#forgotten--
    return text
  }

  /** Room of `size` bytes, or none where the connection remembers enough. */
  #take(size: number): Uint8Array {
    if (size === 0 || this.#bytes + size > BYTES_MAX) return NOTHING
    this.#bytes += size
    return new Uint8Array(size)
  }
}

const LAST = 0xffff_ffff
