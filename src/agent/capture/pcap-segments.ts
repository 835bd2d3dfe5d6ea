import { Counters } from '../../lib/counters.ts'
import { type Segment, type SegmentSink, TCP } from '../../model/segment.ts'
import { SegmentBatch } from './batch.ts'
import { PacketFlows } from './pcap-flows.ts'
import { type Datagram, IpReader, type NotRead } from './pcap-ip.ts'
import type { Packet } from './pcap-packet.ts'

/*
 * TCP header, RFC 9293 §3.1:
 *   source port (2), target port (2), sequence (4), acknowledgement (4), offset:4 reserved:4,
 *   flags (1), window (2), checksum (2), urgent (2), options
 * UDP header, RFC 768: source port (2), target port (2), length (2), checksum (2)
 */
const FIN = 1
const SYN = 2
const RST = 4
const ACK = 16

/** States of a flow. */
const SAW_SYN = 1
const LOCAL_FIN = 2
const REMOTE_FIN = 4
const RESET = 8
const CLOSING = 16
/** Bytes sent before a FIN or RST may be captured after it: an end is believed so much later. */
const CLOSE_DELAY = 100_000

/**
 * Turns packets into segments: numbers their flows, tells who is the client where a SYN was seen,
 * and says when a connection opens and closes. Streams are put in order by who takes the segments.
 */
