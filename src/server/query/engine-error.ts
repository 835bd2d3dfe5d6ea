import { ClickHouseError } from '@clickhouse/client'
import { type ErrorCode, MetaflowError, sentenceOf } from '../../lib/errors.ts'

/** ClickHouse's error codes that are no fault of the statement's text. */
const CODES: Readonly<Record<string, ErrorCode>> = {
  '158': 'tooLarge', // TOO_MANY_ROWS
  '159': 'timeout', // TIMEOUT_EXCEEDED
  '160': 'timeout', // TOO_SLOW
  '164': 'forbidden', // READONLY
  '202': 'tooMany', // TOO_MANY_SIMULTANEOUS_QUERIES
  '209': 'unavailable', // SOCKET_TIMEOUT
  '210': 'unavailable', // NETWORK_ERROR
  '241': 'tooLarge', // MEMORY_LIMIT_EXCEEDED
  '243': 'unavailable', // NOT_ENOUGH_SPACE
  '307': 'tooLarge', // TOO_MANY_BYTES
  '394': 'timeout', // QUERY_WAS_CANCELLED
  '396': 'tooLarge', // TOO_MANY_ROWS_OR_BYTES
  '497': 'forbidden', // ACCESS_DENIED
}
const STATES: Partial<Record<ErrorCode, string>> = {
  tooLarge: 'it takes more than the limits of this server allow; ask for less',
  timeout: 'it takes longer than this server allows; ask for less',
  forbidden: 'the engine does not allow it',
}

/** What the engine or the way to it threw, as a sentence with its code. */
export function engineError(thrown: unknown): MetaflowError {
  if (thrown instanceof MetaflowError) return thrown
  if (thrown instanceof ClickHouseError) {
    const code = CODES[thrown.code] ?? 'refused'
    const said = saidBy(thrown.message)
    const state = STATES[code]
    const sentence = state ? `${state} (${said})` : said
    return new MetaflowError(code, `Cannot run the query: ${sentence}`, thrown)
  }
  const sentence = sentenceOf(thrown)
  if (/timeout/i.test(sentence))
    return new MetaflowError('timeout', 'Cannot run the query: the engine took too long', thrown)
  return new MetaflowError(
    'unavailable',
    `Cannot run the query: the engine is not reached (${sentence})`,
    thrown,
  )
}

/** The code of an exception that came in the midst of an answer. */
export function codeOf(message: string): ErrorCode {
  return CODES[/^Code: (\d+)\./.exec(message)?.[1] ?? ''] ?? 'failed'
}

/** What the engine said, without its own version, code and hints about its internals. */
export function saidBy(message: string): string {
  const line = message.split('\n', 1)[0]!
  return line
    .replace(/^Code: \d+\. DB::Exception: /, '')
    .replace(/ \(version [^)]*\)/, '')
    .replace(/[.:] In scope .*$/s, '')
    .replace(/: While (?:processing|executing) .*$/is, '')
    .slice(0, 500)
    .trim()
}
