import { MetaflowError } from '../../lib/errors.ts'
import type { Text } from '../../model/message.ts'

/** Segments of a path that make its endpoint where no rule says otherwise. */
export const SEGMENTS = 2
const RULES_MAX = 64
const RULE = /^(\/[^=?#\s]*)=(\d{1,2})$/
const SLASH = 0x2f
const QUESTION = 0x3f
const HASH = 0x23

type Rule = { readonly prefix: Uint8Array; readonly segments: number }

/**
 * How many segments of a path make its endpoint, by its beginning: `/api/v2=4, /static=1`. The
 * longest beginning counts; it ends where a segment ends.
 */
export class EndpointRules {
  readonly #rules: readonly Rule[]

  /** Throws misuse where `text` is no list of PREFIX=SEGMENTS. */
  constructor(text = '') {
    const parts = text.split(',').filter((part) => part.trim() !== '')
    if (parts.length > RULES_MAX) refuse(text, `${RULES_MAX} rules are allowed`)
    this.#rules = parts
      .map((part) => {
        const [, prefix = '', segments = ''] =
          RULE.exec(part.trim()) ?? refuse(part, 'no PREFIX=SEGMENTS')
        return { prefix: new TextEncoder().encode(prefix), segments: Number(segments) }
      })
      .sort((a, b) => b.prefix.length - a.prefix.length)
  }

  /** Segments of the path that begins at `start` of the text's bytes. */
  segmentsOf({ bytes, end }: Text, start: number): number {
    for (const { prefix, segments } of this.#rules)
      if (begins(bytes, start, end, prefix)) return segments
    return SEGMENTS
  }
}

function begins(bytes: Uint8Array, start: number, end: number, prefix: Uint8Array): boolean {
  const size = prefix.length
  if (end - start < size) return false
  for (let at = 0; at < size; at++) if (bytes[start + at] !== prefix[at]) return false
  if (start + size === end || prefix[size - 1] === SLASH) return true
  const next = bytes[start + size]
  return next === SLASH || next === QUESTION || next === HASH
}

function refuse(text: string, state: string): never {
  throw new MetaflowError(
    'misuse',
    `Cannot use ${JSON.stringify(text)} of agent.endpoints: ${state}`,
  )
}
