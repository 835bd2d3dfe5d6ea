import { type PcapInput, RECORD_BYTES_MAX } from './pcap-input.ts'
import type { Packet, PacketReader } from './pcap-packet.ts'

/*
 * pcapng: https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-05.html
 *
 *   block     = type (4), size of all of it (4), body, the size again (4)
 *   section   = byte order magic (4), version (2 2), section size (8), options
 *   interface = link type (2), reserved (2), longest packet (4), options
 *   enhanced  = interface (4), time high (4), time low (4), captured (4), original (4), bytes
 *   obsolete  = interface (2), drops (2), then as enhanced
 *   simple    = original (4), bytes
 *   option    = code (2), size (2), value padded to 4
 *
 * A section sets byte order and begins anew to number interfaces; each says what its times count.
 */
const SECTION = 0x0a0d_0d0a
const BYTE_ORDER = 0x1a2b_3c4d
const INTERFACE = 1
const OBSOLETE = 2
const SIMPLE = 3
const ENHANCED = 6
const RESOLUTION_OPTION = 9
const OFFSET_OPTION = 14
const READ: readonly number[] = [INTERFACE, OBSOLETE, SIMPLE, ENHANCED]
const BLOCK_MIN = 12
const INTERFACES_MAX = 65_536

type Interface = {
  readonly link: number
  readonly longest: number
  /** Ticks a second. */
  readonly ticks: bigint
  /** µs to add. */
  readonly offset: number
}

export class PcapngReader implements PacketReader {
  problem = ''
  readonly #input: PcapInput
  #little = true
  #interfaces: Interface[] = []
  #time = 0
  #view: DataView

  constructor(input: PcapInput) {
    this.#input = input
    this.#view = new DataView(input.bytes.buffer)
  }

  next(packet: Packet): boolean {
    while (!this.problem && this.#begin()) {
      const size = this.#u32(4)
      const isPacket = this.#readBlock(this.#u32(0), size, packet)
      this.#input.at += size
      if (isPacket) return true
    }
    return false
  }

  /** Brings the next block that is read here into the buffer whole; false where there is none. */
  #begin(): boolean {
    const input = this.#input
    while (input.need(BLOCK_MIN)) {
      this.#refreshView()
      // A section's type reads the same in either byte order; its magic says how to read its size.
      if (this.#u32(0) === SECTION && !this.#beginSection()) return false
      const isRead = READ.includes(this.#u32(0))
      const size = this.#u32(4)
      if (size < BLOCK_MIN || size % 4 !== 0 || (isRead && size > RECORD_BYTES_MAX))
        return this.#stop(`says that it has ${size} bytes`)
      if (!(isRead ? input.need(size) : input.skip(size))) return this.#cut()
      if (!isRead) continue
      this.#refreshView()
      return this.#u32(size - 4) === size || this.#stop('ends with another size than it begins')
    }
    return input.end > input.at && this.#cut()
  }

  /** The file ends within the block, unless the rest is still to come. */
  #cut(): false {
    return this.#input.isDry ? false : this.#stop('is cut short')
  }

  #readBlock(type: number, size: number, packet: Packet): boolean {
    switch (type) {
      case INTERFACE:
        this.#addInterface(size)
        return false
      case ENHANCED:
        return this.#readPacket(packet, size, this.#u32(8))
      case OBSOLETE:
        return this.#readPacket(packet, size, this.#u16(8))
      case SIMPLE:
        return this.#readSimple(packet, size)
      default:
        return false
    }
  }

  #beginSection(): boolean {
    if (this.#view.getUint32(this.#input.at + 8, true) === BYTE_ORDER) this.#little = true
    else if (this.#view.getUint32(this.#input.at + 8, false) === BYTE_ORDER) this.#little = false
    else return this.#stop('has no byte order')
    this.#interfaces = []
    return true
  }

  #addInterface(size: number): void {
    if (size < 20 || this.#interfaces.length >= INTERFACES_MAX) {
      this.#stop('describes no interface')
      return
    }
    let ticks = 1_000_000n
    let offset = 0
    for (let at = 16; at + 8 <= size; ) {
      const code = this.#u16(at)
      const length = this.#u16(at + 2)
      if (code === 0 || at + 4 + length > size - 4) break
      if (code === RESOLUTION_OPTION && length === 1) ticks = ticksOf(this.#u8(at + 4))
      if (code === OFFSET_OPTION && length === 8) offset = this.#i64(at + 4) * 1_000_000
      at += 4 + ((length + 3) & ~3)
    }
    const longest = this.#u32(12)
    this.#interfaces.push({ link: this.#u16(8), longest, ticks, offset })
  }

  #readPacket(packet: Packet, size: number, index: number): boolean {
    const from = this.#interfaces[index]
    if (!from) return this.#stop(`names interface ${index}, which nothing described`)
    const captured = size < 32 ? -1 : this.#u32(20)
    if (captured < 0 || 28 + captured > size - 4) return this.#stop('is shorter than its packet')
    this.#time = microseconds(this.#u32(12), this.#u32(16), from.ticks) + from.offset
    packet.size = this.#u32(24)
    return this.#fill(packet, from, 28, captured)
  }

  /** A simple block tells neither time nor captured length: the packet fills it. */
  #readSimple(packet: Packet, size: number): boolean {
    const from = this.#interfaces[0]
    if (!from) return this.#stop('has no interface')
    if (size < 16) return this.#stop('is shorter than its packet')
    packet.size = this.#u32(8)
    const longest = from.longest || packet.size
    return this.#fill(packet, from, 12, Math.min(packet.size, longest, size - 16))
  }

  #fill(packet: Packet, from: Interface, at: number, captured: number): boolean {
    packet.time = this.#time
    packet.link = from.link
    packet.bytes = this.#input.bytes
    packet.start = this.#input.at + at
    packet.end = packet.start + captured
    return true
  }

  /** Notes why no further block can be read; always false. */
  #stop(state: string): false {
    this.problem = `the block at byte ${this.#input.position} ${state}`
    return false
  }

  #refreshView(): void {
    const { buffer } = this.#input.bytes
    if (this.#view.buffer !== buffer) this.#view = new DataView(buffer)
  }

  #u8(at: number): number {
    return this.#view.getUint8(this.#input.at + at)
  }

  #u16(at: number): number {
    return this.#view.getUint16(this.#input.at + at, this.#little)
  }

  #u32(at: number): number {
    return this.#view.getUint32(this.#input.at + at, this.#little)
  }

  #i64(at: number): number {
    return Number(this.#view.getBigInt64(this.#input.at + at, this.#little))
  }
}

/** if_tsresol: the highest bit chooses powers of 2, else of 10. */
function ticksOf(resolution: number): bigint {
  const power = BigInt(resolution & 0x7f)
  return resolution & 0x80 ? 2n ** power : 10n ** power
}

const WORD = 0x1_0000_0000

/** Ticks as whole µs. Of 2^64 ticks no double holds all bits, so the two usual units go apart. */
function microseconds(high: number, low: number, ticks: bigint): number {
  if (ticks === 1_000_000n) return high * WORD + low
  if (ticks === 1_000_000_000n) {
    // 2^32 = 4,294,967 × 1000 + 296
    const rest = high * 296 + low
    return high * 4_294_967 + Math.floor(rest / 1000)
  }
  const count = (BigInt(high) << 32n) | BigInt(low)
  return Number((count * 1_000_000n) / ticks)
}
