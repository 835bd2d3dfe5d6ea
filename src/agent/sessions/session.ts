import type { Connection, Mark } from '../../model/connection.ts'
import { type Message, NO_ID, NO_TAG } from '../../model/message.ts'
import type { Direction } from '../../model/segment.ts'
import { EndpointOf } from './endpoint-of.ts'
import { fillEnds, fillPeer, fillProcess, fillRequest, fillResponse } from './fill.ts'
import { isGroup, isPeer, mayAnswer } from './peers.ts'
import type { Sessions, SessionsCause } from './sessions.ts'
import { type Caution, Trust } from './trust.ts'
import {
  ANSWERED,
  ANSWERING,
  EARLY,
  GROWING,
  MERGE_US,
  NO_PEER,
  ONE_WAY,
  ORPHAN,
  type Waiting,
  WaitingList,
} from './waiting.ts'

/** Requests that wait on one connection, and places kept for responses that may still come. */
export const WAITING_MAX = 1000
const GHOSTS_MAX = 4096

/** Pairs one connection's messages into calls. */
export class Session {
  readonly datagram: boolean
  l7Protocol = 0
  feeding: Direction = 'send'
  readonly #room: Sessions
  readonly #connection: Connection
  /** Requests that the local end, and the remote end, sent. */
  readonly #sent: WaitingList = new WaitingList()
  readonly #received: WaitingList = new WaitingList()
  readonly #trust: Trust
  readonly #endpoint: EndpointOf

  constructor(room: Sessions, connection: Connection) {
    this.#room = room
    this.#connection = connection
    this.datagram = connection.isDatagram
    this.#endpoint = new EndpointOf(room.endpoints)
    this.#trust = new Trust(connection.isFresh)
  }

  pending(id: number): number {
    const list = this.feeding === 'send' ? this.#received : this.#sent
    return this.#owed(list, id)?.tag ?? NO_TAG
  }

  get isSequential(): boolean {
    return !this.#trust.isPipelined
  }

