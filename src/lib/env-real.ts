/** The real world behind `Env`: Linux' clocks and files, Bun's timers and network. */
import {
  closeSync,
  existsSync,
  fdatasync,
  fstatSync,
  fsync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import type { AppendFile, Clock, Env, Files, HttpAnswer, HttpRequest, Network } from './env.ts'
import { addressOf, openLibrary } from './ffi.ts'

const CLOCK_REALTIME = 0
const CLOCK_MONOTONIC = 1
const LOCK_EX_NB = 6
/** Files hold what users' programs said: nobody else reads them. */
const FILE_MODE = 0o600
const DIRECTORY_MODE = 0o700

/** Clocks, timers, chance, files and network of this machine. Each Worker makes its own. */
export function realEnv(): Env {
  return {
    clock: realClock(),
    timers: {
      after(ms, run): () => void {
        const timer = setTimeout(run, ms)
        return () => clearTimeout(timer)
      },
    },
    random: {
      bytes: (size) => crypto.getRandomValues(new Uint8Array(size)),
      fraction: () => Math.random(),
    },
    files: realFiles,
    network: realNetwork,
  }
}

/**
 * Bun's own clocks start with the process (monotonic) or count milliseconds (wall), so both are
 * asked of the C library: capture stamps with the kernel's CLOCK_MONOTONIC.
 */
function realClock(): Clock {
  const library = openLibrary('libc.so.6', {
    clock_gettime: { args: ['i32', 'ptr'], returns: 'i32' },
  })
  const time = new BigInt64Array(2)
  const words = new Uint32Array(time.buffer)
  const address = addressOf(time)
  const read = (clock: number): number => {
    library.clock_gettime(clock, address)
    return (words[0]! + words[1]! * 0x1_0000_0000) * 1e6 + Math.floor(words[2]! / 1000)
  }
  return { wall: () => read(CLOCK_REALTIME), monotonic: () => read(CLOCK_MONOTONIC) }
}

/**
 * Takes the lock of the directory `path` for as long as this process lives. False: another process
 * has it, and must not be disturbed. The kernel gives it back whatever ends the process.
 */
export function lockDirectory(path: string): boolean {
  const library = openLibrary('libc.so.6', { flock: { args: ['i32', 'i32'], returns: 'i32' } })
  const file = openSync(`${path}/lock`, 'a', FILE_MODE)
  if (library.flock(file, LOCK_EX_NB) === 0) return true
  closeSync(file)
  return false
}

const realFiles: Files = {
  makeDirectory: (path) => void mkdirSync(path, { recursive: true, mode: DIRECTORY_MODE }),
  list: (path) => readdirSync(path).sort(),
  size: (path) => statSync(path).size,
  read: (path) => readFileSync(path),
  append: (path) => new RealAppendFile(path),
  async replace(path, bytes): Promise<void> {
    const beside = `${path}.new`
    const file = openSync(beside, 'w', FILE_MODE)
    try {
      writeAll(file, bytes)
      await synced(file, fsync)
    } finally {
      closeSync(file)
    }
    renameSync(beside, path)
    await syncDirectory(dirname(path))
  },
  truncate: (path, size) => truncateSync(path, size),
  remove: (path) => rmSync(path),
  syncDirectory,
  space(path) {
    const { bsize, blocks, bavail } = statfsSync(existsSync(path) ? path : dirname(path))
    return { total: blocks * bsize, free: bavail * bsize }
  },
}

class RealAppendFile implements AppendFile {
  size: number
  readonly #file: number

  constructor(path: string) {
    this.#file = openSync(path, 'a', FILE_MODE)
    this.size = fstatSync(this.#file).size
  }

  write(bytes: Uint8Array): void {
    writeAll(this.#file, bytes)
    this.size += bytes.length
  }

  sync(): Promise<void> {
    return synced(this.#file, fdatasync)
  }

  close(): void {
    closeSync(this.#file)
  }
}

/** A write may take fewer bytes than it was given (a disk that fills up does so before ENOSPC). */
function writeAll(file: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at, bytes.length - at)
}

function synced(file: number, sync: typeof fsync | typeof fdatasync): Promise<void> {
  return new Promise((resolve, reject) => {
    sync(file, (error) => (error ? reject(error) : resolve()))
  })
}

async function syncDirectory(path: string): Promise<void> {
  const directory = openSync(path, 'r')
  try {
    await synced(directory, fsync)
  } finally {
    closeSync(directory)
  }
}

const realNetwork: Network = {
  async send({ method, url, headers, body, timeoutMs }: HttpRequest): Promise<HttpAnswer> {
    try {
      const answer = await fetch(url, {
        method,
        headers: { ...headers },
        ...(body === undefined ? {} : { body: body as Uint8Array<ArrayBuffer> }),
        redirect: 'manual',
        signal: AbortSignal.timeout(timeoutMs),
      })
      return {
        status: answer.status,
        headers: Object.fromEntries(answer.headers),
        body: await answer.bytes(),
      }
    } catch (cause) {
      throw failure(url, timeoutMs, cause)
    }
  },
}

/** Names a time-out as the system would; Bun's own codes (ConnectionRefused) stay. */
function failure(url: string, timeoutMs: number, cause: unknown): Error {
  const timedOut = cause instanceof Error && cause.name === 'TimeoutError'
  const code = timedOut ? 'ETIMEDOUT' : ((cause as { code?: unknown } | null)?.code ?? 'EIO')
  const state = timedOut ? `no answer within ${timeoutMs} ms` : String(code)
  const { origin } = new URL(url)
  return Object.assign(new Error(`Cannot reach ${origin}: ${state}`, { cause }), { code })
}
