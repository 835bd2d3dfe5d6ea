/** The privileges of the system service are enough to observe: tried without systemd. */
import { afterAll, expect } from 'bun:test'
import { chownSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type Child, startChild } from '../../src/lib/process.ts'
import { testWith } from '../needs.ts'
import { until } from '../until.ts'

const PROJECT = join(import.meta.dir, '..', '..')
const NOBODY = 65_534
/** Their numbers in linux/capability.h. */
const NUMBERS = { DAC_READ_SEARCH: 2, SYS_PTRACE: 19, SYS_RESOURCE: 24, PERFMON: 38, BPF: 39 }
/** Only before Linux 5.11; a container may lack it. */
const OPTIONAL = 'SYS_RESOURCE'

const cleanups: (() => unknown)[] = []
afterAll(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup()
})

function capabilities(): string[] {
  const unit = readFileSync(join(PROJECT, 'deploy', 'metaflow.service'), 'utf8')
  const line = /^AmbientCapabilities=(.*)$/m.exec(unit)?.[1] ?? ''
  return line.split(' ').map((name) => name.replace(/^CAP_/, ''))
}

function isOurs(name: string): boolean {
  const hex = /^CapBnd:\s*([0-9a-f]+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]
  return ((BigInt(`0x${hex}`) >> BigInt(NUMBERS[name as keyof typeof NUMBERS])) & 1n) === 1n
}

testWith(
  'root',
  'btf',
  'executable',
  'setpriv',
)('the service observes with its capabilities alone, as no root', async () => {
  expect(capabilities().filter((name) => !(name in NUMBERS))).toEqual([])
  const names = capabilities().filter((name) => name !== OPTIONAL || isOurs(name))
  const list = ['-all', ...names.map((name) => `+${name.toLowerCase()}`)].join(',')
  const directory = mkdtempSync('/var/tmp/metaflow-service-')
  cleanups.push(() => rmSync(directory, { recursive: true }))
  const data = join(directory, 'data')
  mkdirSync(data)
  for (const path of [directory, data]) chownSync(path, NOBODY, NOBODY)
  const executable = join(directory, 'metaflow')
  copyFileSync(join(PROJECT, 'dist', 'metaflow'), executable)
  const said: string[] = []
  const child: Child = startChild({
    command: [
      ...(['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'] as const),
      ...[`--inh-caps=${list}`, `--ambient-caps=${list}`, `--bounding-set=${list}`],
      ...['--no-new-privs', executable, '--mode=agent', `--data-dir=${data}`],
    ],
    name: 'service',
    onLine: (line) => said.push(line),
  })
  cleanups.push(() => child.stop())
  await until(() => said.some((line) => line.includes('Observing this host')), 30).catch(() => {
    throw new Error(said.join('\n'))
  })
  expect(await child.stop()).toEqual({ code: 0, signal: null })
})
