import type { Show, Statement } from './ast.ts'
import { Cursor } from './cursor.ts'
import { parseExpression } from './parse-expression.ts'
import { parseTable } from './parse-from.ts'
import { parseQuery } from './parse-select.ts'

const NOT_TAKEN: Readonly<Record<string, string>> = Object.fromEntries(
  (
    'INSERT UPDATE DELETE ALTER CREATE DROP TRUNCATE RENAME EXCHANGE ATTACH DETACH OPTIMIZE ' +
    'GRANT REVOKE SYSTEM KILL SET USE BACKUP RESTORE CHECK MOVE UNDROP EXECUTE CALL BEGIN ' +
    'COMMIT ROLLBACK WATCH EXISTS EXPLAIN'
  )
    .split(' ')
    .map((word) => [word, `${word} is not taken: a query is a SELECT, SHOW or DESCRIBE`]),
)

/**
 * Reads one statement whole: a SELECT of ClickHouse's, or SHOW. What cannot be read to its last
 * character throws `refused` with its line and column.
 */
export function parse(sql: string): Statement {
  const cursor = new Cursor(sql, parseQuery)
  const statement = parseStatement(cursor)
  cursor.takeSymbol(';')
  if (cursor.peek().kind !== 'end') throw endExpected(cursor)
  return statement
}

function endExpected(cursor: Cursor): Error {
  const { upper, text } = cursor.peek()
  if (NOT_TAKEN[upper] || upper === 'SELECT') return cursor.fail('only one statement is taken')
  return cursor.fail(`${JSON.stringify(text)} where the statement should end`)
}

function parseStatement(cursor: Cursor): Statement {
  const { upper, kind } = cursor.peek()
  if (upper === 'SELECT' || upper === 'WITH' || cursor.atSymbol('(')) return parseQuery(cursor)
  if (upper === 'SHOW') return { ...parseShow(cursor), show: true }
  if (upper === 'DESCRIBE' || upper === 'DESC') {
    cursor.next()
    cursor.takeWords('TABLE')
    const { at } = cursor.peek()
    return { kind: 'describe', table: parseTable(cursor), at, show: true }
  }
  if (kind === 'end') throw cursor.fail('it is empty')
  throw NOT_TAKEN[upper]
    ? cursor.fail(NOT_TAKEN[upper])
    : cursor.expected('SELECT, SHOW or DESCRIBE')
}

function parseShow(cursor: Cursor): Show {
  cursor.needWords('SHOW')
  if (cursor.takeWords('DATABASES')) return { kind: 'databases' }
  if (cursor.takeWords('TABLES')) {
    const from = cursor.takeOneOf(['FROM', 'IN'])
    return { kind: 'tables', database: from ? cursor.needName('a database') : undefined }
  }
  for (const kind of ['tags', 'metrics'] as const)
    if (cursor.takeWords(kind.toUpperCase())) {
      cursor.needWords('FROM')
      const { at } = cursor.peek()
      return { kind, table: parseTable(cursor), at }
    }
  if (cursor.takeWords('TAG')) return parseShowValues(cursor)
  cursor.next()
  throw cursor.fail('SHOW takes DATABASES, TABLES, TAGS, TAG … VALUES or METRICS')
}

function parseShowValues(cursor: Cursor): Show {
  const tag = cursor.needName('a tag')
  cursor.needWords('VALUES')
  cursor.needWords('FROM')
  const { at } = cursor.peek()
  const table = parseTable(cursor)
  const where = cursor.takeWords('WHERE') ? parseExpression(cursor) : undefined
  const limit = parseLimitOf(cursor)
  return { kind: 'values', tag, table, at, where, limit }
}

function parseLimitOf(cursor: Cursor): Extract<Show, { kind: 'values' }>['limit'] {
  const number = (): { kind: 'number'; text: string } => {
    if (cursor.peek().kind !== 'number') throw cursor.expected('a whole number')
    return { kind: 'number', text: cursor.next().text }
  }
  if (!cursor.takeWords('LIMIT')) return undefined
  const first = number()
  if (cursor.takeSymbol(',')) return { count: number(), offset: first, ties: false }
  return { count: first, offset: cursor.takeWords('OFFSET') ? number() : undefined, ties: false }
}
