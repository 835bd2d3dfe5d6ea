import type { Query, Select, SelectItem, Statement, With } from './ast.ts'
import type { Catalog } from './catalog.ts'
import { Context, type Resolved } from './context.ts'
import { groupByIds } from './group.ts'
import { keepNames } from './kept-names.ts'
import { parse } from './parse.ts'
import { printQuery } from './print.ts'
import {
  inDefinition,
  resolve,
  resolveFilter,
  resolveOrder,
  resolveWindow,
} from './resolve-expression.ts'
import { resolveFrom } from './resolve-from.ts'
import { type Output, Scope } from './scope.ts'
import { showQuery } from './show.ts'
import { type Slice, sliceOf } from './slice.ts'
import { expandStar } from './star.ts'
import { timesOf } from './times.ts'
import { keyOf, walk } from './walk.ts'
import { wordsOf } from './words.ts'

/** The engine reads no longer statement (ClickHouse's max_query_size). */
const EXPANDED_CHARACTERS_MAX = 262_144
/** A column is named by the text it was written as, up to here. */
const NAME_CHARACTERS_MAX = 200

export type ExpandOptions = {
  readonly catalog: Catalog
  /** Where tables are looked for first. */
  readonly database?: string | undefined
  /** Now, s since 1970: what `time >= now() - 900` is measured by. */
  readonly now: number
  readonly precision?: '1s' | '1m' | undefined
  /** Which of its rows are wanted; all, where it is left out. */
  readonly slice?: Slice | undefined
}

/**
 * ClickHouse's SQL for what a user wrote: every name of the catalog expanded, every function let
 * through the fence, every literal written anew. Throws a sentence for what is refused.
 */
export function expand(sql: string, options: ExpandOptions): string {
  const { catalog, database, now, precision, slice } = options
  const context = new Context(sql, { catalog, database, now, precision, resolveQuery })
  const query = queryOf(parse(sql), context)
  const resolved = resolveQuery(query, new Scope(undefined), context).query
  const text = printQuery(slice ? sliceOf(resolved, slice) : resolved)
  if (text.length > EXPANDED_CHARACTERS_MAX)
    throw context.fail(
      undefined,
      `it is ${text.length} characters long once its names are expanded`,
    )
  return text
}

function queryOf(statement: Statement, context: Context): Query {
  return 'show' in statement ? showQuery(statement, context) : statement
}

/** A query with its names resolved, and the columns it gives. */
export function resolveQuery(query: Query, parent: Scope, context: Context): Resolved {
  const scope = new Scope(parent)
  const first = resolveTerm(query.first, scope, context)
  const rest = query.rest.map(({ operator, select }) => ({
    operator,
    select: resolveTerm(select, scope, context).term,
  }))
  return { query: { kind: 'query', first: first.term, rest }, columns: first.columns }
}

type Term = { readonly term: Select | Query; readonly columns: readonly Output[] }

function resolveTerm(term: Select | Query, scope: Scope, context: Context): Term {
  if (term.kind === 'select') return resolveSelect(term, scope, context)
  const { query, columns } = resolveQuery(term, scope, context)
  return { term: query, columns }
}

/** What WITH names in a query's first SELECT is known in the further ones: `union` carries it. */
function resolveSelect(select: Select, union: Scope, context: Context): Term {
  const outer = union
  const withs = select.with.map((item) => resolveCommon(item, outer, context))
  const scope = new Scope(outer)
  const times = timesOf(select, context.now)
  const from = select.from && resolveFrom(select.from, { scope, outer, context, times })
  collectAliases(select, scope)
  const values = withs.map((item) =>
    item.kind === 'table'
      ? item
      : {
          ...item,
          expression: inDefinition(item.name, outer, () =>
            resolve(item.expression, scope, context),
          ),
        },
  )
  const { columns, outputs } = resolveColumns(select.columns, scope, context)
  const clauses = resolveClauses(select, scope, context)
  const resolved: Select = { ...select, ...clauses, with: values, columns, from }
  return { term: groupByIds(keepNames(resolved)), columns: outputs }
}

function resolveCommon(item: With, outer: Scope, context: Context): With {
  context.takeName(item.name)
  if (item.kind === 'value') {
    outer.aliases.set(item.name, item.expression)
    return item
  }
  const before = context.spent
  const { query, columns } = resolveQuery(item.query, outer, context)
  outer.commons.set(item.name, { columns, weight: context.spent - before })
  return { ...item, query }
}

