import { find } from '../../lib/words.ts'
import { Text } from '../../model/message.ts'
import { EndpointRules } from './endpoint-rules.ts'

/** Endpoints that one process group's port may have; what comes later is `(other)`. */
export const ENDPOINTS_MAX = 1000
/** Process groups and ports whose endpoints are remembered apart; further ones share one memory. */
const GROUPS_MAX = 4096
const SIZE_MAX = 256
/** A segment of so many hexadecimal digits is an id. */
const HEX_MIN = 16
const UUID_SIZE = 36

const scratch = new Uint8Array(SIZE_MAX)
const endpoint = new Text()
const OTHER = new TextEncoder().encode('(other)')
const NO_RULES = new EndpointRules()

/**
 * A path's first two segments (or as many as `rules` say), id-like ones (digits, UUID, hex ≥ 16) as
 * `*`; scheme, authority, query, fragment and parameters left out. Valid until the next call; it
 * lies in the path itself where it can.
 */
export function pathEndpoint(text: Text, rules: EndpointRules = NO_RULES): Text {
  const { bytes, end } = text
  const start = pathStart(bytes, text.start, end)
  const most = rules.segmentsOf(text, start)
  let at = start
  for (let segments = 0; segments < most && at < end && bytes[at] === SLASH; segments++) {
    const from = at + 1
    let seen = 0
    let to = from
    while (to < end) {
      const kind = KINDS[bytes[to]!]!
      if (kind === ENDS) break
      seen |= kind
      to++
    }
    // A path's closing slash is no segment of its own.
    if (to === from && segments > 0) break
    if (mayBeId(seen, to - from) && isId(bytes, from, to)) return rewritten(bytes, start, end, most)
    at = to
  }
  endpoint.set(bytes, start, Math.min(at - start, SIZE_MAX - 2))
  return endpoint
}

/** Whether bytes of these kinds may be an id: nearly all segments are names of things. */
function mayBeId(seen: number, size: number): boolean {
  return size > 0 && (seen === DIGIT || (seen < NO_ID && size >= HEX_MIN))
}

/** The endpoint of a path that has ids. */
function rewritten(bytes: Uint8Array, start: number, end: number, most: number): Text {
  let at = start
  let to = 0
  for (
    let segments = 0;
    segments < most && to < SIZE_MAX - 2 && at < end && bytes[at] === SLASH;
    segments++
  ) {
    const from = at + 1
    at = from
    while (at < end && KINDS[bytes[at]!] !== ENDS) at++
    if (at === from && segments > 0) break
    scratch[to++] = SLASH
    if (isId(bytes, from, at)) scratch[to++] = ASTERISK
    else for (let i = from; i < at && to < SIZE_MAX - 2; i++) scratch[to++] = bytes[i]!
  }
  endpoint.set(scratch, 0, to)
  return endpoint
}

/** Where the path begins, past `scheme://authority` where there is one. */
function pathStart(bytes: Uint8Array, start: number, end: number): number {
  if (bytes[start] === SLASH) return start
  for (let at = start; at + 2 < end && at < start + 8; at++)
    if (bytes[at] === COLON && bytes[at + 1] === SLASH && bytes[at + 2] === SLASH) {
      const path = find(bytes, SLASH, at + 3, end)
      return path < 0 ? end : path
    }
  return end
}

/** Digits alone, a UUID, or hexadecimal digits of which there are many. */
function isId(bytes: Uint8Array, from: number, to: number): boolean {
  const size = to - from
  if (size === 0) return false
  let isDigits = true
  for (let at = from; at < to; at++) {
    const byte = bytes[at]!
    if (byte >= 0x30 && byte <= 0x39) continue
    isDigits = false
    const letter = byte | 0x20
    const isHex = letter >= 0x61 && letter <= 0x66
    if (!isHex && !(byte === DASH && size === UUID_SIZE && isDashPlace(at - from))) return false
  }
  return isDigits || size >= HEX_MIN
}

function isDashPlace(place: number): boolean {
  return place === 8 || place === 13 || place === 18 || place === 23
}

/** The endpoints seen of each process group and port, so that their number stays bounded. */
export class Endpoints {
  readonly #groups = new Map<number, Group>()
  readonly #shared = new Group()
  /** Calls whose endpoint became `(other)`. */
  overflowed = 0
  readonly rules: EndpointRules

  constructor(rules: EndpointRules = NO_RULES) {
    this.rules = rules
  }

  /** The memory of the server `name` at `port`; keep it while both stay. */
  group(name: number, port: number): Group {
    const key = name * 65_536 + port
    const known = this.#groups.get(key)
    if (known !== undefined) return known
    if (this.#groups.size >= GROUPS_MAX) return this.#shared
    const group = new Group()
    this.#groups.set(key, group)
    return group
  }

  /** `text`, or `(other)` where `group` has its fill of endpoints without it. */
  bound(group: Group, text: Text): Text {
    if (group.has(text)) return text
    this.overflowed++
    endpoint.set(OTHER, 0, OTHER.length)
    return endpoint
  }
}

/** A set of endpoints by their hash: open addressing, never emptied, at most ENDPOINTS_MAX. */
export class Group {
  #slots = new Int32Array(32)
  #size = 0

  /** Whether `text` is, or may still become, one of them. */
  has(text: Text): boolean {
    const hash = hashOf(text)
    if (this.#find(hash)) return true
    if (this.#size >= ENDPOINTS_MAX) return false
    if (this.#size * 2 >= this.#slots.length) this.#grow()
    this.#insert(hash)
    this.#size++
    return true
  }

  #find(hash: number): boolean {
    const mask = this.#slots.length - 1
    let at = hash & mask
    for (let slot = this.#slots[at]!; slot !== 0; slot = this.#slots[at]!) {
      if (slot === hash) return true
      at = (at + 1) & mask
    }
    return false
  }

  #insert(hash: number): void {
    const mask = this.#slots.length - 1
    let at = hash & mask
    while (this.#slots[at] !== 0) at = (at + 1) & mask
    this.#slots[at] = hash
  }

  #grow(): void {
    const old = this.#slots
    this.#slots = new Int32Array(old.length * 2)
    for (const hash of old) if (hash !== 0) this.#insert(hash)
  }
}

/** FNV-1a of 32 bits, never 0. http://www.isthe.com/chongo/tech/comp/fnv/ */
function hashOf({ bytes, start, end }: Text): number {
  let hash = 0x811c9dc5 | 0
  for (let at = start; at < end; at++) hash = Math.imul(hash ^ bytes[at]!, 0x01000193)
  return hash === 0 ? 1 : hash
}

const HASH = 0x23
const ASTERISK = 0x2a
const DASH = 0x2d
const SLASH = 0x2f
const COLON = 0x3a
const SEMICOLON = 0x3b
const QUESTION = 0x3f

/** Kinds of bytes in a path, each a bit: a segment that has one of the last kind is no id. */
const DIGIT = 1
const HEX_LETTER = 2
const IN_UUID = 4
const NO_ID = 8
const ENDS = 16
const KINDS = new Uint8Array(256).fill(NO_ID)
KINDS.fill(DIGIT, 0x30, 0x3a)
KINDS.fill(HEX_LETTER, 0x41, 0x47)
KINDS.fill(HEX_LETTER, 0x61, 0x67)
KINDS[DASH] = IN_UUID
KINDS[SLASH] = ENDS
KINDS[QUESTION] = ENDS
// A segment's parameters (RFC 3986, 3.3) are not its name: session ids travel there.
KINDS[SEMICOLON] = ENDS
KINDS[HASH] = ENDS
