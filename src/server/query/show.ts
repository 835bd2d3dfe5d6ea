import { ENUMS } from '../../model/tables/enums.ts'
import type { Expression, From, Limit, Query, Select, Show } from './ast.ts'
import { type CatalogTable, type NameTag, nameTagOf } from './catalog.ts'
import type { Context } from './context.ts'
import { metricsOf, tagsOf } from './describe.ts'
import { findTable } from './resolve-from.ts'
import { selectOf } from './select-of.ts'
import { mapChildren } from './walk.ts'

/**
 * SHOW and DESCRIBE as queries: what the catalog says stands in them as literals, so that every
 * answer, in every format, comes the same way.
 */
export function showQuery(show: Show, context: Context): Query {
  const table = (): CatalogTable =>
    findTable('table' in show ? show.table : [], 'at' in show ? show.at : 0, {
      context,
      times: { from: undefined, to: undefined },
    })
  switch (show.kind) {
    case 'databases':
      return rowsQuery(
        ['name'],
        [...context.catalog.databases.keys()].map((name) => [name]),
      )
    case 'tables':
      return showTables(show.database ?? context.database, context)
    case 'tags':
      return showTags(table())
    case 'metrics':
      return showMetrics(table())
    case 'describe':
      return describe(table())
    case 'values':
      return showValues(show, table(), context)
  }
}

function showTables(database: string | undefined, { catalog }: Context): Query {
  const rows: string[][] = []
  for (const [name, { minute }] of catalog.families)
    rows.push([minute.database, name, minute.about.replace('by minute', 'by second or minute')])
  for (const [name, tables] of catalog.databases)
    for (const table of tables.values()) rows.push([name, table.name, table.about])
  const shown = rows.filter(([of]) => database === undefined || of === database)
  return rowsQuery(
    ['name', 'database', 'description'],
    shown.map(([of, name, about]) => [name!, of!, about!]),
  )
}

const TAG_COLUMNS = [
  'name',
  'client_name',
  'server_name',
  'display_name',
  'type',
  'category',
  'operators',
  'permissions',
  'description',
  'related_tag',
  'deprecated',
  'not_supported_operators',
  'table',
]
const METRIC_COLUMNS = [
  'name',
  'is_agg',
  'display_name',
  'unit',
  'type',
  'category',
  'operators',
  'permissions',
  'table',
  'description',
]
/** Read, by everybody who may ask: the peers' flags. */
const PERMISSIONS = '111'

function showTags(table: CatalogTable): Query {
  const rows = tagsOf(table).map(({ name, client, server, type, about, operators }) => [
    name,
    client || name,
    server || name,
    name,
    type,
    type === 'resource' ? 'Universal Tag' : 'Native Tag',
    operators.join(','),
    PERMISSIONS,
    about,
    '',
    '0',
    '',
    table.name,
  ])
  return rowsQuery(TAG_COLUMNS, rows)
}

function showMetrics(table: CatalogTable): Query {
  const rows = metricsOf(table).map(({ name, type, unit, about }) => [
    name,
    '0',
    name,
    unit,
    type,
    'Application',
    '=,!=,<,<=,>,>=',
    PERMISSIONS,
    table.name,
    about,
  ])
  return rowsQuery(METRIC_COLUMNS, rows)
}

function describe(table: CatalogTable): Query {
  const columns = [...table.columns.values()]
  const rows = columns.map(({ name, type, unit, about }) => [name, type, unit, about])
  return rowsQuery(['name', 'type', 'unit', 'comment'], rows)
}

type ShowValues = Extract<Show, { kind: 'values' }>

/** The values of a tag as `value` (what rows hold) and `display_name` (what users read). */
function showValues(show: ShowValues, table: CatalogTable, context: Context): Query {
  const inner = valuesOf(show, table, context)
  const where = show.where && renamed(show.where, show.tag)
  const items = ['value', 'display_name'].map((name) => item(column(name), name))
  const limit: Limit = show.limit ?? { count: number(10_000), offset: undefined, ties: false }
  return one({ columns: items, from: derived(inner), where, limit, orderBy: BY_NAME })
}

