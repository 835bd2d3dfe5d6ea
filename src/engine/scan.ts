/**
 * Walks over SQL without understanding it: only where strings, quoted names and comments end, so
 * that what stands inside them is never taken for a parameter or a clause.
 */
export type Token = {
  readonly kind: 'word' | 'parameter' | 'open' | 'close' | 'other'
  readonly start: number
  readonly end: number
}

/** The words and marks of `text` in order; blanks and comments are left out. */
export function* tokens(text: string): Generator<Token> {
  let start = 0
  while (start < text.length) {
    const blank = blankEnd(text, start)
    if (blank > start) {
      start = blank
      continue
    }
    const token = tokenAt(text, start)
    yield token
    start = token.end
  }
}

/** Where blanks and comments that begin at `at` end; `at` where there are none. */
function blankEnd(text: string, at: number): number {
  if (text.charCodeAt(at) <= 0x20) return at + 1
  if (text.startsWith('--', at) || text.startsWith('#!', at) || text.startsWith('# ', at))
    return after(text, '\n', at + 2)
  if (text.startsWith('/*', at)) return after(text, '*/', at + 2)
  return at
}

const WORD = /[A-Za-z_]\w*/y
const PARAMETER = /\{\s*\w+\s*:[^{}]*\}/y
const HEREDOC = /\$\w*\$/y

function tokenAt(text: string, start: number): Token {
  const mark = text[start]!
  if (mark === "'" || mark === '"' || mark === '`')
    return { kind: 'other', start, end: quoteEnd(text, mark, start) }
  if (mark === '(') return { kind: 'open', start, end: start + 1 }
  if (mark === ')') return { kind: 'close', start, end: start + 1 }
  const word = endOf(WORD, text, start)
  if (word > start) return { kind: 'word', start, end: word }
  const parameter = mark === '{' ? endOf(PARAMETER, text, start) : start
  if (parameter > start) return { kind: 'parameter', start, end: parameter }
  const heredoc = mark === '$' ? endOf(HEREDOC, text, start) : start
  if (heredoc > start)
    return { kind: 'other', start, end: after(text, text.slice(start, heredoc), heredoc) }
  return { kind: 'other', start, end: start + 1 }
}

function endOf(pattern: RegExp, text: string, start: number): number {
  pattern.lastIndex = start
  return pattern.test(text) ? pattern.lastIndex : start
}

/** ClickHouse ends a quote at the same mark, unless doubled or behind a backslash. */
function quoteEnd(text: string, mark: string, start: number): number {
  let at = start + 1
  while (at < text.length) {
    if (text[at] === '\\') at += 2
    else if (text[at] !== mark) at++
    else if (text[at + 1] === mark) at += 2
    else return at + 1
  }
  return text.length
}

function after(text: string, mark: string, from: number): number {
  const found = text.indexOf(mark, from)
  return found < 0 ? text.length : found + mark.length
}
