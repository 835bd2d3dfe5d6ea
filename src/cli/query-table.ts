/** A query's answer as lines for a reader: columns in line, numbers to the right. */
import { fitted, safe } from './columns.ts'

export type Cell =
  | string
  | number
  | boolean
  | null
  | readonly Cell[]
  | { readonly [k: string]: Cell }

/** Wider cells are cut: the whole of them is in JSON and CSV. */
const WIDTH_MAX = 60
const BOLD = '\u001b[1m'
const FAINT = '\u001b[2m'
const PLAIN = '\u001b[0m'

/** A query's answer: its rows, and the row of WITH TOTALS. */
export type Result = {
  readonly columns: readonly string[]
  readonly values: readonly (readonly Cell[])[]
  readonly totals?: readonly Cell[]
}

/** The rows as a table with its head, totals behind a rule; `colours` for a terminal. */
export function tableText({ columns, values: rows, totals }: Result, colours: boolean): string {
  const cells = [...rows, ...(totals ? [totals] : [])].map((row) => row.map(cellText))
  const heads = columns.map(safe)
  const widths = heads.map((head, at) =>
    Math.min(
      WIDTH_MAX,
      cells.reduce(
        (width, row) => Math.max(width, Bun.stringWidth(row[at] ?? '')),
        Bun.stringWidth(head),
      ),
    ),
  )
  const isNumber = columns.map(
    (_, at) => rows.length > 0 && rows.every((row) => isNumeric(row[at])),
  )
  const line = (row: readonly string[]): string =>
    row
      .map((cell, at) => fitted(cell, widths[at]!, isNumber[at]!))
      .join('  ')
      .trimEnd()
  const head = line(heads)
  const dashes = widths.map((width) => '─'.repeat(width)).join('  ')
  const rule = colours ? `${FAINT}${dashes}${PLAIN}` : dashes
  const lines = [colours ? `${BOLD}${head}${PLAIN}` : head, rule, ...cells.map(line)]
  if (totals) lines.splice(-1, 0, rule)
  return `${lines.join('\n')}\n`
}

/** Rows and totals as one JSON object, each row an object by its columns. */
export function jsonText({ columns, values, totals }: Result): string {
  const one = (row: readonly Cell[]): string =>
    `{${columns.map((name, at) => `${JSON.stringify(name)}:${JSON.stringify(row[at])}`).join(',')}}`
  const data = values.length > 0 ? `[\n  ${values.map(one).join(',\n  ')}\n]` : '[]'
  return `{"data":${data},"totals":${totals ? one(totals) : 'null'}}\n`
}

/** Numbers arrive as the text they were written in (`parseRows`), so that no digit is lost. */
class Digits {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }

  toJSON(): unknown {
    // Not in TypeScript's library yet.
    return (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(this.text)
  }
}

/** Rows of an answer with numbers as they were written, however many digits they have. */
export function parseAnswer(text: string): unknown {
  return JSON.parse(text, (_, value, context?: { source?: string }) =>
    typeof value === 'number' && !Number.isSafeInteger(value)
      ? (new Digits(context?.source ?? String(value)) as unknown)
      : value,
  )
}

function isNumeric(value: unknown): boolean {
  return typeof value === 'number' || value instanceof Digits || value === null
}

function cellText(value: Cell): string {
  return safe(plain(value))
}

function plain(value: unknown): string {
  if (value === null) return 'NULL'
  if (value instanceof Digits) return value.text
  if (Array.isArray(value)) return `[${value.map(plain).join(', ')}]`
  if (typeof value === 'object' && value !== null)
    return `{${Object.entries(value)
      .map(([key, one]) => `${key}: ${plain(one)}`)
      .join(', ')}}`
  return String(value)
}
