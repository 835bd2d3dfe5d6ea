import type { Direction, Role, Segment, Source } from './segment.ts'
import { UDP } from './segment.ts'

/** `wants` of a connection nobody has understood yet: capture copies what it copies of such. */
export const UNDECIDED = -1

/**
 * One conversation between two sockets as flow, protocols and sessions share it. The local end is
 * the one a segment's `send` comes from; where both ends are on this host each is a connection.
 */
export class Connection {
  readonly source: Source
  readonly key: number
  /** TCP or UDP. */
  readonly protocol: number
  readonly isDatagram: boolean
  readonly isIpv4: boolean
  /** Network namespace of the socket; 0 where it is not known. */
  readonly network: number
  /** Unique for an agent's lifetime. */
  readonly flowId: number
  /** Local address, then remote address, 16 bytes each (IPv4 in the first 4). */
  readonly addresses: Uint8Array = new Uint8Array(32)
  localPort = 0
  /** Of a datagram socket: port and address of the latest datagram's peer. */
  remotePort = 0
  /** False: a datagram came from somebody its capture could not name. */
  isPeerKnown = true
  /** Which end of the connection the local end is. */
  role: Role = 'unknown'
  /** Its first bytes were seen: nothing was said before them. */
  isFresh = false
  isTls = false
  /** The local process that moved bytes last. */
  processId = 0
  /** The remote end's process where it is on this host and listens, else 0. */
  remoteProcessId = 0
  /** Index of each end's name in the agent's `NameTable`; 0: none known. */
  localName = 0
  remoteName = 0
  /** The connection's other end, where that is a socket of this host. */
  peer: Connection | undefined
  /** Bytes of each socket call its reader must see: a verdict, or UNDECIDED. */
  wants: number = UNDECIDED

  constructor(segment: Segment, flowId: number) {
    this.source = segment.source
    this.key = segment.key
    this.protocol = segment.protocol
    this.isDatagram = segment.protocol === UDP
    this.isIpv4 = segment.isIpv4
    this.network = segment.network
    this.flowId = flowId
    this.localPort = segment.localPort
    copyAddress(segment.addresses, segment.localAt, this.addresses, 0)
    this.setPeer(segment)
  }

  /** Takes the remote end from `segment`; answers whether it is another than before. */
  setPeer(segment: Segment): boolean {
    this.isPeerKnown = segment.remotePort !== 0
    if (!this.isPeerKnown) return false
    const { addresses, remoteAt } = segment
    if (
      segment.remotePort === this.remotePort &&
      sameAddress(addresses, remoteAt, this.addresses, 16)
    )
      return false
    this.remotePort = segment.remotePort
    copyAddress(addresses, remoteAt, this.addresses, 16)
    return true
  }
}

/** Copies 16 bytes of an address. */
function copyAddress(from: Uint8Array, at: number, to: Uint8Array, toAt: number): void {
  for (let i = 0; i < 16; i++) to[toAt + i] = from[at + i] ?? 0
}

/** Whether two addresses of 16 bytes are equal. */
export function sameAddress(a: Uint8Array, aAt: number, b: Uint8Array, bAt: number): boolean {
  for (let i = 0; i < 16; i++) if (a[aAt + i] !== b[bAt + i]) return false
  return true
}

/** Takes a connection's bytes in order: flow gives them, a protocol's reader understands them. */
export interface ByteReader {
  /**
   * The next bytes of one direction. Captured are `bytes[start, end)`; the rest of `size` is a hole
   * of known length. A datagram comes whole. Keep nothing of `segment`.
   */
  take(segment: Segment): void
  /** `size` bytes of a direction went by unseen; Infinity: nobody knows how many. */
  skip(direction: Direction, size: number, time: number): void
  /** The connection is over, or forgotten. */
  close(time: number): void
}

/** Where and when the first byte of a message went by, and who moved it. */
export class Mark {
  direction: Direction = 'send'
  /** Monotonic µs. */
  time = 0
  /** TCP sequence number of the message's first byte. */
  sequence = 0
  processId = 0
  threadId = 0
  traceId = 0
  /** How many of the message's bytes were captured when it was read. */
  captured = 0
}
