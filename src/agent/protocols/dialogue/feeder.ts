import type { Connection } from '../../../model/connection.ts'
import type { Message } from '../../../model/message.ts'
import type { Segment } from '../../../model/segment.ts'
import { AGAIN, type Conversation, ENDLESS, MORE, type Protocol, SWITCH } from '../protocol.ts'
import { isTls } from './claim.ts'
import type { DialogueCause, Listener } from './listener.ts'
import type { Room } from './room.ts'
import { NEVER, Side } from './side.ts'

/** A hook may report an answer before its request by as much. */
const MERGE_US = 10_000
/** Holes that stand in the buffer as zeros are no longer than this. */
const HOLE_MAX = 65_536
/** So many first bytes of a message must be true: kind, size and id of most protocols lie there. */
const HEAD_MIN = 16
/** Messages in one stretch of bytes, so that no parser loops for ever. */
const AGAIN_MAX = 65_536
/** Protocols that follow one another on a connection. */
const STAGES_MAX = 8

/** Whom a feeder tells that it cannot go on. */
export interface Owner {
  /** Framing is lost. */
  lose(why: DialogueCause, time: number): void
  /** Neither side says anything that can be read. */
  deafen(): void
}

/** What one side reads after it switched: the other switches to the same at its own place. */
type Stage = {
  readonly protocol: Protocol | undefined
  readonly conversation: Conversation | undefined
}

/** Feeds a claimed connection's bytes to its protocol and its messages to the session. */
export class Feeder {
  readonly sent: Side
  readonly received: Side
  /** False once framing is lost, until reading begins again. */
  isReading = false
  /** Bytes of a server that nobody asked are held back for a moment. */
  isHolding = false
  readonly #room: Room
  readonly #connection: Connection
  readonly #session: Listener
  readonly #owner: Owner & { giveWay(): void; tick(now: number): boolean }
  readonly #stages: Stage[] = []
  #isForced = false
  /** Sequence number that the fed bytes' index 0 would have; used where they are not buffered. */
  #base = 0
  #isBuffered = false
  /** Messages told since framing was lost. */
  told = 0

  constructor(
    room: Room,
    connection: Connection,
    session: Listener,
    owner: Owner & { giveWay(): void; tick(now: number): boolean },
  ) {
    this.#room = room
    this.#connection = connection
    this.#session = session
    this.#owner = owner
    this.sent = new Side('send', room.buffers, owner)
    this.received = new Side('receive', room.buffers, owner)
  }

  otherOf(side: Side): Side {
    return side === this.sent ? this.received : this.sent
  }

  protocolOf(side: Side): Protocol | undefined {
    return this.#stages[side.stage]?.protocol
  }

