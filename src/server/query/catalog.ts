import { ENUMS } from '../../model/tables/enums.ts'
import type { Column, MetricKind, Table, TagKind } from '../../model/tables/table.ts'
import { guess } from './guess.ts'

/** What SQL may name. It is built from the tables' declarations and from the dictionaries here. */

export type CatalogColumn = {
  readonly name: string
  readonly type: string
  readonly about: string
  readonly unit: string
  readonly kind: TagKind | MetricKind
  readonly isMetric: boolean
  /** Key into ENUMS where the column's numbers have words. */
  readonly words: string | undefined
}

/** A name that is looked up by an id: `auto_instance_1` of `auto_instance_id_1`. */
export type NameTag = {
  readonly name: string
  readonly column: string
  readonly dictionary: string
  readonly attribute: string
  readonly about: string
}

export type CatalogTable = {
  readonly database: string
  readonly name: string
  readonly about: string
  /** What `*` stands for, in order; what is internal is not in it and cannot be named. */
  readonly columns: ReadonlyMap<string, CatalogColumn>
  readonly retentionHours: number
}

export type Catalog = {
  readonly databases: ReadonlyMap<string, ReadonlyMap<string, CatalogTable>>
  /** Tables that exist by second and by minute, under the name they share. */
  readonly families: ReadonlyMap<string, { readonly second: CatalogTable; minute: CatalogTable }>
  /** Attributes by dictionary: `flow_tag.host_map` has `name`. */
  readonly dictionaries: ReadonlyMap<string, readonly string[]>
}

/** What the dictionaries say of an id; the first is a text that names it. */
const NAME_ATTRIBUTES = ['name', 'type', 'key', 'process_kname', 'host_id', 'host']
const NUMBERS = new Set(['id', 'type', 'host_id'])

const DICTIONARIES: ReadonlyMap<string, readonly string[]> = new Map([
  ['flow_tag.auto_instance_map', NAME_ATTRIBUTES],
  ['flow_tag.host_map', NAME_ATTRIBUTES],
  ['flow_tag.gprocess_map', NAME_ATTRIBUTES],
])

const RESOURCES: readonly (Omit<NameTag, 'about'> & { readonly what: string })[] = [
  {
    name: 'auto_instance',
    column: 'auto_instance_id',
    dictionary: 'flow_tag.auto_instance_map',
    attribute: 'name',
    what: 'Name of the process group, else of the host, else the address',
  },
  {
    name: 'gprocess',
    column: 'gprocess_id',
    dictionary: 'flow_tag.gprocess_map',
    attribute: 'name',
    what: 'Name of the process group',
  },
  {
    name: 'process_kname',
    column: 'gprocess_id',
    dictionary: 'flow_tag.gprocess_map',
    attribute: 'process_kname',
    what: "The kernel's name of the process",
  },
  {
    name: 'host',
    column: 'host_id',
    dictionary: 'flow_tag.host_map',
    attribute: 'name',
    what: 'Name of the host',
  },
  {
    name: 'agent',
    column: 'agent_id',
    dictionary: 'flow_tag.auto_instance_map',
    attribute: 'name',
    what: 'Name of the agent that saw it',
  },
]
const SIDES = { '': '', _0: ' of the client', _1: ' of the server' } as const

/** The catalog of `tables` and of the names in `flow_tag`. */
export function catalogOf(tables: readonly Table[]): Catalog {
  const databases = new Map<string, Map<string, CatalogTable>>()
  const families = new Map<string, { second: CatalogTable; minute: CatalogTable }>()
  for (const table of tables) {
    const known = databases.get(table.database) ?? new Map<string, CatalogTable>()
    known.set(table.name, tableOf(table))
    databases.set(table.database, known)
  }
  for (const known of databases.values())
    for (const [name, second] of known) {
      const minute = known.get(name.replace(/\.1s$/, '.1m'))
      if (name.endsWith('.1s') && minute) families.set(name.slice(0, -3), { second, minute })
    }
  databases.set('flow_tag', dictionaryTables())
  return { databases, families, dictionaries: DICTIONARIES }
}

