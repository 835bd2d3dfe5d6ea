/** Puts the kernel programs in place: which family, how large a ring, whom they never show. */
import { readFileSync } from 'node:fs'
import socketPath from '../../../embed/socket.bpf.o' with { type: 'file' }
import syscallPath from '../../../embed/syscall.bpf.o' with { type: 'file' }
import type { Sample } from '../../lib/counters.ts'
import { MetaflowError } from '../../lib/errors.ts'
import { log } from '../../lib/log.ts'
import { COUNTERS, SETTINGS, SETTINGS_SIZE } from './layout.ts'
import { BpfObject, LoadError, libbpf, logLines } from './libbpf.ts'
import { listeningPorts, startOf } from './listeners.ts'
import { Mappings, READ_WRITE, tickNanoseconds } from './memory.ts'
import { hasTracepoint, loadFailure, missingPermit } from './permits.ts'
import type { CaptureHandle } from './ring.ts'

/** The socket hooks (Linux 6.3 and later), or every system call's exit. */
export type Family = 'socket' | 'syscall'
type CounterName = (typeof COUNTERS)[number] | 'missed'
/** What the kernel counted; `missed`: a hook did not run since it was running already. */
export type CaptureCounts = Readonly<Record<CounterName, number>>

export type CaptureOptions = {
  readonly family?: Family | 'auto'
  /** Rounded up to a power of two and whole pages. */
  readonly ringBytes?: number
  /** Of a call, until its socket has a verdict. */
  readonly undecidedBytes?: number
  /** An ignored socket that was quiet for so long is tried again. */
  readonly quietMs?: number
  /** Never shown, nor whoever talks to them on this host. */
  readonly mutedProcessIds: readonly number[]
}

export const RING_BYTES_DEFAULT: number = 8 << 20
const OBJECTS: Readonly<Record<Family, string>> = { socket: socketPath, syscall: syscallPath }
const UNDECIDED_BYTES_DEFAULT = 1024
const QUIET_MS_DEFAULT = 60_000
/** Value of a map that is a set. */
const YES = Uint8Array.of(1)
/** So full a ring wakes its reader before its time: what is left holds tens of milliseconds. */
const WAKE_SHARE = 0.75
/** Offset and least size of `recursion_misses` in struct bpf_prog_info (linux/bpf.h, 5.12). */
const MISSES_AT = 208
const INFO_BYTES = 232

/** Kernel programs at work. Close it, or the process's end does. */
export class Capture {
  readonly family: Family
  readonly handle: CaptureHandle
  readonly #object: BpfObject
  readonly #mappings = new Mappings()
  readonly #generation: Int32Array
  /** Muted processes, with when each was started. */
  readonly #muted = new Map<number, string>()
  readonly #processors = libbpf().libbpf_num_possible_cpus()

