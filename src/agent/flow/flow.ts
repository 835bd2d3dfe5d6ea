import { Counters, type Sample, sampleOf, samplesOf } from '../../lib/counters.ts'
import { type ByteReader, Connection, sameAddress, UNDECIDED } from '../../model/connection.ts'
import { IGNORE, type Segment, type SetVerdict, type Source, TCP } from '../../model/segment.ts'
import { Order } from './order.ts'
import { Peers } from './peers.ts'
import { Ages, Track } from './track.ts'

/** Who is who on this host, as far as flow must know. Whatever is absent is not known. */
export type Surroundings = {
  /** Whether one of the segment's ends is MetaFlow's own: it is never observed. */
  readonly isMuted?: (segment: Segment) => boolean
  /** Id of the local process that listens on a port of TCP or UDP, or 0. */
  readonly listens?: (port: number, isIpv4: boolean, protocol: number) => number
  /** Index of a local process's name in the agent's `NameTable`. */
  readonly nameProcess?: (processId: number, command: string) => number
  /** Index of a remote address's name; 16 bytes at `at`, IPv4 in the first 4. */
  readonly nameAddress?: (bytes: Uint8Array, at: number, isIpv4: boolean) => number
}

export type FlowOptions = Surroundings & {
  readonly openReader: (connection: Connection) => ByteReader
  readonly setVerdict: SetVerdict
  /** Connections remembered; the one not used for longest gives way. */
  readonly connectionsMax?: number
  /** First number of connections. */
  readonly firstFlowId?: number
}

export type FlowCause = 'muted' | 'empty' | 'duplicate' | 'evicted'

/** About 2.1 KB each with all that belongs to it: 70 MB at most. */
const CONNECTIONS_MAX = 32_768
/** No close is reported of datagram sockets: one that was quiet for so long is forgotten. */
const DATAGRAM_IDLE_US = 60_000_000
/** Keys of muted sockets remembered, so that what is still under way costs little. */
const MUTED_MAX = 1024
/** How long a muted socket's segments are taken for ones that were under way, µs. */
const MUTED_US = 1_000_000

/** The connections of one pipeline: gives each its bytes in order, and capture its verdicts. */
export class Flow {
  readonly counters: Counters<FlowCause> = new Counters('flow', [
    'muted',
    'empty',
    'duplicate',
    'evicted',
  ])
  readonly #options: FlowOptions
  readonly #sockets = new Map<number, Track>()
  readonly #packets = new Map<number, Track>()
  readonly #streams = new Ages()
  readonly #datagrams = new Ages()
  readonly #order = new Order()
  readonly #peers = new Peers()
  readonly #muted = new Float64Array(MUTED_MAX)
  /** Until when each was told to the kernel, µs. */
  readonly #mutedUntil = new Float64Array(MUTED_MAX)
  readonly #connectionsMax: number
  #last: Track | undefined
  #flowId: number
  #now = 0

  constructor(options: FlowOptions) {
    this.#options = options
    this.#connectionsMax = options.connectionsMax ?? CONNECTIONS_MAX
    this.#flowId = options.firstFlowId ?? 1
  }

  get size(): number {
    return this.#streams.size + this.#datagrams.size
  }