function tableOf({ database, name, about, columns, retentionHours }: Table): CatalogTable {
  const visible = columns.filter((c) => c.stored !== false && !('internal' in c.meaning))
  return {
    database,
    name,
    about,
    retentionHours,
    columns: new Map(visible.map((column) => [column.name, columnOf(column)])),
  }
}

function columnOf({ name, type, about, unit, meaning }: Column): CatalogColumn {
  const isMetric = 'metric' in meaning
  const kind = isMetric ? meaning.metric : (meaning as { tag: TagKind }).tag
  const key = name.replace(/_[01]$/, '')
  return { name, type, about, unit, kind, isMetric, words: ENUMS[key] ? key : undefined }
}

/** A dictionary reads like a table of its ids. */
function dictionaryTables(): Map<string, CatalogTable> {
  const tables = new Map<string, CatalogTable>()
  for (const [path, attributes] of DICTIONARIES) {
    const [database, name] = path.split('.') as [string, string]
    const columns = new Map(
      ['id', ...attributes].map((column): [string, CatalogColumn] => {
        const isNumber = NUMBERS.has(column)
        const [type, kind] = isNumber
          ? (['UInt64', 'int'] as const)
          : (['String', 'string'] as const)
        const rest = { about: '', unit: '', isMetric: false, words: undefined }
        return [column, { name: column, type, kind, ...rest }]
      }),
    )
    const about = 'Names by their ids.'
    tables.set(name, { database, name, about, columns, retentionHours: 0 })
  }
  return tables
}

/** The name `written` stands for where these columns are at hand, if it stands for one. */
export function nameTagOf(written: string, has: (column: string) => boolean): NameTag | undefined {
  for (const { what, ...resource } of RESOURCES)
    for (const side in SIDES) {
      if (written !== resource.name + side || !has(resource.column + side)) continue
      return {
        ...resource,
        name: written,
        column: resource.column + side,
        about: `${what}${SIDES[side as keyof typeof SIDES]}.`,
      }
    }
  return undefined
}

/**
 * `ip`, `ip_0` and `ip_1` are the address as text, whichever family it is of: the side it is of,
 * where the columns are at hand.
 */
export function addressSideOf(
  written: string,
  has: (column: string) => boolean,
): string | undefined {
  const side = /^ip(|_0|_1)$/.exec(written)?.[1]
  if (side === undefined || !has('is_ipv4')) return undefined
  return has(`ip4${side}`) && has(`ip6${side}`) ? side : undefined
}

/** Every name that can be looked up where these columns are at hand. */
export function nameTagsOf(has: (column: string) => boolean): NameTag[] {
  return RESOURCES.flatMap(({ name }) =>
    Object.keys(SIDES).flatMap((side) => nameTagOf(name + side, has) ?? []),
  )
}

/** The names that are looked up by `column`. */
export function namesOfColumn(column: string): string[] {
  return nameTagsOf((at) => at === column).map(({ name }) => name)
}

/** The tables `name` may mean: by second and minute where it is a family. */
export function tablesNamed(
  catalog: Catalog,
  database: string | undefined,
  name: string,
): { readonly second: CatalogTable; readonly minute: CatalogTable } | undefined {
  const found = databasesFor(catalog, database).flatMap((tables) => tables.get(name) ?? [])[0]
  if (found) return { second: found, minute: found }
  const family = catalog.families.get(name)
  return !family || (database && family.second.database !== database) ? undefined : family
}

function databasesFor(
  catalog: Catalog,
  database: string | undefined,
): readonly ReadonlyMap<string, CatalogTable>[] {
  if (database === undefined) return [...catalog.databases.values()]
  const tables = catalog.databases.get(database)
  return tables ? [tables] : []
}

/** Names of tables to suggest from. */
export function tableHint(catalog: Catalog, name: string): string {
  const names = [...catalog.families.keys()]
  for (const [database, tables] of catalog.databases)
    for (const table of tables.keys()) names.push(table, `${database}.${table}`)
  return guess(name, names)
}
