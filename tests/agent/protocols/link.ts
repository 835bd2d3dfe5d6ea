import type { Conversation, Link, Protocol, Sender } from '../../../src/agent/protocols/protocol.ts'
import { Message, NO_ID, NO_TAG, type Text } from '../../../src/model/message.ts'

type Waiting = { readonly id: number; readonly tag: number }

/** One connection as a test holds it: remembers which requests wait, as sessions do. */
export class TestLink implements Link {
  readonly datagram: boolean
  readonly message: Message = new Message()
  readonly conversation: Conversation
  readonly #waiting: Waiting[] = []
  readonly #begun: Record<Sender, boolean> = { client: false, server: false }

  constructor(protocol: Protocol, datagram = false) {
    this.datagram = datagram
    this.conversation = protocol.open(this)
  }

  pending(id: number): number {
    return this.#waiting.find((request) => id === NO_ID || request.id === id)?.tag ?? NO_TAG
  }

  /** Feeds what begins at `start`; answers its size. */
  feed(sender: Sender, bytes: Uint8Array, start = 0): number {
    this.message.clear()
    const size = this.conversation.feed(sender, bytes, start, this.message)
    const { kind, id, tag, last } = this.message
    if (size < 0 && size !== AGAIN) return size
    if (kind === 'request' && !this.#begun[sender]) this.#waiting.push({ id, tag })
    if (kind === 'response' && last) {
      const at = this.#waiting.findIndex((request) => request.id === id)
      if (at >= 0) this.#waiting.splice(at, 1)
    }
    if (kind === 'request' || kind === 'response') this.#begun[sender] = !last
    return size
  }

  /** Feeds a whole stretch of one sender's stream; answers each message as `show` puts it. */
  feedAll(
    sender: Sender,
    bytes: Uint8Array,
    show: (link: TestLink, size: number) => string,
  ): string[] {
    const seen: string[] = []
    for (let at = 0; at < bytes.length; ) {
      const size = this.feed(sender, bytes, at)
      seen.push(show(this, size))
      if (size <= 0 && size !== AGAIN) break
      at += Math.max(size, 0)
    }
    return seen
  }
}

const AGAIN = -3

export function textOf({ bytes, start, end }: Text): string {
  return new TextDecoder().decode(bytes.subarray(start, end))
}

/** Bytes of a text whose characters are bytes (latin-1): tests write binary as `\x00`. */
export function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0))
}
