import { Counters } from '../../../lib/counters.ts'
import { type Connection, Mark } from '../../../model/connection.ts'
import { Message } from '../../../model/message.ts'
import { Input, type Protocol } from '../protocol.ts'
import { Buffers } from './buffers.ts'
import { Claim } from './claim.ts'
import { DIALOGUE_CAUSES, type DialogueCause, type LostTap, type MessageTap } from './listener.ts'

/** Gives on what it holds back too long; answers whether it still holds something back. */
export interface Holding {
  tick(now: number): boolean
}

/** What the dialogues of one pipeline share: one message, one mark, one bounded memory. */
export class Room {
  readonly protocols: readonly Protocol[]
  readonly onMessage: MessageTap | undefined
  readonly onLost: LostTap | undefined
  readonly buffers: Buffers
  readonly input: Input = new Input()
  readonly message: Message = new Message()
  readonly mark: Mark = new Mark()
  readonly claim: Claim = new Claim()
  /** In: segments; out: messages; dropped: times that framing, or a datagram, was lost. */
  readonly counters: Counters<DialogueCause> = new Counters('protocols', DIALOGUE_CAUSES)
  /** Connections found to be TLS: they are not read. */
  tlsConnections = 0
  /** Connections given up, since no protocol claimed what they said. */
  unknownConnections = 0
  /** Bytes that went by while nobody could read them. */
  lostBytes = 0
  #holding: Holding[] = []

  constructor(
    protocols: readonly Protocol[],
    bufferBytesMax: number,
    onMessage: MessageTap | undefined,
    onLost: LostTap | undefined,
  ) {
    this.protocols = protocols
    this.buffers = new Buffers(bufferBytesMax)
    this.onMessage = onMessage
    this.onLost = onLost
  }

  /** Counts a connection whose bytes turned out to be TLS, once. */
  noteTls(connection: Connection): void {
    if (connection.isTls) return
    connection.isTls = true
    this.tlsConnections++
  }

  /** Lets `holding` be asked at every tick. */
  hold(holding: Holding): void {
    this.#holding.push(holding)
  }

  tick(now: number): void {
    if (this.#holding.length > 0) this.#holding = this.#holding.filter((one) => one.tick(now))
  }
}
