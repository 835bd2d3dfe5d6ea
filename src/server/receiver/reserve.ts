import type { Env } from '../../lib/env.ts'

const NAME = 'reserve'

/**
 * Room on the disk that is kept so that what was acknowledged can be stored when the disk is
 * full: a file that is given up once others have eaten the rest. While it is gone nothing new is
 * taken; it is laid down again when there is four times its room.
 */
export class Reserve {
  readonly #env: Env
  readonly #path: string
  readonly #directory: string
  readonly #bytes: number
  #isHeld = false

  constructor(env: Env, directory: string, bytes: number) {
    this.#env = env
    this.#directory = directory
    this.#path = `${directory}/${NAME}`
    this.#bytes = bytes
    this.#isHeld = this.#exists()
  }

  /** Bytes that may be taken, with draining still having its room. */
  room(): number {
    this.check()
    return this.#isHeld ? Math.max(0, this.#free() - this.#bytes) : 0
  }

  /** Gives the room up where it is needed, lays it down where it is not. */
  check(): void {
    const free = this.#free()
    if (this.#isHeld && free < this.#bytes / 2) this.#release()
    else if (!this.#isHeld && free >= this.#bytes * 4) this.#hold()
  }

  #free(): number {
    return this.#env.files.space(this.#directory).free
  }

  #exists(): boolean {
    try {
      return this.#env.files.size(this.#path) >= this.#bytes
    } catch {
      return false
    }
  }

  #hold(): void {
    try {
      const file = this.#env.files.append(this.#path)
      try {
        const chunk = new Uint8Array(Math.min(this.#bytes, 1 << 20))
        while (file.size < this.#bytes)
          file.write(chunk.subarray(0, Math.min(chunk.length, this.#bytes - file.size)))
      } finally {
        file.close()
      }
      this.#isHeld = true
    } catch {
      this.#release()
    }
  }

  #release(): void {
    this.#isHeld = false
    try {
      this.#env.files.remove(this.#path)
    } catch {
      // It is not there, or will be tried again when it is laid down.
    }
  }
}
