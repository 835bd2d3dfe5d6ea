import { print } from '../lib/log.ts'
import { fitted, safe } from './columns.ts'
import type { Row } from './replay-rows.ts'

/** Takes rows and prints them; `end` prints what is held back. */
export interface Output {
  row(row: Row): void
  end(): void
}

/** Text is printed in pieces of about this size: each costs a system call. */
const PIECE = 64 * 1024

/** One JSON object a line. */
export class JsonLines implements Output {
  #text = ''

  row(row: Row): void {
    this.#text += `${JSON.stringify(row)}\n`
    if (this.#text.length >= PIECE) this.end()
  }

  end(): void {
    const text = this.#text
    this.#text = ''
    if (text) print(text)
  }
}

/** Widths are chosen from so many rows, and kept for those that follow. */
const SAMPLE = 500
const WIDTH_MAX = 48

/** Columns in line for a reader at a terminal: the most telling ones, long texts cut. */
export class TextTable implements Output {
  readonly #columns: readonly string[]
  #held: string[][] = []
  #widths: number[] | undefined
  #text = ''

  constructor(columns: readonly string[]) {
    this.#columns = columns
  }

  row(row: Row): void {
    const cells = this.#columns.map((name) => cellOf(row[name]))
    if (this.#widths) this.#add(cells, this.#widths)
    else if (this.#held.push(cells) >= SAMPLE) this.#begin()
    if (this.#text.length >= PIECE) this.#print()
  }

  end(): void {
    if (!this.#widths) this.#begin()
    this.#print()
  }

  #begin(): void {
    const rows = [[...this.#columns], ...this.#held]
    const widths = this.#columns.map((_, i) =>
      Math.min(WIDTH_MAX, Math.max(...rows.map((cells) => Bun.stringWidth(cells[i]!)))),
    )
    this.#widths = widths
    this.#held = []
    for (const cells of rows) this.#add(cells, widths)
  }

  #add(cells: readonly string[], widths: readonly number[]): void {
    const line = cells.map((cell, i) => fitted(cell, widths[i]!)).join('  ')
    this.#text += `${line.trimEnd()}\n`
  }

  #print(): void {
    const text = this.#text
    this.#text = ''
    if (text) print(text)
  }
}

function cellOf(value: Row[string] | undefined): string {
  if (value === undefined) return ''
  return safe(typeof value === 'object' ? JSON.stringify(value) : String(value))
}
