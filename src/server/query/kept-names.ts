import type { Expression, Select } from './ast.ts'
import { functionOf } from './functions.ts'
import { aliasesOf, bareOf } from './group.ts'
import { isName } from './names.ts'
import { mapChildren, mapOrder, mapWindow } from './walk.ts'

const TESTS = new Set(
  'equals notEquals less lessOrEquals greater greaterOrEquals like notLike ilike notILike match'.split(
    ' ',
  ),
)

/**
 * A SELECT that groups, its names out of the engine's reach where rows are groups already. There,
 * too, it makes `name = 'x'` a test of the id, and then misses the id (26.7.3): so what is tested
 * is not the look-up itself. Within aggregates and in WHERE the id is at hand, and quicker.
 */
export function keepNames(select: Select): Select {
  const { groupBy, having, qualify, orderBy, limitBy } = select
  if (!groupBy) return select
  const aliases = aliasesOf(select)
  const isNamed = (e: Expression): boolean => {
    const alias = e.kind === 'column' && e.parts.length === 1 && aliases.get(e.parts[0]!)
    return isName(bareOf(alias || e))
  }
  const keep = (e: Expression): Expression => {
    if (isName(e) || isAggregate(e)) return e
    const kept = mapChildren(e, keep)
    return isTest(kept) ? mapChildren(kept, (one) => (isNamed(one) ? identity(one) : one)) : kept
  }
  return {
    ...select,
    distinctOn: select.distinctOn.map(keep),
    columns: select.columns.map(({ expression, text }) => ({ expression: keep(expression), text })),
    groupBy: { ...groupBy, keys: groupBy.keys.map(keep) },
    having: having && keep(having),
    windows: select.windows.map((w) => ({ ...w, window: mapWindow(w.window, keep) })),
    qualify: qualify && keep(qualify),
    orderBy: orderBy === 'ALL' ? orderBy : orderBy.map((order) => mapOrder(order, keep)),
    limitBy: limitBy && { ...limitBy, keys: limitBy.keys.map(keep) },
  }
}

function isAggregate(e: Expression): boolean {
  return e.kind === 'call' && e.over === undefined && functionOf(e.name)?.kind === 'aggregate'
}

function isTest(e: Expression): boolean {
  return e.kind === 'binary' || e.kind === 'between' || (e.kind === 'call' && TESTS.has(e.name))
}

function identity(e: Expression): Expression {
  return { kind: 'call', name: 'identity', at: 0, args: [e] }
}
