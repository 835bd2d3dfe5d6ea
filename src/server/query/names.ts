import type { Call, Column, Expression, Query } from './ast.ts'
import type { NameTag } from './catalog.ts'
import { selectOf } from './select-of.ts'

/**
 * Names behind ids. The engine itself turns `dictGet(…) = 'x'`, LIKE, ILIKE and match into the set
 * of ids that are called so, and then reads 1 granule instead of all
 * (optimize_inverse_dictionary_lookup). For IN and for what excludes names it does not, so these
 * are written as sets here (IN over 3 M rows: 139 ms as it was, 18 as a set).
 */

/** A name of the catalog, expanded. */
export type Name = Call & { readonly args: readonly [Expression, Expression, Column] }

/** The name behind an id. */
export function lookUp(tag: NameTag, id: Column): Name {
  return {
    kind: 'call',
    name: 'dictGet',
    at: id.at,
    args: [{ kind: 'string', value: tag.dictionary }, { kind: 'string', value: tag.attribute }, id],
    expanded: tag.name,
  }
}

/** Whether an expression is a name that was expanded here, not a dictGet of the user's. */
export function isName(e: Expression): e is Name {
  return e.kind === 'call' && e.name === 'dictGet' && e.expanded !== undefined
}

/** A resolved test of a name as a test of its id; what is no such test stays. */
export function byIds(e: Expression): Expression {
  if (e.kind === 'binary' && isName(e.left)) return binaryByIds({ ...e, left: e.left })
  if (e.kind !== 'call' || !PREFIXES.has(e.name) || e.args.length !== 2) return e
  const [name, text] = e.args as [Expression, Expression]
  if (!isName(name) || !isText(text)) return e
  return idSet(name, 'IN', (attribute) => ({ ...e, args: [attribute, text] }))
}

const PREFIXES = new Set(['startsWith', 'endsWith'])
const EXCLUDE = { '!=': '=', 'NOT LIKE': 'LIKE', 'NOT ILIKE': 'ILIKE' } as const

/**
 * An id that has no name is called '': the set has no such id, so a test that '' would pass is
 * left as it is.
 */
function binaryByIds(e: Extract<Expression, { kind: 'binary' }> & { left: Name }): Expression {
  const { left, operator, right } = e
  if (operator === 'IN' || operator === 'NOT IN') {
    const isList = right.kind === 'tuple' || right.kind === 'array'
    if (!isList || right.items.length === 0 || !right.items.every(isText)) return e
    return idSet(left, operator, (attribute) => ({ ...e, operator: 'IN', left: attribute }))
  }
  const includes = EXCLUDE[operator as keyof typeof EXCLUDE]
  if (!includes || !isText(right)) return e
  if (operator !== '!=' && /^%*$/.test(right.value)) return e
  return idSet(left, 'NOT IN', (attribute) => ({ ...e, operator: includes, left: attribute }))
}

function isText(e: Expression): e is Extract<Expression, { kind: 'string' }> {
  return e.kind === 'string' && e.value !== ''
}

/** `id IN (SELECT id FROM the dictionary WHERE test)`. */
function idSet(
  { args: [dictionary, attribute, id] }: Name,
  operator: 'IN' | 'NOT IN',
  test: (attribute: Column) => Expression,
): Expression {
  const column = (e: Expression): Column => ({
    kind: 'column',
    parts: [e.kind === 'string' ? e.value : 'id'],
    at: id.at,
  })
  const parts = dictionary.kind === 'string' ? dictionary.value.split('.') : []
  const query: Query = {
    kind: 'query',
    rest: [],
    first: selectOf({
      columns: [{ expression: column(id), text: 'id' }],
      from: { kind: 'table', parts, alias: undefined, final: false, at: id.at },
      where: test(column(attribute)),
    }),
  }
  return { kind: 'binary', operator, left: id, right: { kind: 'subquery', query } }
}