export class PacketSegments {
  readonly counters: Counters<NotRead | 'flows' | 'fragments'> = new Counters('packets', [
    'link',
    'notIp',
    'protocol',
    'malformed',
    'fragment',
    'waiting',
    'flows',
    'fragments',
  ])
  readonly #sink: SegmentSink
  readonly #ip = new IpReader()
  readonly #flows = new PacketFlows()
  readonly #batch = new SegmentBatch((segment) => {
    segment.source = 'packet'
  })
  /** Flows that close, with the time at which; the first closes first. */
  #closing: { readonly flow: number; readonly key: number; readonly at: number }[] = []
  #closed = 0
  #time = 0

  constructor(sink: SegmentSink) {
    this.#sink = sink
  }

  packet(packet: Packet): void {
    const { counters } = this
    counters.in++
    this.#time = packet.time
    if (this.#closing.length > 0) this.#closeDue(packet.time)
    const wrong = this.#ip.read(packet) || this.#transport(this.#ip.datagram)
    if (wrong) counters.dropped[wrong]++
    counters.dropped.fragments = this.#ip.fragments.dropped
  }

  /**
   * Gives on the segments that wait for more to come. To be called before the packets' bytes are
   * overwritten, and before time is told to pass for whoever takes the segments.
   */
  flush(): void {
    this.#batch.give(this.#sink)
  }

  /** Closes what is still open: the capture ends. */
  finish(): void {
    for (const flow of this.#flows.all()) this.#close(flow)
  }

  #transport(datagram: Datagram): NotRead | '' {
    return datagram.protocol === TCP ? this.#tcp(datagram) : this.#udp(datagram)
  }

  #udp(datagram: Datagram): NotRead | '' {
    const { bytes, start, end, size } = datagram
    if (end - start < 8 || size < 8) return 'malformed'
    const source = u16(bytes, start)
    const target = u16(bytes, start + 2)
    const length = u16(bytes, start + 4)
    let flow = this.#flows.find(datagram, source, target)
    if (flow < 0) flow = this.#add(datagram, true)
    // Padding of short frames may follow; a length of 0 is that of a jumbogram.
    const payload = (length >= 8 && length <= size ? length : size) - 8
    this.#emitData(flow, datagram, { start: start + 8, size: payload, sequence: 0 })
    return ''
  }

  #tcp(datagram: Datagram): NotRead | '' {
    const { bytes, start, end, size } = datagram
    if (end - start < 20) return 'malformed'
    const head = (bytes[start + 12]! >> 4) * 4
    if (head < 20 || head > size) return 'malformed'
    const flags = bytes[start + 13]!
    const sequence = u32(bytes, start + 4)
    const payload = size - head
    const flow = this.#flowOf(datagram, flags, sequence, payload)
    if (flow < 0) return ''
    const first = flags & SYN ? (sequence + 1) >>> 0 : sequence
    if (payload > 0)
      this.#emitData(flow, datagram, { start: start + head, size: payload, sequence: first })
    if (flags & (FIN | RST)) this.#end(flow, flags)
    return ''
  }

  /** The packet's flow, made or renewed where it must be; -1 for what is left of a closed one. */
  #flowOf(datagram: Datagram, flags: number, sequence: number, payload: number): number {
    const { bytes, start } = datagram
    const flows = this.#flows
    const flow = flows.find(datagram, u16(bytes, start), u16(bytes, start + 2))
    const opens = (flags & (SYN | RST)) === SYN
    const isAnswer = (flags & ACK) !== 0
    if (flow >= 0) {
      const isSame = !opens || isAnswer || (isSyn(flows, flow) && flows.syns[flow] === sequence)
      if (isSame) {
        if (opens && isAnswer) this.#emitOpen(flow, sequence)
        return flow
      }
      // Another SYN between the same ports: another connection.
      this.#close(flow)
    } else if (!opens && payload === 0) return -1
    const made = this.#add(datagram, !(opens && isAnswer))
    if (!opens) return made
    flows.states[made]! |= SAW_SYN
    // What the client's SYN said is what the answer acknowledges, less one.
    flows.syns[made] = isAnswer ? u32(bytes, start + 8) - 1 : sequence
    this.#emitOpen(made, sequence)
    return made
  }

  /** A SYN takes one number of its own (RFC 9293 §3.4): its direction begins behind it. */
  #emitOpen(flow: number, sequence: number): void {
    this.#tell(flow, 'open').sequence = (sequence + 1) >>> 0
  }

  #add(datagram: Datagram, senderIsLocal: boolean): number {
    const victim = this.#flows.victim
    if (victim >= 0) {
      const wanted = this.#flows.isFromLocal
      this.counters.dropped.flows++
      this.#close(victim)
      this.#flows.isFromLocal = wanted
    }
    return this.#flows.add(datagram, senderIsLocal)
  }

  #emitData(
    flow: number,
    { bytes, end }: Datagram,
    data: { readonly start: number; readonly size: number; readonly sequence: number },
  ): void {
    const segment = this.#next(flow)
    segment.kind = 'data'
    segment.bytes = bytes
    segment.start = Math.min(data.start, end)
    segment.end = Math.min(end, data.start + data.size)
    segment.size = data.size
    segment.sequence = data.sequence
  }

  /** Says what happened to the flow. */
  #tell(flow: number, kind: 'open' | 'close'): Segment {
    const segment = this.#next(flow)
    segment.kind = kind
    segment.size = 0
    segment.start = 0
    segment.end = 0
    return segment
  }

  /** A segment of the flow, to be filled with what it says. */
  #next(flow: number): Segment {
    const flows = this.#flows
    if (this.#batch.isFull) this.flush()
    const segment = this.#batch.next()
    this.counters.out++
    segment.key = flows.keys[flow]!
    segment.direction = flows.isFromLocal ? 'send' : 'receive'
    segment.role = isSyn(flows, flow) ? 'client' : 'unknown'
    segment.protocol = flows.protocols[flow]!
    segment.isIpv4 = flows.isIpv4[flow] === 1
    segment.localPort = flows.localPorts[flow]!
    segment.remotePort = flows.remotePorts[flow]!
    segment.addresses = flows.addresses
    segment.localAt = flow * 32
    segment.remoteAt = flow * 32 + 16
    segment.time = this.#time
    return segment
  }

  /** A FIN ends one direction, a RST both; the connection closes a little after. */
  #end(flow: number, flags: number): void {
    const { states, isFromLocal } = this.#flows
    states[flow]! |= flags & RST ? RESET : isFromLocal ? LOCAL_FIN : REMOTE_FIN
    const state = states[flow]!
    const ended = (state & RESET) !== 0 || (state & (LOCAL_FIN | REMOTE_FIN)) === 6
    if (!ended || state & CLOSING) return
    states[flow]! |= CLOSING
    this.#closing.push({ flow, key: this.#flows.keys[flow]!, at: this.#time + CLOSE_DELAY })
  }

  #closeDue(now: number): void {
    const queue = this.#closing
    for (let next = queue[this.#closed]; next && next.at <= now; next = queue[++this.#closed])
      if (this.#flows.keys[next.flow] === next.key) this.#close(next.flow)
    if (this.#closed * 2 < queue.length) return
    this.#closing = queue.slice(this.#closed)
    this.#closed = 0
  }

  #close(flow: number): void {
    this.#tell(flow, 'close')
    // The segments' addresses lie in the flow, which the next one takes.
    this.flush()
    this.#flows.keys[flow] = 0
    this.#flows.remove(flow)
  }
}

function isSyn(flows: PacketFlows, flow: number): boolean {
  return (flows.states[flow]! & SAW_SYN) !== 0
}

function u16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!
}

function u32(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
  )
}
