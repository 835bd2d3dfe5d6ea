/** The one place that starts other programs: tied to us, heard line by line, stopped. */
import { fileURLToPath } from 'node:url'
import { MetaflowError } from './errors.ts'
import { log } from './log.ts'
import { IS_BUILT } from './worker.ts'

/** A line longer than this is cut: a child's output is bounded like everything else. */
export const LINE_BYTES_MAX = 16_384
/** How long a child may take to stop after SIGTERM. */
export const GRACE_MS = 10_000

/** How a child ended: its exit code, or the signal that killed it. */
export type Exit = { readonly code: number | null; readonly signal: NodeJS.Signals | null }

/** The command line of our own program with `args`: the executable, or Bun with the sources. */
export function ownCommand(args: readonly string[]): [string, ...string[]] {
  const main = IS_BUILT ? [] : [fileURLToPath(new URL('../main.ts', import.meta.url))]
  return [process.execPath, ...main, ...args]
}

export type ChildOptions = {
  /** Program and arguments; a program without a slash is searched on PATH. */
  readonly command: readonly [string, ...string[]]
  /** What its log lines are headed with. */
  readonly name: string
  readonly directory?: string
  /** Added to our environment; undefined takes a variable away. */
  readonly environment?: Readonly<Record<string, string | undefined>>
  /** Takes each line of its output; by default it is logged. */
  readonly onLine?: (line: string, from: 'stdout' | 'stderr') => void
}

export type Child = {
  readonly processId: number
  /** Resolves when it ended and all it wrote was handed on; never rejects. */
  readonly exited: Promise<Exit>
  /** SIGTERM, then SIGKILL to its whole process group after the grace. Safe to call again. */
  stop(graceMs?: number): Promise<Exit>
  /** Sends `signal` to the child alone. */
  signal(signal: NodeJS.Signals): void
}

/**
 * Starts a program that lives no longer than we do, whatever kills us: our own executable ties
 * itself (the runtime's own switch), any other is tied by `setpriv --pdeathsig` where there is one.
 * It leads a process group of its own, so that Ctrl-C at a terminal reaches us alone and we stop
 * our children in order. Throws where the program cannot be started.
 */
export function startChild(options: ChildOptions): Child {
  const { command, name, onLine = (line) => log('info', `${name}: ${line}`) } = options
  if (Bun.which(command[0]) === null)
    throw new MetaflowError('absent', `Cannot start ${command[0]}: there is no such program`)
  const child = Bun.spawn([...tied(command)], {
    ...(options.directory === undefined ? {} : { cwd: options.directory }),
    env: environmentOf(options),
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
    detached: true,
  })
  const heard = Promise.all([
    forwardLines(child.stdout, (line) => onLine(line, 'stdout')),
    forwardLines(child.stderr, (line) => onLine(line, 'stderr')),
  ])
  const gone = child.exited.then(() => killGroup(child.pid))
  // What a grandchild still holds open is not waited for: its group was killed just above.
  const exited = Promise.all([gone, heard]).then(
    (): Exit => ({ code: child.exitCode, signal: child.signalCode as NodeJS.Signals | null }),
  )
  return {
    processId: child.pid,
    exited,
    stop: (graceMs = GRACE_MS) => {
      child.kill('SIGTERM')
      const timer = setTimeout(() => killGroup(child.pid), graceMs)
      return exited.finally(() => clearTimeout(timer))
    },
    signal: (signal) => child.kill(signal),
  }
}

export type Output = Exit & { readonly stdout: string; readonly stderr: string }

/** Runs a program to its end and answers what it wrote; it is killed after `timeoutMs`. */
export async function runProgram(
  command: readonly [string, ...string[]],
  options: Omit<ChildOptions, 'command' | 'name' | 'onLine'> & { readonly timeoutMs?: number } = {},
): Promise<Output> {
  const text = { stdout: '', stderr: '' }
  const child = startChild({
    ...options,
    command,
    name: command[0],
    onLine: (line, from) => {
      text[from] += `${line}\n`
    },
  })
  const timer = setTimeout(() => void child.stop(0), options.timeoutMs ?? 60_000)
  const exit = await child.exited
  clearTimeout(timer)
  return { ...exit, ...text }
}

function tied(command: readonly [string, ...string[]]): readonly string[] {
  if (command[0] === process.execPath) return command
  const setpriv = Bun.which('setpriv')
  return setpriv === null ? command : [setpriv, '--pdeathsig', 'KILL', '--', ...command]
}

function environmentOf(options: ChildOptions): Record<string, string | undefined> {
  return {
    // biome-ignore lint/style/noProcessEnv: handed on whole, nothing is read from it
    ...process.env,
    // Bun: exit when the parent dies, and end every descendant on exit.
    BUN_FEATURE_FLAG_NO_ORPHANS: '1',
    ...options.environment,
  }
}

function killGroup(processId: number): void {
  try {
    process.kill(-processId, 'SIGKILL')
  } catch {
    // ESRCH: nobody is left in the group, which is what was wanted.
  }
}

async function forwardLines(
  stream: ReadableStream<Uint8Array>,
  take: (line: string) => void,
): Promise<void> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of stream) {
    rest += decoder.decode(chunk, { stream: true })
    const lines = rest.split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) take(line.slice(0, LINE_BYTES_MAX))
    if (rest.length > LINE_BYTES_MAX) {
      take(rest.slice(0, LINE_BYTES_MAX))
      rest = ''
    }
  }
  if (rest !== '') take(rest)
}
