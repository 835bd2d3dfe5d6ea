/**
 * Who listens where on this host, by network namespace: containers have ports and addresses of
 * their own. Read from /proc/PID/net of one process of each namespace; the owner of a listening
 * socket is found among the open files of processes, a few of them at each tick.
 */
import { Counters } from '../../lib/counters.ts'
import { TCP, UDP } from '../../model/segment.ts'
import type { Proc } from './proc.ts'

/** Namespaces and listening sockets known in each at once. */
const NAMESPACES_MAX = 1024
const LISTENERS_MAX = 16_384
/** The tables of sockets are read again this often, and this soon after somebody was not found. */
const REFRESH_US = 10_000_000
const MISS_US = 1_000_000
/** Open files looked at in one tick: about 2 µs each. */
const FILES_A_TICK = 500
const HOST_NAMESPACE = 'host'

/** Kernel's numbers of socket states: listening, and bound of datagrams. */
const TABLES = [
  { file: 'tcp', protocol: TCP, state: '0A', isIpv4: true },
  { file: 'tcp6', protocol: TCP, state: '0A', isIpv4: false },
  { file: 'udp', protocol: UDP, state: '07', isIpv4: true },
  { file: 'udp6', protocol: UDP, state: '07', isIpv4: false },
] as const

const ANY4 = '00000000'
const ANY6 = '0'.repeat(32)
/** ::ffff:0:0/96 as the kernel prints it, each 4 bytes as a number of the machine. */
const MAPPED = '0000000000000000FFFF0000'

export type Listener = {
  readonly protocol: number
  readonly isIpv4: boolean
  /** As /proc/net prints it. */
  readonly address: string
  readonly port: number
  readonly inode: string
}

type Owner = {
  readonly processId: number
  /** Its open file, below /proc. */
  readonly file: string
}

type Namespace = {
  /** A process that was in it when it was found. */
  processId: string
  listeners: Map<string, Listener>
  /** This host's addresses there, as /proc/net/tcp prints them. */
  addresses: Set<string>
}

export class Networks {
  readonly counters: Counters<'full'> = new Counters('identity_listeners', ['full'])
  readonly #proc: Proc
  /** Processes to look at first for the owner of a socket. */
  readonly #likely: () => Iterable<number>
  readonly #namespaces = new Map<string, Namespace>()
  /** Namespace of a process, for as long as the tables are fresh. */
  readonly #namespaceOf = new Map<number, string>()
  readonly #owners = new Map<string, Owner>()
  #scan: Iterator<undefined> | undefined
  #read = Number.NEGATIVE_INFINITY
  #missed = false
  #now = 0

  constructor(proc: Proc, likely: () => Iterable<number>) {
    this.#proc = proc
    this.#likely = likely
    this.#namespaces.set(HOST_NAMESPACE, emptyNamespace('self'))
  }

