import type { Applied, Expression, SelectItem, Star } from './ast.ts'
import { namesOfColumn, nameTagOf } from './catalog.ts'
import type { Context } from './context.ts'
import type { Scope, Source } from './scope.ts'
import { mapChildren } from './walk.ts'

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
    .map(({ source, name }) => itemOf(star, name, qualify ? [source.alias, name] : [name]))
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

function columnsOf({ columns }: Source): readonly string[] {
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

function itemOf(star: Star, name: string, parts: readonly string[]): SelectItem {
  const column: Expression = { kind: 'column', parts, at: star.at }
  const replaced = star.replace.find((r) => r.name === name)?.expression
  const expression = star.apply.reduce(
    (e, applied) => applyTo(e, applied, star.at),
    replaced ?? column,
  )
  if (expression === column) return { expression, text: parts.join('.') }
  const applied = star.apply.map((a) => ('kind' in a ? 'lambda' : a.name)).join('.')
  return {
    expression: { kind: 'alias', expression, name: applied ? `${applied}(${name})` : name },
    text: name,
  }
}

function applyTo(e: Expression, applied: Applied, at: number): Expression {
  if ('kind' in applied) return substitute(applied.body, applied.parameters[0]!, e)
  const { name, parameters } = applied
  return { kind: 'call', name, at, args: [e], ...(parameters.length > 0 && { parameters }) }
}

function substitute(body: Expression, parameter: string, by: Expression): Expression {
  if (body.kind === 'column' && body.parts.length === 1 && body.parts[0] === parameter) return by
  return mapChildren(body, (child) => substitute(child, parameter, by))
}
