/** libc's mmap: pages that the kernel's maps and this process share; and the kernel's tick. */
import { type NativePointer, openLibrary, viewAt } from '../../lib/ffi.ts'

export const READ = 1
export const READ_WRITE = 3
const MAP_SHARED = 1
/** User space ends far below; -1, mmap's failure, lies above. */
const ADDRESSES_END = 2 ** 57

const SIGNATURES = {
  mmap: { args: ['ptr', 'usize', 'i32', 'i32', 'i32', 'usize'], returns: 'ptr' },
  munmap: { args: ['ptr', 'usize'], returns: 'i32' },
  getpagesize: { args: [], returns: 'i32' },
} as const

/** What one owner has mapped; closed as a whole. */
export class Mappings {
  readonly #libc = openLibrary('libc.so.6', SIGNATURES)
  readonly #mapped: [NativePointer, number][] = []
  readonly pageBytes: number = this.#libc.getpagesize()

  /** A view of `bytes` of `fd` from `offset` on, or undefined where the kernel refuses. */
  map(fd: number, bytes: number, protection: number, offset = 0): ArrayBuffer | undefined {
    const at = this.#libc.mmap(null, bytes, protection, MAP_SHARED, fd, offset) as NativePointer
    if (!at || Number(at) >= ADDRESSES_END) return undefined
    this.#mapped.push([at, bytes])
    return viewAt(at, bytes)
  }

  /** No view may be touched afterwards. */
  close(): void {
    for (const [at, bytes] of this.#mapped.splice(0)) this.#libc.munmap(at, bytes)
  }
}

const CLOCK_MONOTONIC_COARSE = 6

/** How long a jiffy of this kernel is: the resolution of its coarse clock. */
export function tickNanoseconds(): number {
  const { clock_getres } = openLibrary('libc.so.6', {
    clock_getres: { args: ['i32', 'ptr'], returns: 'i32' },
  })
  const resolution = new BigInt64Array(2)
  clock_getres(CLOCK_MONOTONIC_COARSE, resolution)
  return Number(resolution[1]) || 1e7
}
