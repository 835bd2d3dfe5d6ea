/**
 * The embedded ClickHouse engine (libchdb 26.7), as its C interface says it (chdb.h). A call blocks
 * its thread, and a connection runs one statement at a time: one Worker, one connection.
 */
import {
  addressOf,
  cString,
  type NativeFunction,
  type NativePointer,
  openLibrary,
  pointerAt,
  type Signatures,
  textAt,
  viewAt,
} from '../lib/ffi.ts'

type Signature = Signatures[string]
const QUERY: Signature = { args: ['ptr', 'ptr', 'u64', 'ptr', 'u64'], returns: 'ptr' }
const POINTER: Signature = { args: ['ptr'], returns: 'ptr' }
const NUMBER: Signature = { args: ['ptr'], returns: 'u64' }
const VOID: Signature = { args: ['ptr'], returns: 'void' }
type Name =
  | 'chdb_set_signal_handlers_enabled'
  | 'chdb_version'
  | 'chdb_connect'
  | 'chdb_close_conn'
  | 'chdb_shutdown'
  | 'chdb_query_n'
  | 'chdb_stream_query_n'
  | 'chdb_stream_fetch_result'
  | 'chdb_stream_cancel_query'
  | 'chdb_stream_insert_n'
  | 'chdb_stream_append'
  | 'chdb_stream_done'
  | 'chdb_stream_insert_error'
  | 'chdb_destroy_insert_stream'
  | 'chdb_classify_query_n'
  | 'chdb_result_buffer'
  | 'chdb_result_length'
  | 'chdb_result_elapsed'
  | 'chdb_result_rows_read'
  | 'chdb_result_storage_rows_read'
  | 'chdb_result_storage_bytes_read'
  | 'chdb_result_rows_written'
  | 'chdb_result_bytes_written'
  | 'chdb_result_error'
  | 'chdb_destroy_query_result'
const SIGNATURES: Readonly<Record<Name, Signature>> = {
  chdb_set_signal_handlers_enabled: { args: ['i32'], returns: 'void' },
  chdb_version: { args: [], returns: 'ptr' },
  chdb_connect: { args: ['i32', 'ptr'], returns: 'ptr' },
  chdb_close_conn: VOID,
  chdb_shutdown: { args: [], returns: 'i32' },
  chdb_query_n: QUERY,
  chdb_stream_query_n: QUERY,
  chdb_stream_fetch_result: { args: ['ptr', 'ptr'], returns: 'ptr' },
  chdb_stream_cancel_query: { args: ['ptr', 'ptr'], returns: 'void' },
  chdb_stream_insert_n: QUERY,
  chdb_stream_append: { args: ['ptr', 'ptr', 'u64'], returns: 'i32' },
  chdb_stream_done: POINTER,
  chdb_stream_insert_error: POINTER,
  chdb_destroy_insert_stream: VOID,
  chdb_classify_query_n: { args: ['ptr', 'ptr', 'u64', 'ptr', 'u64', 'ptr'], returns: 'i32' },
  chdb_result_buffer: POINTER,
  chdb_result_length: NUMBER,
  chdb_result_elapsed: { args: ['ptr'], returns: 'f64' },
  chdb_result_rows_read: NUMBER,
  chdb_result_storage_rows_read: NUMBER,
  chdb_result_storage_bytes_read: NUMBER,
  chdb_result_rows_written: NUMBER,
  chdb_result_bytes_written: NUMBER,
  chdb_result_error: POINTER,
  chdb_destroy_query_result: VOID,
}
type Functions = Readonly<Record<Name, NativeFunction>>

/** What a statement did, in the words of ClickHouse's summary header. */
export type Summary = {
  readonly readRows: number
  readonly readBytes: number
  readonly writtenRows: number
  readonly writtenBytes: number
  readonly resultRows: number
  readonly elapsedNs: number
}
export const NOTHING: Summary = {
  readRows: 0,
  readBytes: 0,
  writtenRows: 0,
  writtenBytes: 0,
  resultRows: 0,
  elapsedNs: 0,
}

/** The engine's own sentence, `Code: 60. DB::Exception: … (UNKNOWN_TABLE)`. */
export class EngineError extends Error {}

/** `chdb_query_class`: 0 is the only one that leaves no trace. */
export const READ_ONLY = 0
export type Analysis = { readonly statements: number; readonly queryClass: number }
export type Result = { readonly bytes: Uint8Array<ArrayBuffer>; readonly summary: Summary }

export class Chdb {
  readonly #f: Functions

  /** Opens the library at `path`. Its signal handlers stay off: they would take over. */
  constructor(path: string) {
    this.#f = openLibrary(path, SIGNATURES)
    this.#f.chdb_set_signal_handlers_enabled(0)
  }

