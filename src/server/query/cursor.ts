import type { MetaflowError } from '../../lib/errors.ts'
import type { Query } from './ast.ts'
import { refused, type Token, tokensOf } from './lexer.ts'

/** How deep a statement may nest, and how long a chain of operators may be. */
const DEPTH_MAX = 100
const CHAIN_MAX = 500

/** Words that begin what follows an expression, so they are no alias without AS. */
const RESERVED = new Set(
  (
    'FROM WHERE PREWHERE GROUP HAVING QUALIFY WINDOW ORDER LIMIT OFFSET UNION INTERSECT EXCEPT ' +
    'SETTINGS FORMAT INTO ON USING AS AND OR XOR NOT IN LIKE ILIKE BETWEEN IS THEN ELSE END WHEN ' +
    'ASC ASCENDING DESC DESCENDING NULLS COLLATE WITH FILL STEP TO INTERPOLATE JOIN INNER LEFT ' +
    'RIGHT FULL CROSS ANY ALL ASOF SEMI ANTI GLOBAL ARRAY PASTE SAMPLE FINAL FETCH DIV MOD ' +
    'REGEXP FILTER OVER IGNORE RESPECT APPLY REPLACE STALENESS'
  ).split(' '),
)

/** A place in a statement's tokens, with what every part of the parser needs there. */
export class Cursor {
  readonly sql: string
  readonly #tokens: readonly Token[]
  /** Reads a query where an expression holds one; the statement's parser puts it in. */
  readonly readQuery: (cursor: Cursor) => Query
  #at = 0
  #depth = 0

  constructor(sql: string, readQuery: (cursor: Cursor) => Query) {
    this.sql = sql
    this.#tokens = tokensOf(sql)
    this.readQuery = readQuery
  }

  peek(ahead = 0): Token {
    return this.#tokens[Math.min(this.#at + ahead, this.#tokens.length - 1)]!
  }

  next(): Token {
    const token = this.peek()
    this.#at++
    return token
  }

  /** Whether these keywords stand here, from `ahead` tokens on. */
  atWords(words: string, ahead = 0): boolean {
    return words.split(' ').every((word, i) => this.peek(ahead + i).upper === word)
  }

  /** Steps over these keywords if they stand here. */
  takeWords(words: string): boolean {
    if (!this.atWords(words)) return false
    this.#at += words.split(' ').length
    return true
  }

  /** The first of `choices` that stands here, stepped over. */
  takeOneOf<T extends string>(choices: readonly T[]): T | undefined {
    return choices.find((words) => this.takeWords(words))
  }

  needWords(words: string): void {
    if (!this.takeWords(words)) throw this.expected(words)
  }

  atSymbol(symbol: string, ahead = 0): boolean {
    const { kind, text } = this.peek(ahead)
    return kind === 'symbol' && text === symbol
  }

  takeSymbol(symbol: string): boolean {
    if (!this.atSymbol(symbol)) return false
    this.#at++
    return true
  }

  needSymbol(symbol: string): void {
    if (!this.takeSymbol(symbol)) throw this.expected(symbol)
  }

  /** A name: quoted, or a word. */
  needName(what: string): string {
    const { kind } = this.peek()
    if (kind !== 'word' && kind !== 'quoted') throw this.expected(what)
    return this.next().text
  }

  /** Names with dots between: a column, a table. */
  needNames(what: string): string[] {
    const names = [this.needName(what)]
    while (this.takeSymbol('.')) names.push(this.needName(what))
    return names
  }

  /** An alias, behind AS or (where `bare`) without; a string is one too behind AS. */
  takeAlias(bare: boolean): string | undefined {
    if (this.takeWords('AS')) {
      if (this.peek().kind === 'string') return this.next().text
      return this.needName('an alias')
    }
    const { kind, upper, at } = this.peek()
    const glued = this.#at > 0 && this.#tokens[this.#at - 1]!.end === at
    if (!bare || glued || (kind !== 'quoted' && (kind !== 'word' || RESERVED.has(upper))))
      return undefined
    return this.next().text
  }

  /** Items that `read` reads, with commas between. */
  list<T>(read: (cursor: Cursor) => T): T[] {
    const items = [read(this)]
    while (this.takeSymbol(',')) items.push(read(this))
    return items
  }

  /** The same in parentheses (or brackets), none allowed too. */
  listIn<T>(open: string, close: string, read: (cursor: Cursor) => T): T[] {
    this.needSymbol(open)
    if (this.takeSymbol(close)) return []
    const items = this.list(read)
    this.needSymbol(close)
    return items
  }

  /** Reads what nests; refuses what nests too deep. */
  nested<T>(read: () => T): T {
    if (++this.#depth > DEPTH_MAX) throw this.fail(`it nests deeper than ${DEPTH_MAX}`)
    const result = read()
    this.#depth--
    return result
  }

  /** Refuses a chain of more than CHAIN_MAX operators. */
  chain(length: number): void {
    if (length > CHAIN_MAX)
      throw this.fail(`more than ${CHAIN_MAX} operators in a row; IN takes a list of any length`)
  }

  /** What was read since `start`, its white space folded. */
  textFrom(start: number): string {
    const end = this.#at > 0 ? this.#tokens[this.#at - 1]!.end : start
    return this.sql.slice(start, end).replace(/\s+/g, ' ')
  }

  expected(what: string): MetaflowError {
    const { kind, text } = this.peek()
    return this.fail(`${kind === 'end' ? text : JSON.stringify(text)} where ${what} should be`)
  }

  fail(state: string, at: number = this.peek().at): MetaflowError {
    return refused(this.sql, at, state)
  }
}
