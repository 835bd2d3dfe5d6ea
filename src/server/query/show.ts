import type { Query, Show } from './ast.ts'
import type { Context } from './context.ts'

export function showQuery(show: Show, context: Context): Query {
  throw context.fail(0, `SHOW ${show.kind} is not yet answered`)
}
