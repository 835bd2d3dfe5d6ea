import type { From, Join } from './ast.ts'
import { type CatalogTable, tableHint, tablesNamed } from './catalog.ts'
import type { Context } from './context.ts'
import { TABLE_FUNCTIONS } from './functions.ts'
import { resolve } from './resolve-expression.ts'
import { type Info, Scope, type Source } from './scope.ts'
import type { Times } from './times.ts'

/** What resolving a FROM needs: the scope its columns go to, and the one its subqueries see. */
export type FromTarget = {
  readonly scope: Scope
  readonly outer: Scope
  readonly context: Context
  readonly times: Times
}

/** Points by second are read up to this range, s; they are asked for by name beyond it. */
const SECONDS_RANGE_MAX = 3600

/** A FROM with its tables found in the catalog; their columns are put into the scope. */
export function resolveFrom(from: From, target: FromTarget): From {
  target.context.spend(1)
  switch (from.kind) {
    case 'table':
      return resolveTable(from, target)
    case 'function':
      return resolveFunction(from, target)
    case 'derived': {
      const { query, columns } = target.context.resolveQuery(
        from.query,
        target.outer,
        target.context,
      )
      const alias = from.alias ?? freeAlias(target.scope)
      const known = new Map(columns.map(({ name, info }) => [name, info]))
      addSource({ alias, database: undefined, columns: known }, target, 0)
      return { ...from, query, alias }
    }
    case 'join':
      return resolveJoin(from, target)
  }
}

function resolveTable(from: Extract<From, { kind: 'table' }>, target: FromTarget): From {
  const { parts, at } = from
  const { context, scope } = target
  const common = parts.length === 1 ? target.outer.common(parts[0]!) : undefined
  const alias = from.alias ?? parts.at(-1)!
  if (common) {
    context.spend(common.weight)
    const columns = new Map(common.columns.map(({ name, info }) => [name, info]))
    addSource({ alias, database: undefined, columns }, target, at)
    if (from.final) throw context.fail(at, 'FINAL stands behind a table')
    return { ...from, alias }
  }
  const table = findTable(parts, at, target)
  const columns: ReadonlyMap<string, Info> = table.columns
  addSource({ alias, database: table.database, columns }, { ...target, scope }, at)
  return { ...from, parts: [table.database, table.name], alias }
}

/** The table `parts` name; of a family the one that fits the statement's times. */
export function findTable(
  parts: readonly string[],
  at: number,
  { context, times }: Pick<FromTarget, 'context' | 'times'>,
): CatalogTable {
  const written = parts.join('.')
  const { catalog, precision } = context
  const [first, ...others] = parts
  // A table's name may have a dot in it, written in one pair of quotes or none.
  const database = others.length > 0 && catalog.databases.has(first!) ? first : undefined
  const name = database ? others.join('.') : written
  const found =
    (!database && tablesNamed(catalog, context.database, name)) ||
    tablesNamed(catalog, database, name)
  if (!found) throw context.fail(at, `there is no table ${written}${tableHint(catalog, written)}`)
  const bySecond =
    precision === undefined ? isForSeconds(times, context.now, found.second) : precision === '1s'
  return bySecond ? found.second : found.minute
}

/** Whether points by second hold the whole range that the statement asks for, and it is short. */
function isForSeconds({ from, to }: Times, now: number, table: CatalogTable): boolean {
  if (from === undefined) return false
  const kept = now - (table.retentionHours - 1) * 3600
  return from >= kept && Math.min(to ?? now, now) - from <= SECONDS_RANGE_MAX
}

function resolveFunction(from: Extract<From, { kind: 'function' }>, target: FromTarget): From {
  const { context, outer } = target
  const lower = from.name.toLowerCase()
  const column = TABLE_FUNCTIONS.get(lower)
  if (column === undefined) {
    const known = [...TABLE_FUNCTIONS.keys()].join(', ')
    throw context.fail(from.at, `${from.name} is no table a query may read; functions are ${known}`)
  }
  const args = from.args.map((arg) => resolve(arg, new Scope(outer), context))
  const alias = from.alias ?? lower
  addSource(
    { alias, database: undefined, columns: new Map([[column, undefined]]) },
    target,
    from.at,
  )
  return { ...from, name: lower === 'generateseries' ? 'generate_series' : lower, args, alias }
}

function resolveJoin(join: Join, target: FromTarget): From {
  const left = resolveFrom(join.left, target)
  const right = resolveFrom(join.right, target)
  const { on, using } = join
  const { scope, context } = target
  for (const name of using ?? []) {
    scope.using.add(name)
    if (!scope.sources.some(({ columns }) => columns.has(name)))
      throw context.fail(undefined, `there is no column ${name} to join by${scope.hint(name)}`)
  }
  return { ...join, left, right, on: on && resolve(on, scope, context) }
}

function addSource(source: Source, { scope, context }: FromTarget, at: number): void {
  context.takeName(source.alias)
  if (scope.sources.some(({ alias }) => alias === source.alias))
    throw context.fail(at, `two tables are called ${source.alias}: give one another alias`)
  scope.sources.push(source)
}

function freeAlias(scope: Scope): string {
  for (let i = scope.sources.length + 1; ; i++) {
    const alias = `_t${i}`
    if (!scope.sources.some((source) => source.alias === alias)) return alias
  }
}