  isAwaited(direction: Direction): boolean {
    return (direction === 'send' ? this.#received : this.#sent).open > 0
  }

  take(message: Message, mark: Mark): boolean {
    this.#room.counters.in++
    const { kind } = message
    if (kind === 'request' && !this.#isToMany(mark)) return this.#request(message, mark)
    if (kind === 'response') return this.#response(message, mark)
    if (kind !== 'none') this.#oneWay(message, mark)
    return true
  }

  #isToMany({ direction }: Mark): boolean {
    return this.datagram && direction === 'send' && isGroup(this.#connection)
  }

  lost(time: number): Caution {
    const open = Math.max(this.#sent.open, this.#received.open)
    this.#closeAll('lost', time)
    return this.#trust.lost(open)
  }

  close(time: number): void {
    this.#closeAll('closed', time)
  }

  /** `waiting` waited too long. */
  expire(waiting: Waiting): void {
    if ((waiting.flags & EARLY) !== 0) {
      this.#settleEarly(waiting)
      return
    }
    this.giveWay(waiting, 'timeout', waiting.deadline)
  }

  /**
   * Sends the call of `waiting` out. Its place is kept where order pairs, for its response, and
   * where parts are still to come, for them.
   */
  giveWay(waiting: Waiting, why: SessionsCause, time: number): void {
    const list = waiting.list!
    const { flags } = waiting
    const isOpen = (flags & (ANSWERED | ONE_WAY)) === 0
    const hasMore = (flags & GROWING) !== 0 || (isOpen && (flags & ANSWERING) !== 0)
    if (!hasMore && (!isOpen || waiting.id !== NO_ID)) {
      this.#finish(waiting, why, time)
      return
    }
    waiting.queue?.remove(waiting)
    this.#room.finish(waiting.call!, flags, why, time)
    waiting.call = undefined
    list.calls--
    list.ghosts++
  }

  #request(message: Message, mark: Mark): boolean {
    const list = mark.direction === 'send' ? this.#sent : this.#received
    const growing = list.growing > 0 ? this.#growing(list, message.id) : undefined
    if (growing !== undefined) {
      this.#grow(growing, message, mark)
      return true
    }
    if (list.early > 0 && this.#takeEarly(list, message, mark)) return true
    this.#trust.asked(mark.time, list.open)
    const waiting = this.#ask(list, message, mark)
    this.#room.enqueue(waiting, mark.time, this.l7Protocol)
    if (list.calls <= WAITING_MAX) return true
    const oldest = this.#oldestCall(list)
    if (oldest !== undefined) this.giveWay(oldest, 'too_many', mark.time)
    return list.ghosts <= GHOSTS_MAX
  }

  /** Opens the call of a request, or of what nobody answers. */
  #ask(list: WaitingList, message: Message, mark: Mark): Waiting {
    const waiting = this.#open(list, message, mark, mark.direction)
    this.#fillAsked(waiting, message, mark)
    return waiting
  }

  #fillAsked(waiting: Waiting, message: Message, mark: Mark): void {
    const call = waiting.call!
    if (!message.last) {
      waiting.flags |= GROWING
      waiting.list!.growing++
    }
    fillRequest(call, message, this.#room.redact)
    this.#endpoint.set(call, message)
    call.requestTraceId = mark.traceId
    call.requestThreadId = mark.threadId
    call.requestSequence = mark.sequence
    call.capturedRequestBytes = mark.captured
  }

  /** The response to a request with this id may have been reported first. */
  #takeEarly(list: WaitingList, message: Message, mark: Mark): boolean {
    let early = list.first
    while (
      early !== undefined &&
      ((early.flags & EARLY) === 0 || early.id !== message.id || !this.#isPeer(early))
    )
      early = early.next
    if (early === undefined) return false
    if (mark.time > early.deadline) {
      this.#settleEarly(early)
      return false
    }
    early.flags &= ~(EARLY | ORPHAN)
    list.early--
    early.queue?.remove(early)
    early.tag = message.tag
    early.call!.startTime = mark.time
    this.#fillAsked(early, message, mark)
    if ((early.flags & (ANSWERED | GROWING)) === ANSWERED) this.#finish(early, 'closed', mark.time)
    else this.#room.enqueue(early, mark.time, this.l7Protocol)
    return true
  }

  /** No request was reported: the response stays alone. */
  #settleEarly(early: Waiting): void {
    early.flags &= ~EARLY
    early.list!.early--
    if ((early.flags & ANSWERED) !== 0) {
      this.#finish(early, 'closed', early.deadline)
      return
    }
    early.queue?.remove(early)
    this.#room.enqueue(early, early.deadline, this.l7Protocol)
  }

  /** Takes a further part of a request. */
  #grow(waiting: Waiting, message: Message, mark: Mark): void {
    const { call } = waiting
    if (call !== undefined) {
      fillRequest(call, message, this.#room.redact)
      call.capturedRequestBytes += mark.captured
    }
    if (!message.last) return
    waiting.flags &= ~GROWING
    waiting.list!.growing--
    if ((waiting.flags & (ANSWERED | ONE_WAY)) !== 0) this.#finish(waiting, 'closed', mark.time)
  }

  #response(message: Message, mark: Mark): boolean {
    const list = mark.direction === 'send' ? this.#received : this.#sent
    let waiting = this.#owed(list, message.id)
    if (this.datagram && waiting !== undefined) waiting = this.#samePeer(list, message, mark)
    const isOrdered = message.id === NO_ID && !this.datagram
    if (isOrdered && (this.#trust.isInDoubt(list.open) || cameBefore(mark, waiting))) return false
    if (waiting?.call === undefined) {
      if (waiting !== undefined && (waiting.flags & ANSWERING) !== 0) {
        if (message.last) this.#finish(waiting, 'closed', mark.time)
        return true
      }
      waiting = this.#orphan(list, waiting, message, mark)
    }
    const call = waiting.call!
    if ((waiting.flags & ANSWERING) === 0) {
      this.#trust.answered(list.open)
      waiting.flags |= ANSWERING
      call.endTime = mark.time
      call.responseTraceId = mark.traceId
      call.responseThreadId = mark.threadId
      call.responseSequence = mark.sequence
      fillPeer(call, this.#connection)
    }
    fillResponse(call, message, this.#room.redact)
    call.capturedResponseBytes += mark.captured
    if (message.last) {
      waiting.flags |= ANSWERED
      list.open--
      if ((waiting.flags & (GROWING | EARLY)) === 0) this.#finish(waiting, 'closed', mark.time)
    }
    return true
  }

  #oneWay(message: Message, mark: Mark): void {
    const list = mark.direction === 'send' ? this.#sent : this.#received
    const growing = list.growing > 0 ? this.#growing(list, message.id) : undefined
    if (growing !== undefined) {
      this.#grow(growing, message, mark)
      return
    }
    const waiting = this.#ask(list, message, mark)
    waiting.flags |= ONE_WAY
    list.open--
    if (message.last) this.#finish(waiting, 'closed', mark.time)
    else this.#room.enqueue(waiting, mark.time, this.l7Protocol)
  }

  /** The call of a response whose request nobody saw, or has been given up. */
  #orphan(list: WaitingList, ghost: Waiting | undefined, message: Message, mark: Mark): Waiting {
    const requested = mark.direction === 'send' ? 'receive' : 'send'
    let waiting = ghost
    if (waiting === undefined) {
      waiting = this.#open(list, message, mark, requested)
      waiting.flags |= ORPHAN
      if (message.id !== NO_ID && (waiting.flags & NO_PEER) === 0) {
        waiting.flags |= EARLY
        list.early++
        this.#room.enqueueEarly(waiting, mark.time)
        return waiting
      }
    } else {
      list.ghosts--
      this.#equip(waiting, list, mark, requested)
      waiting.flags |= ORPHAN
    }
    if (!message.last) this.#room.enqueue(waiting, mark.time, this.l7Protocol)
    return waiting
  }

  #open(list: WaitingList, message: Message, mark: Mark, requested: Direction): Waiting {
    const waiting = this.#room.pool.waiting()
    waiting.session = this
    waiting.id = message.id
    waiting.tag = message.tag
    waiting.flags = this.#connection.isPeerKnown ? 0 : NO_PEER
    list.add(waiting)
    list.open++
    this.#equip(waiting, list, mark, requested)
    return waiting
  }

  /** Gives `waiting` a call between the connection's ends. */
  #equip(waiting: Waiting, list: WaitingList, mark: Mark, requested: Direction): void {
    const call = this.#room.pool.call()
    waiting.call = call
    list.calls++
    call.l7Protocol = this.l7Protocol
    call.startTime = mark.time
    call.endTime = mark.time
    fillEnds(call, this.#connection, requested)
    fillProcess(call, mark)
  }

  #finish(waiting: Waiting, why: SessionsCause, time: number): void {
    const list = waiting.list!
    const { call, flags } = waiting
    list.remove(waiting)
    waiting.queue?.remove(waiting)
    if ((flags & (ANSWERED | ONE_WAY)) === 0) list.open--
    if ((flags & GROWING) !== 0) list.growing--
    if ((flags & EARLY) !== 0) list.early--
    if (call === undefined) list.ghosts--
    else {
      list.calls--
      this.#room.finish(call, flags, why, time)
    }
    this.#room.pool.giveWaiting(waiting)
  }

