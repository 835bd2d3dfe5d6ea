import type { Datagram } from './pcap-ip.ts'

/** Flows known at a time; the one quiet for longest gives way. */
export const FLOWS_MAX = 131_072
const FLOWS_MIN = 1024
const NONE = -1
/** Closed flows remembered, and how long, µs: what was sent is sent again within it (RFC 6298). */
const CLOSED = 65_536
const CLOSED_FOR = 5_000_000
/** Words a flow is known by: client or first sender's address, the other's, ports, protocol. */
const WORDS = 10
const PORTS = 8
const KIND = 9
/** Bit of KIND. */
const IPV6 = 1

/**
 * The flows of a capture, found by addresses, ports and protocol in either direction. A flow is an
 * index into arrays: of its two ends, the *local* one is the client, or who was seen to send first.
 */
export class PacketFlows {
  /** Addresses of flow i: local at 32 i, remote at 32 i + 16. */
  addresses: Uint8Array = new Uint8Array(FLOWS_MIN * 32)
  /** A number no other flow had. */
  keys: Float64Array = new Float64Array(FLOWS_MIN)
  localPorts: Uint16Array = new Uint16Array(FLOWS_MIN)
  remotePorts: Uint16Array = new Uint16Array(FLOWS_MIN)
  isIpv4: Uint8Array = new Uint8Array(FLOWS_MIN)
  protocols: Uint8Array = new Uint8Array(FLOWS_MIN)
  /** Sequence number of the client's SYN, where `states` says that one was seen. */
  syns: Uint32Array = new Uint32Array(FLOWS_MIN)
  /** Sequence numbers after each end's FIN, local then remote, where `states` says so. */
  fins: Uint32Array = new Uint32Array(FLOWS_MIN * 2)
  /** Bits of what happened to it: the caller's. */
  states: Uint16Array = new Uint16Array(FLOWS_MIN)
  /** Whether the datagram looked up last was sent by the flow's local end. */
  isFromLocal = true
  size = 0
  #words = new Uint32Array(FLOWS_MIN * WORDS)
  /** As many chains as there may be flows; a flow's is told by its hash. */
  #heads = new Int32Array(FLOWS_MIN).fill(NONE)
  #nexts = new Int32Array(FLOWS_MIN)
  #hashes = new Uint32Array(FLOWS_MIN)
  /** Doubly linked by last use: the first is the quietest. */
  #newer = new Int32Array(FLOWS_MIN)
  #older = new Int32Array(FLOWS_MIN)
  #oldest = NONE
  #newest = NONE
  #free: number[] = []
  #made = 0
  /** By hash, which two of some thousand hardly share: flows removed, and when. */
  readonly #closed = new Uint32Array(CLOSED)
  readonly #closedAt = new Float64Array(CLOSED).fill(Number.NEGATIVE_INFINITY)
  readonly #sought = new Uint32Array(WORDS)
  #hash = 0

