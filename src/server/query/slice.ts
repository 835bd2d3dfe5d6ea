import type { Expression, Query } from './ast.ts'
import { selectOf } from './select-of.ts'

/** Which rows of a query are wanted: so many, behind so many. */
export type Slice = { readonly rows: number; readonly offset: number }

/**
 * The query that answers a slice of what `query` answers, with its columns, order and totals. One
 * that says itself that it has fewer rows is left as it was written.
 */
export function sliceOf(query: Query, { rows, offset }: Slice): Query {
  const { first, rest } = query
  const limit = {
    count: number(rows),
    offset: offset > 0 ? number(offset) : undefined,
    ties: false,
  }
  if (rest.length === 0 && first.kind === 'select') {
    const own = first.limit
    if (!own) return { ...query, first: { ...first, limit } }
    const isFew = own.count?.kind === 'number' && Number(own.count.text) < rows && !own.ties
    if (isFew && offset === 0) return query
  }
  const star: Expression = { kind: 'star', table: [], at: 0, except: [], replace: [], apply: [] }
  const outer = selectOf({
    columns: [{ expression: star, text: '*' }],
    from: { kind: 'derived', query, alias: undefined },
    limit,
  })
  return { kind: 'query', first: outer, rest: [] }
}

function number(value: number): Expression {
  return { kind: 'number', text: String(value) }
}
