/** A protocol of our own, small enough to be surely right: what pairs wrongly is not its fault. */
import {
  type Conversation,
  type Input,
  MORE,
  type Protocol,
  type Sender,
  WRONG,
} from '../../../src/agent/protocols/protocol.ts'
import type { Kind, Message } from '../../../src/model/message.ts'

/*
 * message = kind ("Q" request, "R" response, "P" push, "O" one-way)
 *           flags (bit 0: more parts follow, bit 1: it has an id)
 *           mark 0xc7
 *           id u16 · number u16 · size u16 · size bytes of filling · "."
 *
 * Sized: told as soon as the head is here. Whole: told once all of it is. Ended: told once the
 * closing point is here, which alone says where the message ends; no filling holds one.
 */
export type Framing = 'sized' | 'whole' | 'ended'

const HEAD = 9
const MARK = 0xc7
const POINT = 0x2e
const FILLING = 0x78

export type Said = {
  readonly kind: 'Q' | 'R' | 'P' | 'O'
  readonly number: number
  readonly id?: number
  readonly isPart?: boolean
  readonly size?: number
}

export function encode({ kind, number, id, isPart = false, size = 0 }: Said): Uint8Array {
  const bytes = new Uint8Array(HEAD + size + 1).fill(FILLING)
  const view = new DataView(bytes.buffer)
  bytes[0] = kind.charCodeAt(0)
  bytes[1] = (isPart ? 1 : 0) | (id === undefined ? 0 : 2)
  bytes[2] = MARK
  view.setUint16(3, id ?? 0)
  view.setUint16(5, number)
  view.setUint16(7, size)
  bytes[HEAD + size] = POINT
  return bytes
}

const KINDS: Readonly<Record<string, Kind>> = {
  Q: 'request',
  R: 'response',
  P: 'none',
  O: 'oneway',
}

class ToyConversation implements Conversation {
  readonly #framing: Framing

  constructor(framing: Framing) {
    this.#framing = framing
  }

  feed(sender: Sender, input: Input, message: Message): number {
    const { start } = input
    const bytes = input.bounded()
    const left = bytes.length - start
    if (left > 2 && bytes[start + 2] !== MARK) return WRONG
    if (left < HEAD) return MORE
    const letter = String.fromCharCode(bytes[start]!)
    const isOfClient = letter === 'Q' || letter === 'O'
    if (KINDS[letter] === undefined || isOfClient !== (sender === 'client')) return WRONG
    const view = new DataView(bytes.buffer, bytes.byteOffset + start, HEAD)
    let size = HEAD + view.getUint16(7) + 1
    if (this.#framing === 'whole' && left < size) return MORE
    if (this.#framing === 'ended') {
      const point = bytes.indexOf(POINT, start + HEAD)
      if (point < 0) return MORE
      size = point + 1 - start
    }
    const number = new TextEncoder().encode(String(view.getUint16(5)))
    message.kind = KINDS[letter]!
    message.last = (bytes[start + 1]! & 1) === 0
    if ((bytes[start + 1]! & 2) !== 0) message.id = view.getUint16(3)
    message.tag = view.getUint16(5)
    message.length = view.getUint16(7)
    if (isOfClient) message.resource.set(number, 0, number.length)
    else message.result.set(number, 0, number.length)
    return size
  }

  lost(): void {
    // Nothing is remembered between messages.
  }
}

export function toy(framing: Framing = 'sized'): Protocol {
  return {
    name: 'Toy',
    number: 127,
    ports: [],
    bytesPerCall: 4096,
    claim: (head, sender) => {
      if (head[2] !== MARK || head.length < HEAD) return 0
      const isOfClient = head[0] === 0x51 || head[0] === 0x4f
      return isOfClient === (sender === 'client') ? 90 : 0
    },
    open: () => new ToyConversation(framing),
  }
}