  /** The flow of a datagram, or -1; then `add` makes it. */
  find(datagram: Datagram, sourcePort: number, targetPort: number): number {
    this.#seek(datagram, sourcePort, targetPort)
    for (
      let at = this.#heads[this.#hash & (this.#heads.length - 1)]!;
      at !== NONE;
      at = this.#nexts[at]!
    ) {
      if (this.#hashes[at] !== this.#hash) continue
      const direction = this.#compare(at)
      if (direction === 0) continue
      this.isFromLocal = direction > 0
      this.#use(at)
      return at
    }
    return NONE
  }

  /** Whom the next `add` would drop, or -1. */
  get victim(): number {
    return this.size < FLOWS_MAX ? NONE : this.#oldest
  }

  /** Makes the flow that `find` sought last; its local end is who sent, or else who received. */
  add(datagram: Datagram, senderIsLocal: boolean): number {
    const at = this.#free.pop() ?? this.size
    if (at >= this.keys.length) this.#grow()
    this.size++
    const words = this.#sought
    if (!senderIsLocal) swap(words)
    this.#words.set(words, at * WORDS)
    this.#hashes[at] = this.#hash
    const chain = this.#hash & (this.#heads.length - 1)
    this.#nexts[at] = this.#heads[chain]!
    this.#heads[chain] = at
    this.#append(at)
    const { headerBytes, from, to, isIpv4 } = datagram
    const local = senderIsLocal ? from : to
    const remote = senderIsLocal ? to : from
    const length = isIpv4 ? 4 : 16
    this.addresses.fill(0, at * 32, at * 32 + 32)
    this.addresses.set(headerBytes.subarray(local, local + length), at * 32)
    this.addresses.set(headerBytes.subarray(remote, remote + length), at * 32 + 16)
    this.localPorts[at] = words[PORTS]! >>> 16
    this.remotePorts[at] = words[PORTS]!
    this.isIpv4[at] = isIpv4 ? 1 : 0
    this.protocols[at] = datagram.protocol
    this.states[at] = 0
    this.syns[at] = 0
    this.keys[at] = ++this.#made
    this.isFromLocal = senderIsLocal
    return at
  }

  /** Whether a flow as `find` sought last, and did not find, was removed shortly before `time`. */
  wasClosed(time: number): boolean {
    const slot = this.#hash & (CLOSED - 1)
    return this.#closed[slot] === this.#hash && time - this.#closedAt[slot]! < CLOSED_FOR
  }

  remove(at: number, time: number): void {
    const slot = this.#hashes[at]! & (CLOSED - 1)
    this.#closed[slot] = this.#hashes[at]!
    this.#closedAt[slot] = time
    const chain = this.#hashes[at]! & (this.#heads.length - 1)
    let before = this.#heads[chain]!
    if (before === at) this.#heads[chain] = this.#nexts[at]!
    else {
      while (this.#nexts[before] !== at) before = this.#nexts[before]!
      this.#nexts[before] = this.#nexts[at]!
    }
    this.#unlink(at)
    this.#free.push(at)
    this.size--
  }

  /** Every flow, the quietest first. */
  *all(): Generator<number> {
    for (let at = this.#oldest; at !== NONE; ) {
      const next = this.#newer[at]!
      yield at
      at = next
    }
  }

  #grow(): void {
    const size = this.keys.length * 2
    this.addresses = copied(this.addresses, new Uint8Array(size * 32))
    this.keys = copied(this.keys, new Float64Array(size))
    this.localPorts = copied(this.localPorts, new Uint16Array(size))
    this.remotePorts = copied(this.remotePorts, new Uint16Array(size))
    this.isIpv4 = copied(this.isIpv4, new Uint8Array(size))
    this.protocols = copied(this.protocols, new Uint8Array(size))
    this.syns = copied(this.syns, new Uint32Array(size))
    this.fins = copied(this.fins, new Uint32Array(size * 2))
    this.states = copied(this.states, new Uint16Array(size))
    this.#words = copied(this.#words, new Uint32Array(size * WORDS))
    this.#nexts = new Int32Array(size)
    this.#hashes = copied(this.#hashes, new Uint32Array(size))
    this.#newer = copied(this.#newer, new Int32Array(size))
    this.#older = copied(this.#older, new Int32Array(size))
    this.#heads = new Int32Array(size).fill(NONE)
    for (const at of this.all()) {
      const chain = this.#hashes[at]! & (size - 1)
      this.#nexts[at] = this.#heads[chain]!
      this.#heads[chain] = at
    }
  }

  #seek(
    { headerBytes, from, to, isIpv4, protocol }: Datagram,
    source: number,
    target: number,
  ): void {
    const words = this.#sought
    words[0] = u32(headerBytes, from)
    words[4] = u32(headerBytes, to)
    if (!isIpv4)
      for (let i = 1; i < 4; i++) {
        words[i] = u32(headerBytes, from + i * 4)
        words[i + 4] = u32(headerBytes, to + i * 4)
      }
    words[PORTS] = (source << 16) | target
    words[KIND] = (protocol << 1) | (isIpv4 ? 0 : IPV6)
    // The sum is the same from either end.
    this.#hash = (endHash(words, 0, source) + endHash(words, 4, target) + protocol) >>> 0
  }

  /** 1: the words sought are the flow's; -1: they are, with its ends exchanged; 0: they are not. */
  #compare(at: number): number {
    const words = this.#words
    const sought = this.#sought
    const base = at * WORDS
    if (words[base + KIND] !== sought[KIND]) return 0
    const ports = words[base + PORTS]!
    if (ports === sought[PORTS] && equal(words, base, sought, 0)) return 1
    const exchanged = ((ports << 16) | (ports >>> 16)) >>> 0
    return exchanged === sought[PORTS] && equal(words, base, sought, 4) ? -1 : 0
  }

  #use(at: number): void {
    if (at === this.#newest) return
    this.#unlink(at)
    this.#append(at)
  }

  #append(at: number): void {
    this.#older[at] = this.#newest
    this.#newer[at] = NONE
    if (this.#newest === NONE) this.#oldest = at
    else this.#newer[this.#newest] = at
    this.#newest = at
  }

  #unlink(at: number): void {
    const older = this.#older[at]!
    const newer = this.#newer[at]!
    if (older === NONE) this.#oldest = newer
    else this.#newer[older] = newer
    if (newer === NONE) this.#newest = older
    else this.#older[newer] = older
  }
}

/**
 * Whether the first end of `sought` (`turn` 0) or its second (4) is the first of `words`. Of IPv4
 * only the first word of an address is looked at.
 */
function equal(words: Uint32Array, base: number, sought: Uint32Array, turn: number): boolean {
  if (words[base] !== sought[turn] || words[base + 4] !== sought[turn ^ 4]) return false
  if (sought[KIND]! & IPV6)
    for (let i = 1; i < 8; i++) if (words[base + i] !== sought[i ^ turn]) return false
  return true
}

function copied<A extends { set(from: A): void }>(from: A, to: A): A {
  to.set(from)
  return to
}

function swap(words: Uint32Array): void {
  for (let i = 0; i < 4; i++) {
    const word = words[i]!
    words[i] = words[i + 4]!
    words[i + 4] = word
  }
  const ports = words[PORTS]!
  words[PORTS] = (ports << 16) | (ports >>> 16)
}

function endHash(words: Uint32Array, at: number, port: number): number {
  let hash = Math.imul(words[at]! ^ Math.imul(port, 0x9e37_79b1), 0x85eb_ca6b)
  if (words[KIND]! & IPV6)
    for (let i = 1; i < 4; i++) hash = Math.imul(hash ^ (hash >>> 15) ^ words[at + i]!, 0xc2b2_ae35)
  hash = Math.imul(hash ^ (hash >>> 13), 0x27d4_eb2f)
  return hash ^ (hash >>> 15)
}

function u32(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
  )
}
