import { existsSync, readFileSync } from 'node:fs'

/** What one packet of a capture file carries above TCP or UDP. */
export type Packet = {
  /** Address and port of who sent it, and of whom it was sent to. */
  readonly from: string
  readonly to: string
  readonly isDatagram: boolean
  readonly sequence: number
  readonly bytes: Uint8Array
}

/** Sample captures lie beside the repository; they are not part of it. */
export const SAMPLES: string = new URL('../../../../shared/pcap/', import.meta.url).pathname
export const hasSamples: boolean = existsSync(SAMPLES)

const MAGIC = 0xa1b2c3d4
const MODIFIED = 0xa1b2cd34
const NANOSECONDS = 0xa1b23c4d
const IPV4 = 0x0800
const VLAN = 0x8100
const TCP = 6
const UDP = 17

/** The packets of a classic capture file over Ethernet and IPv4 that carry something. */
export function packetsOf(path: string): Packet[] {
  const bytes = readFileSync(path)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const isLittle = [MAGIC, MODIFIED, NANOSECONDS].includes(view.getUint32(0, true))
  const headSize = view.getUint32(0, isLittle) === MODIFIED ? 24 : 16
  const packets: Packet[] = []
  for (let at = 24; at + headSize <= bytes.length; ) {
    const size = view.getUint32(at + 8, isLittle)
    const packet = frame(bytes.subarray(at + headSize, at + headSize + size))
    if (packet !== undefined && packet.bytes.length > 0) packets.push(packet)
    at += headSize + size
  }
  return packets
}

function frame(bytes: Uint8Array): Packet | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  let at = 12
  while (view.getUint16(at) === VLAN) at += 4
  if (view.getUint16(at) !== IPV4) return undefined
  const ip = at + 2
  const protocol = bytes[ip + 9]
  const end = Math.min(ip + view.getUint16(ip + 2), bytes.length)
  const transport = ip + (bytes[ip]! & 15) * 4
  if (protocol !== TCP && protocol !== UDP) return undefined
  const size = protocol === UDP ? 8 : (bytes[transport + 12]! >> 4) * 4
  const address = (from: number, port: number): string =>
    `${bytes.subarray(from, from + 4).join('.')}:${view.getUint16(port)}`
  return {
    from: address(ip + 12, transport),
    to: address(ip + 16, transport + 2),
    isDatagram: protocol === UDP,
    sequence: protocol === TCP ? view.getUint32(transport + 4) : 0,
    bytes: bytes.slice(transport + size, end),
  }
}
