import type { Select } from './ast.ts'

/** Groups by ids before names are looked up. */
export function groupByIds(select: Select): Select {
  return select
}
