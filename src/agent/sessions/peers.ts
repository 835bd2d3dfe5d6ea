import type { Call } from '../../model/call.ts'
import type { Connection } from '../../model/connection.ts'
import { ANSWERED, NO_PEER, ONE_WAY, ORPHAN, type Waiting } from './waiting.ts'

/**
 * Whether the connection's latest datagram may answer `waiting`: it goes to, or comes from, the
 * same peer, or one of the two peers is not known. `isAsked`: the remote end sent the request.
 */
export function mayAnswer(waiting: Waiting, connection: Connection, isAsked: boolean): boolean {
  const { call, flags } = waiting
  if (call === undefined || (flags & (ANSWERED | ONE_WAY | ORPHAN)) !== 0) return false
  if ((flags & NO_PEER) !== 0 || !connection.isPeerKnown) return true
  return isPeer(call, connection, isAsked)
}

/** Whether the connection's latest datagram has the peer of `call`. */
export function isPeer(call: Call, connection: Connection, isAsked: boolean): boolean {
  if ((isAsked ? call.clientPort : call.serverPort) !== connection.remotePort) return false
  const at = isAsked ? 0 : 16
  const size = connection.isIpv4 ? 4 : 16
  for (let i = 0; i < size; i++)
    if (call.addresses[at + i] !== connection.addresses[16 + i]) return false
  return true
}

/**
 * Whether the connection's latest datagram goes to a group of hosts, or to all: who of them answers
 * a question does so from an address of its own, and nobody need (RFC 1112 §4, RFC 4291 §2.7).
 */
export function isGroup({ addresses, isIpv4 }: Connection): boolean {
  const first = addresses[16]!
  if (!isIpv4) return first === 0xff
  if (first >= 224 && first < 240) return true
  return first === 255 && addresses[17] === 255 && addresses[18] === 255 && addresses[19] === 255
}