  segment(segment: Segment): void {
    this.counters.in++
    if (segment.time > this.#now) this.#now = segment.time
    let track = this.#last
    if (
      track === undefined ||
      track.connection.key !== segment.key ||
      track.connection.source !== segment.source
    ) {
      track = this.#table(segment.source).get(segment.key)
      if (track !== undefined) this.#agesOf(track).touch(track)
      this.#last = track
    }
    if (segment.kind !== 'data') {
      this.#changed(track, segment)
      return
    }
    track ??= this.#open(segment)
    if (track === undefined) return
    if (segment.size <= 0) {
      this.counters.dropped.empty++
      return
    }
    track.lastTime = segment.time
    this.#note(track, segment)
    this.counters.out++
    if (segment.protocol === TCP) this.#order.take(track, segment)
    else track.reader.take(segment)
    if (track.connection.wants !== track.verdict) this.#decide(track)
  }

  /** Gives up what waited too long; `now` is monotonic µs. */
  tick(now: number): void {
    if (now > this.#now) this.#now = now
    this.#order.tick(now)
    let oldest = this.#datagrams.oldest
    while (oldest !== undefined && now - oldest.lastTime >= DATAGRAM_IDLE_US) {
      this.#close(oldest, now)
      oldest = this.#datagrams.oldest
    }
  }

  /** Forgets every connection, as if it were closed. */
  closeAll(): void {
    for (let track = this.#oldest(); track !== undefined; track = this.#oldest())
      this.#close(track, this.#now)
  }

  samples(): Sample[] {
    const { losses } = this.#order
    this.counters.dropped.duplicate = losses.duplicates
    const samples = [
      ...samplesOf(this.counters),
      sampleOf('flow_connections', 'Connections remembered.', this.size),
    ]
    for (const [what, value] of Object.entries(losses))
      samples.push({
        name: 'flow_losses_total',
        help: 'What the way did to TCP segments, by kind.',
        labels: { what },
        value,
      })
    return samples
  }

  #table(source: Source): Map<number, Track> {
    return source === 'socket' ? this.#sockets : this.#packets
  }

  #agesOf(track: Track): Ages {
    return track.connection.isDatagram ? this.#datagrams : this.#streams
  }

  /** The connection that was not used for longest. */
  #oldest(): Track | undefined {
    const stream = this.#streams.oldest
    const datagram = this.#datagrams.oldest
    if (stream === undefined || datagram === undefined) return stream ?? datagram
    return stream.lastTime <= datagram.lastTime ? stream : datagram
  }

