import type { Applied, Expression, SelectItem, Star } from './ast.ts'
import { namesOfColumn, nameTagOf } from './catalog.ts'
import type { Context } from './context.ts'
import type { Scope, Source } from './scope.ts'
import { mapChildren, walk } from './walk.ts'

/**
 * The columns a star stands for: each column that is not internal and, behind an id, the names
 * that are looked up by it. EXCEPT, REPLACE and APPLY are carried out here; the engine, which
 * would let APPLY call anything, never sees them.
 */
export function expandStar(star: Star, scope: Scope, context: Context): SelectItem[] {
  const sources = sourcesOf(star, scope, context)
  const qualify = scope.sources.length > 1
  const joined = new Set<string>()
  // What USING joins by is one column, however many tables have it.
  const isFirst = (name: string): boolean => !scope.using.has(name) || !joined.has(name)
  const names = sources.flatMap((source) =>
    columnsOf(source).flatMap((name) => {
      if (!isFirst(name)) return []
      joined.add(name)
      return [{ source, name }]
    }),
  )
  context.spend(names.length)
  for (const name of [...star.except, ...star.replace.map((r) => r.name)])
    if (!names.some((column) => column.name === name))
      throw context.fail(star.at, `there is no column ${name} in what the star stands for`)
  return names
    .filter(({ name }) => !star.except.includes(name))
    .map(({ source, name }) =>
      itemOf(star, name, { parts: qualify ? [source.alias, name] : [name], context }),
    )
}

function sourcesOf(star: Star, scope: Scope, context: Context): readonly Source[] {
  if (star.table.length > 0) {
    const source = scope.source(star.table)
    if (source) return [source]
    throw context.fail(star.at, `there is no table ${star.table.join('.')} in this FROM`)
  }
  if (scope.sources.length === 0) throw context.fail(star.at, 'a star needs a FROM')
  return scope.sources
}

const known = new WeakMap<Source['columns'], readonly string[]>()

/** A table's columns with the names behind its ids; what a subquery gives is just that. */
function columnsOf({ columns, database }: Source): readonly string[] {
  if (database === undefined) return [...columns.keys()]
  const before = known.get(columns)
  if (before) return before
  const all = listColumns(columns)
  known.set(columns, all)
  return all
}

function listColumns(columns: Source['columns']): string[] {
  return [...columns.keys()].flatMap((column) => [
    column,
    ...namesOfColumn(column).filter(
      (name) => !columns.has(name) && nameTagOf(name, (c) => columns.has(c)),
    ),
  ])
}

function itemOf(
  star: Star,
  name: string,
  { parts, context }: { readonly parts: readonly string[]; readonly context: Context },
): SelectItem {
  const column: Expression = { kind: 'column', parts, at: star.at }
  const replaced = star.replace.find((r) => r.name === name)?.expression
  const expression = applied(replaced ?? column, star, context)
  if (expression === column) return { expression, text: parts.join('.') }
  const functions = star.apply.map((a) => ('kind' in a ? 'lambda' : a.name)).join('.')
  return {
    expression: { kind: 'alias', expression, name: functions ? `${functions}(${name})` : name },
    text: name,
  }
}

/**
 * A column with the star's functions around it. Its parts may double with each (`x -> x + x`): they
 * are counted before they are made.
 */
function applied(column: Expression, { apply, at }: Star, context: Context): Expression {
  let e = column
  let parts = partsOf(column, undefined).own
  for (const one of apply) {
    if ('kind' in one) {
      const { own, places } = partsOf(one.body, one.parameters[0]!)
      parts = own + places * parts
    } else parts += 1 + one.parameters.length
    context.spend(parts)
    e = applyTo(e, one, at)
  }
  return e
}

/** Parts of an expression, and places among them where `parameter` stands. */
function partsOf(e: Expression, parameter: string | undefined): { own: number; places: number } {
  let own = 0
  let places = 0
  walk(e, (part) => {
    own++
    if (part.kind === 'column' && part.parts.length === 1 && part.parts[0] === parameter) places++
    return true
  })
  return { own, places }
}

function applyTo(e: Expression, applied: Applied, at: number): Expression {
  if ('kind' in applied) return substitute(applied.body, applied.parameters[0]!, e)
  const { name, parameters } = applied
  return { kind: 'call', name, at, args: [e], ...(parameters.length > 0 && { parameters }) }
}

function substitute(body: Expression, parameter: string, by: Expression): Expression {
  if (body.kind === 'column' && body.parts.length === 1 && body.parts[0] === parameter) return by
  if (body.kind === 'lambda' && body.parameters.includes(parameter)) return body
  return mapChildren(body, (child) => substitute(child, parameter, by))
}
