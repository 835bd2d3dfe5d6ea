/** Takes a request of ClickHouse's HTTP interface apart: what runs, in what format, which rows. */
import type { Statement } from './messages.ts'
import { literalOf } from './parameter.ts'
import { tokens } from './scan.ts'

export type Request = {
  /** The URL's `query`, empty where the statement is the body. */
  readonly query: string
  readonly body: Uint8Array<ArrayBuffer>
  readonly database: string
  readonly defaultFormat: string
  readonly parameters: ReadonlyMap<string, string>
  readonly settings: Readonly<Record<string, string>>
}

/** An INSERT's head is looked for in so many bytes of a body. */
const HEAD_BYTES_MAX = 65_536

/** The statement of a request, and the rows that came with it. */
export function statementOf(request: Request): {
  readonly statement: Statement
  readonly rows?: Uint8Array<ArrayBuffer>
} {
  const { query, body, database, settings, parameters } = request
  const head = query === '' ? textOf(body.subarray(0, HEAD_BYTES_MAX)) : query
  const insert = insertHead(head)
  if (insert !== undefined) {
    const { format, end } = insert
    const sql = substitute(insert.sql, parameters)
    return {
      statement: { kind: 'insert', sql, format, database, settings },
      rows:
        query === ''
          ? body.subarray(Buffer.byteLength(head.slice(0, end)))
          : joined(head.slice(end), body),
    }
  }
  // ClickHouse's rule: the statement is the URL's query followed by the body.
  const text = query === '' ? textOf(body) : body.length === 0 ? query : `${query}\n${textOf(body)}`
  const sql = substitute(text, parameters)
  const format = formatOf(sql) ?? request.defaultFormat
  return { statement: { kind: 'other', sql, format, database, settings } }
}

type InsertHead = { readonly sql: string; readonly format: string; readonly end: number }

/** What may stand in an INSERT instead of rows in a format. */
const OTHER_SOURCES = new Set(['SELECT', 'VALUES', 'WITH', 'INFILE'])

/** `INSERT INTO … FORMAT name`, if `text` begins so and rows in that format follow. */
function insertHead(text: string): InsertHead | undefined {
  let words = 0
  let depth = 0
  let formatAt = -1
  for (const { kind, start, end } of tokens(text)) {
    const word = kind === 'word' ? text.slice(start, end) : ''
    if (formatAt >= 0)
      return { sql: text.slice(0, formatAt), format: word, end: rowsStart(text, end) }
    const upper = word.toUpperCase()
    if (words++ === 0 && upper !== 'INSERT') return undefined
    if (kind === 'open') depth++
    if (kind === 'close') depth--
    if (depth > 0) continue
    if (OTHER_SOURCES.has(upper)) return undefined
    if (upper === 'FORMAT') formatAt = start
  }
  return undefined
}

/** Rows begin on the next line, or after one blank. */
function rowsStart(text: string, end: number): number {
  const gap = /[ \t]*\r?\n|[ \t]?/y
  gap.lastIndex = end
  gap.test(text)
  return gap.lastIndex
}

/** The format a statement ends with. A wrong guess costs streaming, nothing else. */
function formatOf(sql: string): string | undefined {
  const tail = sql.slice(-1024)
  return /\bFORMAT\s+(\w+)\s*(?:SETTINGS\b[^;]*)?;?\s*$/i.exec(tail)?.[1]
}

/** `sql` with its `{name:Type}` as typed literals; given none, the engine says what is missing. */
function substitute(sql: string, parameters: ReadonlyMap<string, string>): string {
  if (parameters.size === 0) return sql
  let answer = ''
  let done = 0
  for (const { kind, start, end } of tokens(sql)) {
    if (kind !== 'parameter') continue
    const inside = sql.slice(start + 1, end - 1)
    const colon = inside.indexOf(':')
    const value = parameters.get(inside.slice(0, colon).trim())
    if (value === undefined) continue
    answer += sql.slice(done, start) + literalOf(value, inside.slice(colon + 1).trim())
    done = end
  }
  return answer + sql.slice(done)
}

function joined(text: string, body: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  if (text === '') return body
  const head = new TextEncoder().encode(text)
  const all = new Uint8Array(head.length + body.length)
  all.set(head)
  all.set(body, head.length)
  return all
}

function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes)
}