  constructor(object: BpfObject, family: Family) {
    this.family = family
    this.#object = object
    const controlFd = object.mapFd('control')
    const page = this.#mappings.map(controlFd, this.#mappings.pageBytes, READ_WRITE)
    if (!page) throw new MetaflowError('failed', 'Cannot map the control page: mmap was refused')
    this.#generation = new Int32Array(page, 0, 1)
    Atomics.store(this.#generation, 0, 1)
    this.handle = {
      ringFd: object.mapFd('ring'),
      ringBytes: object.entries('ring'),
      verdictsFd: object.mapFd('verdicts'),
      controlFd,
    }
  }

  /** Mutes a process, whatever it listens on, and whoever of this host talks to it. */
  muteProcess(processId: number): void {
    this.#muted.set(processId, startOf(processId))
    const fd = this.#object.mapFd('muted_processes')
    libbpf().bpf_map_update_elem(fd, Uint32Array.of(processId), YES, 0)
    this.#muteListeners(processId)
    Atomics.add(this.#generation, 0, 1)
  }

  #muteListeners(processId: number): void {
    const fd = this.#object.mapFd('muted_ends')
    const { network, ports } = listeningPorts(processId)
    for (const port of ports) {
      const end = (BigInt(network) << 32n) | (BigInt(port) << 16n)
      libbpf().bpf_map_update_elem(fd, BigUint64Array.of(end), YES, 0)
    }
  }

  /**
   * Forgets muted processes that ended: their numbers and ports must not mute who gets them next.
   * The kernel adds to the ports, so all are forgotten, and those of the others read again; sockets
   * that are muted stay so. To be called now and then.
   */
  forgetEnded(): void {
    const { bpf_map_delete_elem: remove, bpf_map_get_next_key: next } = libbpf()
    const ended = [...this.#muted].filter(([processId, start]) => startOf(processId) !== start)
    for (const [processId] of ended) {
      this.#muted.delete(processId)
      remove(this.#object.mapFd('muted_processes'), Uint32Array.of(processId))
    }
    if (ended.length === 0) return
    const fd = this.#object.mapFd('muted_ends')
    const end = new BigUint64Array(1)
    while (next(fd, null, end) === 0) if (remove(fd, end) !== 0) break
    for (const processId of this.#muted.keys()) this.#muteListeners(processId)
  }

  /** Reads the kernel's counters: a few system calls, so at most every second or so. */
  counters(): CaptureCounts {
    const fd = this.#object.mapFd('counters')
    const values = new BigUint64Array(this.#processors)
    const counts: Record<string, number> = { missed: this.#missed() }
    for (const [index, name] of COUNTERS.entries()) {
      libbpf().bpf_map_lookup_elem(fd, Uint32Array.of(index), values)
      counts[name] = Number(values.reduce((sum, value) => sum + value, 0n))
    }
    return counts as CaptureCounts
  }

  #missed(): number {
    let missed = 0
    for (const fd of this.#object.programFds()) {
      const info = new BigUint64Array(INFO_BYTES / 8)
      if (libbpf().bpf_obj_get_info_by_fd(fd, info, Uint32Array.of(INFO_BYTES)) === 0)
        missed += Number(info[MISSES_AT / 8])
    }
    return missed
  }

  /** The counters as metrics: `capture_<what>_total`. */
  samples(): Sample[] {
    return Object.entries(this.counters()).map(([name, value]) => ({
      name: `capture_${name}_total`,
      help: `Counted in the kernel by capture: ${name.replace('_', ' ')}.`,
      labels: { family: this.family },
      value,
    }))
  }

  /** Detaches and unloads everything. Close rings first. */
  close(): void {
    this.#mappings.close()
    this.#object.close()
  }
}

/**
 * Loads and attaches the kernel programs. Throws a MetaflowError that says what the host lacks and
 * what to do about it.
 */
export function openCapture(options: CaptureOptions): Capture {
  const because = missingPermit()
  if (because !== undefined) throw new MetaflowError('unsupported', because)
  const wanted = options.family ?? 'auto'
  const socket = hasTracepoint('sock_send_length') && hasTracepoint('sock_recv_length')
  if (wanted === 'socket' && !socket)
    throw new MetaflowError(
      'unsupported',
      'Cannot use the socket hooks: this kernel has no sock_send_length (Linux 6.3 and later ' +
        'have it); choose the syscall family',
    )
  if (wanted !== 'auto') return open(wanted, options)
  if (!socket) return open('syscall', options)
  try {
    return open('socket', options)
  } catch (error) {
    log('warn', `${(error as Error).message}; trying the syscall hooks`)
    return open('syscall', options)
  }
}

/** A signal, such as the runtime's own to its threads, makes the verifier give up with EAGAIN. */
const EAGAIN = 11
const LOADS_MAX = 20

function open(family: Family, options: CaptureOptions, loads = 1): Capture {
  logLines.length = 0
  let object: BpfObject | undefined
  try {
    object = new BpfObject(readFileSync(OBJECTS[family]))
    object.resize('ring', options.ringBytes ?? RING_BYTES_DEFAULT)
    object.resize('scratches', 2 * libbpf().libbpf_num_possible_cpus())
    const settings = object.settings(SETTINGS_SIZE)
    const undecided = options.undecidedBytes ?? UNDECIDED_BYTES_DEFAULT
    const quiet = ((options.quietMs ?? QUIET_MS_DEFAULT) * 1e6) / tickNanoseconds()
    settings.setUint32(SETTINGS.undecided_bytes, undecided, true)
    settings.setUint32(SETTINGS.quiet_ticks, quiet, true)
    settings.setUint32(SETTINGS.wake_bytes, object.entries('ring') * WAKE_SHARE, true)
    object.load()
    const capture = new Capture(object, family)
    for (const processId of options.mutedProcessIds) capture.muteProcess(processId)
    object.attach()
    return capture
  } catch (error) {
    object?.close()
    if (error instanceof LoadError && error.errno === EAGAIN && loads < LOADS_MAX)
      return open(family, options, loads + 1)
    throw error instanceof MetaflowError ? error : loadFailure(error, logLines)
  }
}
