import { type Connection, sameAddress } from '../../model/connection.ts'

const PORTS = 65_536
const DATAGRAM = PORTS * PORTS
const LOOPBACK_4 = 127

/**
 * The sockets of this host by their ports: where both ends of a connection are here, each finds the
 * other, and with it the process that no address could tell.
 */
export class Peers {
  readonly #byPorts = new Map<number, Connection>()

  /** Takes a connection in; a stream's two ends are tied together once both are known. */
  add(connection: Connection): void {
    if (connection.source !== 'socket') return
    this.#byPorts.set(keyOf(connection), connection)
    if (connection.isDatagram) return
    const other = this.#byPorts.get(connection.remotePort * PORTS + connection.localPort)
    if (other === undefined || !isOtherEnd(connection, other)) return
    connection.peer = other
    other.peer = connection
  }

  remove(connection: Connection): void {
    const key = keyOf(connection)
    if (this.#byPorts.get(key) === connection) this.#byPorts.delete(key)
    if (connection.peer?.peer === connection) connection.peer.peer = undefined
    connection.peer = undefined
  }

  /** The socket of this host at the remote end, where it has said something already. */
  of(connection: Connection): Connection | undefined {
    if (!connection.isDatagram) return connection.peer
    const other = this.#byPorts.get(DATAGRAM + connection.remotePort)
    return other !== undefined && isOtherEnd(connection, other) ? other : undefined
  }
}

function keyOf({ isDatagram, localPort, remotePort }: Connection): number {
  return isDatagram ? DATAGRAM + localPort : localPort * PORTS + remotePort
}

/** Loopback addresses mean something within one network namespace only. */
function isOtherEnd(one: Connection, other: Connection): boolean {
  if (one === other || one.isIpv4 !== other.isIpv4) return false
  const { addresses } = one
  const isLoopback = one.isIpv4 ? addresses[16] === LOOPBACK_4 : isLoopback6(addresses)
  if (isLoopback && one.network !== other.network) return false
  if (one.isDatagram && isUnspecified(other.addresses)) return one.network === other.network
  return (
    sameAddress(addresses, 16, other.addresses, 0) &&
    (one.isDatagram || sameAddress(addresses, 0, other.addresses, 16))
  )
}

/** Whether the remote address is ::1. */
function isLoopback6(addresses: Uint8Array): boolean {
  for (let at = 16; at < 31; at++) if (addresses[at] !== 0) return false
  return addresses[31] === 1
}

/** A datagram socket that is bound to every address of its host. */
function isUnspecified(addresses: Uint8Array): boolean {
  for (let at = 0; at < 16; at++) if (addresses[at] !== 0) return false
  return true
}
