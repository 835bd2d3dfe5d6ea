import { Fragments, type Piece } from './pcap-fragments.ts'
import type { Packet } from './pcap-packet.ts'

/*
 * From a frame to what its IP packet carries.
 *
 * Link types: https://www.tcpdump.org/linktypes.html
 *   NULL, LOOP   family (4)
 *   EN10MB       to (6), from (6), [tag 8100 88a8 9100 (2), vlan (2)]*, type (2)
 *   LINUX_SLL    packet (2), arp (2), size (2), address (8), type (2)
 *   LINUX_SLL2   type (2), reserved (2), interface (4), arp (2), packet (1), size (1), address (8)
 *   RAW, IPV4, IPV6: IP itself
 *
 * The version is read from IP's first byte, so families and types only say whether it is IP.
 */
const NULL = 0
const EN10MB = 1
const LOOP = 108
const LINUX_SLL = 113
const LINUX_SLL2 = 276
const RAW: readonly number[] = [12, 14, 101, 228, 229]
const TAGS: readonly number[] = [0x8100, 0x88a8, 0x9100]
const TAGS_MAX = 8
const IPV4 = 0x0800
const IPV6 = 0x86dd

const TCP = 6
const UDP = 17
const HOP_BY_HOP = 0
const ROUTING = 43
const FRAGMENT = 44
const AUTHENTICATION = 51
const DESTINATION = 60
const EXTENSIONS: readonly number[] = [HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, DESTINATION]
const EXTENSIONS_MAX = 16
const MORE_FRAGMENTS = 0x2000
const OFFSET_MASK = 0x1fff

/** Why a packet gave no datagram. */
export type NotRead = 'link' | 'notIp' | 'protocol' | 'malformed' | 'fragment' | 'waiting'

/** What an IP packet, put together of its fragments where need be, carries. */
export class Datagram {
  protocol = 0
  isIpv4 = true
  /** Sender and receiver address: offsets into `headerBytes`. */
  headerBytes: Uint8Array = new Uint8Array(0)
  from = 0
  to = 0
  /** Captured payload: TCP or UDP header and data. */
  bytes: Uint8Array = new Uint8Array(0)
  start = 0
  end = 0
  /** Payload in all, as sent. */
  size = 0
}

/** Reads TCP and UDP out of frames. Nothing here throws. */
export class IpReader {
  readonly datagram: Datagram = new Datagram()
  readonly fragments: Fragments = new Fragments()

  /** Fills `datagram`; else answers why not. */
  read(packet: Packet): NotRead | '' {
    const at = ipAt(packet)
    if (at < 0) return at === UNKNOWN_LINK ? 'link' : 'notIp'
    const version = at < packet.end ? packet.bytes[at]! >> 4 : 0
    if (version === 4) return this.#readIpv4(packet, at)
    return version === 6 ? this.#readIpv6(packet, at) : 'malformed'
  }