  /** Reads everything at once; at start, before anything is observed. */
  open(now: number): void {
    this.tick(now)
    while (this.#scan !== undefined) this.tick(now)
  }

  /** Reads the tables when they are old, and goes on looking for owners; `now` in monotonic µs. */
  tick(now: number): void {
    this.#now = now
    const age = now - this.#read
    if (this.#scan === undefined && (age >= REFRESH_US || (this.#missed && age >= MISS_US)))
      this.#refresh()
    for (let i = 0; this.#scan !== undefined && i < FILES_A_TICK; i++)
      if (this.#scan.next().done) this.#scan = undefined
  }

  /** Notes the namespace of a process that was observed; 0 is any of this host's own. */
  visit(processId: number): string {
    if (processId === 0) return HOST_NAMESPACE
    const known = this.#namespaceOf.get(processId)
    if (known !== undefined) return known
    const link = this.#proc.link(`${processId}/ns/net`)
    if (link === undefined) return HOST_NAMESPACE
    const name = link === this.#proc.link('self/ns/net') ? HOST_NAMESPACE : link
    if (!this.#namespaces.has(name)) {
      if (this.#namespaces.size >= NAMESPACES_MAX) {
        this.counters.dropped.full++
        return HOST_NAMESPACE
      }
      this.#namespaces.set(name, emptyNamespace(String(processId)))
      this.#missed = true
    }
    this.#namespaceOf.set(processId, name)
    return name
  }

  /**
   * The process that listens on `port` at an address (in /proc's words), as seen from the namespace
   * `from`; 0 where nobody is known to. Loopback is each namespace's own, other addresses are
   * looked for in all.
   */
  ownerOf(from: string, protocol: number, address: string, port: number): number {
    const own = this.#namespaces.get(from)
    const found = isLoopback(address)
      ? own && find(own, protocol, address, port)
      : this.#findByAddress(protocol, address, port)
    const owner = found === undefined ? undefined : this.#owners.get(found.inode)
    if (owner === undefined && (found !== undefined || this.isLocal(address))) this.#missed = true
    return owner?.processId ?? 0
  }

  /** Whether an address (in /proc's words) is this host's, in any namespace. */
  isLocal(address: string): boolean {
    if (isLoopback(address)) return true
    for (const { addresses } of this.#namespaces.values()) if (addresses.has(address)) return true
    return false
  }

  /** Every listening socket with its owner, 0 where it is not known. */
  *listeners(): Generator<{ readonly listener: Listener; readonly processId: number }> {
    for (const { listeners } of this.#namespaces.values())
      for (const listener of listeners.values())
        yield { listener, processId: this.#owners.get(listener.inode)?.processId ?? 0 }
  }

  #findByAddress(protocol: number, address: string, port: number): Listener | undefined {
    for (const namespace of this.#namespaces.values())
      if (namespace.addresses.has(address)) {
        const found = find(namespace, protocol, address, port)
        if (found !== undefined) return found
      }
    return undefined
  }

  #refresh(): void {
    this.#read = this.#now
    this.#missed = false
    this.#namespaceOf.clear()
    const inodes = new Set<string>()
    for (const [name, namespace] of this.#namespaces) {
      const isThere = name === HOST_NAMESPACE || this.#stillIn(name, namespace)
      if (!isThere) this.#namespaces.delete(name)
      else for (const inode of this.#readTables(namespace)) inodes.add(inode)
    }
    // Whoever ended or closed it may have left it to a child, or to the next of its kind.
    for (const [inode, { file }] of this.#owners)
      if (!inodes.has(inode) || this.#socketAt(file) !== inode) this.#owners.delete(inode)
      else inodes.delete(inode)
    if (inodes.size > 0) this.#scan = this.#findOwners(inodes)
  }

  /** Whether its process is still in it; else another observed one of it takes its place. */
  #stillIn(name: string, namespace: Namespace): boolean {
    if (this.#proc.link(`${namespace.processId}/ns/net`) === name) return true
    for (const processId of this.#likely())
      if (this.#proc.link(`${processId}/ns/net`) === name) {
        namespace.processId = String(processId)
        return true
      }
    return false
  }

  #readTables(namespace: Namespace): Iterable<string> {
    const listeners = new Map<string, Listener>()
    const root = `${namespace.processId}/net`
    for (const table of TABLES)
      this.#proc.lines(`${root}/${table.file}`, (line) => {
        const words = line.trimStart().split(/\s+/, 10)
        if (words[0] === 'sl' || words.length < 10) return true
        // The kernel lists who listens first: of 50,000 connections nothing more need be read.
        if (words[3] !== table.state) return table.protocol === UDP
        const [address = '', port = ''] = words[1]!.split(':')
        const listener: Listener = {
          protocol: table.protocol,
          isIpv4: table.isIpv4,
          address,
          port: Number.parseInt(port, 16),
          inode: words[9]!,
        }
        // Connected datagram sockets answer nobody else.
        const isOpen = table.protocol === TCP || words[2]!.endsWith(':0000')
        if (isOpen) listeners.set(keyOf(listener.protocol, address, listener.port), listener)
        if (listeners.size < LISTENERS_MAX) return true
        this.counters.dropped.full++
        return false
      })
    namespace.listeners = listeners
    namespace.addresses = this.#readAddresses(root)
    return [...listeners.values()].map(({ inode }) => inode)
  }

  #readAddresses(root: string): Set<string> {
    const addresses = new Set<string>()
    let last = ''
    this.#proc.lines(`${root}/fib_trie`, (line) => {
      const leaf = /\|-- ([\d.]+)/.exec(line)?.[1]
      if (leaf !== undefined) last = leaf
      else if (line.includes('/32 host LOCAL')) addresses.add(hexOfIpv4(last))
      return true
    })
    this.#proc.lines(`${root}/if_inet6`, (line) => {
      const bytes = line.split(' ', 1)[0]!
      if (bytes.length === 32) addresses.add(swapWords(bytes.toUpperCase()))
      return true
    })
    return addresses
  }

  /** The inode of the socket that an open file is. */
  #socketAt(file: string): string | undefined {
    return /^socket:\[(\d+)\]$/.exec(this.#proc.link(file) ?? '')?.[1]
  }

  *#findOwners(inodes: Set<string>): Generator<undefined> {
    const looked = new Set<string>()
    const candidates = [...this.#likely()].map(String)
    for (const processId of [...candidates, ...this.#proc.list('.')]) {
      if (looked.has(processId) || !/^\d+$/.test(processId)) continue
      looked.add(processId)
      for (const descriptor of this.#proc.list(`${processId}/fd`)) {
        const file = `${processId}/fd/${descriptor}`
        const inode = this.#socketAt(file)
        if (inode !== undefined && inodes.delete(inode)) {
          this.#owners.set(inode, { processId: Number(processId), file })
          this.counters.out++
        }
        if (inodes.size === 0) return
        yield
      }
    }
  }
}

function emptyNamespace(processId: string): Namespace {
  return { processId, listeners: new Map(), addresses: new Set() }
}

function find(
  { listeners }: Namespace,
  protocol: number,
  address: string,
  port: number,
): Listener | undefined {
  const isIpv4 = address.length === 8
  return (
    listeners.get(keyOf(protocol, address, port)) ??
    listeners.get(keyOf(protocol, isIpv4 ? ANY4 : ANY6, port)) ??
    // A socket of IPv6 takes IPv4 connections too unless it says no.
    (isIpv4
      ? (listeners.get(keyOf(protocol, MAPPED + address, port)) ??
        listeners.get(keyOf(protocol, ANY6, port)))
      : undefined)
  )
}

function keyOf(protocol: number, address: string, port: number): string {
  return `${protocol}/${address}/${port}`
}

/** Of 127.0.0.0/8 or ::1, in /proc's words. */
function isLoopback(address: string): boolean {
  return address.length === 8
    ? address.endsWith('7F')
    : address === '00000000000000000000000001000000' || /^0{16}FFFF0000.{6}7F$/.test(address)
}

function hexOfIpv4(text: string): string {
  return text
    .split('.')
    .reverse()
    .map((part) => Number(part).toString(16).padStart(2, '0'))
    .join('')
    .toUpperCase()
}

/** Turns the bytes of each 4-byte word round: what /proc/net/tcp6 prints on these machines. */
function swapWords(hex: string): string {
  return hex.replace(/(..)(..)(..)(..)/g, '$4$3$2$1')
}

/** `bytes` of an address in /proc's words: the number of each 4 bytes as this machine reads it. */
export function procAddress(bytes: Uint8Array, at: number, isIpv4: boolean): string {
  let text = ''
  for (let word = at; word < at + (isIpv4 ? 4 : 16); word += 4)
    for (let i = word + 3; i >= word; i--) text += bytes[i]!.toString(16).padStart(2, '0')
  return text.toUpperCase()
}
