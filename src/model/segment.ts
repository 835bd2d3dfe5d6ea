/** What a segment reports of its stream. */
export type SegmentKind = 'data' | 'open' | 'close'
/** Seen from the local end of the stream: the end whose socket or address is called local. */
export type Direction = 'send' | 'receive'
/** Which end of its connection the local end is; unknown until somebody can tell. */
export type Role = 'unknown' | 'client' | 'server'
/** Where a segment was observed: rows carry it as `signal_source`. */
export type Source = 'socket' | 'packet'

export const TCP = 6
export const UDP = 17

const NOTHING = new Uint8Array(0)

/**
 * What one socket call, or one packet, moved: the only thing capture gives to flow. Objects are
 * filled again and again; all of one is valid until the receiving function returns.
 */
export class Segment {
  kind: SegmentKind = 'data'
  source: Source = 'socket'
  /**
   * Names the stream within its source: a packet flow's number, or a socket's cookie. The syscall
   * hooks cannot ask for a cookie: a socket opened before them that has none goes by 2^52 + inode.
   */
  key = 0
  direction: Direction = 'send'
  role: Role = 'unknown'
  /** TCP or UDP. */
  protocol: number = TCP
  isIpv4 = true
  localPort = 0
  /** 0: not known, as of datagrams received unconnected (the syscall hooks know them). */
  remotePort = 0
  /** Local and remote address lie here, 16 bytes each (IPv4 in the first 4): two offsets. */
  addresses: Uint8Array = NOTHING
  localAt = 0
  remoteAt = 0
  /**
   * TCP: sequence number of the first byte, 32 bits, equal at both ends; of an `open` that of the
   * first byte to come in its direction, 0 where unknown; of a `close` that after the last byte
   * (one in each direction; sockets give no `open`). Calls of several threads on one socket may
   * come out of order, each byte once. UDP: not used.
   */
  sequence = 0
  /**
   * Whether other bytes of this TCP stream went before these, as far as capture knows: where it saw
   * the connection open and reported some, a lost first report shows.
   */
  before: 'unknown' | 'none' | 'some' = 'unknown'
  /** Monotonic µs when the call returned, or the packet was seen. */
  time = 0
  /** Bytes moved by the call; the captured ones may be fewer: a hole of known length. */
  size = 0
  /** The first captured bytes of the call are `bytes[start, end)`. */
  bytes: Uint8Array = NOTHING
  start = 0
  end = 0
  processId = 0
  threadId = 0
  /** Inode of the network namespace the local end lies in; 0: unknown, or a packet. */
  network = 0
  /** Links an inbound message to the outbound ones it caused on its thread; 0: none. */
  traceId = 0
  /** The process's name, NUL-padded, 16 bytes at `commandAt`: who it was if /proc is too late. */
  command: Uint8Array = NOTHING
  commandAt = 0
}

/** Takes one segment; it must copy what it keeps. */
export type SegmentSink = (segment: Segment) => void

/** What a stream's socket hands over of each call, in bytes; IGNORE mutes it. */
export const IGNORE = 0
export const ALL = 16_384
export type SetVerdict = (key: number, bytesPerCall: number) => void
