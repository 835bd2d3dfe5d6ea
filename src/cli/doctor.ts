/** `metaflow doctor`: what this machine permits, and what is done without it. */
import { existsSync, readdirSync, readFileSync, readlinkSync, statfsSync } from 'node:fs'
import { dirname } from 'node:path'
import { hasTracepoint } from '../agent/capture/permits.ts'
import { loadConfig } from '../config/load.ts'
import { splitListen } from '../config/rules.ts'
import { MetaflowError, sentenceOf } from '../lib/errors.ts'
import { openLibrary } from '../lib/ffi.ts'
import { print } from '../lib/log.ts'
import { examine, type Finding, type Machine } from './doctor-checks.ts'

const SIGNS = { yes: 'ok  ', partly: 'less', no: 'NO  ' } as const
/** linux/landlock.h; with this flag the system call answers the version. */
const LANDLOCK_CREATE_RULESET = 444
const LANDLOCK_CREATE_RULESET_VERSION = 1

export async function doctorCommand(args: readonly string[]): Promise<number> {
  const { config, flags } = loadConfig('demo', args, { output: true })
  const output = flags.get('output') ?? 'text'
  if (output !== 'text' && output !== 'json')
    throw new MetaflowError('misuse', `Cannot use --output ${output}: expected text or json`)
  const { host, port } = splitListen(config.server.listen)
  const findings = examine(thisMachine, { dataDir: config.dataDir, host, port })
  print(output === 'json' ? `${JSON.stringify(findings, null, 2)}\n` : asText(findings))
  return findings.some(({ verdict }) => verdict === 'no') ? 1 : 0
}

function asText(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map(({ capability }) => capability.length))
  let text = ''
  for (const { capability, verdict, found, without } of findings) {
    text += `${SIGNS[verdict]} ${capability.padEnd(width)}  ${found}\n`
    if (without !== '') text += `${' '.repeat(width + 7)}${without}\n`
  }
  return text
}

function ifReadable(read: () => string): string | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}

const thisMachine: Machine = {
  text: (path) => ifReadable(() => readFileSync(path, 'utf8')),
  exists: existsSync,
  space: (path) => {
    let at = path
    while (!existsSync(at)) at = dirname(at)
    const { blocks, bavail, bsize } = statfsSync(at)
    return { total: blocks * bsize, free: bavail * bsize }
  },
  hasTracepoint,
  processes: () => {
    let [total, hidden] = [0, 0]
    for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
      // Kernel threads have no command line; a process that ended in between counts nowhere.
      if (!ifReadable(() => readFileSync(`/proc/${name}/cmdline`, 'latin1'))) continue
      total++
      if (ifReadable(() => readlinkSync(`/proc/${name}/exe`)) === undefined) hidden++
    }
    return { total, hidden }
  },
  landlock: () => {
    const libc = openLibrary('libc.so.6', {
      syscall: { args: ['i64', 'u64', 'u64', 'u64'], returns: 'i64' },
    })
    const version = LANDLOCK_CREATE_RULESET_VERSION
    return Math.max(0, Number(libc.syscall(LANDLOCK_CREATE_RULESET, 0, 0, version)))
  },
  whyNotListen: (hostname, port) => {
    try {
      Bun.listen({ hostname, port, socket: { data: () => {} } }).stop(true)
      return undefined
    } catch (thrown) {
      return (thrown as NodeJS.ErrnoException).code ?? sentenceOf(thrown)
    }
  },
}
