/** Picks the mode or command by dynamic import, so that no other is even read; nothing else. */
import { version } from '../package.json' with { type: 'json' }
import type { Command } from './lib/command.ts'
import { ERRORS, MetaflowError, sentenceOf } from './lib/errors.ts'
import { print, say } from './lib/log.ts'
import { hint } from './lib/nearest.ts'

const MODES: Readonly<Record<string, () => Promise<Command>>> = {
  agent: async () => (await import('./cli/agent.ts')).agentCommand,
  server: async () => (await import('./cli/server.ts')).serverCommand,
  demo: async () => (await import('./cli/demo.ts')).demoCommand,
  engine: async () => (await import('./engine/engine.ts')).runEngine,
  workload: async () => (await import('./workload/workload.ts')).workloadCommand,
}

const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  config: async () => (await import('./cli/config.ts')).configCommand,
  doctor: async () => (await import('./cli/doctor.ts')).doctorCommand,
  help: async () => (await import('./cli/help.ts')).helpCommand,
  query: async () => (await import('./cli/query.ts')).queryCommand,
  replay: async () => (await import('./cli/replay.ts')).replayCommand,
  uninstall: async () => (await import('./cli/uninstall.ts')).uninstallCommand,
}

async function main(): Promise<number> {
  const stop = new AbortController()
  let signals = 0
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.on(signal, () => {
      if (++signals > 1) process.exit(1)
      stop.abort()
    })
  try {
    const args = process.argv.slice(2)
    if (args[0] === '--version' || args[0] === '-V') {
      print(`metaflow ${version}\n`)
      return 0
    }
    const [command, rest] = await commandOf(args)
    return await command(rest, stop.signal)
  } catch (thrown) {
    // Who read our answer has seen enough (`metaflow replay … | head`).
    if ((thrown as NodeJS.ErrnoException).code === 'EPIPE') return 0
    const isOurs = thrown instanceof MetaflowError
    say(`metaflow: ${isOurs ? '' : 'Cannot go on: '}${sentenceOf(thrown)}\n`)
    return ERRORS[isOurs ? thrown.code : 'failed'].exit
  }
}

async function commandOf(
  args: readonly string[],
): Promise<[command: Command, rest: readonly string[]]> {
  if (asksForHelp(args)) return [await COMMANDS['help']!(), topicsOf(args)]
  const at = args.findIndex((arg) => arg === '--mode' || arg.startsWith('--mode='))
  if (at >= 0) {
    const joined = args[at]!.startsWith('--mode=')
    const mode = joined ? args[at]!.slice('--mode='.length) : (args[at + 1] ?? '')
    return [await pick(MODES, 'mode', mode), args.toSpliced(at, joined ? 1 : 2)]
  }
  const name = args[0]
  if (name === undefined)
    throw new MetaflowError('misuse', 'Cannot start: no mode or command given')
  return [await pick(COMMANDS, 'command', name), args.slice(1)]
}

function asksForHelp(args: readonly string[]): boolean {
  const end = args.indexOf('--')
  return (end < 0 ? args : args.slice(0, end)).some((arg) => arg === '--help' || arg === '-h')
}

/** What help is asked about: the mode, or the command. */
function topicsOf(args: readonly string[]): string[] {
  const words = args.filter((arg) => !/^-(h|-help|-mode)$/.test(arg))
  return words.map((word) => word.replace(/^--mode=/, ''))
}

function pick(
  from: Readonly<Record<string, () => Promise<Command>>>,
  kind: string,
  name: string,
): Promise<Command> {
  const load = Object.hasOwn(from, name) ? from[name] : undefined
  if (load !== undefined) return load()
  const names = kind === 'command' ? [...Object.keys(from), '--mode'] : Object.keys(from)
  throw new MetaflowError(
    'misuse',
    `Cannot start ${name || 'nothing'}: there is no such ${kind}` +
      hint(name.split('=')[0]!, names),
  )
}

void main().then((code) => process.exit(code))
