import { MetaflowError } from '../../lib/errors.ts'

export type TokenKind = 'word' | 'quoted' | 'string' | 'number' | 'symbol' | 'end'
export type Token = {
  readonly kind: TokenKind
  /** What it says: escapes of strings and quoted names undone. */
  readonly text: string
  /** `text` in capitals for words, else empty: keywords are compared with it. */
  readonly upper: string
  readonly at: number
  readonly end: number
}

/** Bounds of a statement; beyond them it is refused before anything is built. */
export const STATEMENT_CHARACTERS_MAX = 65_536
export const TOKENS_MAX = 20_000

const SYMBOLS = ['<=>', '->', '::', '||', '<=', '>=', '<>', '!=', '==']
const SINGLE = '()[]{},.;:?=<>+-*/%|@'
const WORD = /[A-Za-z_][A-Za-z0-9_$]*/y
const NUMBER = /0[xX][0-9A-Fa-f]+|0[bB][01]+|(?:\d[\d_]*)?(?:\.\d+|\d\.?)(?:[eE][+-]?\d+)?/y
/** Digits only: behind a dot they are a tuple's element or a part of a table's name. */
const DIGITS = /\d+/y
const SPACE = /(?:\s|--[^\n]*|#(?: |!)[^\n]*|\/\*[\s\S]*?\*\/)+/y
const ESCAPES: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  b: '\b',
  f: '\f',
  v: '\v',
  a: '\x07',
  e: '\x1b',
  '0': '\0',
}

/** The tokens of `sql`, the last of them `end`. Throws where a character begins none. */
export function tokensOf(sql: string): Token[] {
  if (sql.length > STATEMENT_CHARACTERS_MAX)
    throw new MetaflowError(
      'tooLarge',
      `Cannot read the statement: it has ${sql.length} characters, ` +
        `at most ${STATEMENT_CHARACTERS_MAX} are read`,
    )
  const tokens: Token[] = []
  let at = skipSpace(sql, 0)
  while (at < sql.length) {
    const token = tokenAt(sql, at, tokens.at(-1))
    tokens.push(token)
    if (tokens.length > TOKENS_MAX) throw refused(sql, at, `more than ${TOKENS_MAX} words`)
    at = skipSpace(sql, token.end)
  }
  tokens.push({ kind: 'end', text: 'its end', upper: '', at: sql.length, end: sql.length })
  return tokens
}

/** The error of a statement that cannot be read at `at`. */
export function refused(sql: string, at: number, state: string): MetaflowError {
  const before = sql.slice(0, at)
  const line = before.split('\n').length
  const column = at - before.lastIndexOf('\n')
  return new MetaflowError(
    'refused',
    `Cannot read the statement at line ${line}, column ${column}: ${state}`,
  )
}

function skipSpace(sql: string, at: number): number {
  SPACE.lastIndex = at
  const end = SPACE.test(sql) ? SPACE.lastIndex : at
  if (sql.startsWith('/*', end)) throw refused(sql, end, 'a comment is not closed')
  return end
}

function tokenAt(sql: string, at: number, previous: Token | undefined): Token {
  const first = sql[at]!
  const word = match(WORD, sql, at)
  if (word) return token('word', word, at, at + word.length)
  if (first === "'") return quoted(sql, at, 'string')
  if (first === '"' || first === '`') return quoted(sql, at, 'quoted')
  const afterName = first === '.' && previous?.end === at && endsValue(previous)
  const afterDot = previous?.end === at && previous.text === '.' && previous.kind === 'symbol'
  const number = afterName ? '' : match(afterDot ? DIGITS : NUMBER, sql, at)
  if (number) return token('number', number, at, at + number.length)
  const symbol = SYMBOLS.find((s) => sql.startsWith(s, at)) ?? (SINGLE.includes(first) ? first : '')
  if (!symbol) throw refused(sql, at, `${JSON.stringify(first)} begins nothing known`)
  return token('symbol', symbol, at, at + symbol.length)
}

/** Behind a value a dot names a part of it, else it begins a number. */
function endsValue({ kind, text }: Token): boolean {
  return kind !== 'symbol' || text === ')' || text === ']'
}

function token(kind: TokenKind, text: string, at: number, end: number): Token {
  return { kind, text, upper: kind === 'word' ? text.toUpperCase() : '', at, end }
}

function match(pattern: RegExp, sql: string, at: number): string {
  pattern.lastIndex = at
  return pattern.exec(sql)?.[0] ?? ''
}

/** A string or quoted name: backslash escapes, or its quote doubled, as ClickHouse reads both. */
function quoted(sql: string, at: number, kind: 'string' | 'quoted'): Token {
  const quote = sql[at]!
  let text = ''
  let i = at + 1
  for (; i < sql.length; i++) {
    const c = sql[i]!
    if (c === '\\') {
      const escaped = escapeAt(sql, i)
      text += escaped.text
      i += escaped.size - 1
    } else if (c !== quote) text += c
    else if (sql[i + 1] === quote) text += sql[i++]
    else break
  }
  if (i >= sql.length) throw refused(sql, at, `${quote} is not closed`)
  if (kind === 'quoted' && !text) throw refused(sql, at, 'a quoted name is empty')
  return token(kind, text, at, i + 1)
}

function escapeAt(sql: string, at: number): { text: string; size: number } {
  const c = sql[at + 1] ?? ''
  if (c === 'x') {
    const digits = /^[0-9A-Fa-f]{2}/.exec(sql.slice(at + 2, at + 4))?.[0]
    if (!digits || digits > '7f') throw refused(sql, at, '\\x is followed by two digits up to 7f')
    return { text: String.fromCharCode(Number.parseInt(digits, 16)), size: 4 }
  }
  if (c === 'N') return { text: '', size: 2 }
  if (ESCAPES[c] !== undefined) return { text: ESCAPES[c], size: 2 }
  // ClickHouse keeps the backslash of what is no escape, so that LIKE '\_' reads as written.
  return { text: '\\\'"`/='.includes(c) ? c : `\\${c}`, size: 2 }
}
