import { find } from '../../lib/words.ts'
import { TEXT_BYTES_MAX } from '../../model/call.ts'
import type { Text } from '../../model/message.ts'
import { Text as Range } from '../../model/message.ts'

/** A text is rewritten until it is too long to be kept: so it is known to have been cut. */
const SIZE_MAX = TEXT_BYTES_MAX + 2
/** So soon a URL's scheme has ended. */
const SCHEME_MAX = 8
const scratch = new Uint8Array(SIZE_MAX)
/** The rewritten text: valid until the next is rewritten. */
const written = new Range()

/**
 * `path;name=value?name=value&…` with every value as `?`; user names and passwords of a URL go too.
 * Parameters of segments (RFC 3986, 3.3) are redacted like those of the query.
 */
export function redactQuery(text: Text): Text {
  const { bytes, start, end } = text
  const query = parametersAt(bytes, start, end)
  const host = authority(bytes, start, end)
  const user = host < 0 ? -1 : userEnd(bytes, host, query)
  if (query === end && user < 0) return text
  let to = 0
  for (let at = start; at < query && to < SIZE_MAX; at++)
    if (at < host || at >= user) scratch[to++] = bytes[at]!
  written.set(scratch, 0, redactValues(bytes, query, end, to))
  return written
}

/**
 * Redacts the query of a path where it was copied to, `copy[at, …)`: values are seldom shorter than
 * the `?` that stands for them. Answers where it ends there, or -1 where `redactQuery` must.
 */
export function redactCopy({ bytes, start, end }: Text, copy: Uint8Array, at: number): number {
  if (authority(bytes, start, end) >= 0) return -1
  const query = parametersAt(bytes, start, end)
  const stop = at + end - start
  if (query === end) return stop
  let isValue = false
  let isPath = true
  let to = at + query - start
  for (let from = query; from < end; from++) {
    const byte = bytes[from]!
    if (endsValue(byte, isPath)) isValue = false
    if (byte === QUESTION) isPath = false
    if (isValue) continue
    if (to === stop || (byte === EQUALS && to + 1 === stop)) return -1
    copy[to++] = byte
    if (byte !== EQUALS) continue
    copy[to++] = QUESTION
    isValue = true
  }
  return to
}

/** Writes `[from, end)` behind `to` bytes of the scratch, without values; answers its new end. */
function redactValues(bytes: Uint8Array, from: number, end: number, to: number): number {
  let isValue = false
  let isPath = true
  let size = to
  for (let at = from; at < end && size < SIZE_MAX - 1; at++) {
    const byte = bytes[at]!
    if (endsValue(byte, isPath)) isValue = false
    if (byte === QUESTION) isPath = false
    if (isValue) continue
    scratch[size++] = byte
    if (byte !== EQUALS) continue
    scratch[size++] = QUESTION
    isValue = true
  }
  return size
}

/** Where a path's parameters or its query begin, or `end`. */
function parametersAt(bytes: Uint8Array, start: number, end: number): number {
  for (let at = start; at < end; at++)
    if (bytes[at] === QUESTION || bytes[at] === SEMICOLON) return at
  return end
}

function endsValue(byte: number, isPath: boolean): boolean {
  if (byte === AMPERSAND || byte === SEMICOLON) return true
  return isPath && (byte === QUESTION || byte === SLASH)
}

/** Past `user:password@` where it stands before the host at `host`, or -1. */
function userEnd(bytes: Uint8Array, host: number, end: number): number {
  for (let at = host; at < end && bytes[at] !== SLASH; at++) if (bytes[at] === AT) return at + 1
  return -1
}

/** Where the authority begins in `scheme://authority`, or -1. */
function authority(bytes: Uint8Array, start: number, end: number): number {
  const stop = Math.min(start + SCHEME_MAX, end - 2)
  for (let at = start; at < stop; at++)
    if (bytes[at] === COLON && bytes[at + 1] === SLASH && bytes[at + 2] === SLASH) return at + 3
  return -1
}

/**
 * An SQL text with every literal as `?`: strings in either quote, numbers, hexadecimal and bit
 * literals. Comments are left out: anything may stand in them. Identifiers stay, also in backticks.
 * https://dev.mysql.com/doc/refman/8.4/en/literals.html
 */
