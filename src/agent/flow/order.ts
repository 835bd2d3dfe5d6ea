import { Segment } from '../../model/segment.ts'
import { copySegment, Held } from './held.ts'
import type { Track, Way } from './track.ts'

/** How long bytes, and how many of a connection, wait for those before them. */
type Patience = { readonly us: number; readonly segments: number; readonly bytes: number }
/** Hooks of several threads swap records … */
const SOCKET: Patience = { us: 10_000, segments: 64, bytes: 256 * 1024 }
/**
 * … while a packet lost in the network comes again after a time-out (RFC 6298: at least 1 s), and
 * behind it a whole window is on its way: tcp_rmem of Linux allows 6 MB.
 */
const PACKET: Patience = { us: 1_000_000, segments: 4096, bytes: 8 * 1024 * 1024 }
const HELD_BYTES_MAX_IN_ALL = 16 * 1024 * 1024
/** A sequence number further away than this belongs to another conversation. */
const LEAP = 1 << 30
const SPARE_MAX = 256

/** What went wrong on the way, counted. */
export type Losses = {
  duplicates: number
  overlaps: number
  reordered: number
  holes: number
  holeBytes: number
  leaps: number
}

/**
 * Puts the segments of TCP connections in order. A connection that misses bytes holds back all that
 * came after, in both directions: an answer must not be read before its question.
 */
export class Order {
  readonly losses: Losses = {
    duplicates: 0,
    overlaps: 0,
    reordered: 0,
    holes: 0,
    holeBytes: 0,
    leaps: 0,
  }
  readonly #trimmed = new Segment()
  readonly #spare: Held[] = []
  #holding: Track[] = []
  #bytes = 0

  /** Gives `segment` to its reader, now or when its turn comes. */
  take(track: Track, segment: Segment): void {
    const way = track.way(segment.direction)
    if (!way.isStarted) {
      way.isStarted = true
      way.next = segment.sequence | 0
      way.isLate = segment.before === 'some' && track.isFresh
    }
    const ahead = (segment.sequence - way.next) | 0
    if (ahead === 0 && track.held.length === 0 && !way.isLate) {
      way.next = (way.next + segment.size) | 0
      track.reader.take(segment)
      return
    }
    if (ahead <= 0 && track.held.length === 0) this.#give(track, way, segment)
    else this.#hold(track, segment)
  }

  /** Gives up waiting where it took too long. */
  tick(now: number): void {
    if (this.#holding.length === 0) return
    this.#holding = this.#holding.filter((track) => {
      this.#settle(track, now)
      return track.held.length > 0
    })
  }

  /** Gives all that is held back on: what is missing does not come any more. */
  flush(track: Track): void {
    while (track.held.length > 0) this.#giveOldest(track)
  }

  #hold(track: Track, segment: Segment): void {
    const held = this.#spare.pop() ?? new Held()
    held.keep(segment)
    if (track.held.length === 0) this.#holding.push(track)
    track.held.push(held)
    track.heldBytes += held.memory
    this.#bytes += held.memory
    // None of the others can be given on: only this one may fill the hole they wait for.
    if (this.#isReady(track, held) || isOverdue(track, segment.time))
      this.#settle(track, segment.time)
    while (this.#bytes > HELD_BYTES_MAX_IN_ALL && this.#holding.length > 0) {
      const oldest = this.#holding.shift()!
      this.flush(oldest)
    }
  }

  /** Gives on what can be, and what waited too long or became too much. */
  #settle(track: Track, now: number): void {
    while (track.held.length > 0) {
      const ready = track.held.findIndex((held) => this.#isReady(track, held))
      if (ready >= 0) this.#giveHeld(track, ready)
      else if (isOverdue(track, now)) this.#giveOldest(track)
      else return
    }
  }

  /** Whether it is a held segment's turn: the oldest's, or one's that fills the hole before it. */
  #isReady({ held, sent, received }: Track, { direction, sequence }: Held): boolean {
    const { next } = direction === 'send' ? sent : received
    return direction === held[0]!.direction && ((sequence - next) | 0) <= 0
  }

  /** Nothing fills the hole before the oldest: its reader is told of it. */
  #giveOldest(track: Track): void {
    const first = track.held[0]!
    const way = track.way(first.direction)
    // Of several that wait for the same bytes, the lowest comes first.
    let lowest = 0
    for (let i = 1; i < track.held.length; i++) {
      const segment = track.held[i]!
      const isLower = ((segment.sequence - track.held[lowest]!.sequence) | 0) < 0
      if (segment.direction === first.direction && isLower) lowest = i
    }
    const segment = track.held[lowest]!
    const size = (segment.sequence - way.next) | 0
    if (size > 0) {
      this.losses.holes++
      if (size >= LEAP) this.losses.leaps++
      else this.losses.holeBytes += size
      track.reader.skip(way.direction, size >= LEAP ? Number.POSITIVE_INFINITY : size, segment.time)
      way.next = segment.sequence | 0
    }
    this.#giveHeld(track, lowest)
  }

  #giveHeld(track: Track, index: number): void {
    const held = track.held[index]!
    if (index > 0) this.losses.reordered++
    track.held.splice(index, 1)
    track.heldBytes -= held.memory
    this.#bytes -= held.memory
    this.#give(track, track.way(held.direction), held)
    if (this.#spare.length < SPARE_MAX) this.#spare.push(held)
  }

  /** Gives on what of `segment`, which begins at or before the next byte, is new. */
  #give(track: Track, way: Way, segment: Segment): void {
    const old = (way.next - segment.sequence) | 0
    if (way.isLate) {
      way.isLate = false
      this.losses.holes++
      track.reader.skip(way.direction, Number.POSITIVE_INFINITY, segment.time)
    }
    if (old > LEAP) {
      this.losses.leaps++
      track.reader.skip(way.direction, Number.POSITIVE_INFINITY, segment.time)
    } else if (old >= segment.size) {
      this.losses.duplicates++
      return
    }
    if (old === 0 || old > LEAP) {
      way.next = (segment.sequence + segment.size) | 0
      track.reader.take(segment)
      return
    }
    this.losses.overlaps++
    const trimmed = this.#trimmed
    copySegment(segment, trimmed)
    trimmed.sequence = (segment.sequence + old) >>> 0
    trimmed.size = segment.size - old
    trimmed.start = Math.min(segment.start + old, segment.end)
    way.next = (segment.sequence + segment.size) | 0
    track.reader.take(trimmed)
  }
}

/** Whether what the track holds back waited too long, or became too much. */
function isOverdue({ connection, held, heldBytes }: Track, now: number): boolean {
  const { us, segments, bytes } = connection.source === 'packet' ? PACKET : SOCKET
  return held.length > segments || heldBytes > bytes || now - held[0]!.time >= us
}