  #closeAll(why: SessionsCause, time: number): void {
    for (const list of [this.#sent, this.#received])
      while (list.first !== undefined) {
        const waiting = list.first
        const isCut = why === 'lost' && (waiting.flags & (ANSWERING | ANSWERED)) === ANSWERING
        if (isCut && waiting.call !== undefined) waiting.call.isTruncated = true
        this.#finish(waiting, why, time)
      }
  }

  /** The oldest request with `id` that has no whole response. */
  #owed(list: WaitingList, id: number): Waiting | undefined {
    let waiting = list.first
    while (
      waiting !== undefined &&
      (waiting.id !== id || (waiting.flags & (ANSWERED | ONE_WAY)) !== 0)
    )
      waiting = waiting.next
    return waiting
  }

  #growing(list: WaitingList, id: number): Waiting | undefined {
    let waiting = list.last
    while (waiting !== undefined && (waiting.id !== id || (waiting.flags & GROWING) === 0))
      waiting = waiting.previous
    return waiting
  }

  #oldestCall(list: WaitingList): Waiting | undefined {
    let waiting = list.first
    while (waiting !== undefined && waiting.call === undefined) waiting = waiting.next
    return waiting
  }

  /**
   * The request that a datagram answers: from the peer it goes to. Where peers are not known, equal
   * ids say nothing of who is answered: all of them close as unknown.
   */
  #samePeer(list: WaitingList, message: Message, mark: Mark): Waiting | undefined {
    let found: Waiting | undefined
    let isAmbiguous = false
    for (let waiting = list.first; waiting !== undefined; waiting = waiting.next) {
      if (waiting.id !== message.id || !this.#mayAnswer(waiting)) continue
      const isKnown = (waiting.flags & NO_PEER) === 0 && this.#connection.isPeerKnown
      if (found !== undefined && !isKnown) isAmbiguous = true
      found ??= waiting
    }
    if (found !== undefined && isAmbiguous) {
      this.#closeEqual(list, message.id, mark.time)
      return undefined
    }
    if (found?.call !== undefined && (found.flags & NO_PEER) !== 0) this.#namePeer(found, mark)
    return found
  }

  #isPeer(waiting: Waiting): boolean {
    if (!this.datagram) return true
    return isPeer(waiting.call!, this.#connection, waiting.list === this.#received)
  }

  #mayAnswer(waiting: Waiting): boolean {
    return mayAnswer(waiting, this.#connection, waiting.list === this.#received)
  }

  #closeEqual(list: WaitingList, id: number, time: number): void {
    let waiting = list.first
    while (waiting !== undefined) {
      const { next } = waiting
      if (waiting.id === id && this.#mayAnswer(waiting)) this.#finish(waiting, 'ambiguous', time)
      waiting = next
    }
  }

  /** The answer's peer is the one that asked. */
  #namePeer(waiting: Waiting, mark: Mark): void {
    if (!this.#connection.isPeerKnown) return
    const call = waiting.call!
    fillEnds(call, this.#connection, mark.direction === 'send' ? 'receive' : 'send')
    fillProcess(call, mark)
  }
}

/** What went by so long before a request was made is no answer to it. */
function cameBefore({ time }: Mark, waiting: Waiting | undefined): boolean {
  const call = waiting?.call
  if (call === undefined || (waiting!.flags & ANSWERING) !== 0) return false
  return time + MERGE_US < call.startTime
}
