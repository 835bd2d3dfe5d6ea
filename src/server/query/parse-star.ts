import type { Aliased, Applied, Expression, Star } from './ast.ts'
import type { Cursor } from './cursor.ts'

type Read = (cursor: Cursor) => Expression

/** `*` or `table.*` with its EXCEPT, REPLACE and APPLY. */
export function parseStar(cursor: Cursor, table: readonly string[], read: Read): Star {
  const { at } = cursor.peek()
  cursor.needSymbol('*')
  const except: string[] = []
  const replace: Aliased[] = []
  const apply: Applied[] = []
  for (;;) {
    if (cursor.atWords('EXCEPT') && isColumnList(cursor)) {
      cursor.next()
      except.push(...parseExcept(cursor))
    } else if (cursor.takeWords('REPLACE')) replace.push(...parseReplace(cursor, read))
    else if (cursor.takeWords('APPLY')) apply.push(parseApply(cursor, read))
    else return { kind: 'star', table, at, except, replace, apply }
  }
}

/** EXCEPT behind a star names columns; before a SELECT it subtracts queries. */
function isColumnList(cursor: Cursor): boolean {
  const ahead = cursor.atSymbol('(', 1) ? 2 : 1
  return !['SELECT', 'WITH', 'DISTINCT', 'ALL'].includes(cursor.peek(ahead).upper)
}

function parseExcept(cursor: Cursor): string[] {
  if (!cursor.atSymbol('(')) return [cursor.needName('a column')]
  return cursor.listIn('(', ')', (c) => c.needName('a column'))
}

function parseReplace(cursor: Cursor, read: Read): Aliased[] {
  const one = (): Aliased => {
    const item = read(cursor)
    if (item.kind !== 'alias') throw cursor.expected('AS and the column to replace')
    return item
  }
  return cursor.atSymbol('(') ? cursor.listIn('(', ')', one) : [one()]
}

function parseApply(cursor: Cursor, read: Read): Applied {
  if (!cursor.takeSymbol('(')) return { name: cursor.needName('a function'), parameters: [] }
  if (cursor.atSymbol('->', 1) || cursor.atSymbol('(')) {
    const lambda = read(cursor)
    cursor.needSymbol(')')
    if (lambda.kind !== 'lambda' || lambda.parameters.length !== 1)
      throw cursor.fail('APPLY takes a function or a lambda of one parameter')
    return lambda
  }
  const name = cursor.needName('a function')
  const parameters = cursor.atSymbol('(') ? cursor.listIn('(', ')', read) : []
  cursor.needSymbol(')')
  return { name, parameters }
}
