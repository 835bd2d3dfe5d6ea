/**
 * Who is at each end of a connection: the process group on this host, the host, or an address.
 * Reads /proc for each new process and, now and then, who listens; nothing for each event.
 */
import type { Counters } from '../../lib/counters.ts'
import type { Connection } from '../../model/connection.ts'
import { NAME_TYPE, NAMES_MAX, type NameTable, OTHER } from '../../model/name.ts'
import { addressText } from './addresses.ts'
import { hostName } from './host.ts'
import { Networks, procAddress } from './networks.ts'
import { type Proc, RealProc } from './proc.ts'
import { Processes, UNNAMED } from './processes.ts'

/** Addresses whose names are remembered; beyond, they are looked up again. */
const ADDRESSES_MAX = 65_536
/** Beyond so many names addresses share one: what is left is for processes, which are fewer. */
const NAMES_BEFORE_SHARING = NAMES_MAX * 0.75

export type IdentityOptions = {
  readonly names: NameTable
  /** What `hostId` answered. */
  readonly hostId: string
  readonly proc?: Proc
}

/** What identity needs of a connection. */
export type Ends = Pick<
  Connection,
  'addresses' | 'isIpv4' | 'protocol' | 'localPort' | 'remotePort' | 'processId'
>

export class Identity {
  /** Index of this host's name. */
  readonly host: number
  readonly #names: NameTable
  readonly #processes: Processes
  readonly #networks: Networks
  readonly #addresses = new Map<string, number>()

  constructor({ names, hostId, proc = new RealProc() }: IdentityOptions) {
    const host = hostName(proc, hostId)
    this.#names = names
    this.host = names.add(host)
    this.#processes = new Processes(proc, names, host)
    this.#networks = new Networks(proc, () => this.#processes.ids())
  }

  get counters(): readonly Counters<string>[] {
    return [this.#processes.counters, this.#networks.counters]
  }

  /** Reads at once who listens on this host; call it before anything is observed. */
  open(nowUs: number): void {
    this.#processes.tick(nowUs)
    this.#networks.open(nowUs)
  }

  /** Goes on with what is done now and then, 1 or 2 ms at a time; call it once a second or so. */
  tick(nowUs: number): void {
    this.#processes.tick(nowUs)
    this.#networks.tick(nowUs)
  }

  /**
   * Index of the name of a process' group. `command` is what the kernel called it when it was seen:
   * the only name left where it ended before it could be looked at; without one, it was this host.
   */
  process(processId: number, command: string): number {
    this.#networks.visit(processId)
    const { name } = this.#processes.of(processId, command)
    return name === UNNAMED ? this.host : name
  }

  /** The process ended: its id may soon be another's. */
  ended(processId: number): void {
    this.#processes.end(processId)
  }

  /** Index of the name of an address: this host where it is one of its own, else the address. */
  address(bytes: Uint8Array, at: number, isIpv4: boolean): number {
    const key = procAddress(bytes, at, isIpv4)
    if (this.#networks.isLocal(key)) return this.host
    const known = this.#addresses.get(key)
    if (known !== undefined) return known
    const index = this.#addAddress(bytes, at, isIpv4)
    if (this.#addresses.size >= ADDRESSES_MAX) this.#addresses.clear()
    this.#addresses.set(key, index)
    return index
  }

  /** The process that listens at the local end of a connection, 0 where none is known. */
  localListener(ends: Ends): number {
    return this.#listener(ends, 0, ends.localPort)
  }

  /** The process on this host that listens at the remote end, 0 where none is known. */
  remoteListener(ends: Ends): number {
    return this.#listener(ends, 16, ends.remotePort)
  }

  /** The process that listens on a port of this host at loopback, 0 where none is known. */
  listens(port: number, isIpv4 = true, protocol = 6): number {
    const loopback = isIpv4 ? '0100007F' : '00000000000000000000000001000000'
    return this.#networks.ownerOf(this.#networks.visit(0), protocol, loopback, port)
  }

  /** Whether a process is MetaFlow's own: agent, server or engine of any installation here. */
  isOwn(processId: number): boolean {
    return processId !== 0 && this.#processes.isOwn(processId)
  }

  /** Whether a connection has one of MetaFlow's own at either end: it is not to be shown. */
  isOwnConnection(ends: Ends): boolean {
    return this.isOwn(ends.processId) || this.isOwn(this.remoteListener(ends))
  }

  #listener(ends: Ends, at: number, port: number): number {
    if (port === 0) return 0
    const address = procAddress(ends.addresses, at, ends.isIpv4)
    const from = this.#networks.visit(ends.processId)
    return this.#networks.ownerOf(from, ends.protocol, address, port)
  }

  #addAddress(bytes: Uint8Array, at: number, isIpv4: boolean): number {
    const isRoom = this.#names.size < NAMES_BEFORE_SHARING
    if (!isRoom) this.#names.overflowed++
    const text = isRoom ? addressText(bytes, at, isIpv4) : OTHER
    return this.#names.add({
      type: NAME_TYPE.ip,
      key: text,
      name: text,
      processName: '',
      hostKey: '',
      hostName: '',
    })
  }
}
