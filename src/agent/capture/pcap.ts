import { PcapInput, RECORD_BYTES_MAX } from './pcap-input.ts'
import { Packet, type PacketReader } from './pcap-packet.ts'
import { PcapngReader } from './pcapng.ts'

/*
 * Classic pcap: https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-07.html
 *
 *   head   = magic (4), version (2 2), reserved (4 4), longest record (4), link type (4)
 *   record = seconds (4), fraction (4), captured (4), original (4), bytes
 *
 * in the byte order of the machine that wrote it. "Modified" files (libpcap of old Linux patches)
 * follow a record's head with interface (4), protocol (2), packet type (1), padding (1).
 */
const MICROSECONDS = 0xa1b2_c3d4
const NANOSECONDS = 0xa1b2_3c4d
const MODIFIED = 0xa1b2_cd34
const PCAPNG = 0x0a0d_0d0a
const HEAD = 24
const RECORD = 16
const MODIFIED_RECORD = 24

/**
 * A capture file of any kind we read. Throws a MetaflowError where it cannot be opened. A packet's
 * bytes lie where they are until `beforeMove` is called, which `next` may do.
 */
export class Pcap {
  readonly packet: Packet = new Packet()
  readonly #input: PcapInput
  #reader: PacketReader | undefined

  constructor(path: string, beforeMove: () => void = () => {}) {
    this.#input = new PcapInput(path, beforeMove)
  }

  /** Whether `next` found none, and there may be one a little later. */
  get isDry(): boolean {
    return this.#input.isDry
  }

  /** A sentence that says where and why reading stopped before the end; empty: it did not. */
  get problem(): string {
    const problem = this.#input.problem || (this.#reader?.problem ?? '')
    return problem && `Cannot read ${this.#input.path} to its end: ${problem}`
  }

  next(): boolean {
    this.#reader ??= readerOf(this.#input)
    return this.#reader?.next(this.packet) === true
  }

  close(): void {
    this.#input.close()
  }
}

/** Who reads the file; undefined while its first bytes have not come. */
function readerOf(input: PcapInput): PacketReader | undefined {
  if (!input.need(HEAD) && input.isDry) return undefined
  if (!input.need(4)) return new Unreadable('it has fewer than 4 bytes')
  const view = new DataView(input.bytes.buffer)
  if (view.getUint32(0, true) === PCAPNG) return new PcapngReader(input)
  for (const little of [true, false]) {
    const magic = view.getUint32(0, little)
    if (magic === MICROSECONDS || magic === NANOSECONDS || magic === MODIFIED)
      return input.need(HEAD)
        ? new ClassicReader(input, little, magic)
        : new Unreadable('its head is cut short')
  }
  return new Unreadable('it is no pcap or pcapng capture')
}

class Unreadable implements PacketReader {
  readonly problem: string

  constructor(problem: string) {
    this.problem = problem
  }

  next(): boolean {
    return false
  }
}

class ClassicReader implements PacketReader {
  problem = ''
  readonly #input: PcapInput
  readonly #little: boolean
  readonly #isNano: boolean
  readonly #headSize: number
  readonly #link: number

  constructor(input: PcapInput, little: boolean, magic: number) {
    this.#input = input
    this.#little = little
    this.#isNano = magic === NANOSECONDS
    this.#headSize = magic === MODIFIED ? MODIFIED_RECORD : RECORD
    // The upper bits tell whether frames end with a check sequence.
    this.#link = u32(input.bytes, 20, little) & 0xffff
    input.at = HEAD
  }

  next(packet: Packet): boolean {
    const input = this.#input
    const little = this.#little
    if (this.problem) return false
    if (!input.need(this.#headSize)) {
      if (input.end > input.at) this.#cut('the head of its last record')
      return false
    }
    const { bytes, at } = input
    const seconds = u32(bytes, at, little)
    const fraction = u32(bytes, at + 4, little)
    const captured = u32(bytes, at + 8, little)
    if (captured > RECORD_BYTES_MAX) {
      this.problem = `the record at byte ${input.position} says that it has ${captured} bytes`
      return false
    }
    if (!input.need(this.#headSize + captured)) {
      this.#cut('its last record')
      return false
    }
    packet.time = seconds * 1_000_000 + (this.#isNano ? Math.floor(fraction / 1000) : fraction)
    packet.link = this.#link
    packet.size = u32(input.bytes, input.at + 12, little)
    packet.bytes = input.bytes
    packet.start = input.at + this.#headSize
    packet.end = packet.start + captured
    input.at = packet.end
    return true
  }

  /** The file ends within `what`, unless the rest is still to come. */
  #cut(what: string): void {
    if (this.#input.isDry) return
    this.problem = `${what}, at byte ${this.#input.position}, is cut short`
  }
}

function u32(bytes: Uint8Array, at: number, little: boolean): number {
  const a = bytes[at]!
  const b = bytes[at + 1]!
  const c = bytes[at + 2]!
  const d = bytes[at + 3]!
  return (
    (little ? a | (b << 8) | (c << 16) | (d << 24) : (a << 24) | (b << 16) | (c << 8) | d) >>> 0
  )
}