  get version(): string {
    return textAt(this.#f.chdb_version())
  }

  /** Opens a connection; `args` are `--path=…`, `--config-file=…` and `--setting=value`. */
  connect(args: readonly string[]): Connection {
    const texts = ['clickhouse', ...args].map(cString)
    const argv = new BigUint64Array(texts.map((text) => BigInt(addressOf(text))))
    const connection = this.#f.chdb_connect(texts.length, addressOf(argv))
    if (!connection) throw new EngineError('the engine refused to open its directory')
    return new Connection(this.#f, connection)
  }

  /** Ends the engine's threads once every connection is closed. False: something was still open. */
  shutdown(): boolean {
    return this.#f.chdb_shutdown() === 0
  }
}

export class Connection {
  readonly #f: Functions
  readonly #owner: NativePointer
  readonly #handle: NativePointer

  constructor(functions: Functions, owner: NativePointer) {
    this.#f = functions
    this.#owner = owner
    this.#handle = pointerAt(owner)
  }

  /** Runs `sql` to its end and answers all of its result. */
  query(sql: string, format: string): Result {
    return this.#taken(this.#call(this.#f.chdb_query_n, sql, format))
  }

  /** Begins `sql`; its blocks are fetched one by one. The connection is taken until it ends. */
  stream(sql: string, format: string): Stream {
    const result = this.#call(this.#f.chdb_stream_query_n, sql, format)
    const error = this.#f.chdb_result_error(result)
    if (error) {
      const sentence = textAt(error)
      this.#f.chdb_destroy_query_result(result)
      throw new EngineError(sentence)
    }
    return new Stream(this.#f, this.#handle, result)
  }

  /**
   * Inserts `body`, rows in `format`. `sql` is the INSERT up to its FORMAT clause: with the rows in
   * the statement's text, binary ones would be cut at the first `;`.
   */
  insert(sql: string, format: string, body: Uint8Array): Summary {
    const stream = this.#call(this.#f.chdb_stream_insert_n, sql, format)
    try {
      this.#checkInsert(stream)
      if (body.length > 0 && this.#f.chdb_stream_append(stream, addressOf(body), body.length) !== 0)
        this.#checkInsert(stream)
      return this.#taken(this.#f.chdb_stream_done(stream)).summary
    } finally {
      this.#f.chdb_destroy_insert_stream(stream)
    }
  }

  /** What the engine's own parser says about `sql`, without running it. */
  analyse(sql: string): Analysis {
    const text = Buffer.from(sql)
    const database = Buffer.from('default')
    // struct chdb_query_analysis_v1 { u32 struct_size, statement_count, flags, query_class }
    const answer = new Uint32Array([16, 0, 0, 4])
    const failed = this.#f.chdb_classify_query_n(
      this.#handle,
      addressOf(text),
      text.length,
      addressOf(database),
      database.length,
      addressOf(answer),
    )
    return failed
      ? { statements: 0, queryClass: 4 }
      : { statements: answer[1]!, queryClass: answer[3]! }
  }

  close(): void {
    this.#f.chdb_close_conn(this.#owner)
  }

  #call(run: NativeFunction, sql: string, format: string): NativePointer {
    const text = Buffer.from(sql)
    const name = Buffer.from(format)
    return run(this.#handle, addressOf(text), text.length, addressOf(name), name.length)
  }

  #checkInsert(stream: NativePointer): void {
    const error = this.#f.chdb_stream_insert_error(stream)
    if (error) throw new EngineError(textAt(error))
  }

  #taken(result: NativePointer): Result {
    return takeResult(this.#f, result)
  }
}

/** A statement whose blocks come one by one. */
export class Stream {
  readonly #f: Functions
  readonly #handle: NativePointer
  readonly #result: NativePointer
  #open = true

  constructor(functions: Functions, handle: NativePointer, result: NativePointer) {
    this.#f = functions
    this.#handle = handle
    this.#result = result
  }

  /** The next block, formatted; undefined at the end. Throws what went wrong on the way. */
  next(): Result | undefined {
    try {
      const result = takeResult(
        this.#f,
        this.#f.chdb_stream_fetch_result(this.#handle, this.#result),
      )
      if (result.bytes.length > 0) return result
      this.close()
      return undefined
    } catch (error) {
      this.close()
      throw error
    }
  }

  /** Ends it, at any time, and frees the connection for the next statement. */
  close(): void {
    if (!this.#open) return
    this.#open = false
    this.#f.chdb_stream_cancel_query(this.#handle, this.#result)
    this.#f.chdb_destroy_query_result(this.#result)
  }
}

/** Copies a result out of the engine's memory and frees it there. */
function takeResult(f: Functions, result: NativePointer): Result {
  try {
    const error = f.chdb_result_error(result)
    if (error) throw new EngineError(textAt(error))
    const length = Number(f.chdb_result_length(result))
    const bytes = length
      ? new Uint8Array(viewAt(f.chdb_result_buffer(result), length).slice(0))
      : new Uint8Array(0)
    const summary: Summary = {
      readRows: Number(f.chdb_result_storage_rows_read(result)),
      readBytes: Number(f.chdb_result_storage_bytes_read(result)),
      writtenRows: Number(f.chdb_result_rows_written(result)),
      writtenBytes: Number(f.chdb_result_bytes_written(result)),
      resultRows: Number(f.chdb_result_rows_read(result)),
      elapsedNs: Math.round(f.chdb_result_elapsed(result) * 1e9),
    }
    return { bytes, summary }
  } finally {
    f.chdb_destroy_query_result(result)
  }
}
