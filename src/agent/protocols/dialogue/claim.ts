import type { Connection } from '../../../model/connection.ts'
import type { Protocol, Sender } from '../protocol.ts'

/** Who claims bytes, and as whose. One object is filled again and again. */
export class Claim {
  protocol: Protocol | undefined
  sender: Sender = 'client'
  #score = 0
  #isAtHome = false

  /** Asks every protocol whose `head` is, sent by `sender`, or by either where nobody knows. */
  ask(
    protocols: readonly Protocol[],
    head: Uint8Array,
    sender: Sender | undefined,
    connection: Connection,
  ): boolean {
    this.protocol = undefined
    this.#score = 0
    for (const protocol of protocols) {
      if (sender !== 'server') this.#weigh(protocol, head, 'client', connection)
      if (sender !== 'client') this.#weigh(protocol, head, 'server', connection)
    }
    return this.protocol !== undefined
  }

  /** The greater score wins; among equal ones a protocol at its own port, else the first. */
  #weigh(protocol: Protocol, head: Uint8Array, sender: Sender, connection: Connection): void {
    const score = protocol.claim(head, sender)
    if (score <= 0 || score < this.#score) return
    const { ports } = protocol
    const isAtHome = ports.includes(connection.localPort) || ports.includes(connection.remotePort)
    if (score === this.#score && (this.#isAtHome || !isAtHome)) return
    this.protocol = protocol
    this.sender = sender
    this.#score = score
    this.#isAtHome = isAtHome
  }
}

/**
 * Whether `head` begins with a TLS record: a hello, or application data of a connection met later.
 *
 *   type u8 (20..23) · version 3.0..3.4 · length u16 ≤ 2^14 + 2048 · handshake type u8 (1, 2) · u24
 *
 * https://www.rfc-editor.org/rfc/rfc8446#section-5.1
 */
export function isTls(head: Uint8Array): boolean {
  if (head.length < 5 || head[1] !== 3 || head[2]! > 4) return false
  const size = (head[3]! << 8) | head[4]!
  if (size === 0 || size > TLS_RECORD_MAX) return false
  if (head[0] !== TLS_HANDSHAKE)
    return head[0] === TLS_DATA && head[2] === 3 && size >= TLS_SEALED_MIN
  if (head.length < 9) return size >= TLS_HELLO_MIN
  const hello = (head[6]! << 16) | (head[7]! << 8) | head[8]!
  return (head[5] === 1 || head[5] === 2) && hello >= TLS_HELLO_MIN && hello < 1 << 17
}

const TLS_HANDSHAKE = 22
const TLS_DATA = 23
const TLS_RECORD_MAX = 16_384 + 2048
/** The least a sealed record holds: a content type and a tag. */
const TLS_SEALED_MIN = 17
/** Version, random, session id and a cipher suite at the least. */
const TLS_HELLO_MIN = 38
