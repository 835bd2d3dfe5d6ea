import type { Connection, Mark } from '../../../model/connection.ts'
import type { Message } from '../../../model/message.ts'
import type { Direction } from '../../../model/segment.ts'
import type { Link } from '../protocol.ts'

/** Who listens to a dialogue's messages: the connection's session. */
export interface Listener extends Link {
  /** Number of the protocol that the next messages are of. */
  l7Protocol: number
  /** Whose bytes are being read: `Link.pending` asks for requests of the other sender. */
  feeding: Direction
  /** The client was never seen to ask again before it had its answer. */
  readonly isSequential: boolean
  /** Whether a request waits for something that travels in `direction`. */
  isAwaited(direction: Direction): boolean
  /** Takes a message; false: what answers what is in doubt, so the dialogue must begin anew. */
  take(message: Message, mark: Mark): boolean
  /**
   * Framing is lost. Answers what must be seen before a client's call can be trusted to be answered
   * next: only that the server spoke last, so many calls and answers in turn, or silence.
   */
  lost(time: number): 'none' | 'turns' | 'silence'
  close(time: number): void
}

export type MessageTap = (
  message: Message,
  mark: Mark,
  connection: Connection,
  l7Protocol: number,
) => void

/** Told when framing is lost or a connection is over: what was told in part stays as it is. */
export type LostTap = (connection: Connection) => void

/** Why bytes, datagrams or framing were lost. */
export const DIALOGUE_CAUSES = [
  'hole',
  'wrong',
  'too_long',
  'gave_way',
  'doubt',
  'unclaimed',
  'datagram',
  'unfinished',
] as const
export type DialogueCause = (typeof DIALOGUE_CAUSES)[number]
