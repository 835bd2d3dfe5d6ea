import type { Column, Expression } from './ast.ts'
import {
  addressSideOf,
  type CatalogColumn,
  type NameTag,
  nameTagOf,
  nameTagsOf,
} from './catalog.ts'
import { guess } from './guess.ts'

/** What is known of a column's values: the catalog's column they come from, if unchanged. */
export type Info = CatalogColumn | undefined
export type Output = { readonly name: string; readonly info: Info }

/** A table, subquery or table function of a FROM. */
export type Source = {
  readonly alias: string
  readonly database: string | undefined
  readonly columns: ReadonlyMap<string, Info>
}

/** The columns one address lies in: which of two holds says the first. */
export type Address = { readonly isV4: Column; readonly v4: Column; readonly v6: Column }

/** A subquery that WITH named, and what it costs to put it in once more. */
export type Common = { readonly columns: readonly Output[]; readonly weight: number }

export type Found =
  | { readonly kind: 'local' }
  | { readonly kind: 'alias'; readonly expression: Expression; readonly scope: Scope }
  | { readonly kind: 'column'; readonly column: Column; readonly info: Info }
  | { readonly kind: 'name'; readonly tag: NameTag; readonly id: Column }
  | { readonly kind: 'address'; readonly address: Address }
  /** A tag that has two sides and was named without one. */
  | { readonly kind: 'sides' }

/** What the names in one SELECT mean, and behind it those of the SELECTs around it. */
export class Scope {
  readonly parent: Scope | undefined
  readonly sources: Source[] = []
  readonly aliases: Map<string, Expression> = new Map()
  readonly commons: Map<string, Common> = new Map()
  readonly locals: ReadonlySet<string>
  /** Columns that tables are joined by with USING. */
  readonly using: Set<string> = new Set()
  /** Whether rows are read, which are not groups yet: in WHERE and in aggregates. */
  isOfRows = false
  /** Aliases whose own definition is being read: in it the name means the column. */
  readonly busy: Set<string> = new Set()

  constructor(parent: Scope | undefined, locals: Iterable<string> = []) {
    this.parent = parent
    this.locals = new Set(locals)
  }

  common(name: string): Common | undefined {
    return this.commons.get(name) ?? this.parent?.common(name)
  }

  /** What `parts` mean here, and how many of them the meaning took. */
  find(parts: readonly string[], at: number): { found: Found; taken: number } | undefined {
    const qualified = parts.length > 1 ? this.#qualified(parts, at) : undefined
    if (qualified) return qualified
    const bare = this.#bare(parts[0]!, at)
    if (bare) return { found: bare, taken: 1 }
    return this.parent?.find(parts, at)
  }

  #bare(name: string, at: number): Found | undefined {
    if (this.locals.has(name)) return { kind: 'local' }
    const alias = this.aliases.get(name)
    if (alias && !this.busy.has(name)) return { kind: 'alias', expression: alias, scope: this }
    const holders = this.#holders(name)
    if (holders.length > 0) {
      const info = holders[0]!.columns.get(name)
      return { kind: 'column', column: this.#columnOf(holders, name, at), info }
    }
    for (const source of this.sources) {
      const found = this.#derived(source, name, at)
      if (found) return found
    }
    return undefined
  }

  #holders(column: string): readonly Source[] {
    return this.sources.filter(({ columns }) => columns.has(column))
  }

  /** A name that is looked up by an id of `source`, or a tag of both sides. */
  #derived(source: Source, name: string, at: number): Found | undefined {
    const has = (column: string): boolean => source.columns.has(column)
    const tag = nameTagOf(name, has)
    // What USING joins by is one column: a row may have it from either table.
    const of = (column: string): Column => {
      const holders = this.using.has(column) ? this.#holders(column) : [source]
      return this.#columnOf(holders, column, at)
    }
    if (tag) return { kind: 'name', tag, id: of(tag.column) }
    const side = addressSideOf(name, has)
    if (side !== undefined) {
      const address = { isV4: of('is_ipv4'), v4: of(`ip4${side}`), v6: of(`ip6${side}`) }
      return { kind: 'address', address }
    }
    const known = (column: string): boolean =>
      has(column) ||
      nameTagOf(column, has) !== undefined ||
      addressSideOf(column, has) !== undefined
    return known(`${name}_0`) && known(`${name}_1`) ? { kind: 'sides' } : undefined
  }

  #qualified(parts: readonly string[], at: number): { found: Found; taken: number } | undefined {
    for (const source of this.sources) {
      const taken = takenBy(source, parts)
      const name = parts[taken]
      if (taken === 0 || name === undefined) continue
      const info = source.columns.get(name)
      if (source.columns.has(name)) {
        const column = this.#columnOf([source], name, at)
        return { found: { kind: 'column', column, info }, taken: taken + 1 }
      }
      const found = this.#derived(source, name, at)
      if (found) return { found, taken: taken + 1 }
    }
    return undefined
  }

  /**
   * The column as it is printed. Where an alias of the same name stands anywhere, the engine
   * would take that: then the table is named too.
   */
  #columnOf(holders: readonly Source[], name: string, at: number): Column {
    const several = this.sources.length > 1 && holders.length === 1
    const parts = several || this.hasAlias(name) ? [holders[0]!.alias, name] : [name]
    return { kind: 'column', parts, at }
  }

  hasAlias(name: string): boolean {
    return this.aliases.has(name) || (this.parent?.hasAlias(name) ?? false)
  }

  /** The source that `parts` name as a whole: for `table.*`. */
  source(parts: readonly string[]): Source | undefined {
    return this.sources.find((source) => takenBy(source, parts) === parts.length)
  }

  /** A sentence's end for a name that means nothing here. */
  hint(name: string): string {
    const names: string[] = []
    for (let scope: Scope | undefined = this; scope; scope = scope.parent) {
      names.push(...scope.aliases.keys(), ...scope.locals)
      for (const { columns } of scope.sources) {
        names.push(...columns.keys())
        names.push(...nameTagsOf((column) => columns.has(column)).map((tag) => tag.name))
      }
    }
    return guess(name, names)
  }
}

/** How many of `parts` name `source`: its alias, or its database and alias. */
function takenBy({ alias, database }: Source, parts: readonly string[]): number {
  if (parts[0] === alias) return 1
  return database !== undefined && parts[0] === database && parts[1] === alias ? 2 : 0
}
