/** Which processes are MetaFlow's own, of any installation here: their calls are not shown. */
import { basename } from 'node:path'
import type { Program } from './program.ts'

/** Parts of the executable that observe, keep or answer. The sample workload is observed. */
const OWN = /^(agent|server|engine|demo)$/

/**
 * The mode or command a MetaFlow process runs in, empty where the process is no MetaFlow. Run from
 * its sources, it is Bun with `src/main.ts`.
 */
export function modeOf(executable: string, argv: readonly string[]): string {
  const file = basename(executable)
  const first = file === 'bun' || file === 'bun.exe' ? mainAt(argv) : file === 'metaflow' ? 0 : -1
  if (first < 0) return ''
  for (let i = first + 1; i < argv.length; i++) {
    if (argv[i] === '--mode') return argv[i + 1] ?? ''
    if (argv[i]!.startsWith('--mode=')) return argv[i]!.slice('--mode='.length)
  }
  return argv[first + 1] ?? ''
}

/** What users call a MetaFlow process: a part of the sample workload goes by its own name. */
export function ownProgram(mode: string, argv: readonly string[]): Program {
  const part = argv.find((argument) => argument.startsWith('--part='))?.slice('--part='.length)
  return part === undefined
    ? { script: mode, name: `metaflow-${mode}` }
    : { script: `${mode} ${part}`, name: part }
}

/** Whether a mode is one whose traffic is MetaFlow's own. */
export function isOwnMode(mode: string): boolean {
  return OWN.test(mode)
}

function mainAt(argv: readonly string[]): number {
  return argv.findIndex((argument) => /(^|\/)src\/main\.ts$/.test(argument))
}
