import { ENUMS } from '../../model/tables/enums.ts'
import {
  addressSideOf,
  type Catalog,
  type CatalogColumn,
  type CatalogTable,
  nameTagsOf,
} from './catalog.ts'

/** The catalog as people and pickers see it. */

export type Tag = {
  readonly name: string
  /** How each end's is called; empty where the tag has no sides. */
  readonly client: string
  readonly server: string
  readonly type: string
  readonly about: string
  readonly operators: readonly string[]
  /** Words of its numbers, where it has them. */
  readonly words?: Readonly<Record<number, string>>
}
export type Metric = {
  readonly name: string
  readonly type: string
  readonly unit: string
  readonly about: string
}
export type DescribedTable = {
  readonly database: string
  readonly name: string
  readonly about: string
  readonly tags: readonly Tag[]
  readonly metrics: readonly Metric[]
}

const EQUAL = ['=', '!=', 'IN', 'NOT IN']
const TEXT = [...EQUAL, 'LIKE', 'NOT LIKE', 'ILIKE', 'REGEXP']
const ORDERED = [...EQUAL, '<', '<=', '>', '>=', 'BETWEEN']
const OPERATORS: Readonly<Record<string, readonly string[]>> = {
  time: ORDERED,
  int: ORDERED,
  enum: [...EQUAL, 'LIKE'],
  ip: EQUAL,
  string: TEXT,
  resource: TEXT,
}

const ADDRESSES = [
  ['ip', ''],
  ['ip_0', ' of the client'],
  ['ip_1', ' of the server'],
] as const

/** Every table with its tags and metrics; tables by second and minute under the name they share. */
export function describeCatalog(catalog: Catalog): DescribedTable[] {
  const tables = [...catalog.databases.values()].flatMap((known) => [...known.values()])
  const families = [...catalog.families].map(([name, { minute }]) => ({ ...minute, name }))
  return [...families, ...tables].map((table) => ({
    database: table.database,
    name: table.name,
    about: table.about,
    tags: tagsOf(table),
    metrics: metricsOf(table),
  }))
}

/** The tags of a table: its own columns, and the names that ids are looked up for. */
export function tagsOf({ columns }: CatalogTable): Tag[] {
  const names = nameTagsOf((column) => columns.has(column))
  const addresses = ADDRESSES.filter(
    ([name]) => addressSideOf(name, (c) => columns.has(c)) !== undefined,
  ).map(([name, whose]) => tagOf(name, 'ip', `Address${whose}, of either family.`))
  const all = [
    ...[...columns.values()].filter((c) => !c.isMetric).map(tagOfColumn),
    ...names.map(({ name, about }) => tagOf(name, 'resource', about)),
    ...addresses,
  ]
  const known = new Set(all.map(({ name }) => name))
  return all.flatMap((tag) => {
    if (tag.name.endsWith('_1') && known.has(`${tag.name.slice(0, -2)}_0`)) return []
    const base = tag.name.slice(0, -2)
    if (!tag.name.endsWith('_0') || !known.has(`${base}_1`)) return [tag]
    const about = tag.about.replace(' of the client', '').replace('The client: its', 'Its')
    return [{ ...tag, name: base, client: tag.name, server: `${base}_1`, about }]
  })
}

function tagOfColumn({ name, kind, about, words }: CatalogColumn): Tag {
  const type = words ? 'int_enum' : kind === 'resource' ? 'int' : kind
  return { ...tagOf(name, type, about), ...(words && { words: ENUMS[words]! }) }
}

function tagOf(name: string, type: string, about: string): Tag {
  const operators = OPERATORS[type === 'int_enum' ? 'enum' : type] ?? EQUAL
  return { name, client: '', server: '', type, about, operators }
}

/** The metrics of a table. */
export function metricsOf({ columns }: CatalogTable): Metric[] {
  return [...columns.values()]
    .filter((column) => column.isMetric)
    .map(({ name, kind, unit, about }) => ({ name, type: kind, unit, about }))
}