function resolveClauses(select: Select, scope: Scope, context: Context): Partial<Select> {
  const { arrayJoin, groupBy, orderBy, limitBy, windows } = select
  const one = (e: Select['where']): Select['where'] => e && resolve(e, scope, context)
  const filter = (e: Select['where']): Select['where'] => e && resolveFilter(e, scope, context)
  return {
    distinctOn: select.distinctOn.map((e) => resolve(e, scope, context)),
    arrayJoin: arrayJoin && {
      ...arrayJoin,
      items: arrayJoin.items.map((e) => resolve(e, scope, context)),
    },
    prewhere: filter(select.prewhere),
    where: filter(select.where),
    groupBy: groupBy && { ...groupBy, keys: groupBy.keys.map((e) => resolve(e, scope, context)) },
    having: one(select.having),
    windows: windows.map((w) => ({ ...w, window: resolveWindow(w.window, scope, context) })),
    qualify: one(select.qualify),
    orderBy: orderBy === 'ALL' ? orderBy : orderBy.map((o) => resolveOrder(o, scope, context)),
    limitBy: limitBy && { ...limitBy, keys: limitBy.keys.map((e) => resolve(e, scope, context)) },
  }
}

/** ClickHouse knows an alias anywhere in the SELECT that gives it, wherever it was given. */
function collectAliases(select: Select, scope: Scope): void {
  const { prewhere, where, having, qualify, groupBy, orderBy, limitBy, arrayJoin } = select
  const expressions = [
    ...select.columns.map(({ expression }) => expression),
    ...(arrayJoin?.items ?? []),
    ...[prewhere, where, having, qualify].flatMap((e) => e ?? []),
    ...(groupBy?.keys ?? []),
    ...(orderBy === 'ALL' ? [] : orderBy.map(({ expression }) => expression)),
    ...(limitBy?.keys ?? []),
  ]
  for (const expression of expressions)
    walk(expression, (e) => {
      if (e.kind === 'alias') scope.aliases.set(e.name, e.expression)
      return true
    })
}

function resolveColumns(
  items: readonly SelectItem[],
  scope: Scope,
  context: Context,
): { columns: SelectItem[]; outputs: Output[] } {
  const expanded = items.flatMap((item) =>
    item.expression.kind === 'star' ? expandStar(item.expression, scope, context) : [item],
  )
  const outputs: Output[] = []
  const taken = { by: new Map<string, string>(), aliases: scope.aliases }
  const columns = expanded.map((item) => {
    const { expression } = item
    const bare = expression.kind === 'alias' ? expression.expression : expression
    const words = wordsOf(bare, scope, 0)
    const resolved = resolve(expression, scope, context)
    const column = resolvedItem(resolved, item.text, taken)
    outputs.push({ name: column.name, info: infoOf(bare, words, scope) })
    return { expression: column.expression, text: item.text }
  })
  return { columns, outputs }
}

function infoOf(
  e: SelectItem['expression'],
  words: string | undefined,
  scope: Scope,
): Output['info'] {
  if (e.kind !== 'column') return undefined
  const found = scope.find(e.parts, e.at)?.found
  if (found?.kind === 'column') return found.info
  if (found?.kind !== 'alias' || !words) return undefined
  return { name: '', type: '', about: '', unit: '', kind: 'enum', isMetric: false, words }
}

/** The item with the alias that names its column, where its own text would not. */
function resolvedItem(
  e: SelectItem['expression'],
  text: string,
  taken: { readonly by: Map<string, string>; readonly aliases: ReadonlyMap<string, unknown> },
): { readonly expression: SelectItem['expression']; readonly name: string } {
  if (e.kind === 'alias') return { expression: e, name: e.name }
  const isColumn = e.kind === 'column'
  const expanded = e.kind === 'call' ? e.expanded : undefined
  let name = isColumn ? e.parts.at(-1)! : text
  if (expanded && !text.includes('(')) name = text.replace(/^.*\./, '').replace(/[`"]/g, '')
  if (name.length > NAME_CHARACTERS_MAX)
    name = `${name.slice(0, NAME_CHARACTERS_MAX)}…${taken.by.size}`
  const whole = isColumn || expanded ? keyOf(e) : ''
  const isTaken = (taken.by.get(name) ?? whole) !== whole || taken.aliases.has(name)
  if (whole && isTaken && !(isColumn && e.parts.length === 1)) name = text
  taken.by.set(name, whole)
  if (isColumn && e.parts.length === 1 && e.parts[0] === name) return { expression: e, name }
  return { expression: { kind: 'alias', expression: e, name }, name }
}
