import type { Select } from './ast.ts'

const EMPTY: Select = {
  kind: 'select',
  with: [],
  distinct: false,
  distinctOn: [],
  columns: [],
  from: undefined,
  arrayJoin: undefined,
  prewhere: undefined,
  where: undefined,
  groupBy: undefined,
  having: undefined,
  windows: [],
  qualify: undefined,
  orderBy: [],
  limitBy: undefined,
  limit: undefined,
}

/** A SELECT of these clauses and no others. */
export function selectOf(clauses: Partial<Select>): Select {
  return { ...EMPTY, ...clauses }
}