  /** A connection opened, or one of its ends closed. */
  #changed(known: Track | undefined, segment: Segment): void {
    if (segment.kind === 'open') {
      this.#opened(known, segment)
      return
    }
    // Each direction's end may be told: the first is the whole connection's.
    if (known !== undefined) this.#close(known, segment.time)
  }

  /** A connection's first sequence numbers: what comes later than they say is missing. */
  #opened(known: Track | undefined, segment: Segment): void {
    const track = known ?? this.#open(segment)
    if (track === undefined) return
    track.lastTime = segment.time
    const { connection } = track
    if (connection.role === 'unknown') this.#setRole(connection, segment)
    const way = track.way(segment.direction)
    if (!way.isStarted && segment.sequence !== 0 && segment.protocol === TCP) {
      way.isStarted = true
      way.next = segment.sequence | 0
    }
  }

  #open(segment: Segment): Track | undefined {
    if (this.#isMuted(segment)) {
      this.counters.dropped.muted++
      return undefined
    }
    const connection = new Connection(segment, this.#flowId++)
    this.#setRole(connection, segment)
    this.#peers.add(connection)
    this.#namePeer(connection)
    // The kernel knows a socket's role where it saw it connect, or be accepted.
    const isSeenToOpen = segment.source === 'socket' && segment.role !== 'unknown'
    connection.isFresh = segment.kind === 'open' || isSeenToOpen
    const track = new Track(connection, this.#options.openReader(connection))
    if (this.size >= this.#connectionsMax) {
      this.counters.dropped.evicted++
      this.#close(this.#oldest()!, this.#now)
    }
    this.#table(segment.source).set(segment.key, track)
    this.#agesOf(track).add(track)
    this.#last = track
    return track
  }

  #close(track: Track, time: number): void {
    this.#order.flush(track)
    this.#peers.remove(track.connection)
    this.#table(track.connection.source).delete(track.connection.key)
    this.#agesOf(track).remove(track)
    if (this.#last === track) this.#last = undefined
    track.reader.close(Math.max(time, track.lastTime))
  }

  /** Who moved the bytes, and, of a datagram, whom they came from or went to. */
  #note(track: Track, segment: Segment): void {
    const { connection } = track
    const { processId } = segment
    if (processId !== connection.processId && processId !== 0) {
      connection.processId = processId
      const name = this.#options.nameProcess
      if (name !== undefined) connection.localName = name(processId, commandOf(segment))
      if (connection.peer !== undefined) this.#namePeer(connection.peer)
    }
    if (connection.isDatagram && (connection.setPeer(segment) || isToBeNamed(connection)))
      this.#namePeer(connection)
  }

  /** Who accepted, else who listens, else who is asked first: that a reader finds out. */
  #setRole(connection: Connection, segment: Segment): void {
    if (connection.isDatagram) return
    if (segment.role !== 'unknown') {
      connection.role = segment.role
      return
    }
    const { listens } = this.#options
    if (listens === undefined || segment.source !== 'socket') return
    if (listens(segment.localPort, segment.isIpv4, TCP) > 0) connection.role = 'server'
    else if (isSameHost(connection) && listens(segment.remotePort, segment.isIpv4, TCP) > 0)
      connection.role = 'client'
  }

  /** The remote end's name: its process where that is of this host, else its address's. */
  #namePeer(connection: Connection): void {
    const { listens, nameProcess, nameAddress } = this.#options
    const { remotePort, isIpv4, protocol } = connection
    connection.remoteProcessId = 0
    if (remotePort === 0) {
      connection.remoteName = 0
      return
    }
    const peer = this.#peers.of(connection)
    if (peer !== undefined && peer.localName !== 0) {
      connection.remoteProcessId = peer.processId
      connection.remoteName = peer.localName
      return
    }
    if (connection.source === 'socket' && listens !== undefined && isSameHost(connection))
      connection.remoteProcessId = listens(remotePort, isIpv4, protocol)
    if (connection.remoteProcessId > 0 && nameProcess !== undefined)
      connection.remoteName = nameProcess(connection.remoteProcessId, '')
    else if (nameAddress !== undefined)
      connection.remoteName = nameAddress(connection.addresses, 16, isIpv4)
  }

  #isMuted(segment: Segment): boolean {
    const { isMuted } = this.#options
    if (isMuted === undefined) return false
    const slot = segment.key % MUTED_MAX
    const isKnown = this.#muted[slot] === segment.key && segment.key !== 0
    // What is still under way costs little; a socket the kernel tries anew after a quiet minute is
    // told again.
    if (isKnown && segment.time < this.#mutedUntil[slot]!) return true
    if (!(isKnown || isMuted(segment))) return false
    this.#muted[slot] = segment.key
    this.#mutedUntil[slot] = segment.time + MUTED_US
    if (segment.source === 'socket') this.#options.setVerdict(segment.key, IGNORE)
    return true
  }

  /** Tells capture what the connection's reader wants to see of it. */
  #decide(track: Track): void {
    const { source, key, wants } = track.connection
    track.verdict = wants
    if (source === 'socket' && wants !== UNDECIDED) this.#options.setVerdict(key, wants)
  }
}

/** Whether both ends are on this host, as far as addresses tell. */
function isSameHost({ addresses, isIpv4 }: Connection): boolean {
  return (isIpv4 && addresses[16] === 127) || sameAddress(addresses, 0, addresses, 16)
}

/** A datagram's peer on this host may become known only after the first datagram. */
function isToBeNamed(connection: Connection): boolean {
  return connection.remoteProcessId === 0 && isSameHost(connection)
}

const decoder = new TextDecoder()

/** The name of the segment's thread, up to its NUL. */
function commandOf({ command, commandAt }: Segment): string {
  let end = commandAt
  while (end < commandAt + 16 && end < command.length && command[end] !== 0) end++
  return decoder.decode(command.subarray(commandAt, end))
}
