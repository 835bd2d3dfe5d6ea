import type { Bound, Expression, Frame, Order, Window } from './ast.ts'
import type { Cursor } from './cursor.ts'

type Read = (cursor: Cursor) => Expression

/** The items of an ORDER BY, behind its words. */
export function parseOrders(cursor: Cursor, read: Read): Order[] {
  return cursor.list((c) => parseOrder(c, read))
}

function parseOrder(cursor: Cursor, read: Read): Order {
  const expression = read(cursor)
  const descending = cursor.takeOneOf(['DESC', 'DESCENDING']) !== undefined
  if (!descending) cursor.takeOneOf(['ASC', 'ASCENDING'])
  const nulls = cursor.takeWords('NULLS') ? cursor.takeOneOf(['FIRST', 'LAST']) : undefined
  if (cursor.atWords('COLLATE')) throw cursor.fail('COLLATE is not taken')
  const fill = cursor.takeWords('WITH FILL') ? parseFill(cursor, read) : undefined
  return { expression, descending, ...(nulls && { nulls }), ...(fill && { fill }) }
}

function parseFill(cursor: Cursor, read: Read): NonNullable<Order['fill']> {
  const from = cursor.takeWords('FROM') ? read(cursor) : undefined
  const to = cursor.takeWords('TO') ? read(cursor) : undefined
  const step = cursor.takeWords('STEP') ? read(cursor) : undefined
  const staleness = cursor.takeWords('STALENESS') ? read(cursor) : undefined
  return {
    ...(from && { from }),
    ...(to && { to }),
    ...(step && { step }),
    ...(staleness && { staleness }),
  }
}

const CLAUSES = new Set(['PARTITION', 'ORDER', 'ROWS', 'RANGE'])

/** What stands in the parentheses of OVER and of WINDOW. */
export function parseWindow(cursor: Cursor, read: Read): Window {
  cursor.needSymbol('(')
  const { kind, upper } = cursor.peek()
  const isNamed = kind === 'quoted' || (kind === 'word' && !CLAUSES.has(upper))
  const base = isNamed ? cursor.next().text : undefined
  const partitionBy = cursor.takeWords('PARTITION BY') ? cursor.list(read) : []
  const orderBy = cursor.takeWords('ORDER BY') ? parseOrders(cursor, read) : []
  const unit = cursor.takeOneOf(['ROWS', 'RANGE'])
  const frame = unit && parseFrame(cursor, read, unit)
  cursor.needSymbol(')')
  return { base, partitionBy, orderBy, frame }
}

function parseFrame(cursor: Cursor, read: Read, unit: 'ROWS' | 'RANGE'): Frame {
  if (!cursor.takeWords('BETWEEN')) return { unit, from: parseBound(cursor, read), to: undefined }
  const from = parseBound(cursor, read)
  cursor.needWords('AND')
  return { unit, from, to: parseBound(cursor, read) }
}

function parseBound(cursor: Cursor, read: Read): Bound {
  const fixed = cursor.takeOneOf(['UNBOUNDED PRECEDING', 'UNBOUNDED FOLLOWING', 'CURRENT ROW'])
  if (fixed) return { at: fixed }
  const offset = read(cursor)
  const at = cursor.takeOneOf(['PRECEDING', 'FOLLOWING'])
  if (!at) throw cursor.expected('PRECEDING or FOLLOWING')
  return { at, offset }
}
