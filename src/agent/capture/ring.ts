/**
 * Reads the kernel's ring in place, without a call: libc's mmap gives the consumer's page
 * (writable), and behind it the producer's page and the data
 * (https://docs.kernel.org/bpf/ringbuf.html). Runs in a Worker.
 */
import { MetaflowError } from '../../lib/errors.ts'
import { addressOf, openLibrary } from '../../lib/ffi.ts'
import type { Role, Segment, SegmentSink } from '../../model/segment.ts'
import { SegmentBatch } from './batch.ts'
import { EVENT, EVENT_SIZE, RECORD_BUSY, RECORD_DISCARD, RECORD_HEADER } from './layout.ts'
import { Mappings, READ, READ_WRITE } from './memory.ts'

/** What a Worker needs to read what the main thread opened: plain numbers, to be posted. */
export type CaptureHandle = {
  readonly ringFd: number
  readonly ringBytes: number
  readonly verdictsFd: number
  readonly controlFd: number
}

/** arch/x86/entry/syscalls/syscall_64.tbl; other machines: include/uapi/asm-generic/unistd.h. */
const BPF_SYSCALL: number = process.arch === 'x64' ? 321 : 280
const BPF_MAP_UPDATE_ELEM = 2
const BPF_ANY = 0n
const BPF_NOEXIST = 1n
/** Room in the ring is given back at least this often while much is read at once. */
const RELEASE_BYTES = 65_536
/** Room for the longest record: struct event, and BYTES_ALL of bpf/events.h. */
const RECORD_BYTES_MAX = 32_768
const TWO_32 = 4_294_967_296
const EPOLL_CLOEXEC = 0x8_0000
const EPOLL_CTL_ADD = 1
/** EPOLLIN | EPOLLET: woken by the kernel programs alone, not by what lies there already. */
const READABLE_EDGE = 0x8000_0001
const ROLES: readonly Role[] = ['unknown', 'client', 'server']
const BEFORE: readonly Segment['before'][] = ['unknown', 'none', 'some']

const SIGNATURES = {
  syscall: { args: ['usize', 'usize', 'ptr', 'usize'], returns: 'i32' },
  epoll_create1: { args: ['i32'], returns: 'i32' },
  epoll_ctl: { args: ['i32', 'i32', 'i32', 'ptr'], returns: 'i32' },
  epoll_wait: { args: ['i32', 'ptr', 'i32', 'i32'], returns: 'i32' },
  close: { args: ['i32'], returns: 'i32' },
} as const

export class Ring {
  /** Records shorter than an event: none, unless object and program are of different builds. */
  malformed = 0
  /** Verdicts that the kernel would not take. */
  refused = 0
  readonly #libc = openLibrary('libc.so.6', SIGNATURES)
  readonly #mask: number
  readonly #consumed: BigUint64Array
  readonly #produced: Uint32Array
  readonly #words: Uint32Array
  readonly #generation: Int32Array
  readonly #batch: SegmentBatch
  /** A record that the ring's end tears in two is put together here. */
  readonly #torn: Uint8Array = new Uint8Array(RECORD_BYTES_MAX)
  readonly #tornWords: Uint32Array = new Uint32Array(this.#torn.buffer)
  readonly #tornBatch: SegmentBatch = batchOver(this.#torn)
  /** -1, which is nobody's, until it is open: what is not there would be closed as 0. */
  #epollFd = -1
  /** struct epoll_event, packed: 12 bytes. */
  readonly #epollEvent = new Uint32Array(3)
  readonly #mappings = new Mappings()
  readonly #key = new BigUint64Array(1)
  readonly #value = new Uint32Array(1)
  /** union bpf_attr of BPF_MAP_UPDATE_ELEM: map, key, value, flags. */
  readonly #attribute = new BigUint64Array(4)
  #consumer: number

  constructor(handle: CaptureHandle) {
    const { ringFd, ringBytes, controlFd, verdictsFd } = handle
    const { pageBytes } = this.#mappings
    this.#mask = ringBytes - 1
    this.#consumed = new BigUint64Array(this.#map(ringFd, pageBytes, READ_WRITE), 0, 1)
    // Not twice, as it may be: each page that is mapped counts as memory of this process.
    const data = this.#map(ringFd, pageBytes + ringBytes, READ, pageBytes)
    this.#produced = new Uint32Array(data, 0, 2)
    this.#words = new Uint32Array(data, pageBytes)
    this.#batch = batchOver(new Uint8Array(data, pageBytes))
    this.#generation = new Int32Array(this.#map(controlFd, pageBytes, READ_WRITE), 0, 1)
    this.#consumer = Number(this.#consumed[0])
    this.#attribute[0] = BigInt(verdictsFd)
    this.#attribute[1] = BigInt(addressOf(this.#key))
    this.#attribute[2] = BigInt(addressOf(this.#value))
    this.#epollFd = this.#libc.epoll_create1(EPOLL_CLOEXEC)
    this.#epollEvent[0] = READABLE_EDGE
    if (this.#libc.epoll_ctl(this.#epollFd, EPOLL_CTL_ADD, ringFd, this.#epollEvent) === 0) return
    this.close()
    throw new MetaflowError('failed', 'Cannot wait for the ring of the kernel: epoll refused it')
  }

  /** Blocks for so long, or until the kernel programs find that the ring fills. */
  wait(milliseconds: number): void {
    this.#libc.epoll_wait(this.#epollFd, this.#epollEvent, 1, milliseconds)
  }

  #map(fd: number, bytes: number, protection: number, offset = 0): ArrayBuffer {
    const view = this.#mappings.map(fd, bytes, protection, offset)
    if (view) return view
    this.close()
    throw new MetaflowError('failed', 'Cannot map the ring of the kernel: mmap was refused')
  }