export function redactSql(text: Text): Text {
  const { bytes, start, end } = text
  let to = 0
  let at = start
  let before = SPACE
  while (at < end && to < SIZE_MAX - 1) {
    const byte = bytes[at]!
    const skipped = literalEnd(bytes, at, end, before)
    if (skipped > at) {
      // The prefix of x'…', b'…', n'…' and _charset'…' is part of the literal.
      scratch[to++] = QUESTION
      at = skipped
      before = QUESTION
      continue
    }
    const comment = commentEnd(bytes, at, end)
    if (comment > at) {
      at = comment
      if (to > 0 && scratch[to - 1] !== SPACE) scratch[to++] = SPACE
      before = SPACE
      continue
    }
    if (byte === BACKTICK) {
      const close = quoteEnd(bytes, at, end)
      while (at < close - 1 && to < SIZE_MAX - 1) scratch[to++] = bytes[at++]!
    }
    before = bytes[at]!
    scratch[to++] = before
    at++
  }
  written.set(scratch, 0, to)
  return written
}

/** Where the literal that begins at `at` ends, or -1 where none begins. */
function literalEnd(bytes: Uint8Array, at: number, end: number, before: number): number {
  const byte = bytes[at]!
  if (byte === QUOTE || byte === DOUBLE_QUOTE) return quoteEnd(bytes, at, end)
  if (isWord(before)) return -1
  const next = bytes[at + 1]
  if (next === QUOTE && PREFIXES.includes(byte | 0x20)) return quoteEnd(bytes, at + 1, end)
  const isNumber = isDigit(byte) || (byte === DOT && next !== undefined && isDigit(next))
  return isNumber ? numberEnd(bytes, at, end) : -1
}

/** Past the closing quote like that at `at`; one doubled, or after a backslash, closes nothing. */
function quoteEnd(bytes: Uint8Array, at: number, end: number): number {
  const quote = bytes[at]!
  let i = at + 1
  while (i < end) {
    const byte = bytes[i]!
    if (byte === BACKSLASH && quote !== BACKTICK) i += 2
    else if (byte !== quote) i++
    else if (bytes[i + 1] === quote && i + 1 < end) i += 2
    else return i + 1
  }
  return end
}

/** Past the number at `at`: digits, a fraction, an exponent with its sign, 0x… */
function numberEnd(bytes: Uint8Array, at: number, end: number): number {
  let i = at + 1
  while (i < end) {
    const byte = bytes[i]!
    const isSign = (byte === PLUS || byte === MINUS) && (bytes[i - 1]! | 0x20) === LETTER_E
    if (!isWord(byte) && byte !== DOT && !isSign) break
    i++
  }
  return i
}

/** Past the comment that begins at `at`, or -1 where none does. */
function commentEnd(bytes: Uint8Array, at: number, end: number): number {
  const byte = bytes[at]
  const next = bytes[at + 1]
  if (byte === SLASH && next === ASTERISK) {
    for (let i = at + 2; i < end; i++)
      if (bytes[i] === ASTERISK && bytes[i + 1] === SLASH) return Math.min(i + 2, end)
    return end
  }
  const isDashes = byte === MINUS && next === MINUS && (bytes[at + 2] ?? SPACE) <= SPACE
  if (!isDashes && byte !== HASH) return -1
  const line = find(bytes, LF, at, end)
  return line < 0 ? end : line
}

/**
 * A Redis command's arguments with all but the first left out; nothing of commands whose first
 * argument is a secret, a script or a value.
 */
export function redactArguments(operation: Text, text: Text): Text {
  written.set(scratch, 0, 0)
  for (const word of SECRETS) if (isCommand(operation, word)) return written
  const { bytes, start, end } = text
  const space = find(bytes, SPACE, start, end)
  if (space < 0) return text
  written.set(bytes, start, space - start)
  return written
}

/** Whether a Redis server says that it does not know the command. */
export function isUnknownCommand({ bytes, start, end }: Text): boolean {
  return begins(bytes, start, end, UNKNOWN_COMMAND)
}

/**
 * An error with which a Redis server answers `operation`, without the arguments it repeats: those
 * of a command it does not know, numbers out of range, and what it quotes of a command whose
 * arguments are secrets, or of one that was not seen.
 */
export function redactError(text: Text, operation: Text): Text {
  const { bytes, start, end } = text
  for (let at = start; at < end; at++)
    for (const repeated of REPEATED)
      if (begins(bytes, at, end, repeated)) {
        written.set(bytes, start, at - start)
        return written
      }
  const isSecret = operation.end === operation.start || SECRETS.some((w) => isCommand(operation, w))
  return isSecret ? redactQuoted(text) : text
}

