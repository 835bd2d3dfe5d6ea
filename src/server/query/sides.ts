import type { Expression } from './ast.ts'
import type { Scope } from './scope.ts'
import { mapChildren, walk } from './walk.ts'

/**
 * A tag of a path table without its side means either end: `auto_instance = 'x'` holds where one
 * of them is x, `auto_instance != 'x'` where none is. That is so in tests only; elsewhere the side
 * must be said.
 */

const TESTS = new Set(['=', '!=', '<', '<=', '>', '>=', 'LIKE', 'ILIKE', 'NOT LIKE', 'NOT ILIKE'])
const SETS = new Set(['IN', 'NOT IN', 'IS NOT DISTINCT FROM', 'IS DISTINCT FROM'])
const NEGATIVE = new Set(['!=', 'NOT LIKE', 'NOT ILIKE', 'NOT IN', 'IS DISTINCT FROM'])
const TEST_FUNCTIONS = new Set(
  (
    'match like ilike notlike notilike startswith endswith startswithcaseinsensitive ' +
    'endswithcaseinsensitive hastoken hastokencaseinsensitive multisearchany multimatchany ' +
    'isipaddressinrange empty notempty equals notequals'
  ).split(' '),
)
const NEGATIVE_FUNCTIONS = new Set(['notlike', 'notilike', 'notempty', 'notequals'])

/** The test on both sides, each resolved by `resolve`; undefined where `e` is no such test. */
export function combineSides(
  e: Expression,
  scope: Scope,
  resolve: (e: Expression) => Expression,
): Expression | undefined {
  const test = testOf(e)
  if (!test) return undefined
  const bare = new Set<string>()
  walk(e, (part) => {
    if (part !== e && testOf(part)) return false
    if (part.kind === 'column' && scope.find(part.parts, part.at)?.found.kind === 'sides')
      bare.add(part.parts.join('.'))
    return true
  })
  if (bare.size === 0) return undefined
  const left = resolve(onSide(e, bare, '_0'))
  const right = resolve(onSide(e, bare, '_1'))
  return { kind: 'binary', operator: test.negative ? 'AND' : 'OR', left, right }
}

function testOf(e: Expression): { readonly negative: boolean } | undefined {
  if (e.kind === 'binary' && (TESTS.has(e.operator) || SETS.has(e.operator)))
    return { negative: NEGATIVE.has(e.operator) }
  if (e.kind === 'between' || e.kind === 'isNull') return { negative: e.negated }
  const name = e.kind === 'call' ? e.name.toLowerCase() : ''
  return TEST_FUNCTIONS.has(name) ? { negative: NEGATIVE_FUNCTIONS.has(name) } : undefined
}

function onSide(e: Expression, bare: ReadonlySet<string>, side: '_0' | '_1'): Expression {
  if (e.kind !== 'column') return mapChildren(e, (child) => onSide(child, bare, side))
  if (!bare.has(e.parts.join('.'))) return e
  return { ...e, parts: [...e.parts.slice(0, -1), `${e.parts.at(-1)}${side}`] }
}
