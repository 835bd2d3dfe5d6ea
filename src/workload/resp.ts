/*
 * As much of Redis' serialization protocol as a small server needs.
 * https://redis.io/docs/latest/develop/reference/protocol-spec/
 */

/** A request's words, and how many bytes it took. No words: an empty line. */
export type Request = { readonly words: readonly string[]; readonly size: number }

export const simple = (text: string): string => `+${text}\r\n`
export const error = (text: string): string => `-${text.replace(/[\r\n]+/g, ' ')}\r\n`
export const integer = (value: number): string => `:${value}\r\n`
export const bulk = (text: string): string => `$${Buffer.byteLength(text)}\r\n${text}\r\n`
export const list = (values: readonly string[]): string => `*${values.length}\r\n${values.join('')}`
/** Keys and values in turn: a map of RESP3, an array of RESP2. */
export const map = (values: readonly string[], isResp3: boolean): string =>
  isResp3 ? `%${values.length / 2}\r\n${values.join('')}` : list(values)
/** What is not there, in RESP2 and RESP3. */
export const NOTHING = ['$-1\r\n', '_\r\n'] as const

/** Reads the request that `input` begins with, or undefined where it is not whole. */
export function readRequest(input: Buffer): Request | undefined {
  const line = lineAt(input, 0)
  if (line === undefined) return undefined
  if (!line.text.startsWith('*'))
    return { words: line.text.split(/\s+/).filter((word) => word !== ''), size: line.end }
  const words: string[] = []
  let at = line.end
  for (let left = Number(line.text.slice(1)); left > 0; left--) {
    const size = lineAt(input, at)
    if (size === undefined) return undefined
    const end = size.end + Number(size.text.slice(1))
    if (!(end + 2 <= input.length)) return undefined
    words.push(input.toString('utf8', size.end, end))
    at = end + 2
  }
  return { words, size: at }
}

function lineAt(input: Buffer, start: number): { text: string; end: number } | undefined {
  const at = input.indexOf('\n', start)
  if (at < 0) return undefined
  return { text: input.toString('latin1', start, at).trimEnd(), end: at + 1 }
}
