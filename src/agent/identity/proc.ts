/** /proc as identity reads it. What is gone or hidden is undefined: never an exception. */
import { closeSync, openSync, readdirSync, readlinkSync, readSync } from 'node:fs'

export interface Proc {
  /** The first bytes of a file below /proc. */
  text(path: string): string | undefined
  /** Calls `take` with each line, without its newline, until it answers false. */
  lines(path: string, take: (line: string) => boolean): void
  link(path: string): string | undefined
  list(path: string): readonly string[]
}

/** A command line or cgroup list beyond this says nothing more of who somebody is. */
const TEXT_BYTES_MAX = 4096
/** 65,536 bytes are 430 sockets; what a list of sockets may hold in all is bounded too. */
const CHUNK_BYTES = 65_536
const LINES_BYTES_MAX = 64 * CHUNK_BYTES

/** The real one, `root` being /proc. */
export class RealProc implements Proc {
  readonly #root: string
  readonly #buffer = Buffer.alloc(CHUNK_BYTES)

  constructor(root: string = '/proc') {
    this.#root = root
  }

  text(path: string): string | undefined {
    let text: string | undefined
    this.#read(path, (chunk) => {
      text = chunk
      return false
    })
    return text?.slice(0, TEXT_BYTES_MAX)
  }

  lines(path: string, take: (line: string) => boolean): void {
    let rest = ''
    let total = 0
    this.#read(path, (chunk) => {
      const lines = (rest + chunk).split('\n')
      rest = lines.pop() ?? ''
      total += chunk.length
      return lines.every(take) && total < LINES_BYTES_MAX
    })
  }

  link(path: string): string | undefined {
    try {
      return readlinkSync(`${this.#root}/${path}`)
    } catch {
      return undefined
    }
  }

  list(path: string): readonly string[] {
    try {
      return readdirSync(`${this.#root}/${path}`)
    } catch {
      return []
    }
  }

  #read(path: string, take: (chunk: string) => boolean): void {
    let file: number
    try {
      file = openSync(`${this.#root}/${path}`, 'r')
    } catch {
      return
    }
    try {
      for (;;) {
        const size = readSync(file, this.#buffer)
        if (!take(this.#buffer.toString('utf8', 0, size)) || size === 0) return
      }
    } catch {
      // ESRCH: the process ended while it was read.
    } finally {
      closeSync(file)
    }
  }
}
