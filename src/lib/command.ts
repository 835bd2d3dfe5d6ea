/**
 * A mode or command of the executable: takes the arguments after its name and a signal that is
 * aborted when it shall stop, and answers the exit code. Throws MetaflowError for a sentence.
 */
export type Command = (args: readonly string[], stop: AbortSignal) => Promise<number>

/** Resolves when `stop` is aborted. */
export function whenStopped(stop: AbortSignal): Promise<void> {
  if (stop.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    stop.addEventListener('abort', () => resolve(), { once: true })
  })
}
