/** Writes packets and captures of the kinds that the readers read. */
import type { Segment } from '../../../src/model/segment.ts'

export type Tcp = {
  readonly from: string
  readonly to: string
  readonly flags?: string
  readonly sequence?: number
  readonly acknowledge?: number
  readonly text?: string
}

export const FLAGS: Readonly<Record<string, number>> = { F: 1, S: 2, R: 4, P: 8, A: 16 }

export function join(...parts: readonly (Uint8Array | readonly number[])[]): Uint8Array {
  return new Uint8Array(parts.flatMap((part) => [...part]))
}

export function be16(value: number): number[] {
  return [(value >> 8) & 255, value & 255]
}

export function be32(value: number): number[] {
  return [...be16(value >>> 16), ...be16(value & 0xffff)]
}

/** `address:port` as address bytes and port; IPv6 in hex of 32 digits. */
function endOf(text: string): { address: Uint8Array; port: number } {
  const colon = text.lastIndexOf(':')
  const host = text.slice(0, colon)
  const address = host.includes('.')
    ? Uint8Array.from(host.split('.').map(Number))
    : Uint8Array.fromHex(host)
  return { address, port: Number(text.slice(colon + 1)) }
}

export function tcp({
  from,
  to,
  sequence = 1,
  acknowledge,
  flags = acknowledge === undefined ? '' : 'A',
  text = '',
}: Tcp): Uint8Array {
  const bits = [...flags].reduce((sum, flag) => sum + FLAGS[flag]!, 0)
  const head = join(
    be16(endOf(from).port),
    be16(endOf(to).port),
    be32(sequence),
    be32(acknowledge ?? 1),
    [0x80, bits, 0, 0, 0, 0, 0, 0],
    [1, 1, 1, 1, 1, 1, 1, 1],
  )
  head[12] = 0x70
  return join(head, new TextEncoder().encode(text))
}

export function udp(from: string, to: string, text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text)
  return join(be16(endOf(from).port), be16(endOf(to).port), be16(bytes.length + 8), [0, 0], bytes)
}

export type Ip = {
  readonly from: string
  readonly to: string
  readonly protocol: number
  readonly payload: Uint8Array
}

export function ip4(
  { from, to, protocol, payload }: Ip,
  { options = 0, id = 7, place = 0 }: { options?: number; id?: number; place?: number } = {},
): Uint8Array {
  const size = 20 + options * 4
  return join(
    [0x40 | (size / 4), 0],
    be16(size + payload.length),
    be16(id),
    be16(place),
    [64, protocol, 0, 0],
    endOf(from).address,
    endOf(to).address,
    new Uint8Array(options * 4).fill(1),
    payload,
  )
}

/** `extensions`: [type, bytes] in their order; each names the next. */
export function ip6(
  { from, to, protocol, payload }: Ip,
  extensions: readonly (readonly [number, readonly number[]])[] = [],
): Uint8Array {
  const types = [...extensions.map(([type]) => type), protocol]
  const heads = extensions.flatMap(([, bytes], i) => [types[i + 1]!, ...bytes])
  return join(
    [0x60, 0, 0, 0],
    be16(heads.length + payload.length),
    [types[0]!, 64],
    endOf(from).address,
    endOf(to).address,
    heads,
    payload,
  )
}

export function ethernet(packet: Uint8Array, tags: readonly number[] = []): Uint8Array {
  const type = packet[0]! >> 4 === 6 ? 0x86dd : 0x0800
  const macs = new Uint8Array(12)
  return join(
    macs,
    tags.flatMap((tag) => [...be16(tag), 0, 5]),
    be16(type),
    packet,
  )
}

export type Frame = { readonly time: number; readonly frame: Uint8Array; readonly size?: number }
export type Kind = 'micro' | 'nano' | 'modified'

function word(value: number, little: boolean): number[] {
  return little ? be32(value).reverse() : be32(value)
}

function half(value: number, little: boolean): number[] {
  return little ? be16(value).reverse() : be16(value)
}

