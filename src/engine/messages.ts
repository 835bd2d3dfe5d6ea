import type { Summary } from './chdb.ts'

/** Who asks: writers may do anything the grants allow; readers read, within fixed limits. */
export type Role = 'writer' | 'reader'

/** A statement taken apart: what runs, in what format, with which rows. */
export type Statement = {
  /** For an INSERT with rows: up to its FORMAT clause. */
  readonly sql: string
  readonly kind: 'insert' | 'other'
  /** Of the result, or of the rows. */
  readonly format: string
  readonly database: string
  readonly settings: Readonly<Record<string, string>>
}

/** To a Worker that holds a connection. Each order has exactly one reply. */
export type Order =
  | {
      readonly kind: 'open'
      readonly library: string
      readonly args: readonly string[]
      readonly role: Role
    }
  | {
      readonly kind: 'run'
      readonly statement: Statement
      readonly rows?: Uint8Array<ArrayBuffer>
      /** Put before the statement, so that it can be found and killed. */
      readonly mark: string
    }
  /** Asks for the next part of a result; the Worker never runs ahead. */
  | { readonly kind: 'more' }
  /** Ends a result that nobody reads on. */
  | { readonly kind: 'cancel' }
  /** Closes the connection; with `shutdown`, ends the engine too (the last one to close). */
  | { readonly kind: 'close'; readonly shutdown: boolean }

/** Some of a result, or all of it with what it took. */
export type Part = {
  readonly kind: 'part'
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly last: boolean
  readonly summary: Summary
}
export type Reply =
  | { readonly kind: 'open'; readonly version: string }
  | Part
  | { readonly kind: 'failed'; readonly sentence: string }
  | { readonly kind: 'closed'; readonly clean: boolean }
