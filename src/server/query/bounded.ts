import type { Readable } from 'node:stream'
import { MetaflowError } from '../../lib/errors.ts'
import { codeOf, saidBy } from './engine-error.ts'

export type BoundedOptions = {
  readonly source: Readable
  readonly bytesMax: number
  /** What marks an exception in the middle of the engine's answer, from its header. */
  readonly tag: string | undefined
  /** Called once when the stream has ended, in whatever way. */
  readonly leave?: () => void
}

/**
 * An answer's bytes. Where the engine fails in their middle, or they are more than `bytesMax`, the
 * stream fails: whoever reads it must not take the beginning for the whole.
 */
export function bounded({
  source,
  bytesMax,
  tag,
  leave,
}: BoundedOptions): ReadableStream<Uint8Array> {
  const chunks = source[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>
  // https://clickhouse.com/docs/interfaces/http: \r\n__exception__\r\n<tag>\r\n<message>…
  const marker = tag ? Buffer.from(`\r\n__exception__\r\n${tag}\r\n`) : undefined
  let held: Buffer = Buffer.alloc(0)
  let size = 0
  const end = (): void => {
    source.destroy()
    leave?.()
  }
  /** The bytes that may be given on: an exception's mark may still be coming. */
  const take = (chunk: Uint8Array): Uint8Array => {
    if (!marker) return chunk
    const all = held.length > 0 ? Buffer.concat([held, chunk]) : Buffer.from(chunk)
    const at = all.indexOf(marker)
    if (at >= 0) throw failure(all.subarray(at + marker.length).toString())
    const safe = Math.max(0, all.length - marker.length)
    held = all.subarray(safe)
    return all.subarray(0, safe)
  }
  return new ReadableStream<Uint8Array>({
    async pull(controller): Promise<void> {
      try {
        const { done, value } = await chunks.next()
        if (done) {
          if (held.length > 0) controller.enqueue(held)
          end()
          controller.close()
          return
        }
        size += value.length
        if (size > bytesMax) throw tooLarge(bytesMax)
        const bytes = take(value)
        if (bytes.length > 0) controller.enqueue(bytes)
        else await this.pull!(controller)
      } catch (thrown) {
        end()
        controller.error(thrown)
      }
    },
    cancel: end,
  })
}

function tooLarge(bytesMax: number): MetaflowError {
  const sentence = `Cannot go on with the answer: it has more than ${bytesMax} bytes`
  return new MetaflowError('tooLarge', sentence)
}

function failure(text: string): MetaflowError {
  return new MetaflowError(codeOf(text), `Cannot go on with the answer: ${saidBy(text)}`)
}