const MAGICS = { micro: 0xa1b2_c3d4, nano: 0xa1b2_3c4d, modified: 0xa1b2_cd34 } as const

/** A classic capture; times are µs. */
export function pcap(
  records: readonly Frame[],
  {
    kind = 'micro',
    little = true,
    link = 1,
  }: { kind?: Kind; little?: boolean; link?: number } = {},
): Uint8Array {
  const w = (value: number): number[] => word(value, little)
  const parts = records.flatMap(({ time, frame, size = frame.length }) => [
    w(Math.floor(time / 1_000_000)),
    w((time % 1_000_000) * (kind === 'nano' ? 1000 : 1) + (kind === 'nano' ? 999 : 0)),
    w(frame.length),
    w(size),
    kind === 'modified' ? new Uint8Array(8).fill(0xee) : [],
    frame,
  ])
  const version = [...half(2, little), ...half(4, little)]
  return join(w(MAGICS[kind]), version, w(0), w(0), w(262_144), w(link), ...parts)
}

export type NgBlock =
  | { readonly section: 'little' | 'big' }
  | { readonly link: number; readonly resolution?: number; readonly offset?: number }
  | { readonly on: number; readonly ticks: bigint; readonly frame: Uint8Array; readonly old?: true }
  | { readonly simple: Uint8Array }
  | { readonly other: number; readonly size: number }

/** A pcapng capture of the given blocks. */
export function pcapng(blocks: readonly NgBlock[]): Uint8Array {
  let little = true
  const parts = blocks.map((block) => {
    if ('section' in block) little = block.section === 'little'
    const [type, body] = ngBody(block, little)
    const size = word(12 + body.length, little)
    return join(word(type, little), size, body, size)
  })
  return join(...parts)
}

function ngBody(block: NgBlock, little: boolean): [number, Uint8Array] {
  const w = (value: number): number[] => word(value, little)
  const h = (value: number): number[] => half(value, little)
  if ('section' in block)
    return [0x0a0d_0d0a, join(w(0x1a2b_3c4d), h(1), h(0), w(0xffff_ffff), w(0xffff_ffff))]
  if ('link' in block) {
    const { resolution, offset } = block
    const wide = offset === undefined ? [] : little ? [w(offset), w(0)] : [w(0), w(offset)]
    const options = join(
      resolution === undefined ? [] : [...h(9), ...h(1), resolution, 0, 0, 0],
      offset === undefined ? [] : join(h(14), h(8), ...wide),
      w(0),
    )
    return [1, join(h(block.link), h(0), w(262_144), options)]
  }
  if ('on' in block) {
    const { frame, ticks, on, old } = block
    const head = old ? join(h(on), h(3)) : join(w(on))
    const time = join(w(Number(ticks >> 32n)), w(Number(ticks & 0xffff_ffffn)))
    return [old ? 2 : 6, join(head, time, w(frame.length), w(frame.length), padded(frame))]
  }
  if ('simple' in block) return [3, join(w(block.simple.length), padded(block.simple))]
  return [block.other, new Uint8Array(block.size)]
}

function padded(frame: Uint8Array): Uint8Array {
  return join(frame, new Uint8Array((4 - (frame.length % 4)) % 4))
}

/** A segment in a line: time, key, who to whom, kind, role, sequence, size and text. */
export function lineOf(segment: Segment): string {
  const { addresses, localAt, remoteAt, bytes, start, end, isIpv4 } = segment
  const address = (at: number): string =>
    isIpv4 ? addresses.subarray(at, at + 4).join('.') : addresses.subarray(at, at + 16).toHex()
  const local = `${address(localAt)}:${segment.localPort}`
  const remote = `${address(remoteAt)}:${segment.remotePort}`
  const arrow = segment.direction === 'send' ? '>' : '<'
  const text = new TextDecoder().decode(bytes.subarray(start, end))
  const { kind, sequence, size } = segment
  const what =
    kind === 'data' ? `${sequence} ${size} ${text}` : kind === 'open' ? `open ${sequence}` : kind
  return `${segment.key} ${local}${arrow}${remote} ${segment.role} ${what}`
}
