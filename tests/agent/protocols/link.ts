import { spyOn } from 'bun:test'
import {
  AGAIN,
  type Conversation,
  Input,
  type Link,
  MORE,
  type Protocol,
  type Sender,
} from '../../../src/agent/protocols/protocol.ts'
import { Message, NO_COUNT, NO_ID, NO_TAG, STATUS, Text } from '../../../src/model/message.ts'

type Waiting = { readonly id: number; readonly tag: number }

/** One connection as a test holds it: remembers which requests wait, as sessions do. */
export class TestLink implements Link {
  readonly datagram: boolean
  readonly message: Message = new Message()
  readonly conversation: Conversation
  readonly #waiting: Waiting[] = []
  readonly #input = new Input()
  #feeding: Sender = 'client'
  readonly #begun: Record<Sender, boolean> = { client: false, server: false }

  constructor(protocol: Protocol, datagram = false) {
    this.datagram = datagram
    this.conversation = protocol.open(this)
  }

  /** Asks for requests of the other sender: a client answers none. */
  pending(id: number): number {
    if (this.#feeding === 'client') return NO_TAG
    return this.#waiting.find((request) => id === NO_ID || request.id === id)?.tag ?? NO_TAG
  }

  /** Feeds what begins at `start`; answers its size. */
  feed(sender: Sender, bytes: Uint8Array, start = 0, end: number = bytes.length): number {
    this.message.clear()
    this.#feeding = sender
    this.#input.set(bytes, start, end)
    const size = this.conversation.feed(sender, this.#input, this.message)
    if (size <= 0 && size !== AGAIN) return size
    const { kind, id, tag, last } = this.message
    if (kind === 'request' && !this.#begun[sender]) this.#waiting.push({ id, tag })
    if (kind === 'response' && last) {
      const at = this.#waiting.findIndex((request) => request.id === id)
      if (at >= 0) this.#waiting.splice(at, 1)
    }
    if (kind !== 'none') this.#begun[sender] = !last
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

/** A message put together from its parts, as text and numbers. */
export type Told = Record<string, string | number | boolean>

/** Both streams of a connection, that come in any pieces. */
export class TestStream {
  readonly told: Told[] = []
  /** The answer that ended it: WRONG or SWITCH. */
  end: number = MORE
  readonly link: TestLink
  readonly #kept: Record<Sender, Uint8Array> = { client: NOTHING, server: NOTHING }
  readonly #unseen: Record<Sender, number> = { client: 0, server: 0 }
  readonly #open: Partial<Record<Sender, Told>> = {}

  constructor(protocol: Protocol) {
    this.link = new TestLink(protocol)
  }

  push(sender: Sender, piece: Uint8Array): void {
    const gone = Math.min(this.#unseen[sender], piece.length)
    this.#unseen[sender] -= gone
    const bytes = new Uint8Array(this.#kept[sender].length + piece.length - gone)
    bytes.set(this.#kept[sender])
    bytes.set(piece.subarray(gone), this.#kept[sender].length)
    let at = 0
    while (at < bytes.length && this.end === MORE) {
      const size = this.link.feed(sender, bytes, at)
      if (size === MORE) break
      if (size < 0 && size !== AGAIN) this.end = size
      else this.#take(sender)
      at += Math.max(size, 0)
    }
    this.#unseen[sender] += Math.max(at - bytes.length, 0)
    this.#kept[sender] = bytes.slice(at)
  }

  #take(sender: Sender): void {
    const { message } = this.link
    if (message.kind === 'none') return
    const told = this.#open[sender] ?? { sender }
    if (this.#open[sender] === undefined) this.told.push(told)
    addTo(told, message)
    if (message.last) delete this.#open[sender]
    else this.#open[sender] = told
  }
}

/** Adds a part: texts and codes replace, lengths and rows sum up, what went wrong stays. */
function addTo(told: Told, message: Message): void {
  const { kind, id, code, length, rows, requestId, status, truncated } = message
  for (const [name, value] of Object.entries(message))
    if (value instanceof Text && value.end > value.start) told[name] = textOf(value)
  told['kind'] = kind
  told['id'] = id
  if (!Number.isNaN(code)) told['code'] = code
  if (requestId !== NO_ID) told['requestId'] = requestId
  if (length !== NO_COUNT) told['length'] = Number(told['length'] ?? 0) + length
  if (rows !== NO_COUNT) told['rows'] = Number(told['rows'] ?? 0) + rows
  if (status !== STATUS.ok) told['status'] = status
  if (truncated) told['truncated'] = true
}

/** What a message says, put as a `TestStream` puts it. */
export function toldOf(message: Message): Told {
  const told: Told = {}
  addTo(told, message)
  return told
}

const NOTHING = new Uint8Array(0)

export function textOf({ bytes, start, end }: Text): string {
  return new TextDecoder('latin1').decode(bytes.slice(start, end))
}

/** Bytes of a text whose characters are bytes (latin-1): tests write binary as `\x00`. */
export function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0))
}

/** Bytes that count how often they are read: how much work a parser does, without a clock. */
export class Counted {
  reads = 0
  readonly bytes: Uint8Array

  constructor(target: Uint8Array) {
    this.bytes = new Proxy(target, {
      get: (bytes, key) => {
        if (key === 'length') return bytes.length
        const value: unknown = Reflect.get(bytes, key, bytes)
        if (typeof value !== 'function') {
          this.reads++
          return value
        }
        // Built-in searches and copies pass over memory far faster than a parser reads.
        return (...given: unknown[]): unknown => {
          const answer: unknown = Reflect.apply(value, bytes, given)
          const from = Number(given[1] ?? 0)
          const to = typeof answer === 'number' && answer >= 0 ? answer : bytes.length
          this.reads += 1 + Math.max(to - from, 0) / 16
          return answer
        }
      },
    })
  }
}

const READERS = ['getUint8', 'getInt32'] as const

/** Counts what is read through any DataView until it is disposed of. */
export class CountedWords {
  reads = 0
  readonly #spies: Disposable[] = []

  constructor() {
    for (const name of READERS) {
      const read = DataView.prototype[name]
      const count = (): number => this.reads++
      const spy = spyOn(DataView.prototype, name).mockImplementation(function counted(
        this: DataView,
        at: number,
        isLittle?: boolean,
      ) {
        count()
        return read.call(this, at, isLittle)
      })
      this.#spies.push(spy)
    }
  }

  [Symbol.dispose](): void {
    for (const spy of this.#spies) spy[Symbol.dispose]()
  }
}
