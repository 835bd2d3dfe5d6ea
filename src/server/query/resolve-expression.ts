import { addressText, byAddress } from './addresses.ts'
import type { Column, Expression, Order, Query, Window } from './ast.ts'
import type { Context } from './context.ts'
import { byIds, lookUp } from './names.ts'
import { resolveCall } from './resolve-call.ts'
import type { Found, Scope } from './scope.ts'
import { selectOf } from './select-of.ts'
import { combineSides } from './sides.ts'
import { mapChildren, mapOrder, mapWindow, walk } from './walk.ts'
import { compareWords } from './words.ts'

/** `e` with its names resolved and expanded, and its functions let through the fence. */
export function resolve(e: Expression, scope: Scope, context: Context): Expression {
  context.spend(1)
  const sides = combineSides(e, scope, (one) => resolve(one, scope, context))
  if (sides) return sides
  const worded = compareWords(e, scope, context)
  if (worded !== e) return mapChildren(worded, (child) => resolve(child, scope, context))
  switch (e.kind) {
    case 'column':
      return resolveColumn(e, scope, context)
    case 'call':
      return narrowed(resolveCall(e, scope, { context, resolve }), scope)
    case 'subquery':
    case 'exists':
      return { ...e, query: context.resolveQuery(e.query, scope, context).query }
    case 'alias':
      context.takeName(e.name)
      return {
        ...e,
        expression: inDefinition(e.name, scope, () => resolve(e.expression, scope, context)),
      }
    case 'binary':
      return resolveSet(e, scope, context)
    case 'lambda':
      throw context.fail(undefined, 'a lambda stands only among the arguments of a function')
    case 'star':
      throw context.fail(e.at, 'a star stands only in a list of columns')
    default:
      return mapChildren(e, (child) => resolve(child, scope, context))
  }
}

/** A condition of WHERE or PREWHERE. */
export function resolveFilter(e: Expression, scope: Scope, context: Context): Expression {
  scope.isOfRows = true
  const resolved = resolve(e, scope, context)
  scope.isOfRows = false
  return resolved
}

/** Behind GROUP BY name there is a name to be tested, and perhaps no id or address any more. */
function narrowed(e: Expression, scope: Scope): Expression {
  if (!scope.isOfRows) return e
  return byIds(e.kind === 'binary' ? byAddress(e) : e)
}

/** Within an alias's own definition its name means the column, as ClickHouse has it. */
export function inDefinition<T>(name: string, scope: Scope, read: () => T): T {
  const nested = scope.busy.has(name)
  scope.busy.add(name)
  const result = read()
  if (!nested) scope.busy.delete(name)
  return result
}

export function resolveOrder(order: Order, scope: Scope, context: Context): Order {
  return mapOrder(order, (e) => resolve(e, scope, context))
}

export function resolveWindow(window: Window, scope: Scope, context: Context): Window {
  return mapWindow(window, (e) => resolve(e, scope, context))
}

/** `x IN name` reads the subquery WITH called so. */
function resolveSet(
  e: Extract<Expression, { kind: 'binary' }>,
  scope: Scope,
  context: Context,
): Expression {
  const left = resolve(e.left, scope, context)
  const { right } = e
  const name = right.kind === 'column' && right.parts.length === 1 ? right.parts[0]! : undefined
  const isSet = e.operator === 'IN' || e.operator === 'NOT IN'
  const common = isSet && name !== undefined ? scope.common(name) : undefined
  if (!common) return narrowed({ ...e, left, right: resolve(right, scope, context) }, scope)
  context.spend(common.weight)
  return { ...e, left, right: { kind: 'subquery', query: allOf(name!) } }
}

function allOf(name: string): Query {
  const star = { kind: 'star', table: [], at: 0, except: [], replace: [], apply: [] } as const
  const columns = [{ expression: star, text: '*' }]
  const from = { kind: 'table', parts: [name], alias: undefined, final: false, at: 0 } as const
  return { kind: 'query', first: selectOf({ columns, from }), rest: [] }
}

function resolveColumn(column: Column, scope: Scope, context: Context): Expression {
  const { parts, at } = column
  const meaning = scope.find(parts, at)
  if (!meaning) throw unknown(column, scope, context)
  const { found, taken } = meaning
  const rest = parts.slice(taken)
  return withElements(foundExpression(found, column, context), rest, found, () => {
    const whole = parts.slice(0, taken).join('.')
    return context.fail(at, `${whole} has no ${rest.join('.')}`)
  })
}

function unknown({ parts, at }: Column, scope: Scope, context: Context): Error {
  const written = parts.join('.')
  const near = scope.hint(parts.length > 1 ? parts.at(-1)! : written)
  return context.fail(at, `there is no column ${written}${near}`)
}

function foundExpression(found: Found, column: Column, context: Context): Expression {
  switch (found.kind) {
    case 'local':
      return { ...column, parts: [column.parts[0]!] }
    case 'alias':
      context.spend(weightOf(column.parts[0]!, found.scope, context))
      return { ...column, parts: [column.parts[0]!] }
    case 'column':
      return found.column
    case 'name':
      return lookUp(found.tag, found.id)
    case 'address':
      return addressText(found.address)
    case 'sides': {
      const name = column.parts.at(-1)
      throw context.fail(
        column.at,
        `${name} has two sides: say ${name}_0 for the client's, ${name}_1 for the server's`,
      )
    }
  }
}

/** Keys and values of a map column; elements of what is an alias or a lambda's parameter. */
function withElements(
  e: Expression,
  rest: readonly string[],
  found: Found,
  refuse: () => Error,
): Expression {
  if (rest.length === 0) return e
  if (found.kind === 'name' || found.kind === 'address') throw refuse()
  if (found.kind === 'column' && found.info) {
    const isMap = found.info.type.includes('Map(') && rest.length === 1
    if (!isMap || !['keys', 'values', 'size0'].includes(rest[0]!)) throw refuse()
    return { ...found.column, parts: [...found.column.parts, rest[0]!] }
  }
  return rest.reduce<Expression>((operand, element) => ({ kind: 'element', operand, element }), e)
}

const weights = new WeakMap<Expression, number>()

/** How many parts an alias stands for, those of the aliases in it counted each time. */
function weightOf(name: string, scope: Scope, context: Context): number {
  const expression = scope.aliases.get(name)
  if (!expression) return 1
  const known = weights.get(expression)
  if (known !== undefined) return known
  weights.set(expression, 1)
  let weight = 0
  walk(expression, (e) => {
    weight++
    if (e.kind !== 'column') return
    const inner = e.parts[0]!
    const holder = holderOf(inner, scope)
    if (inner !== name && holder) weight += weightOf(inner, holder, context)
  })
  weights.set(expression, weight)
  return weight
}

function holderOf(name: string, scope: Scope): Scope | undefined {
  for (let s: Scope | undefined = scope; s; s = s.parent) if (s.aliases.has(name)) return s
  return undefined
}
