/** Where our own workers lie: inside the executable by a fixed name, else beside this file. */
const INSIDE = '/$bunfs/'

/** Whether this is the built executable, not the sources. */
export const IS_BUILT: boolean = import.meta.path.startsWith(INSIDE)

/**
 * Starts the worker whose entry is `path` below src, such as 'agent/worker.ts'. Give it a literal:
 * the build finds the executable's entry points by looking for calls of this function. Relative
 * names do not do: in the executable they resolve against the first entry, and against the working
 * directory, which is somebody else's.
 */
export function startWorker(path: `${string}.ts`, options: WorkerOptions = {}): Worker {
  const url = IS_BUILT
    ? `${INSIDE}root/${path.replace(/\.ts$/, '.js')}`
    : new URL(`../${path}`, import.meta.url).href
  return new Worker(url, options)
}
