/** What server and engine must agree on: the engine is the server's child, each in its own room. */

/** Databases that are ours: the engine's grants reach no further. */
export const DATABASES = ['flow_log', 'flow_metrics', 'flow_tag'] as const

/** Name of the engine's socket in its directory. */
export const ENGINE_SOCKET = 'engine.sock'

export type EngineLimits = {
  /** Memory of the whole engine, bytes. */
  readonly memoryBytes: number
  /** What one reader's statement may take. */
  readonly readerSeconds: number
  readonly readerMemoryBytes: number
  readonly readerRows: number
  readonly readerBytes: number
}

/** What the server tells its engine, by a file of its own that is gone once read. */
export type EngineOptions = {
  /** Where libchdb.so lies. */
  readonly library: string
  /** The engine's own directory. */
  readonly directory: string
  readonly parentProcessId: number
  /** Passwords of its two users. */
  readonly users: { readonly writer: string; readonly reader: string }
  /** Connections for each. */
  readonly writers: number
  readonly readers: number
  readonly limits: EngineLimits
}
