/** Statements that a connection remembers; programs that prepare more forget to close them. */
const STATEMENTS_MAX = 256
/** Bytes that a connection remembers in all: past them the oldest give way. */
const BYTES_MAX = 65_536
/** What a row shows of a statement: see TEXT_BYTES_MAX of calls. */
const TEXT_BYTES_MAX = 4096
/** Statements whose id has not come yet. */
const ASKED_MAX = 64

const NOTHING = new Uint8Array(0)

/** The texts of prepared statements by their id, so that a row of EXECUTE says what it executes. */
export class Statements {
  readonly #texts = new Map<number, Uint8Array>()
  readonly #asked: Uint8Array[] = []
  #bytes = 0
  #last: Uint8Array = NOTHING

  /** A text that is to be prepared: the next prepared id is its own. */
  ask(bytes: Uint8Array, start: number, end: number): void {
    const size = Math.min(end - start, TEXT_BYTES_MAX)
    this.#last = bytes.slice(start, start + size)
    if (this.#asked.length < ASKED_MAX) this.#asked.push(this.#last)
  }

  /** The server named the oldest text that was asked for. */
  prepared(id: number): void {
    const text = this.#asked.shift()
    if (text === undefined) return
    this.close(id)
    this.#texts.set(id, text)
    this.#bytes += text.length
    for (const oldest of this.#texts.keys()) {
      if (this.#bytes <= BYTES_MAX && this.#texts.size <= STATEMENTS_MAX) break
      this.close(oldest)
    }
  }

  /** The server refused the oldest text that was asked for. */
  refused(): void {
    this.#asked.shift()
  }

  /** The text of a statement; MariaDB's clients name the last one before they know its id. */
  text(id: number): Uint8Array {
    return id === LAST ? this.#last : (this.#texts.get(id) ?? NOTHING)
  }

  close(id: number): void {
    const text = this.#texts.get(id)
    if (text === undefined) return
    this.#bytes -= text.length
    this.#texts.delete(id)
  }

  /** Bytes were lost: what was asked for may have been answered unseen. */
  lost(): void {
    this.#asked.length = 0
    this.#last = NOTHING
  }
}

const LAST = 0xffff_ffff
