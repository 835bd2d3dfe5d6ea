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
/** Whether the FIN of an end was acknowledged: then nothing before it is missing. */
const LOCAL_DONE = 32
const REMOTE_DONE = 64
/** Whether it is known where the bytes of an end begin. */
const LOCAL_BEGUN = 128
const REMOTE_BEGUN = 256
const ENDED = LOCAL_FIN | REMOTE_FIN
const DONE = LOCAL_DONE | REMOTE_DONE
const BEGUN = LOCAL_BEGUN | REMOTE_BEGUN
/** Bytes sent before the end may be captured after it: an end is believed so much later. */
const CLOSE_DELAY = 100_000
/** Without acknowledgements what is missing may be sent again: after 1 s, then 2 s (RFC 6298). */
const LINGER = 5_000_000
/** No flow. */
const NONE = -1
/** No flow: data of one that is over. */
const LATE = -2
/** Room of a `Due` at first: flow, key and time of a thousand. */
const DUE_MIN = 3 * 1024

/**
 * Turns packets into segments: numbers their flows, tells who is the client where a SYN was seen,
 * and says when a connection opens and closes. Streams are put in order by who takes the segments.
 */
export class PacketSegments {
  readonly counters: Counters<NotRead | 'flows' | 'fragments' | 'closed'> = new Counters(
    'packets',
    [
      'link',
      'notIp',
      'protocol',
      'malformed',
      'fragment',
      'waiting',
      'flows',
      'fragments',
      'closed',
    ],
  )
  /** Link type of the last packet that was not read for it, or -1. */
  unknownLink = -1
  readonly #sink: SegmentSink
  readonly #ip = new IpReader()
  readonly #flows = new PacketFlows()
  readonly #batch = new SegmentBatch((segment) => {
    segment.source = 'packet'
  })
  readonly #closing = new Due()
  /** Flows that close if nothing is heard of them. */
  readonly #lingering = new Due()
  #time = 0

  constructor(sink: SegmentSink) {
    this.#sink = sink
  }

  packet(packet: Packet): void {
    const { counters } = this
    counters.in++
    this.#time = packet.time
    if (this.#closing.at <= packet.time || this.#lingering.at <= packet.time)
      this.#closeDue(packet.time)
    const wrong = this.#ip.read(packet) || this.#transport(this.#ip.datagram)
    if (wrong) counters.dropped[wrong]++
    if (wrong === 'link') this.unknownLink = packet.link
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
    for (const flow of this.#flows.all()) this.#tell(flow, 'close')
    this.flush()
  }

  #transport(datagram: Datagram): NotRead | 'closed' | '' {
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

  #tcp(datagram: Datagram): NotRead | 'closed' | '' {
    const { bytes, start, end, size } = datagram
    if (end - start < 20) return 'malformed'
    const head = (bytes[start + 12]! >> 4) * 4
    if (head < 20 || head > size) return 'malformed'
    const flags = bytes[start + 13]!
    const sequence = u32(bytes, start + 4)
    const payload = size - head
    const flow = this.#flowOf(datagram, flags, sequence, payload)
    if (flow < 0) return flow === LATE ? 'closed' : ''
    const acknowledged = u32(bytes, start + 8)
    const first = flags & SYN ? (sequence + 1) >>> 0 : sequence
    // What a RST carries is a word about why, and no part of the stream (RFC 9293 §3.5.3).
    if (payload > 0 && (flags & RST) === 0)
      this.#emitData(flow, datagram, { start: start + head, size: payload, sequence: first })
    if ((this.#flows.states[flow]! & BEGUN) !== BEGUN && (flags & RST) === 0)
      this.#begin(flow, flags, payload, acknowledged)
    if ((flags & (FIN | RST)) !== 0 || (this.#flows.states[flow]! & ENDED) !== 0)
      this.#end(flow, { flags, end: first + payload, acknowledged })
    return ''
  }

  /** The packet's flow, made or renewed where it must be; NONE, or LATE of a closed one's data. */
  #flowOf(datagram: Datagram, flags: number, sequence: number, payload: number): number {
    const { bytes, start } = datagram
    const flow = this.#flows.find(datagram, u16(bytes, start), u16(bytes, start + 2))
    if ((flags & (SYN | RST)) === SYN) return this.#flowOfSyn(flow, datagram, flags, sequence)
    if (flow >= 0) return flow
    if (payload === 0 || (flags & RST) !== 0) return NONE
    return this.#flows.wasClosed(this.#time) ? LATE : this.#add(datagram, true)
  }

  /** The flow that a SYN is of, `flow` being the one known between its ports: its own, or new. */
  #flowOfSyn(flow: number, datagram: Datagram, flags: number, sequence: number): number {
    const flows = this.#flows
    const isAnswer = (flags & ACK) !== 0
    // What the client's SYN said is what the answer acknowledges, less one.
    const syn = isAnswer ? (u32(datagram.bytes, datagram.start + 8) - 1) >>> 0 : sequence
    if (flow >= 0) {
      if (isAnswer || (isSyn(flows, flow) && flows.syns[flow] === syn)) {
        if (isAnswer) this.#emitOpen(flow, sequence)
        return flow
      }
      // Another SYN between the same ports: another connection.
      this.#close(flow, this.#time)
    }
    const made = this.#add(datagram, !isAnswer)
    flows.states[made]! |= SAW_SYN
    flows.syns[made] = syn
    this.#emitOpen(made, sequence)
    return made
  }

  /** A SYN takes one number of its own (RFC 9293 §3.4): its direction begins behind it. */
  #emitOpen(flow: number, sequence: number): void {
    this.#tell(flow, 'open').sequence = (sequence + 1) >>> 0
  }

  /**
   * The sender's bytes begin with what was seen of them. Those of an end that was not heard yet
   * begin where the sender expects it: what is missing there is then a hole, and not unknown.
   */
  #begin(flow: number, flags: number, payload: number, acknowledged: number): void {
    const { states, isFromLocal } = this.#flows
    const own = isFromLocal ? LOCAL_BEGUN : REMOTE_BEGUN
    if (payload > 0 || (flags & SYN) !== 0) states[flow]! |= own
    if ((flags & ACK) === 0 || (states[flow]! & BEGUN & ~own) !== 0) return
    states[flow]! |= BEGUN & ~own
    const segment = this.#tell(flow, 'open')
    segment.direction = isFromLocal ? 'receive' : 'send'
    segment.sequence = acknowledged
  }

  #add(datagram: Datagram, senderIsLocal: boolean): number {
    const victim = this.#flows.victim
    if (victim >= 0) {
      const wanted = this.#flows.isFromLocal
      this.counters.dropped.flows++
      // It is not over: it may be heard of again at once.
      this.#close(victim, Number.NEGATIVE_INFINITY)
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

  /**
   * A FIN ends one direction, a RST both. The connection closes a little after both FINs were
   * acknowledged, for then nothing is missing; else after a time in which that may come again.
   */
  #end(flow: number, { flags, end, acknowledged }: Ending): void {
    const { states, fins, isFromLocal } = this.#flows
    const before = states[flow]!
    let state = before
    if ((flags & RST) !== 0) state |= RESET
    if ((flags & FIN) !== 0) {
      state |= isFromLocal ? LOCAL_FIN : REMOTE_FIN
      fins[flow * 2 + (isFromLocal ? 0 : 1)] = end + 1
    }
    const isOtherEnded = (state & (isFromLocal ? REMOTE_FIN : LOCAL_FIN)) !== 0
    const other = fins[flow * 2 + (isFromLocal ? 1 : 0)]!
    if (isOtherEnded && (flags & ACK) !== 0 && ((acknowledged - other) | 0) >= 0)
      state |= isFromLocal ? REMOTE_DONE : LOCAL_DONE
    const isOver = (state & RESET) !== 0 || (state & DONE) === DONE
    if (isOver && (state & CLOSING) === 0) {
      state |= CLOSING
      this.#closing.add(flow, this.#flows.keys[flow]!, this.#time + CLOSE_DELAY)
    } else if ((state & ENDED) === ENDED && (before & ENDED) !== ENDED)
      this.#lingering.add(flow, this.#flows.keys[flow]!, this.#time + LINGER)
    states[flow] = state
  }

  #closeDue(now: number): void {
    for (let flow = this.#closing.next(now); flow >= 0; flow = this.#closing.next(now))
      this.#closeIf(flow, this.#closing)
    for (let flow = this.#lingering.next(now); flow >= 0; flow = this.#lingering.next(now))
      this.#closeIf(flow, this.#lingering)
  }

  /** Closes the flow if it is still the one that was to be closed. */
  #closeIf(flow: number, { key, time }: Due): void {
    if (this.#flows.keys[flow] === key) this.#close(flow, time)
  }

  #close(flow: number, time: number): void {
    this.#tell(flow, 'close')
    // The segments' addresses lie in the flow, which the next one takes.
    this.flush()
    this.#flows.keys[flow] = 0
    this.#flows.remove(flow, time)
  }
}