  /** Begins to read as `protocol`. */
  begin(protocol: Protocol): void {
    this.#stages.push({ protocol, conversation: protocol.open(this.#session) })
    this.sent.enter(0, this.#stages[0]!.conversation)
    this.received.enter(0, this.#stages[0]!.conversation)
    this.sent.isAnchored = this.#connection.isFresh
    this.received.isAnchored = this.#connection.isFresh
    this.#connection.wants = protocol.bytesPerCall
    this.isReading = true
  }

  /** Forgets what was half read; both sides go on with the protocol that was reached last. */
  lost(): void {
    this.isReading = false
    this.told = 0
    const stage = this.#stages.length - 1
    for (const { conversation } of this.#stages) conversation?.lost()
    for (const side of [this.sent, this.received]) {
      side.reset()
      side.enter(stage, this.#stages[stage]?.conversation)
    }
  }

  /** Forgets all. */
  end(): void {
    this.isReading = false
    this.#stages.length = 0
    this.sent.reset()
    this.received.reset()
  }

  /** Reads what a segment says; what was not captured of it is a hole. */
  read(side: Side, segment: Segment): void {
    let { size, start } = segment
    if (side.heldHole > 0) this.force(side)
    if (side.unseen > 0) {
      const gone = Math.min(side.unseen, size)
      side.unseen -= gone
      if (gone === size) return
      size -= gone
      start += gone
    }
    const captured = Math.max(segment.end - start, 0)
    if (captured > 0) {
      if (side.to === 0) this.#readSegment(side, segment, start)
      else if (side.append(segment, start)) this.drain(side)
      else this.#owner.lose('too_long', segment.time)
    }
    if (size > captured && this.isReading) this.hole(side, size - captured, segment.time)
    if (this.isHolding) this.release(this.otherOf(side))
  }

  /** Reads what is buffered, as far as it goes. */
  drain(side: Side): void {
    side.heldAt = NEVER
    this.#isBuffered = true
    const { input } = this.#room
    input.set(side.bytes, side.from, side.to)
    input.zerosFrom = side.zerosFrom
    input.zerosTo = side.zerosTo
    const at = this.#feed(side)
    if (this.isReading) side.consume(at)
  }

  /** Gives on what was held back, if its request has come. */
  release(side: Side): void {
    if (side.heldAt !== NEVER && this.#session.isAwaited(side.direction)) this.#giveOn(side)
  }

  /** Gives on what was held back, request or none. */
  force(side: Side): void {
    if (side.heldAt === NEVER || !this.isReading) return
    // The server answers what is not whole: the rest of it is missing.
    if (this.#session.isSequential) this.closeOff(this.otherOf(side))
    if (!this.isReading) return
    this.#isForced = true
    this.#giveOn(side)
    this.#isForced = false
  }

  /** Reads what was held back, and what is known to have gone by behind it. */
  #giveOn(side: Side): void {
    const { heldAt, heldHole } = side
    side.heldHole = 0
    this.drain(side)
    if (heldHole > 0 && this.isReading) this.hole(side, heldHole, heldAt)
  }

  /** The rest of what is not whole does not come: its protocol may tell what there is of it. */
  closeOff(side: Side): void {
    if (side.size < HEAD_MIN || side.heldAt !== NEVER || !side.appendZeros(1)) return
    this.drain(side)
    if (this.isReading && side.size > 0) side.dropZero()
  }

  /** The connection is over, and with it what lasts as long: what went by of it is its length. */
  endEndless(side: Side, time: number): void {
    if (!side.isPartial || side.unseen < ENDLESS / 2) return
    const { message, mark, input } = this.#room
    message.clear()
    message.kind = side.sender === 'client' ? 'request' : 'response'
    message.length = ENDLESS - side.unseen
    mark.time = time
    this.#enter(side)
    this.#isBuffered = false
    input.set(input.bytes, 0, 0)
    this.#tell(side, 0)
  }

  /** Gives on what was held back too long; answers whether anything is still held back. */
  tick(now: number): boolean {
    const { sent, received } = this
    if (sent.heldAt !== NEVER && now - sent.heldAt >= MERGE_US) this.force(sent)
    if (received.heldAt !== NEVER && now - received.heldAt >= MERGE_US) this.force(received)
    this.isHolding = sent.heldAt !== NEVER || received.heldAt !== NEVER
    return this.isHolding
  }

  /**
   * Bytes went by unseen. Inside a message whose size is known they do no harm. Inside one, or
   * between its parts, where the other side has said nothing since it began, zeros stand for them,
   * and the protocol must be able to say at once where the message ends. Anywhere else there may
   * have been messages: framing is lost.
   */
  hole(side: Side, size: number, time: number): void {
    if (side.heldAt !== NEVER && !this.#isForced) {
      side.heldHole += size
      return
    }
    const gone = Math.min(side.unseen, size)
    side.unseen -= gone
    const rest = size - gone
    if (rest === 0) return
    const isInside = side.size >= HEAD_MIN || (side.size === 0 && side.isPartial)
    if (isInside && !side.isInterrupted && rest <= HOLE_MAX && side.appendZeros(rest)) {
      this.#room.mark.time = time
      this.drain(side)
      if (!this.isReading || side.size === 0) return
    }
    this.#owner.lose('hole', time)
  }

  /** Reads one whole datagram; answers whether it was understood. */
  readDatagram(side: Side, segment: Segment): boolean {
    const { message, counters, input } = this.#room
    this.#markSegment(segment)
    this.#base = 0
    this.#enter(side)
    input.set(segment.bytes, segment.start, segment.end)
    let size: number = AGAIN
    for (let times = 0; size === AGAIN && times < AGAIN_MAX && this.isReading; times++) {
      message.clear()
      size = side.conversation!.feed(side.sender, input, message)
      if (size > 0 || size === AGAIN) this.#tell(side, segment.end)
    }
    if (size <= 0) counters.dropped.datagram++
    return size > 0
  }

  /** Nothing is buffered: the segment's bytes are read where they lie. */
  #readSegment(side: Side, segment: Segment, start: number): void {
    this.#markSegment(segment)
    this.#base = segment.sequence - segment.start
    this.#room.input.set(segment.bytes, start, segment.end)
    const at = this.#feed(side)
    if (at < segment.end && this.isReading && !side.append(segment, at))
      this.#owner.lose('too_long', segment.time)
  }

  #markSegment(segment: Segment): void {
    const { mark } = this.#room
    mark.time = segment.time
    mark.processId = segment.processId
    mark.threadId = segment.threadId
    mark.traceId = segment.traceId
    this.#isBuffered = false
  }

  #enter(side: Side): void {
    this.#session.feeding = side.direction
    this.#session.l7Protocol = this.#stages[side.stage]?.protocol?.number ?? 0
  }

  /** Feeds message after message; answers where the first begins that is not whole. */
  #feed(side: Side): number {
    const { message, input } = this.#room
    const { start, end } = input
    this.#enter(side)
    let at = start
    let times = 0
    while (at < end) {
      const { conversation } = side
      if (conversation === undefined) return end
      if (side.sender === 'server' && this.#mustHold(side, at)) return at
      message.clear()
      input.start = at
      const size = conversation.feed(side.sender, input, message)
      if (size === MORE) return at
      if (size === SWITCH && side.stage + 1 < STAGES_MAX) {
        this.#switch(side)
        continue
      }
      if ((size < 0 && size !== AGAIN) || ++times > AGAIN_MAX) {
        this.#owner.lose('wrong', this.#room.mark.time)
        return end
      }
      const next = at + Math.max(size, 0)
      if (!this.#tell(side, next)) return end
      if (next > end) side.unseen = next - end
      at = Math.min(next, end)
    }
    return at
  }

  /** Hands the message that was read on; false: the dialogue begins anew. */
  #tell(side: Side, next: number): boolean {
    const room = this.#room
    const { message, mark, input } = room
    if (message.kind === 'none') {
      side.isAnchored &&= side.isPartial
      return true
    }
    if (!side.isPartial) side.isInterrupted = false
    side.isPartial = !message.last
    side.isAnchored = !message.isEndLost
    const at = input.start
    mark.direction = side.direction
    mark.captured = Math.min(next, input.end) - at
    if (this.#isBuffered) {
      side.markAt(at, mark)
      if (at < side.zerosTo) {
        const { zerosFrom, zerosTo } = side
        mark.captured -= Math.max(Math.min(next, zerosTo) - Math.max(at, zerosFrom), 0)
        if (isCut(message, side)) message.truncated = true
      }
    } else mark.sequence = (this.#base + at) >>> 0
    side.isCut = message.truncated
    this.told++
    room.counters.out++
    room.onMessage?.(message, mark, this.#connection, this.#session.l7Protocol)
    if (this.#session.take(message, mark)) return true
    this.#owner.lose('doubt', mark.time)
    return false
  }

  /**
   * A server that speaks though nobody asked may have been asked by bytes that are reported late:
   * it is held back for a moment, where the client's next bytes can only be those.
   */
  #mustHold(side: Side, at: number): boolean {
    if (this.#isForced || side.isPartial || side.isCut) return false
    if (this.#session.isAwaited(side.direction)) return false
    if (!this.otherOf(side).isAnchored) return false
    const { mark } = this.#room
    if (this.#isBuffered) side.markAt(at, mark)
    side.heldAt = mark.time
    if (!this.isHolding) this.#room.hold(this.#owner)
    this.isHolding = true
    return true
  }

  /** Another protocol begins here; the other side comes to the same one at its own place. */
  #switch(side: Side): void {
    const { bytes, start, end } = this.#room.input
    const stage = side.stage + 1
    if (this.#stages[stage] === undefined)
      this.#stages.push(this.#stageOf(side, bytes.subarray(start, end)))
    const { protocol, conversation } = this.#stages[stage]!
    side.enter(stage, conversation)
    this.#session.l7Protocol = protocol?.number ?? 0
    const connection = this.#connection
    if (protocol !== undefined) connection.wants = Math.max(connection.wants, protocol.bytesPerCall)
    if (this.sent.conversation === undefined && this.received.conversation === undefined)
      this.#owner.deafen()
  }

  #stageOf(side: Side, head: Uint8Array): Stage {
    const { message, protocols, claim } = this.#room
    if (message.next === 'TLS' || isTls(head)) {
      this.#room.noteTls(this.#connection)
      return { protocol: undefined, conversation: undefined }
    }
    let protocol = protocols.find(({ name }) => name === message.next)
    if (message.next === '' && claim.ask(protocols, head, side.sender, this.#connection))
      protocol = claim.protocol
    return { protocol, conversation: protocol?.open(this.#session) }
  }
}

/** Whether a text of `message` lies over the zeros that stand for a hole. */
function isCut(message: Message, side: Side): boolean {
  const { buffer } = side.bytes
  const { operation, resource, domain, error, result, endpoint } = message
  for (const text of [operation, resource, domain, error, result, endpoint])
    if (text.bytes.buffer === buffer && text.start < side.zerosTo && text.end > side.zerosFrom)
      return true
  return false
}
