import { type Sample, sampleOf, samplesOf } from '../../lib/counters.ts'
import type { ByteReader, Connection } from '../../model/connection.ts'
import type { Listener, LostTap, MessageTap } from './dialogue/listener.ts'
import { Dialogue } from './dialogue/reader.ts'
import { Room } from './dialogue/room.ts'
import type { Protocol } from './protocol.ts'

export type DialoguesOptions = {
  /** In the order in which equal claims are decided. */
  readonly protocols: readonly Protocol[]
  readonly openSession: (connection: Connection) => Listener
  /** Sees each message before its session does. */
  readonly onMessage?: MessageTap
  readonly onLost?: LostTap
  /** Bytes that all dialogues together keep of what is not understood yet. */
  readonly bufferBytesMax?: number
}

const BUFFER_BYTES_MAX = 32 * 1024 * 1024

/** All dialogues of one pipeline: each reads one connection. */
export class Dialogues {
  readonly room: Room
  readonly #openSession: (connection: Connection) => Listener

  constructor(options: DialoguesOptions) {
    const { protocols, onMessage, onLost, openSession } = options
    const { bufferBytesMax = BUFFER_BYTES_MAX } = options
    this.room = new Room(protocols, bufferBytesMax, onMessage, onLost)
    this.#openSession = openSession
  }

  open(connection: Connection): ByteReader {
    return new Dialogue(this.room, connection, this.#openSession(connection))
  }

  /** Gives on what was held back for the other direction longer than the window. */
  tick(now: number): void {
    this.room.tick(now)
  }

  samples(): Sample[] {
    const { counters, tlsConnections, unknownConnections, lostBytes, buffers } = this.room
    const rest: readonly (readonly [string, string, number])[] = [
      ['tls_connections_total', 'TLS, not read: connections.', tlsConnections],
      ['unknown_connections_total', 'Connections that no protocol claimed.', unknownConnections],
      ['lost_bytes_total', 'Bytes that went by while framing was lost.', lostBytes],
      ['buffer_bytes', 'Bytes kept of messages that are not whole yet.', buffers.bytes],
    ]
    const samples = samplesOf(counters)
    for (const [name, help, value] of rest) samples.push(sampleOf(`protocols_${name}`, help, value))
    return samples
  }
}