  #readIpv4({ bytes, end, time }: Packet, at: number): NotRead | '' {
    const datagram = this.datagram
    const headSize = (bytes[at]! & 15) * 4
    if (headSize < 20 || at + headSize > end) return 'malformed'
    // Zero where the network card was to cut a larger packet: then all that was seen is of it.
    const total = u16(bytes, at + 2) || end - at
    if (total < headSize) return 'malformed'
    datagram.isIpv4 = true
    datagram.headerBytes = bytes
    datagram.from = at + 12
    datagram.to = at + 16
    datagram.protocol = bytes[at + 9]!
    datagram.bytes = bytes
    datagram.start = at + headSize
    datagram.end = Math.min(end, at + total)
    datagram.size = total - headSize
    const place = u16(bytes, at + 6)
    if ((place & (MORE_FRAGMENTS | OFFSET_MASK)) !== 0)
      return this.#join({
        id: u16(bytes, at + 4),
        offset: (place & OFFSET_MASK) * 8,
        last: (place & MORE_FRAGMENTS) === 0,
        time,
      })
    return datagram.protocol === TCP || datagram.protocol === UDP ? '' : 'protocol'
  }

  #readIpv6({ bytes, end, time }: Packet, at: number): NotRead | '' {
    const datagram = this.datagram
    if (at + 40 > end) return 'malformed'
    const size = u16(bytes, at + 4) || end - at - 40
    const stop = Math.min(end, at + 40 + size)
    datagram.isIpv4 = false
    datagram.headerBytes = bytes
    datagram.from = at + 8
    datagram.to = at + 24
    datagram.bytes = bytes
    datagram.end = stop
    return this.#passExtensions(bytes[at + 6]!, at + 40, at + 40 + size, time)
  }

  /** RFC 8200 §4: walks from header to header until TCP or UDP; `end` is where the packet ends. */
  #passExtensions(first: number, at: number, end: number, time: number): NotRead | '' {
    const { datagram } = this
    const { bytes } = datagram
    let next = first
    let head = at
    for (let i = 0; i < EXTENSIONS_MAX; i++) {
      datagram.protocol = next
      datagram.start = head
      datagram.size = end - head
      if (next === TCP || next === UDP) return ''
      if (!EXTENSIONS.includes(next)) return 'protocol'
      if (head + 8 > datagram.end) return 'malformed'
      if (next === FRAGMENT && isPiece(bytes, head)) return this.#joinIpv6(head, time)
      next = bytes[head]!
      head += sizeOf(datagram.protocol, bytes[head + 1]!)
    }
    return 'malformed'
  }

  #joinIpv6(head: number, time: number): NotRead | '' {
    const { datagram } = this
    const { bytes } = datagram
    datagram.protocol = bytes[head]!
    datagram.start = head + 8
    datagram.size -= 8
    const place = u16(bytes, head + 2)
    const id = u16(bytes, head + 4) * 0x1_0000 + u16(bytes, head + 6)
    return this.#join({ id, offset: place & ~7, last: (place & 1) === 0, time })
  }

  #join(piece: Piece): NotRead | '' {
    const { datagram } = this
    if (datagram.protocol !== TCP && datagram.protocol !== UDP) return 'protocol'
    return this.fragments.add(datagram, piece)
  }
}

const NOT_IP = -1
const UNKNOWN_LINK = -2

/** Where IP begins in the frame, or NOT_IP, or UNKNOWN_LINK. */
function ipAt({ link, bytes, start, end }: Packet): number {
  if (link === EN10MB) return behindTags(bytes, start + 12, end)
  if (link === LINUX_SLL) return behindTags(bytes, start + 14, end)
  if (link === LINUX_SLL2) {
    const type = start + 20 <= end ? u16(bytes, start) : 0
    if (TAGS.includes(type)) return behindTags(bytes, start + 22, end)
    return type === IPV4 || type === IPV6 ? start + 20 : NOT_IP
  }
  if (link === NULL || link === LOOP) {
    const version = start + 4 < end ? bytes[start + 4]! >> 4 : 0
    return version === 4 || version === 6 ? start + 4 : NOT_IP
  }
  return RAW.includes(link) ? start : UNKNOWN_LINK
}

/** Where IP begins behind the type at `typeAt` and the VLAN tags that come before another type. */
function behindTags(bytes: Uint8Array, typeAt: number, end: number): number {
  let at = typeAt
  for (let tags = 0; at + 2 <= end && tags <= TAGS_MAX; tags++) {
    const type = u16(bytes, at)
    if (type === IPV4 || type === IPV6) return at + 2
    if (!TAGS.includes(type)) return NOT_IP
    at += 4
  }
  return NOT_IP
}

/** Whether the fragment header at `head` is of a piece: an atomic fragment (RFC 6946) is whole. */
function isPiece(bytes: Uint8Array, head: number): boolean {
  return (u16(bytes, head + 2) & ~6) !== 0
}

/** How long the extension header is, by the number in its second byte. */
function sizeOf(type: number, units: number): number {
  if (type === FRAGMENT) return 8
  return type === AUTHENTICATION ? (units + 2) * 4 : (units + 1) * 8
}

function u16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!
}
