import { wordsOf } from '../../lib/words.ts'
import type { Message } from '../../model/message.ts'

/** Answer of `feed`: the message is not all here yet. */
export const MORE = 0
/** Answer of `feed`: these bytes are not this protocol, or its framing is lost. */
export const WRONG = -1
/** Answer of `feed`: another protocol begins here; the other sender switches at its own place. */
export const SWITCH = -2
/** Answer of `feed`: a message was read and the same bytes hold another. */
export const AGAIN = -3

/**
 * Size of a message that lasts as long as its connection, beside its head: no stream comes to its
 * end. Told with `last` false, what went by of it is its length once the connection is over.
 */
export const ENDLESS: number = 2 ** 50

/** Who sent the bytes: `client` asked for the connection, or first sent a request. */
export type Sender = 'client' | 'server'

/** What a protocol file exports. Nothing here throws, whatever the bytes are. */
export interface Protocol {
  readonly name: string
  /** Its number in the column `l7_protocol`. */
  readonly number: number
  /** Ports that speak it by custom: a hint that breaks ties, never proof. */
  readonly ports: readonly number[]
  /** How many bytes of each socket call it must see: a head is enough for some, all for others. */
  readonly bytesPerCall: number
  /** How surely a sender's first bytes are ours, 0 to 100. Cheap: a few bytes and no text. */
  claim(head: Uint8Array, sender: Sender): number
  /** What one connection must remember between messages; shared by both senders. */
  open(link: Link): Conversation
}

/** What a conversation may know of its connection. */
export interface Link {
  /** Each feed is one whole datagram: nothing is prefixed, and no more will come. */
  readonly datagram: boolean
  /** The tag of the oldest unanswered request with this id (NO_ID: of all), or NO_TAG. */
  pending(id: number): number
}

const NOTHING = new Uint8Array(0)

/** The bytes that a conversation is fed: `bytes[start, end)`. What lies behind `end` is not its. */
export class Input {
  bytes: Uint8Array = NOTHING
  /** The same bytes, to be read as words. */
  view: DataView = wordsOf(NOTHING)
  start = 0
  end = 0
  /** Zeros in `bytes[zerosFrom, zerosTo)` stand for a hole; there is none where `zerosTo` is 0. */
  zerosFrom = 0
  zerosTo = 0
  #whole: Uint8Array = NOTHING
  #bounded: Uint8Array = NOTHING

  set(bytes: Uint8Array, start: number, end: number): void {
    if (bytes !== this.bytes) {
      this.bytes = bytes
      this.view = wordsOf(bytes)
    }
    this.start = start
    this.end = end
    this.zerosTo = 0
  }

  /** Where the bytes that were captured from `at` on end: at a hole, or at the input's end. */
  capturedEnd(at: number): number {
    return at < this.zerosTo ? Math.max(Math.min(this.zerosFrom, this.end), at) : this.end
  }

  /** The bytes up to `end`, for who reads until their length: a view costs some 60 ns. */
  bounded(): Uint8Array {
    const { bytes, end } = this
    if (bytes.length === end) return bytes
    if (this.#whole !== bytes || this.#bounded.length !== end) {
      this.#whole = bytes
      this.#bounded = bytes.subarray(0, end)
    }
    return this.#bounded
  }
}

export interface Conversation {
  /**
   * Reads the message that begins at the input's `start`; fills `message`, which came cleared.
   *
   * Answers how many bytes of the stream the message takes, or MORE, WRONG, SWITCH, AGAIN. The size
   * may pass the input's end: the stream lets the rest go by unseen. Bytes that say nothing (a
   * chunk of a body, a ping) are passed over with `message.kind` left at 'none'. A response answers
   * the other sender's oldest unanswered request with an equal id. A short hole in the stream
   * arrives as zeros, so that sizes and offsets stay true (the input says where they are); after a
   * long one `lost` is called and `feed` starts afresh where a client's bytes are claimed again.
   */
  feed(sender: Sender, input: Input, message: Message): number
  /** Framing is lost: forget what was half read. */
  lost(): void
}

/** A protocol inside another's messages (gRPC in HTTP/2, GraphQL in HTTP): it refines them. */
export interface Layer {
  readonly name: string
  readonly over: string
  /** Answers whether the message was ours; then its fields say so. */
  refine(message: Message): boolean
}
