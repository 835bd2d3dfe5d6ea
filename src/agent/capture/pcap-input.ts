import { closeSync, openSync, readSync } from 'node:fs'
import { MetaflowError, sentenceOf } from '../../lib/errors.ts'
import { type NativeFunction, openLibrary } from '../../lib/ffi.ts'

/** Read at once: with what is made of it, it stays in the processor's second cache. */
const CHUNK = 1 << 18
/** No record or block of a capture is longer: tcpdump's own limit is 256 KB. */
export const RECORD_BYTES_MAX: number = 16 << 20

/** struct pollfd of standard input (poll.h): descriptor 0, and POLLIN in the lower half. */
const READABLE: readonly number[] = [0, 1]
const FOR_EVER = -1
const SIGNATURES = { poll: { args: ['ptr', 'u64', 'i32'], returns: 'i32' } } as const

/**
 * A file read forward through one buffer, never whole. Standard input is `-`; it is never waited
 * for, since nothing else would run meanwhile, a Ctrl-C least of all.
 */
export class PcapInput {
  readonly path: string
  /** `bytes[at, end)` was read and not yet taken. */
  bytes: Uint8Array = new Uint8Array(CHUNK)
  at = 0
  end = 0
  /** Why the system would not read on; empty while it does. */
  problem = ''
  /** Whether `need` failed for want of bytes that may still come: ask again a little later. */
  isDry = false
  readonly #file: number
  readonly #poll: NativeFunction | undefined
  /** To be told before bytes that were given are moved or overwritten. */
  readonly #beforeMove: () => void
  /** Position in the file of `bytes[0]`. */
  #base = 0

  constructor(path: string, beforeMove: () => void) {
    this.path = path
    this.#beforeMove = beforeMove
    if (path === '-') this.#poll = openLibrary('libc.so.6', SIGNATURES).poll
    try {
      this.#file = path === '-' ? 0 : openSync(path, 'r')
    } catch (cause) {
      throw unreadable(path, cause)
    }
  }

  /** Position in the file of what comes next. */
  get position(): number {
    return this.#base + this.at
  }

  /** Whether `size` bytes lie at `at` now; if not, the file ends before. */
  need(size: number): boolean {
    if (this.end - this.at >= size) return true
    this.#compact(size)
    while (this.end < size) {
      const count = this.#read()
      if (count === 0) return false
      this.end += count
    }
    return true
  }

  /** Passes `size` bytes over; false where the file ends before. */
  skip(size: number): boolean {
    for (let left = size; ; ) {
      const step = Math.min(left, this.end - this.at)
      this.at += step
      left -= step
      if (left === 0) return true
      if (this.need(1)) continue
      if (!this.isDry) return false
      // What was passed over is not there to be passed over again: the rest is waited for.
      this.#hasMore(FOR_EVER)
    }
  }

  close(): void {
    if (this.#file !== 0) closeSync(this.#file)
  }

  #read(): number {
    const { bytes, end } = this
    this.isDry = !this.#hasMore(0)
    if (this.isDry) return 0
    try {
      return readSync(this.#file, bytes, end, bytes.length - end, null)
    } catch (error) {
      // A directory, a broken disk, a closed terminal: what was read before still counts.
      this.problem = sentenceOf(error)
      return 0
    }
  }

  /** Whether a read answers at once, or within `milliseconds`, be it with its end or a failure. */
  #hasMore(milliseconds: number): boolean {
    return this.#poll?.(Int32Array.from(READABLE), 1, milliseconds) !== 0
  }

  /** Moves what was not taken to the buffer's beginning, and sees that `size` bytes fit in. */
  #compact(size: number): void {
    this.#beforeMove()
    if (size > this.bytes.length) {
      const grown = new Uint8Array(Math.min(RECORD_BYTES_MAX + CHUNK, size * 2))
      grown.set(this.bytes.subarray(this.at, this.end))
      this.bytes = grown
    } else this.bytes.copyWithin(0, this.at, this.end)
    this.#base += this.at
    this.end -= this.at
    this.at = 0
  }
}

function unreadable(path: string, cause: unknown): MetaflowError {
  return new MetaflowError('absent', `Cannot read ${path}: ${sentenceOf(cause)}`, cause)
}
