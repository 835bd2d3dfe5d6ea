import type { Datagram } from './pcap-ip.ts'

/** Datagrams that wait for their pieces; the oldest gives way. */
const WAITING_MAX = 64
/** RFC 791: no datagram is longer. */
const DATAGRAM_BYTES_MAX = 65_535
/** RFC 8200 §4.5: pieces wait for a minute. */
const WAIT = 60_000_000
const PIECES_MAX = 256

export type Piece = {
  readonly id: number
  readonly offset: number
  readonly last: boolean
  readonly time: number
}

type Waiting = {
  readonly bytes: Uint8Array
  /** Stretches that came, as [start, end) in rising order. */
  readonly have: { start: number; end: number }[]
  /** Size in all once the last piece came. */
  size: number
  readonly since: number
}

/** Puts datagrams together of their fragments, a few at a time. */
export class Fragments {
  /** Datagrams given up: too old, too many, too long, or a piece was cut by the capture. */
  dropped = 0
  readonly #waiting = new Map<string, Waiting>()

  /** Adds the piece that `datagram` holds; with the last one it becomes the whole. */
  add(datagram: Datagram, piece: Piece): '' | 'waiting' | 'fragment' {
    const { bytes, start, end, size } = datagram
    const { offset, last } = piece
    const key = keyOf(datagram, piece.id)
    const waiting = this.#waiting.get(key) ?? this.#begin(key, piece.time)
    const isWhole = end - start === size && (last || size % 8 === 0)
    const stretches = waiting.have.length
    if (!isWhole || offset + size > DATAGRAM_BYTES_MAX || stretches >= PIECES_MAX) {
      this.#waiting.delete(key)
      this.dropped++
      return 'fragment'
    }
    waiting.bytes.set(bytes.subarray(start, end), offset)
    if (last) waiting.size = offset + size
    mark(waiting.have, offset, offset + size)
    const [first] = waiting.have
    const isComplete = waiting.have.length === 1 && first?.start === 0
    if (!isComplete || waiting.size < 0 || first.end < waiting.size) return 'waiting'
    this.#waiting.delete(key)
    datagram.bytes = waiting.bytes
    datagram.start = 0
    datagram.end = waiting.size
    datagram.size = waiting.size
    return ''
  }

  #begin(key: string, time: number): Waiting {
    for (const [other, { since }] of this.#waiting) {
      // Insertion order is order of age.
      if (this.#waiting.size < WAITING_MAX && time - since < WAIT) break
      this.#waiting.delete(other)
      this.dropped++
    }
    const bytes = new Uint8Array(DATAGRAM_BYTES_MAX)
    const waiting: Waiting = { bytes, have: [], size: -1, since: time }
    this.#waiting.set(key, waiting)
    return waiting
  }
}

function keyOf(datagram: Datagram, id: number): string {
  const { headerBytes, from, to, isIpv4, protocol } = datagram
  const size = isIpv4 ? 4 : 16
  const source = headerBytes.subarray(from, from + size).toHex()
  const target = headerBytes.subarray(to, to + size).toHex()
  return `${source} ${target} ${protocol} ${id}`
}

/** Adds [start, end) to `have`, joining stretches that touch. */
function mark(have: { start: number; end: number }[], start: number, end: number): void {
  const joined = { start, end }
  for (let i = have.length - 1; i >= 0; i--) {
    const other = have[i]!
    if (other.start > joined.end || other.end < joined.start) continue
    joined.start = Math.min(joined.start, other.start)
    joined.end = Math.max(joined.end, other.end)
    have.splice(i, 1)
  }
  have.push(joined)
  have.sort((a, b) => a.start - b.start)
}
