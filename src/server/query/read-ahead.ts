/** Bytes that are held for all who read more slowly than the engine answers. */
const HELD_BYTES_MAX = 128 * 1024 * 1024

/**
 * Takes answers from the engine as fast as it gives them: it has few connections, and who reads
 * slowly (a pager, a paused download) would keep them from everybody. While there is no room, an
 * answer comes only as fast as it is read.
 */
export class ReadAhead {
  readonly #bytesMax: number
  #held = 0

  constructor(bytesMax: number = HELD_BYTES_MAX) {
    this.#bytesMax = bytesMax
  }

  /** The same bytes, and the same failure behind those that came before it. */
  of(source: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
    const reader = source.getReader()
    const chunks: Uint8Array[] = []
    let ending: 'none' | 'whole' | { readonly failure: unknown } = 'none'
    let isLeft = false
    let moved = Promise.withResolvers<void>()
    const move = (): void => {
      moved.resolve()
      moved = Promise.withResolvers()
    }
    const pump = async (): Promise<void> => {
      try {
        for (;;) {
          const { done, value } = await reader.read()
          if (done || isLeft) break
          chunks.push(value)
          this.#held += value.length
          move()
          while (this.#held > this.#bytesMax && chunks.length > 0) await moved.promise
        }
        ending = 'whole'
      } catch (failure) {
        ending = { failure }
      }
      move()
    }
    const take = (): Uint8Array | undefined => {
      const chunk = chunks.shift()
      this.#held -= chunk?.length ?? 0
      move()
      return chunk
    }
    void pump()
    return new ReadableStream<Uint8Array>(
      {
        async pull(controller): Promise<void> {
          while (chunks.length === 0 && ending === 'none') await moved.promise
          const chunk = take()
          if (chunk) controller.enqueue(chunk)
          else if (ending === 'whole') controller.close()
          else controller.error((ending as { failure: unknown }).failure)
        },
        async cancel(reason): Promise<void> {
          isLeft = true
          while (take());
          await reader.cancel(reason)
        },
      },
      { highWaterMark: 0 },
    )
  }
}