  /**
   * Where the kernel has written up to. Its page is read-only: Atomics.load would write and crash.
   * Both halves are read until the high one holds still.
   */
  #producer(): number {
    const produced = this.#produced
    for (;;) {
      const high = produced[1]!
      const low = produced[0]!
      if (high === produced[1]) return high * TWO_32 + low
    }
  }

  /**
   * Gives every event that is there to `sink`, oldest first, and answers their number. What the
   * segment points to is given back to the kernel once `sink` has returned.
   */
  poll(sink: SegmentSink): number {
    const words = this.#words
    const mask = this.#mask
    const batch = this.#batch
    let left = this.#producer() - this.#consumer
    let at = Number(BigInt.asUintN(32, BigInt(this.#consumer))) & mask
    let unreleased = 0
    let events = 0
    while (left > 0) {
      const header = words[at >>> 2]!
      // Its writer is at it still, and what lies behind it must wait.
      if (header >= RECORD_BUSY) break
      const length = header & (RECORD_DISCARD - 1)
      const total = (length + RECORD_HEADER + 7) & ~7
      if (length < EVENT_SIZE || total > RECORD_BYTES_MAX) this.malformed++
      else if (header < RECORD_DISCARD) {
        events++
        if (at + total <= words.length << 2) this.#fill(batch.next(), words, at + RECORD_HEADER)
        else {
          batch.give(sink)
          this.#giveTorn(sink, at, total)
        }
      }
      at = (at + total) & mask
      left -= total
      unreleased += total
      if (!batch.isFull && unreleased < RELEASE_BYTES) continue
      batch.give(sink)
      unreleased = this.#release(unreleased)
    }
    batch.give(sink)
    if (unreleased > 0) this.#release(unreleased)
    return events
  }

  #giveTorn(sink: SegmentSink, at: number, size: number): void {
    const words = this.#words
    const torn = this.#tornWords
    const mask = this.#mask >>> 2
    for (let i = 0; i < size >>> 2; i++) torn[i] = words[((at >>> 2) + i) & mask]!
    this.#fill(this.#tornBatch.next(), torn, RECORD_HEADER)
    this.#tornBatch.give(sink)
  }

  #release(bytes: number): 0 {
    this.#consumer += bytes
    Atomics.store(this.#consumed, 0, BigInt(this.#consumer))
    return 0
  }

  #fill(segment: Segment, words: Uint32Array, at: number): void {
    const word = at >>> 2
    const ports = words[word + (EVENT.local_port >> 2)]!
    const kinds = words[word + (EVENT.kind >> 2)]!
    segment.key = words[word + 1]! * TWO_32 + words[word]!
    segment.time = Math.floor((words[word + 3]! * TWO_32 + words[word + 2]!) / 1000)
    segment.traceId = words[word + 5]! * TWO_32 + words[word + 4]!
    segment.sequence = words[word + (EVENT.sequence >> 2)]!
    segment.size = words[word + (EVENT.size >> 2)]!
    segment.processId = words[word + (EVENT.tgid >> 2)]!
    segment.threadId = words[word + (EVENT.tid >> 2)]!
    segment.network = words[word + (EVENT.network >> 2)]!
    segment.localPort = ports & 0xffff
    segment.remotePort = ports >>> 16
    segment.kind = (kinds & 0xff) === 0 ? 'data' : 'close'
    segment.direction = (kinds & 0xff00) === 0 ? 'send' : 'receive'
    segment.role = ROLES[(kinds >>> 16) & 3]!
    segment.protocol = kinds >>> 24
    const flags = words[word + (EVENT.ipv4 >> 2)]!
    segment.isIpv4 = (flags & 0xff) !== 0
    segment.before = BEFORE[(flags >>> 8) & 3]!
    segment.localAt = at + EVENT.local
    segment.remoteAt = at + EVENT.remote
    segment.commandAt = at + EVENT.command
    segment.start = at + EVENT_SIZE
    segment.end = segment.start + words[word + (EVENT.captured >> 2)]!
  }

  /**
   * Says how many bytes of each call on a socket are shown. A socket without a verdict asks at each
   * call, so a first one costs one map entry; only a changed one makes every socket ask again.
   */
  setVerdict(key: number, bytesPerCall: number): void {
    this.#key[0] = BigInt(key)
    this.#value[0] = bytesPerCall
    if (this.#update(BPF_NOEXIST)) return
    if (this.#update(BPF_ANY)) Atomics.add(this.#generation, 0, 1)
    else this.refused++
  }

  #update(flags: bigint): boolean {
    this.#attribute[3] = flags
    const { syscall } = this.#libc
    return syscall(BPF_SYSCALL, BPF_MAP_UPDATE_ELEM, this.#attribute, 32) === 0
  }

  /** Unmaps the ring; no segment may be read afterwards. */
  close(): void {
    this.#libc.close(this.#epollFd)
    this.#mappings.close()
  }
}

function batchOver(bytes: Uint8Array): SegmentBatch {
  return new SegmentBatch((segment) => {
    segment.bytes = bytes
    segment.addresses = bytes
    segment.command = bytes
  })
}

/** Opens the ring of a capture: in a Worker, from the handle that the main thread posted. */
export function openRing(handle: CaptureHandle): Ring {
  return new Ring(handle)
}
