import type { Name } from '../model/name.ts'
import { refuse } from './header.ts'

/*
 * The names a block's rows point to, from 1 (0 is nobody and does not travel):
 *
 *   name = type (1), then key, name, processName, hostKey, hostName, each: size (2), UTF-8
 */

/** No text of a name travels beyond this. */
export const NAME_BYTES_MAX = 4096
const NOBODY: Name = { type: 0, key: '', name: '', processName: '', hostKey: '', hostName: '' }
const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** Names as bytes. Their texts are made once: the same object is written from memory again. */
const encoded = new WeakMap<Name, Uint8Array>()

export function encodeName(name: Name): Uint8Array {
  const known = encoded.get(name)
  if (known) return known
  const texts = [name.key, name.name, name.processName, name.hostKey, name.hostName]
  const parts = texts.map((text) => cut(encoder.encode(text)))
  const bytes = new Uint8Array(parts.reduce((size, part) => size + 2 + part.length, 1))
  bytes[0] = name.type
  let at = 1
  for (const part of parts) {
    bytes[at] = part.length & 0xff
    bytes[at + 1] = part.length >> 8
    bytes.set(part, at + 2)
    at += 2 + part.length
  }
  encoded.set(name, bytes)
  return bytes
}

/** Reads `count` names from `bytes[start, end)`; the answer has nobody before them. */
export function decodeNames(bytes: Uint8Array, start: number, end: number, count: number): Name[] {
  const names: Name[] = [NOBODY]
  let at = start
  for (let i = 0; i < count; i++) {
    if (at >= end) refuse('its names are cut short')
    const type = bytes[at++]!
    const texts: string[] = []
    for (let field = 0; field < 5; field++) {
      const size = at + 2 <= end ? bytes[at]! | (bytes[at + 1]! << 8) : -1
      if (size < 0 || size > NAME_BYTES_MAX || at + 2 + size > end)
        refuse('its names are cut short')
      texts.push(decoder.decode(bytes.subarray(at + 2, at + 2 + size)))
      at += 2 + size
    }
    const [key = '', name = '', processName = '', hostKey = '', hostName = ''] = texts
    names.push({ type, key, name, processName, hostKey, hostName })
  }
  return names
}

/** At most NAME_BYTES_MAX of `bytes`, cut between characters. */
function cut(bytes: Uint8Array): Uint8Array {
  if (bytes.length <= NAME_BYTES_MAX) return bytes
  let end = NAME_BYTES_MAX
  while (end > 0 && (bytes[end]! & 0xc0) === 0x80) end--
  return bytes.subarray(0, end)
}