function valuesOf(show: ShowValues, table: CatalogTable, context: Context): Query {
  const { columns } = table
  const has = (name: string): boolean => columns.has(name)
  const sided = ['', '_1', '_0'].map((side) => show.tag + side)
  const tag = sided.map((name) => nameTagOf(name, has)).find(Boolean)
  if (tag) return namesOf(tag)
  const known = sided.map((name) => columns.get(name)).find(Boolean)
  if (!known || known.isMetric)
    throw context.fail(show.at, `${show.tag} is no tag of ${table.name}; SHOW TAGS lists them`)
  if (known.words) {
    const words = Object.entries(ENUMS[known.words]!)
    const rows = words.map(([value, word]) => [number(value), text(word)])
    return literalRows(['value', 'display_name'], rows)
  }
  // What the last hour held: a list to choose from, not a history.
  const hour: Expression = { kind: 'call', name: 'toIntervalHour', at: 0, args: [number(1)] }
  const now: Expression = { kind: 'call', name: 'now', at: 0, args: [] }
  const since: Expression = { kind: 'binary', operator: '-', left: now, right: hour }
  return one({
    distinct: true,
    columns: [item(column(known.name), 'value'), item(asText(column(known.name)), 'display_name')],
    from: tableOf(table.database, table.name),
    where: { kind: 'binary', operator: '>=', left: column('time'), right: since },
  })
}

function namesOf({ dictionary, attribute }: NameTag): Query {
  const [database, name] = dictionary.split('.') as [string, string]
  return one({
    columns: [item(column('id'), 'value'), item(column(attribute), 'display_name')],
    from: tableOf(database, name),
    where: { kind: 'binary', operator: '!=', left: column(attribute), right: text('') },
  })
}

/** A condition on the tag, its id or its name, as one on `value` and `display_name`; * is %. */
function renamed(e: Expression, tag: string): Expression {
  if (e.kind === 'column' && e.parts.length === 1) {
    const [name] = e.parts
    if (name === tag || name === 'name') return { ...e, parts: ['display_name'] }
    if (name === `${tag}_id` || name === 'id') return { ...e, parts: ['value'] }
  }
  const isPattern = e.kind === 'binary' && e.operator.includes('LIKE')
  const inside = mapChildren(e, (child) => renamed(child, tag))
  if (!isPattern || inside.kind !== 'binary' || inside.right.kind !== 'string') return inside
  return { ...inside, right: text(inside.right.value.replaceAll('*', '%')) }
}

const BY_NAME = [{ expression: column('display_name'), descending: false }] as const

function rowsQuery(names: readonly string[], rows: readonly (readonly string[])[]): Query {
  return literalRows(
    names,
    rows.map((row) => row.map(text)),
  )
}

/** Rows of literals: SELECT r.1 AS name, … FROM (SELECT arrayJoin([(…), …]) AS r). */
function literalRows(names: readonly string[], rows: readonly (readonly Expression[])[]): Query {
  const row: Expression = { kind: 'column', parts: ['r'], at: 0 }
  const columns = names.map((name, at) =>
    item({ kind: 'element', operand: row, element: at + 1 }, name),
  )
  const none = names.map(() => text(''))
  const tuples = (rows.length > 0 ? rows : [none]).map(
    (items): Expression => ({ kind: 'tuple', items }),
  )
  const joined: Expression = {
    kind: 'call',
    name: 'arrayJoin',
    at: 0,
    args: [{ kind: 'array', items: tuples }],
  }
  const inner = one({ columns: [item(joined, 'r')] })
  const where = rows.length > 0 ? undefined : number(0)
  return one({ columns, from: derived(inner), where })
}

function one(clauses: Partial<Select>): Query {
  return { kind: 'query', first: selectOf(clauses), rest: [] }
}

function derived(query: Query): From {
  return { kind: 'derived', query, alias: undefined }
}

function tableOf(database: string, name: string): From {
  return { kind: 'table', parts: [database, name], alias: undefined, final: false, at: 0 }
}

function item(expression: Expression, name: string): Select['columns'][number] {
  return { expression: { kind: 'alias', expression, name }, text: name }
}

function column(name: string): Expression {
  return { kind: 'column', parts: [name], at: 0 }
}

function asText(e: Expression): Expression {
  return { kind: 'call', name: 'toString', at: 0, args: [e] }
}

function text(value: string): Expression {
  return { kind: 'string', value }
}

function number(value: number | string): Expression {
  return { kind: 'number', text: String(value) }
}
