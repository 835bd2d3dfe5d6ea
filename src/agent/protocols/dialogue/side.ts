import type { Mark } from '../../../model/connection.ts'
import type { Direction, Segment } from '../../../model/segment.ts'
import type { Conversation, Sender } from '../protocol.ts'
import { BUFFER_BYTES_MAX, type Buffers, type Holder } from './buffers.ts'
import type { MarkList } from './mark-list.ts'

const NOTHING = new Uint8Array(0)
/** Nothing is held back for the other direction. */
export const NEVER = -1

/** What one direction of a conversation has said and nobody has understood yet. */
export class Side implements Holder {
  readonly direction: Direction
  readonly #buffers: Buffers
  readonly owner: { giveWay(): void }
  sender: Sender = 'client'
  /** How often it switched its protocol, and who reads it now. */
  stage = 0
  conversation: Conversation | undefined
  /** Bytes of a message already told that are still to go by. */
  unseen = 0
  /** Parts of the message told last are still to come. */
  isPartial = false
  /** All it said was told, without a hole: what is reported late can only come next. */
  isAnchored = false
  /** The message told last was cut: its rest may still come, and answers nothing. */
  isCut = false
  /** The other side spoke since the message that is not whole yet began. */
  isInterrupted = false
  /** When bytes were first held back for the other direction, or NEVER. */
  heldAt: number = NEVER
  /** Bytes that went by unseen behind those held back. */
  heldHole = 0
  /** Segments seen while nobody claimed them. */
  tries = 0
  /** What is buffered is `bytes[from, to)`; zeros in [zerosFrom, zerosTo) for a hole. */
  bytes: Uint8Array = NOTHING
  from = 0
  to = 0
  zerosFrom = 0
  zerosTo = 0
  held = 0
  older: Holder | undefined
  newer: Holder | undefined
  #marks: MarkList | undefined

  constructor(direction: Direction, buffers: Buffers, owner: { giveWay(): void }) {
    this.direction = direction
    this.#buffers = buffers
    this.owner = owner
  }

  get size(): number {
    return this.to - this.from
  }

  /** The buffered bytes, from the buffer's beginning: parsers read from `from` to their end. */
  view(): Uint8Array {
    return this.bytes.subarray(0, this.to)
  }

  /** Keeps the captured bytes of `segment` from `start` on; false: they are too many. */
  append(segment: Segment, start: number): boolean {
    const size = segment.end - start
    if (size <= 0) return true
    if (!this.#reserve(size)) return false
    if (this.to === 0 && !this.isPartial) this.isInterrupted = false
    this.#marks ??= this.#buffers.takeMarks()
    this.#marks.add(this.to, segment, start)
    this.bytes.set(segment.bytes.subarray(start, segment.end), this.to)
    this.to += size
    return true
  }

  /** Keeps `size` zeros where bytes went by unseen; false: they are too many. */
  appendZeros(size: number): boolean {
    if (!this.#reserve(size)) return false
    this.bytes.fill(0, this.to, this.to + size)
    if (this.zerosTo === 0) this.zerosFrom = this.to
    this.to += size
    this.zerosTo = this.to
    return true
  }

  /** Takes back one zero that helped nobody. */
  dropZero(): void {
    this.to--
    this.zerosTo = Math.min(this.zerosTo, this.to)
    if (this.zerosTo <= this.zerosFrom) this.zerosTo = 0
  }

  /** Tells of the byte at `at` of the buffer when it went by and who moved it. */
  markAt(at: number, mark: Mark): void {
    this.#marks?.read(at, mark)
  }

  enter(stage: number, conversation: Conversation | undefined): void {
    this.stage = stage
    this.conversation = conversation
  }

  /** Lets go of all before `at`. */
  consume(at: number): void {
    this.from = at
    if (at >= this.to) this.clear()
  }

  /** Lets go of all that is buffered. */
  clear(): void {
    this.from = 0
    this.to = 0
    this.zerosTo = 0
    this.heldAt = NEVER
    this.heldHole = 0
    if (this.#marks !== undefined) {
      this.#buffers.giveMarks(this.#marks)
      this.#marks = undefined
    }
    if (this.bytes === NOTHING) return
    this.#buffers.give(this, this.bytes)
    this.bytes = NOTHING
  }

  /** Forgets where in a message it is. */
  reset(): void {
    this.clear()
    this.unseen = 0
    this.isPartial = false
    this.isCut = false
    this.isAnchored = false
  }

  #reserve(size: number): boolean {
    if (this.to + size <= this.bytes.length) return true
    const used = this.to - this.from
    if (used + size > BUFFER_BYTES_MAX) return false
    if (this.bytes.length > 0 && used + size <= this.bytes.length / 2) {
      this.bytes.copyWithin(0, this.from, this.to)
    } else {
      const grown = this.#buffers.take(this, used + size)
      if (this.bytes !== NOTHING) {
        grown.set(this.bytes.subarray(this.from, this.to))
        this.#buffers.give(this, this.bytes)
      }
      this.bytes = grown
    }
    this.#marks?.shift(this.from)
    this.zerosFrom = Math.max(this.zerosFrom - this.from, 0)
    this.zerosTo = Math.max(this.zerosTo - this.from, 0)
    this.from = 0
    this.to = used
    return true
  }
}
