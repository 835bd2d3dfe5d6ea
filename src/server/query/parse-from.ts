import type { Expression, From, Join } from './ast.ts'
import type { Cursor } from './cursor.ts'

type Read = (cursor: Cursor) => Expression

const STRICTNESS = ['ANY', 'ALL', 'ASOF', 'SEMI', 'ANTI'] as const
const TYPES = ['INNER', 'LEFT OUTER', 'LEFT', 'RIGHT OUTER', 'RIGHT', 'FULL OUTER', 'FULL', 'CROSS']

/** What stands behind FROM: tables, subqueries and table functions, joined. */
export function parseFrom(cursor: Cursor, read: Read): From {
  let left = parseSource(cursor, read)
  for (let length = 0; ; length++) {
    if (length > 20) throw cursor.fail('more than 20 joins')
    const next = parseJoin(cursor, left, read)
    if (!next) return left
    left = next
  }
}

function parseJoin(cursor: Cursor, left: From, read: Read): Join | undefined {
  if (cursor.takeSymbol(','))
    return {
      kind: 'join',
      left,
      right: parseSource(cursor, read),
      type: 'CROSS',
      strictness: undefined,
      global: false,
      on: undefined,
      using: undefined,
    }
  if (cursor.atWords('ARRAY') || cursor.atWords('LEFT ARRAY')) return undefined
  const global = cursor.takeWords('GLOBAL')
  const before = cursor.takeOneOf(STRICTNESS)
  const type = cursor.takeOneOf(TYPES)
  const strictness = before ?? cursor.takeOneOf(STRICTNESS)
  if (!global && !strictness && !type && !cursor.atWords('JOIN')) return undefined
  cursor.needWords('JOIN')
  const right = parseSource(cursor, read)
  const condition = parseCondition(cursor, read)
  if (!condition.on && !condition.using && type !== 'CROSS') throw cursor.expected('ON or USING')
  const word = (type ?? 'INNER').replace(' OUTER', '') as Join['type']
  return { kind: 'join', left, right, type: word, strictness, global, ...condition }
}

function parseCondition(cursor: Cursor, read: Read): Pick<Join, 'on' | 'using'> {
  if (cursor.takeWords('ON')) return { on: read(cursor), using: undefined }
  if (!cursor.takeWords('USING')) return { on: undefined, using: undefined }
  const name = (c: Cursor): string => c.needName('a column')
  const using = cursor.atSymbol('(') ? cursor.listIn('(', ')', name) : cursor.list(name)
  return { on: undefined, using }
}

function parseSource(cursor: Cursor, read: Read): From {
  return cursor.nested(() => {
    if (cursor.atSymbol('(')) return parseParenthesis(cursor, read)
    const { at } = cursor.peek()
    if (cursor.atSymbol('(', 1)) {
      const name = cursor.needName('a table')
      const args = cursor.listIn('(', ')', read)
      return { kind: 'function', name, args, alias: cursor.takeAlias(true), at }
    }
    const parts = parseTable(cursor)
    if (cursor.atSymbol('(')) throw cursor.fail('a table function has a plain name', at)
    const alias = cursor.takeAlias(true)
    const final = cursor.takeWords('FINAL')
    if (cursor.atWords('SAMPLE')) throw cursor.fail('SAMPLE is not taken: no table is sampled')
    return { kind: 'table', parts, alias: alias ?? cursor.takeAlias(true), final, at }
  })
}

/** A subquery, or a join in parentheses. */
function parseParenthesis(cursor: Cursor, read: Read): From {
  if (isQuery(cursor)) {
    cursor.needSymbol('(')
    const query = cursor.readQuery(cursor)
    cursor.needSymbol(')')
    return { kind: 'derived', query, alias: cursor.takeAlias(true) }
  }
  cursor.needSymbol('(')
  const from = parseFrom(cursor, read)
  cursor.needSymbol(')')
  return from
}

function isQuery(cursor: Cursor): boolean {
  let ahead = 1
  while (cursor.atSymbol('(', ahead)) ahead++
  return cursor.atWords('SELECT', ahead) || cursor.atWords('WITH', ahead)
}

/**
 * A table's name: `flow_metrics.application.1s` may be written without quotes, since nothing else
 * could be meant.
 */
export function parseTable(cursor: Cursor): string[] {
  const parts = [cursor.needName('a table')]
  while (cursor.takeSymbol('.')) {
    const { kind, text, end } = cursor.peek()
    if (kind !== 'number') parts.push(cursor.needName('a table'))
    else {
      cursor.next()
      const unit = cursor.peek()
      if (unit.kind !== 'word' || unit.at !== end) throw cursor.expected('s or m')
      parts.push(`${parts.pop()}.${text}${cursor.next().text}`)
    }
  }
  return parts
}