/**
 * An error a MySQL server reports, without the value or the piece of the statement that it quotes.
 * Nothing is left of a message that a statement made; all of one whose quoted words are names.
 * https://mariadb.com/docs/server/reference/error-codes
 */
export function redactSqlError(text: Text, code: number, state: Text): Text {
  if (SIGNALLED.has(code) || begins(state.bytes, state.start, state.end, USER_DEFINED))
    return replace(text, text.start, text.end)
  return QUOTES_NAMES.has(code) ? text : redactQuoted(text)
}

/** Without what stands between its first and its last quote, which may have quotes of its own. */
function redactQuoted(text: Text): Text {
  const { bytes, start, end } = text
  const first = find(bytes, QUOTE, start, end)
  if (first < 0) return text
  const last = bytes.lastIndexOf(QUOTE, end - 1)
  return replace(text, first + 1, last > first ? last : end)
}

/** `text` with a `?` for what is `[from, to)` of it. */
function replace({ bytes, start, end }: Text, from: number, to: number): Text {
  let size = 0
  for (let at = start; at < from && size < SIZE_MAX; at++) scratch[size++] = bytes[at]!
  if (size < SIZE_MAX) scratch[size++] = QUESTION
  for (let at = to; at < end && size < SIZE_MAX; at++) scratch[size++] = bytes[at]!
  written.set(scratch, 0, size)
  return written
}

function begins(bytes: Uint8Array, start: number, end: number, word: Uint8Array): boolean {
  if (end - start < word.length) return false
  for (let i = 0; i < word.length; i++) if (bytes[start + i] !== word[i]) return false
  return true
}

function isCommand({ bytes, start, end }: Text, word: string): boolean {
  if (end - start < word.length) return false
  for (let i = 0; i < word.length; i++)
    if ((bytes[start + i]! | 0x20) !== word.charCodeAt(i)) return false
  return end - start === word.length || bytes[start + word.length] === SPACE
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39
}

/** Letters, digits, `_`, `$`, and every byte beyond ASCII: what an identifier is made of. */
function isWord(byte: number): boolean {
  const letter = byte | 0x20
  return (
    (letter >= 0x61 && letter <= 0x7a) ||
    isDigit(byte) ||
    byte === 0x5f ||
    byte === 0x24 ||
    byte > 127
  )
}

const SECRETS = [
  'auth',
  'hello',
  'echo',
  'ping',
  'eval',
  'eval_ro',
  'acl',
  'config',
  'migrate',
  'script',
]
/** ER_SIGNAL_WARN, _NOT_FOUND and _EXCEPTION: the text is what SIGNAL was given. */
const SIGNALLED: ReadonlySet<number> = new Set([1642, 1643, 1644])
/** The class of states that statements raise, under any code. */
const USER_DEFINED = new TextEncoder().encode('45')
/** Errors that quote names of databases, tables, columns, keys, routines and accounts alone. */
const QUOTES_NAMES: ReadonlySet<number> = new Set([
  1007, 1008, 1044, 1045, 1046, 1048, 1049, 1050, 1051, 1052, 1054, 1060, 1061, 1072, 1091, 1109,
  1142, 1143, 1146, 1176, 1264, 1305, 1364, 1406,
])
const UNKNOWN_COMMAND = new TextEncoder().encode('ERR unknown command')
/** What stands before arguments that an error repeats. */
const REPEATED = [', with args beginning with', ',latitude pair '].map((words) =>
  new TextEncoder().encode(words),
)
const PREFIXES: readonly number[] = [0x78, 0x62, 0x6e]
const LF = 0x0a
const SPACE = 0x20
const DOUBLE_QUOTE = 0x22
const HASH = 0x23
const AMPERSAND = 0x26
const QUOTE = 0x27
const ASTERISK = 0x2a
const PLUS = 0x2b
const MINUS = 0x2d
const DOT = 0x2e
const SLASH = 0x2f
const COLON = 0x3a
const SEMICOLON = 0x3b
const EQUALS = 0x3d
const QUESTION = 0x3f
const AT = 0x40
const BACKSLASH = 0x5c
const BACKTICK = 0x60
const LETTER_E = 0x65
