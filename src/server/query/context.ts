import { MetaflowError } from '../../lib/errors.ts'
import type { Query } from './ast.ts'
import type { Catalog } from './catalog.ts'
import { NAMES_REFUSED } from './functions.ts'
import { refused } from './lexer.ts'
import type { Output, Scope } from './scope.ts'

/** Parts a statement may have once every name in it has been put in; the engine never sees more. */
const PARTS_MAX = 100_000

export type Resolved = { readonly query: Query; readonly columns: readonly Output[] }

/** What every part of the resolver needs: the catalog, its bounds, and how to refuse. */
export class Context {
  readonly catalog: Catalog
  readonly database: string | undefined
  /** The moment the statement came, s since 1970. */
  readonly now: number
  /** Which of the tables by second and by minute is read, where the statement leaves it open. */
  readonly precision: '1s' | '1m' | undefined
  /** Resolves a query inside another; the resolver puts itself in. */
  readonly resolveQuery: (query: Query, parent: Scope, context: Context) => Resolved
  readonly #sql: string
  #spent = 0

  constructor(
    sql: string,
    options: Pick<Context, 'catalog' | 'database' | 'now' | 'precision' | 'resolveQuery'>,
  ) {
    this.#sql = sql
    this.catalog = options.catalog
    this.database = options.database
    this.now = options.now
    this.precision = options.precision
    this.resolveQuery = options.resolveQuery
  }

  get spent(): number {
    return this.#spent
  }

  /** Counts parts of the statement, those put in by reference too, against the bound. */
  spend(parts: number): void {
    this.#spent += parts
    if (this.#spent > PARTS_MAX)
      throw this.fail(undefined, `it has more than ${PARTS_MAX} parts once its names are put in`)
  }

  /** Refuses to give something a name that the engine could take for a function. */
  takeName(name: string): void {
    if (NAMES_REFUSED.has(name.toLowerCase()))
      throw this.fail(
        undefined,
        `${name} is the name of a function that no query may call; take another`,
      )
  }

  /** The error of a statement that is wrong at `at`, or somewhere. */
  fail(at: number | undefined, state: string): MetaflowError {
    if (at === undefined) return new MetaflowError('refused', `Cannot read the statement: ${state}`)
    return refused(this.#sql, at, state)
  }
}
