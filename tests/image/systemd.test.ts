/** The system service under a real systemd: Debian's, the first process of namespaces of its own. */
import { afterAll, beforeAll, expect, setDefaultTimeout } from 'bun:test'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { type Child, runProgram, startChild } from '../../src/lib/process.ts'
import { missing, testWith } from '../needs.ts'
import { freePort } from '../peers/peers.ts'
import { until } from '../until.ts'
import { MINUTES, makeDebian } from './debian.ts'

const NEEDS = ['root', 'btf', 'mounts', 'executable', 'debootstrap', 'unshare', 'nsenter'] as const
const PROJECT = join(import.meta.dir, '..', '..')
/** Of the hierarchy that systemd takes; on hosts with the unified one, of that. */
const CGROUPS = existsSync('/sys/fs/cgroup/systemd') ? '/sys/fs/cgroup/systemd' : '/sys/fs/cgroup'
/** What wants a console, devices or the network of a whole machine. */
const MASKED = ['getty.target', 'console-getty.service', 'systemd-logind.service']
const test = testWith(...NEEDS)
setDefaultTimeout(10 * MINUTES)

let directory = ''
let cgroup = ''
let port = 0
let init: Child | undefined
const said: string[] = []

beforeAll(async () => {
  if (missing(...NEEDS) !== undefined) return
  directory = mkdtempSync('/var/tmp/metaflow-systemd-')
  const root = join(directory, 'root')
  await makeDebian(root, 'systemd', 'systemd-sysv', 'dbus')
  port = await freePort()
  copyFileSync(join(PROJECT, 'dist/metaflow'), join(root, 'usr/local/bin/metaflow'))
  const units = join(root, 'etc/systemd/system')
  copyFileSync(join(PROJECT, 'deploy/metaflow.service'), join(units, 'metaflow.service'))
  for (const unit of MASKED) symlinkSync('/dev/null', join(units, unit))
  mkdirSync(join(root, 'etc/default'), { recursive: true })
  writeFileSync(
    join(root, 'etc/default/metaflow'),
    `MODE=demo\nMETAFLOW_SERVER_LISTEN=127.0.0.1:${port}\n`,
  )
  cgroup = join(CGROUPS, `metaflow-test-${process.pid}`)
  mkdirSync(cgroup)
  const enter = 'echo $$ > "$0/cgroup.procs" && exec unshare "$@"'
  const kinds = ['--mount', '--pid', '--uts', '--ipc', '--cgroup', '--fork', '--kill-child']
  const boot = join(import.meta.dir, 'boot-systemd.sh')
  init = startChild({
    command: ['sh', '-c', enter, cgroup, ...kinds, 'sh', boot, root],
    name: 'systemd',
    onLine: (line) => said.push(line),
  })
  await until(async () => (await systemctl('is-system-running')) !== '', 60).catch(() => {
    throw new Error(`Cannot start systemd: ${said.slice(-9).join('\n')}`)
  })
})

afterAll(async () => {
  init?.signal('SIGKILL')
  await init?.exited
  if (cgroup !== '') await until(() => removeCgroups(cgroup), 20)
  if (directory !== '') rmSync(directory, { recursive: true, force: true })
})

/** Removes a control group with those in it; false while there are processes left. */
function removeCgroups(folder: string): boolean {
  for (const entry of readdirSync(folder, { withFileTypes: true }))
    if (entry.isDirectory()) removeCgroups(join(folder, entry.name))
  try {
    rmdirSync(folder)
  } catch {
    return false
  }
  return true
}

/** Process ids, as the host counts them, of those that systemd started with `word` in their line. */
function processesWith(word: string): number[] {
  const found = (folder: string): number[] => [
    ...readFileSync(join(folder, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number),
    ...readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .flatMap((entry) => found(join(folder, entry.name))),
  ]
  return found(cgroup).filter((id) => commandOf(id).includes(word))
}

function commandOf(processId: number): string {
  try {
    return readFileSync(`/proc/${processId}/cmdline`, 'utf8').replaceAll('\0', ' ')
  } catch {
    return ''
  }
}

async function systemctl(...args: readonly string[]): Promise<string> {
  const [systemd] = processesWith('/lib/systemd/systemd --system')
  if (systemd === undefined) return ''
  const enter = ['nsenter', '-t', String(systemd), '-m', '-p', '--', 'systemctl'] as const
  return (await runProgram([...enter, ...args])).stdout.trim()
}

async function observes(): Promise<boolean> {
  const answer = await fetch(`http://127.0.0.1:${port}/v1/query`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ sql: 'SELECT count() AS calls FROM flow_log.l7_flow_log' }),
  }).catch(() => undefined)
  if (answer?.ok !== true) return false
  const { result } = (await answer.json()) as { result: { values: number[][] } }
  return Number(result.values[0]?.[0]) > 0
}

test('systemd starts the service, which observes as no root with its capabilities alone', async () => {
  await systemctl('start', 'metaflow')
  await until(observes, 120).catch(async () => {
    throw new Error(`Cannot observe: ${await systemctl('status', '--no-pager', 'metaflow')}`)
  })
  const agents = processesWith('--mode=agent')
  expect(agents).toHaveLength(1)
  const status = readFileSync(`/proc/${agents[0]}/status`, 'utf8')
  expect(Number(/^Uid:\s+(\d+)/m.exec(status)?.[1])).toBeGreaterThan(0)
  const held = BigInt(`0x${/^CapEff:\s+([0-9a-f]+)/m.exec(status)?.[1]}`)
  // DAC_READ_SEARCH, SYS_PTRACE, PERFMON and BPF; SYS_RESOURCE where the machine has it to give.
  expect(held & ~(1n << 24n)).toBe(0xc0_0008_0004n)
  expect(status).toMatch(/^NoNewPrivs:\s+1$/m)
  expect(status).toMatch(/^Seccomp:\s+2$/m)
})

test('systemd starts the service again when it was killed', async () => {
  const killed = processesWith('/metaflow ')
  await systemctl('kill', '--signal=KILL', '--kill-who=main', 'metaflow')
  const isNew = () => processesWith('--mode=agent').some((id) => !killed.includes(id))
  await until(async () => isNew() && (await observes()), 60)
  expect(await systemctl('show', 'metaflow', '--property=NRestarts', '--value')).toBe('1')
  expect(processesWith('/metaflow ').filter((id) => killed.includes(id))).toEqual([])
})

test('systemd stops the service in order, and nothing of it stays', async () => {
  await systemctl('stop', 'metaflow')
  expect(await systemctl('show', 'metaflow', '--property=Result', '--value')).toBe('success')
  expect(processesWith('/metaflow ')).toEqual([])
})