type Ending = {
  readonly flags: number
  /** Sequence number after the packet's data, and the one it expects of the other end. */
  readonly end: number
  readonly acknowledged: number
}

/** Flows with something to be done at a time, each later than the one before. */
class Due {
  /** When the first is due. */
  at: number = Number.POSITIVE_INFINITY
  /** Of the flow that `next` answered: its key, and when it was due. */
  key = 0
  time = 0
  /** Flow, key and time of each, in a ring. */
  #ring = new Float64Array(DUE_MIN)
  #first = 0
  #size = 0

  add(flow: number, key: number, at: number): void {
    if (this.#size === 0) this.at = at
    if (this.#size === this.#ring.length) this.#grow()
    const place = (this.#first + this.#size) % this.#ring.length
    this.#ring[place] = flow
    this.#ring[place + 1] = key
    this.#ring[place + 2] = at
    this.#size += 3
  }

  /** The next one whose time has come, or -1. */
  next(now: number): number {
    if (this.at > now) return NONE
    const ring = this.#ring
    const place = this.#first
    this.key = ring[place + 1]!
    this.time = ring[place + 2]!
    this.#first = (place + 3) % ring.length
    this.#size -= 3
    this.at = this.#size > 0 ? ring[this.#first + 2]! : Number.POSITIVE_INFINITY
    return ring[place]!
  }

  #grow(): void {
    const ring = new Float64Array(this.#ring.length * 2)
    ring.set(this.#ring.subarray(this.#first))
    ring.set(this.#ring.subarray(0, this.#first), this.#ring.length - this.#first)
    this.#ring = ring
    this.#first = 0
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
