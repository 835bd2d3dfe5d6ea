import { type ByteReader, type Connection, UNDECIDED } from '../../../model/connection.ts'
import { type Direction, IGNORE, type Segment } from '../../../model/segment.ts'
import type { Sender } from '../protocol.ts'
import { isTls } from './claim.ts'
import { Feeder } from './feeder.ts'
import type { DialogueCause, Listener } from './listener.ts'
import type { Room } from './room.ts'
import type { Side } from './side.ts'

/** After a loss in doubt, nobody spoke for so long: what was owed has been answered. */
const QUIET_US = 1_000_000
/** Where the client may pipeline but was not seen to: so many calls, each after an answer. */
const TURNS_MIN = 16
/** An ignored connection is tried again after so long a silence. */
const RETRY_US = 60_000_000
/** Segments tried each way before nobody is asked any more. */
const TRIES_MAX = 5
/** Less tells too little: what a program reads a byte at a time is not given up for it. */
const TRY_BYTES_MIN = 64
/** Losses without a message between them before the protocol is given up. */
const WRONGS_MAX = 8
/** Calls of a client that nobody claims before a lost connection is given up. */
const UNCLAIMED_MAX = 256
/** Pieces in which the beginning of a client's call may come. */
const PIECES_MAX = 3

type State = 'unclaimed' | 'reading' | 'lost' | 'deaf'

/** Reads one connection: finds its protocol, feeds it, and begins anew where bytes are missing. */
export class Dialogue implements ByteReader {
  readonly #room: Room
  readonly #connection: Connection
  readonly #session: Listener
  readonly #feeder: Feeder
  #state: State = 'unclaimed'
  #lastTime = 0
  #lastSide: Side | undefined
  #caution: 'none' | 'turns' | 'silence' = 'none'
  #turns = 0
  /** Both sides were quiet before the call at hand. */
  #wasQuiet = false
  #wrongs = 0
  #unclaimed = 0

  constructor(room: Room, connection: Connection, session: Listener) {
    this.#room = room
    this.#connection = connection
    this.#session = session
    this.#feeder = new Feeder(room, connection, session, this)
  }

