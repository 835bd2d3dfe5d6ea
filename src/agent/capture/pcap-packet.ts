/** One packet as a capture file holds it; it is filled again by the next `next`. */
export class Packet {
  /** µs since 1970-01-01 UTC. */
  time = 0
  /** LINKTYPE of its first byte: https://www.tcpdump.org/linktypes.html */
  link = 0
  /** Captured bytes are `bytes[start, end)`; `size` were on the wire. */
  bytes: Uint8Array = new Uint8Array(0)
  start = 0
  end = 0
  size = 0
}

/** Reads packets one after the other; never throws, whatever the bytes are. */
export interface PacketReader {
  /** What made it stop before the end, as a state of the file; empty while all is well. */
  readonly problem: string
  /** Fills `packet` with the next one; false at the end. */
  next(packet: Packet): boolean
}
