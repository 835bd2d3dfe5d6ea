/** How a column travels in a block: its width there, and how the server widens it. */
export type Physical = 'u8' | 'u16' | 'u32' | 'u64' | 'i32' | 'i64' | 'text' | 'ip6' | 'histogram'

/** What a column is to a reader. */
export type Meaning =
  | { readonly tag: TagKind; readonly name?: string }
  | { readonly metric: MetricKind }
  | { readonly internal: true }
/**
 * How a tag is written in SQL: `resource` by a dictionary of `flow_tag` (the tag's `name` is the
 * column's without `_id`), `enum` by words of ENUMS, the rest as they stand.
 */
export type TagKind = 'time' | 'resource' | 'enum' | 'int' | 'string' | 'ip'
/** How readers combine a metric: counters sum, delays average over their count, max is the most. */
export type MetricKind = 'counter' | 'delay' | 'max' | 'histogram'

export type Column = {
  /** Its number in blocks, never used again for another. */
  readonly number: number
  readonly name: string
  /** ClickHouse type, as DDL says it. */
  readonly type: string
  /** ClickHouse codec chain, without CODEC(); empty: the default. */
  readonly codec: string
  /** How an agent sends it; absent: the server fills it. */
  readonly wire?: Physical
  /** Number that stands for NULL on the wire of a Nullable column. */
  readonly nullAs?: number
  /** False: it travels but is not stored (a reference into the block's names). */
  readonly stored?: false
  readonly unit: string
  readonly about: string
  /** Schema version that brought it. */
  readonly since: number
  readonly meaning: Meaning
  /** Skip index: type and granularity, as DDL says it. */
  readonly index?: string
}

export type Table = {
  /** Its number in blocks, never used again for another. */
  readonly number: number
  readonly database: string
  readonly name: string
  readonly about: string
  readonly columns: readonly Column[]
  /** ORDER BY; rows that agree in all of it merge where `aggregating`. */
  readonly orderBy: readonly string[]
  readonly aggregating: boolean
  /** Hours a partition covers: (time, in seconds) divided by this, rounded down. */
  readonly partitionHours: number
  readonly retentionHours: number
}

/** The physical name, quoted where it must be: flow_metrics.`application.1s`. */
export function qualifiedName({ database, name }: Table): string {
  return `${database}.${name.includes('.') ? `\`${name}\`` : name}`
}