  take(segment: Segment): void {
    const feeder = this.#feeder
    this.#room.counters.in++
    const side = segment.direction === 'send' ? feeder.sent : feeder.received
    if (feeder.isHolding) feeder.tick(segment.time)
    if (this.#state !== 'reading') this.#takeUnread(side, segment)
    else if (this.#connection.isDatagram) this.#readDatagram(side, segment)
    else this.#read(side, segment)
    this.#lastTime = segment.time
    this.#lastSide = side
  }

  skip(direction: Direction, size: number, time: number): void {
    const feeder = this.#feeder
    const side = direction === 'send' ? feeder.sent : feeder.received
    if (feeder.isHolding) feeder.tick(time)
    if (this.#state === 'reading') feeder.hole(side, size, time)
    else {
      this.#forget(side)
      this.#turns = 0
    }
    if (this.#state === 'unclaimed') {
      // Its first request may have been there, and is owed an answer.
      this.#connection.isFresh = false
      this.#session.lost(time)
    }
    this.#lastTime = time
  }

  close(time: number): void {
    const feeder = this.#feeder
    const { sent, received } = feeder
    const client = sent.sender === 'client' ? sent : received
    feeder.force(sent)
    feeder.force(received)
    if (this.#state === 'reading') feeder.closeOff(client)
    if (this.#state === 'reading') feeder.closeOff(feeder.otherOf(client))
    for (const side of [sent, received])
      if (this.#state === 'reading') feeder.endEndless(side, time)
    if (this.#state === 'reading' && sent.size + received.size > 0)
      this.#room.counters.dropped.unfinished++
    this.#forget(sent)
    this.#forget(received)
    this.#state = 'deaf'
    feeder.end()
    this.#room.onLost?.(this.#connection)
    this.#session.close(time)
  }

  tick(now: number): boolean {
    return this.#feeder.tick(now)
  }

  giveWay(): void {
    if (this.#state === 'reading') this.lose('gave_way', this.#lastTime)
    this.#feeder.sent.clear()
    this.#feeder.received.clear()
  }

  lose(why: DialogueCause, time: number): void {
    if (this.#state !== 'reading') return
    const feeder = this.#feeder
    this.#room.counters.dropped[why]++
    this.#room.lostBytes += feeder.sent.size + feeder.received.size
    this.#wrongs = feeder.told > 0 ? 0 : this.#wrongs + 1
    this.#state = 'lost'
    this.#caution = this.#session.lost(time)
    this.#turns = 0
    this.#unclaimed = 0
    feeder.lost()
    this.#room.onLost?.(this.#connection)
    if (this.#wrongs > WRONGS_MAX) this.deafen()
  }

  /** Reads no more: the connection's bytes are not wanted. */
  deafen(): void {
    this.#state = 'deaf'
    this.#connection.wants = IGNORE
    this.#feeder.end()
  }

  /** What says nothing, as an interim response, interrupts nobody. */
  #read(side: Side, segment: Segment): void {
    const feeder = this.#feeder
    const other = feeder.otherOf(side)
    const { told } = feeder
    const wasInterrupted = other.isInterrupted
    other.isInterrupted = true
    feeder.read(side, segment)
    if (feeder.told === told && side.size === 0) other.isInterrupted = wasInterrupted
  }

  #readDatagram(side: Side, segment: Segment): void {
    if (this.#feeder.readDatagram(side, segment)) this.#wrongs = 0
    else if (++this.#wrongs > WRONGS_MAX) this.deafen()
  }

  /** Bytes of a connection that is not being read. */
  #takeUnread(side: Side, segment: Segment): void {
    if (this.#state === 'deaf') {
      if (segment.time - this.#lastTime < RETRY_US) return
      this.#state = 'unclaimed'
      this.#connection.wants = UNDECIDED
      this.#connection.isFresh = false
      this.#wrongs = 0
      this.#feeder.sent.tries = 0
      this.#feeder.received.tries = 0
    }
    if (this.#state === 'unclaimed') this.#listen(side, segment)
    else if (!this.#resume(side, segment)) this.#room.lostBytes += segment.size
  }

  /**
   * Reads again where a client's call begins that cannot be part of an older one: both sides were
   * quiet, or, where the client always waited for its answer, the server spoke last. A reader may
   * have taken the call in pieces (a header, then what it announces).
   */
  #resume(side: Side, segment: Segment): boolean {
    if (side.sender !== 'client') return false
    const isQuiet = segment.time - this.#lastTime >= QUIET_US
    const isTurn = this.#lastSide !== side
    const isBegin = isQuiet || (isTurn && this.#caution !== 'silence')
    if (isBegin || isTurn || side.tries >= PIECES_MAX) {
      side.clear()
      side.tries = 0
      this.#wasQuiet = isQuiet
    }
    if (!isBegin && side.size === 0) return this.#noteTurn(side, segment)
    if (!side.append(segment, segment.start) || side.size === 0) return false
    side.tries++
    if (!this.#isCall(side, side.view())) {
      if (segment.end - segment.start < segment.size) this.#forget(side)
      if (++this.#unclaimed > UNCLAIMED_MAX) this.deafen()
      return false
    }
    if (this.#caution === 'turns' && !this.#wasQuiet && ++this.#turns < TURNS_MIN) {
      this.#forget(side)
      return false
    }
    const feeder = this.#feeder
    this.#state = 'reading'
    feeder.isReading = true
    feeder.drain(side)
    this.#cutShort(side, segment)
    return true
  }

  #isCall(side: Side, head: Uint8Array): boolean {
    const protocol = this.#feeder.protocolOf(side)
    return protocol !== undefined && protocol.claim(head, 'client') > 0
  }

  /** A client that asks again before the server spoke does not wait for its answers. */
  #noteTurn(side: Side, { bytes, start, end }: Segment): false {
    if (this.#caution === 'turns' && this.#isCall(side, bytes.subarray(start, end))) this.#turns = 0
    return false
  }

  /** Asks who claims what a side has said so far, or its latest call alone. */
  #listen(side: Side, segment: Segment): void {
    const { claim, protocols } = this.#room
    const connection = this.#connection
    const known = this.#senderOf(side)
    const { start, end } = segment
    const latest = segment.bytes.subarray(start, end)
    const hasBefore = side.size > 0
    if (hasBefore && !side.append(segment, start)) this.#forget(side)
    const head = hasBefore ? side.view() : latest
    if (!connection.isDatagram && isTls(head)) {
      this.#room.noteTls(connection)
      this.deafen()
      return
    }
    if (hasBefore && claim.ask(protocols, head, known, connection)) {
      this.#adopt(side, segment, true)
    } else if (claim.ask(protocols, latest, known, connection)) {
      if (hasBefore) this.#forget(side)
      this.#adopt(side, segment, false)
    } else {
      if (!hasBefore) side.append(segment, start)
      this.#tryLater(side, segment)
    }
  }

  #tryLater(side: Side, segment: Segment): void {
    const unseen = segment.size - (segment.end - segment.start)
    if (unseen > 0 || this.#connection.isDatagram) this.#forget(side)
    if (unseen > 0) this.#connection.isFresh = false
    this.#room.lostBytes += unseen
    if (side.size === 0 || side.size >= TRY_BYTES_MIN) side.tries++
    const { sent, received } = this.#feeder
    if (side.tries < TRIES_MAX && sent.tries + received.tries < TRIES_MAX * 2) return
    this.#room.unknownConnections++
    this.#room.counters.dropped.unclaimed++
    this.deafen()
  }

  /** Lets go of what nobody will read. */
  #forget(side: Side): void {
    if (side.size > 0) this.#connection.isFresh = false
    this.#room.lostBytes += side.size
    side.clear()
  }

  #senderOf(side: Side): Sender | undefined {
    const { role, isDatagram } = this.#connection
    if (role === 'unknown' || isDatagram) return undefined
    return (role === 'client') === (side.direction === 'send') ? 'client' : 'server'
  }

  /** Begins to read: what the other side said before is read first where nothing is missing. */
  #adopt(side: Side, segment: Segment, isBuffered: boolean): void {
    const { sender, protocol } = this.#room.claim
    const connection = this.#connection
    const feeder = this.#feeder
    const other = feeder.otherOf(side)
    side.sender = sender
    other.sender = sender === 'client' ? 'server' : 'client'
    feeder.begin(protocol!)
    side.isAnchored = true
    this.#state = 'reading'
    if (connection.isDatagram) {
      side.clear()
      other.clear()
      this.#readDatagram(side, segment)
      return
    }
    connection.role = (sender === 'client') === (side.direction === 'send') ? 'client' : 'server'
    if (other.size > 0 && connection.isFresh) feeder.drain(other)
    else other.clear()
    if (!feeder.isReading) return
    if (isBuffered) {
      feeder.drain(side)
      this.#cutShort(side, segment)
      feeder.release(other)
    } else feeder.read(side, segment)
  }

  /** What was not captured of a segment whose bytes have been read is a hole. */
  #cutShort(side: Side, segment: Segment): void {
    const hole = segment.size - (segment.end - segment.start)
    if (hole > 0 && this.#feeder.isReading) this.#feeder.hole(side, hole, segment.time)
  }
}
