import type { ByteReader, Connection } from '../../model/connection.ts'
import type { Direction } from '../../model/segment.ts'
import type { Held } from './held.ts'

/** Where one direction of a TCP connection is. */
export class Way {
  readonly direction: Direction
  /** Sequence number of the byte that comes next, as a signed 32-bit number. */
  next = 0
  isStarted = false
  /** The report of its first bytes was lost, and its reader has yet to be told. */
  isLate = false

  constructor(direction: Direction) {
    this.direction = direction
  }
}

/** One connection in the table: its reader, its place in both directions, what it holds back. */
export class Track {
  readonly connection: Connection
  readonly reader: ByteReader
  /** It was seen to open: where nothing is missing, its first report holds its first bytes. */
  readonly isFresh: boolean
  readonly sent: Way = new Way('send')
  readonly received: Way = new Way('receive')
  /** Verdict that capture was given. */
  verdict: number
  /** Segments that came before others, in the order in which they came; both directions. */
  readonly held: Held[] = []
  heldBytes = 0
  lastTime = 0
  /** Neighbours by age of use. */
  older: Track | undefined
  newer: Track | undefined

  constructor(connection: Connection, reader: ByteReader) {
    this.connection = connection
    this.reader = reader
    this.verdict = connection.wants
    this.isFresh = connection.isFresh
  }

  way(direction: Direction): Way {
    return direction === 'send' ? this.sent : this.received
  }
}

/** Connections by when they were last used. */
export class Ages {
  oldest: Track | undefined
  #newest: Track | undefined
  size = 0

  add(track: Track): void {
    track.older = this.#newest
    track.newer = undefined
    if (this.#newest === undefined) this.oldest = track
    else this.#newest.newer = track
    this.#newest = track
    this.size++
  }

  touch(track: Track): void {
    if (track === this.#newest) return
    this.remove(track)
    this.add(track)
  }

  remove(track: Track): void {
    const { older, newer } = track
    if (older === undefined) this.oldest = newer
    else older.newer = newer
    if (newer === undefined) this.#newest = older
    else newer.older = older
    track.older = undefined
    track.newer = undefined
    this.size--
  }
}
