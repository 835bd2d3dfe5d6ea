/**
 * The world as agent and server code meets it: clocks, timers, chance, files, network. Production
 * uses `env-real.ts`; the simulator puts its own in place, seeds it, and crashes what runs on it.
 * Capture and FFI lie outside.
 */
export interface Env {
  readonly clock: Clock
  readonly timers: Timers
  readonly random: Random
  readonly files: Files
  readonly network: Network
}

export interface Clock {
  /** µs since 1970-01-01 UTC; may jump. */
  wall(): number
  /** µs since an unknown moment; never goes back. The kernel's CLOCK_MONOTONIC. */
  monotonic(): number
}

export interface Timers {
  /** Calls `run` once after `ms`; the answer cancels it. */
  after(ms: number, run: () => void): () => void
}

export interface Random {
  /** `size` unpredictable bytes. */
  bytes(size: number): Uint8Array
  /** A number in [0, 1), for jitter. */
  fraction(): number
}

/**
 * Files by absolute path. Every failure throws an Error whose `code` is that of the system
 * (ENOENT, ENOSPC, EIO); a write may have torn before it threw.
 */
export interface Files {
  makeDirectory(path: string): void
  list(path: string): string[]
  size(path: string): number
  read(path: string): Uint8Array
  /** Opens for appending, creating it where it is absent. */
  append(path: string): AppendFile
  /** Writes beside `path`, syncs, renames over it and syncs the directory: all or nothing. */
  replace(path: string, bytes: Uint8Array): Promise<void>
  truncate(path: string, size: number): void
  remove(path: string): void
  /** Makes names made or removed in a directory survive a power cut. */
  syncDirectory(path: string): Promise<void>
  /** Bytes in all and bytes free of the file system `path` lies on. */
  space(path: string): { readonly total: number; readonly free: number }
}

export interface AppendFile {
  readonly size: number
  /** Writes all of `bytes` or throws. */
  write(bytes: Uint8Array): void
  /** Resolves once all that was written before the call survives a power cut (fdatasync). */
  sync(): Promise<void>
  close(): void
}

export interface Network {
  /** Sends one HTTP request; rejects where no answer came, with `code` of the failure if known. */
  send(request: HttpRequest): Promise<HttpAnswer>
}

export type HttpRequest = {
  readonly method: 'GET' | 'POST'
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  readonly timeoutMs: number
}

export type HttpAnswer = {
  readonly status: number
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}
