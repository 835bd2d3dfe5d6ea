import { MetaflowError } from '../../lib/errors.ts'

/** What ClickHouse's JSONCompact says beside its rows. */
export type Head = { readonly columns: readonly string[]; readonly types: readonly string[] }

const META = '\t"meta":'
const DATA = '\t"data":'
const ROW = '\t\t['
const TOTALS = /^\t"totals": (\[.*\])[,{]?$/
const BEFORE_LIMIT = /^\t"rows_before_limit_at_least": (\d+),?$/

/**
 * Takes ClickHouse's JSONCompact apart, line by line: each row is a line of its own, and stays the
 * text it was written as. Totals are looked for everywhere: where there is no row, the embedded
 * engine (26.7.3) writes them in front of all else.
 */
export class Rows {
  /** Each row as the JSON text of an array. */
  readonly values: string[] = []
  /** The row of WITH TOTALS, as JSON text. */
  totals: string | undefined
  /** Rows there were before a LIMIT, at least. */
  beforeLimit = 0
  #meta = ''
  #part: 'none' | 'meta' | 'data' = 'none'

  line(line: string): void {
    if (this.#part === 'data' && line.startsWith(ROW)) {
      this.values.push(line.slice(2, line.endsWith(',') ? -1 : undefined))
    } else if (line === META || line === DATA) {
      this.#part = line === META ? 'meta' : 'data'
    } else if (this.#part === 'meta') {
      this.#meta += line
    } else this.#other(line)
  }

  #other(line: string): void {
    this.totals = TOTALS.exec(line)?.[1] ?? this.totals
    this.beforeLimit = Number(BEFORE_LIMIT.exec(line)?.[1] ?? this.beforeLimit)
  }

  /** The columns' names and types. Throws where what was taken was no JSONCompact. */
  head(): Head {
    if (this.#part !== 'data')
      throw new MetaflowError('failed', 'Cannot read the answer: the engine did not write its rows')
    const meta = JSON.parse(this.#meta.replace(/,$/, '')) as { name: string; type: string }[]
    return { columns: meta.map(({ name }) => name), types: meta.map(({ type }) => type) }
  }
}
