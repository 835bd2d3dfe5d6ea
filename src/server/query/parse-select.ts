import type { Expression, GroupBy, Limit, LimitBy, Query, Select, SelectItem, With } from './ast.ts'
import type { Cursor } from './cursor.ts'
import { parseAliased, parseExpression } from './parse-expression.ts'
import { parseFrom } from './parse-from.ts'
import { parseOrders, parseWindow } from './parse-window.ts'

const SET_OPERATORS = [
  'UNION ALL',
  'UNION DISTINCT',
  'UNION',
  'INTERSECT DISTINCT',
  'INTERSECT ALL',
  'INTERSECT',
  'EXCEPT DISTINCT',
  'EXCEPT ALL',
  'EXCEPT',
] as const
/** What each is called in the tree; a bare UNION is distinct, as standard SQL has it. */
const MEANS = {
  'UNION ALL': 'UNION ALL',
  'UNION DISTINCT': 'UNION DISTINCT',
  UNION: 'UNION DISTINCT',
  'INTERSECT DISTINCT': 'INTERSECT DISTINCT',
  'INTERSECT ALL': 'INTERSECT',
  INTERSECT: 'INTERSECT DISTINCT',
  'EXCEPT DISTINCT': 'EXCEPT DISTINCT',
  'EXCEPT ALL': 'EXCEPT',
  EXCEPT: 'EXCEPT DISTINCT',
} as const
const SELECTS_MAX = 100

/** A SELECT, or several joined by UNION, INTERSECT or EXCEPT. */
export function parseQuery(cursor: Cursor): Query {
  const first = parseTerm(cursor)
  const rest: Query['rest'][number][] = []
  for (;;) {
    const operator = cursor.takeOneOf(SET_OPERATORS)
    if (!operator) return { kind: 'query', first, rest }
    if (rest.length > 0 && rest[0]!.operator !== MEANS[operator])
      throw cursor.fail('put parentheses where UNION, INTERSECT and EXCEPT are mixed')
    rest.push({ operator: MEANS[operator], select: parseTerm(cursor) })
    if (rest.length > SELECTS_MAX) throw cursor.fail(`more than ${SELECTS_MAX} SELECTs`)
  }
}

function parseTerm(cursor: Cursor): Select | Query {
  return cursor.nested(() => {
    if (!cursor.takeSymbol('(')) return parseSelect(cursor)
    const query = parseQuery(cursor)
    cursor.needSymbol(')')
    return query
  })
}

function parseSelect(cursor: Cursor): Select {
  const withs = cursor.takeWords('WITH') ? parseWiths(cursor) : []
  cursor.needWords('SELECT')
  const { distinct, distinctOn } = parseDistinct(cursor)
  if (cursor.atWords('TOP')) throw cursor.fail('TOP is not taken; LIMIT is')
  const columns = cursor.list(parseItem)
  const from = cursor.takeWords('FROM') ? parseFrom(cursor, parseExpression) : undefined
  const arrayJoin = parseArrayJoin(cursor)
  const prewhere = cursor.takeWords('PREWHERE') ? parseExpression(cursor) : undefined
  const where = cursor.takeWords('WHERE') ? parseExpression(cursor) : undefined
  const groupBy = cursor.takeWords('GROUP BY') ? parseGroupBy(cursor) : undefined
  const having = cursor.takeWords('HAVING') ? parseExpression(cursor) : undefined
  const windows = cursor.takeWords('WINDOW') ? cursor.list(parseNamedWindow) : []
  const qualify = cursor.takeWords('QUALIFY') ? parseExpression(cursor) : undefined
  const orderBy = parseOrderBy(cursor)
  const { limitBy, limit } = parseLimits(cursor)
  refuseTail(cursor)
  return {
    kind: 'select',
    with: withs,
    distinct,
    distinctOn,
    columns,
    from,
    arrayJoin,
    prewhere,
    where,
    groupBy,
    having,
    windows,
    qualify,
    orderBy,
    limitBy,
    limit,
  }
}

function parseWiths(cursor: Cursor): With[] {
  if (cursor.atWords('RECURSIVE')) throw cursor.fail('WITH RECURSIVE is not taken')
  return cursor.list((c) => {
    if (c.atWords('AS', 1) && c.atSymbol('(', 2)) {
      const name = c.needName('a name')
      c.needWords('AS')
      c.needSymbol('(')
      const query = c.nested(() => parseQuery(c))
      c.needSymbol(')')
      return { kind: 'table', name, query }
    }
    const expression = parseExpression(c)
    const name = c.takeAlias(false)
    if (name === undefined) throw c.expected('AS and a name')
    return { kind: 'value', name, expression }
  })
}

function parseDistinct(cursor: Cursor): Pick<Select, 'distinct' | 'distinctOn'> {
  if (cursor.takeWords('DISTINCT ON'))
    return { distinct: false, distinctOn: cursor.listIn('(', ')', parseExpression) }
  const distinct = cursor.takeWords('DISTINCT')
  if (!distinct) cursor.takeWords('ALL')
  return { distinct, distinctOn: [] }
}

function parseItem(cursor: Cursor): SelectItem {
  const start = cursor.peek().at
  const expression = parseExpression(cursor)
  const text = cursor.textFrom(start)
  const name = cursor.takeAlias(true)
  return name === undefined
    ? { expression, text }
    : { expression: { kind: 'alias', expression, name }, text }
}

function parseArrayJoin(cursor: Cursor): Select['arrayJoin'] {
  const left = cursor.takeWords('LEFT ARRAY JOIN')
  if (!left && !cursor.takeWords('ARRAY JOIN')) return undefined
  return { left, items: cursor.list(parseAliased) }
}

function parseGroupBy(cursor: Cursor): GroupBy {
  if (cursor.takeWords('ALL')) {
    const sums = cursor.takeOneOf(['WITH ROLLUP', 'WITH CUBE'])
    const mode = sums ? (sums === 'WITH CUBE' ? 'all cube' : 'all rollup') : 'all'
    return { mode, keys: [], totals: takeTotals(cursor) }
  }
  for (const mode of ['rollup', 'cube'] as const)
    if (cursor.atWords(mode.toUpperCase()) && cursor.atSymbol('(', 1)) {
      cursor.next()
      const keys = cursor.listIn('(', ')', parseExpression)
      return { mode, keys, totals: takeTotals(cursor) }
    }
  if (cursor.atWords('GROUPING SETS')) throw cursor.fail('GROUPING SETS is not taken')
  const keys = cursor.list(parseExpression)
  if (cursor.takeWords('WITH ROLLUP')) return { mode: 'rollup', keys, totals: takeTotals(cursor) }
  if (cursor.takeWords('WITH CUBE')) return { mode: 'cube', keys, totals: takeTotals(cursor) }
  return { mode: 'list', keys, totals: takeTotals(cursor) }
}

function takeTotals(cursor: Cursor): boolean {
  return cursor.takeWords('WITH TOTALS')
}

function parseNamedWindow(cursor: Cursor): Select['windows'][number] {
  const name = cursor.needName('a window')
  cursor.needWords('AS')
  return { name, window: parseWindow(cursor, parseExpression) }
}

function parseOrderBy(cursor: Cursor): Select['orderBy'] {
  if (!cursor.takeWords('ORDER BY')) return []
  if (cursor.takeWords('ALL')) {
    if (cursor.takeOneOf(['DESC', 'ASC'])) throw cursor.fail('ORDER BY ALL takes no direction')
    return 'ALL'
  }
  const orders = parseOrders(cursor, parseExpression)
  if (cursor.atWords('INTERPOLATE')) throw cursor.fail('INTERPOLATE is not taken')
  return orders
}

/** LIMIT n [OFFSET m | , m] [BY …], LIMIT n, OFFSET n [ROWS], FETCH FIRST n ROWS. */
function parseLimits(cursor: Cursor): { limitBy: LimitBy | undefined; limit: Limit | undefined } {
  let limitBy: LimitBy | undefined
  let limit = parseLimit(cursor)
  if (limit && cursor.takeWords('BY')) {
    if (!limit.count || limit.ties) throw cursor.fail('LIMIT BY takes a number')
    limitBy = { count: limit.count, offset: limit.offset, keys: cursor.list(parseExpression) }
    limit = parseLimit(cursor)
  }
  return { limitBy, limit }
}

function parseLimit(cursor: Cursor): Limit | undefined {
  if (cursor.takeWords('LIMIT')) {
    const first = parseCount(cursor)
    if (cursor.takeSymbol(','))
      return { count: parseCount(cursor), offset: first, ties: cursor.takeWords('WITH TIES') }
    const offset = cursor.takeWords('OFFSET') ? parseCount(cursor) : undefined
    return { count: first, offset, ties: cursor.takeWords('WITH TIES') }
  }
  if (!cursor.takeWords('OFFSET')) return undefined
  const offset = parseCount(cursor)
  cursor.takeOneOf(['ROWS', 'ROW'])
  if (!cursor.takeOneOf(['FETCH FIRST', 'FETCH NEXT']))
    return { count: undefined, offset, ties: false }
  const count = parseCount(cursor)
  cursor.takeOneOf(['ROWS', 'ROW'])
  const ties = cursor.takeOneOf(['ONLY', 'WITH TIES']) === 'WITH TIES'
  return { count, offset, ties }
}

/** Counts are plain numbers: what they bound is read before the engine sees them. */
function parseCount(cursor: Cursor): Expression {
  const { kind, text } = cursor.peek()
  if (kind !== 'number' || !/^\d{1,15}$/.test(text)) throw cursor.expected('a whole number')
  cursor.next()
  return { kind: 'number', text }
}

const TAILS: Readonly<Record<string, string>> = {
  SETTINGS: 'SETTINGS are not taken: limits are fixed by the server',
  FORMAT: 'FORMAT is not taken in the statement; ask for it with ?format=',
  INTO: 'INTO OUTFILE is not taken: a query writes nothing',
  SLIMIT: 'SLIMIT is not taken; LIMIT n BY … is',
}

function refuseTail(cursor: Cursor): void {
  const tail = TAILS[cursor.peek().upper]
  if (tail) throw cursor.fail(tail)
}
