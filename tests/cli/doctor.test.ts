import { expect, test } from 'bun:test'
import { join } from 'node:path'
import { examine, type Machine } from '../../src/cli/doctor-checks.ts'
import { runProgram } from '../../src/lib/process.ts'

const MAIN = join(import.meta.dir, '..', '..', 'src', 'main.ts')
const doctor = (...args: readonly string[]) =>
  runProgram([process.execPath, MAIN, 'doctor', ...args])

const FILES: Readonly<Record<string, string>> = {
  '/proc/sys/kernel/osrelease': '6.12.0-1-amd64\n',
  '/proc/self/status': 'Name:\tx\nCapEff:\t000001ffffffffff\n',
  '/proc/self/limits':
    'Max locked memory         8388608              8388608              bytes\n',
  '/proc/self/mounts': 'c /sys/fs/cgroup cgroup2 rw 0 0\nt /sys/kernel/tracing tracefs rw 0 0\n',
  '/sys/kernel/security/lockdown': '[none] integrity confidentiality\n',
  '/sys/kernel/btf/vmlinux': '',
  '/sys/bus/event_source/devices/kprobe': '',
  '/sys/bus/event_source/devices/uprobe': '',
  '/proc/meminfo': 'MemAvailable:   16000000 kB\n',
}

/** A machine that permits all, but for what is changed; an absent file is undefined. */
function machine(
  files: Readonly<Record<string, string | undefined>> = {},
  changes: Partial<Machine> = {},
): Machine {
  const all: Readonly<Record<string, string | undefined>> = { ...FILES, ...files }
  return {
    text: (path) => all[path],
    processes: () => ({ total: 9, hidden: 0 }),
    exists: (path) => all[path] !== undefined,
    space: () => ({ total: 100e9, free: 50e9 }),
    hasTracepoint: () => true,
    landlock: () => 7,
    whyNotListen: () => undefined,
    ...changes,
  }
}

const WHERE = { dataDir: '/var/lib/metaflow', host: '127.0.0.1', port: 20_416 }
const of = (capability: string, on: Machine) =>
  examine(on, WHERE).find((finding) => finding.capability === capability)

test('examine finds nothing amiss on a machine that permits all', () => {
  expect(examine(machine(), WHERE).filter(({ verdict }) => verdict !== 'yes')).toEqual([])
  expect(examine(machine(), WHERE).filter(({ without }) => without !== '')).toEqual([])
})

const TLS_ROW = '0: 0100007F:C350 0200007F:01BB 01 00000000:00000000 00:00000000 00000000 0 0 1\n'
const release = (text: string) => ({ '/proc/sys/kernel/osrelease': text })
const status = (text: string) => ({ '/proc/self/status': text })
const lockdown = (text: string) => ({ '/sys/kernel/security/lockdown': text })
const mounts = (text: string) => ({ '/proc/self/mounts': text })
const limits = (text: string) => ({ '/proc/self/limits': `Max locked memory ${text}` })
const absent = (path: string) => ({ [path]: undefined })

test.each<[string, string, string, Machine]>([
  ['kernel', 'no', 'Linux 4.19.0', machine(release('4.19.0'))],
  ['privileges', 'no', 'none of those that count', machine(status('CapEff:\t0\n'))],
  ['privileges', 'yes', 'CAP_PERFMON, CAP_BPF', machine(status('CapEff:\tc000000000\n'))],
  ['kernel types (BTF)', 'no', 'is absent', machine(absent('/sys/kernel/btf/vmlinux'))],
  ['lockdown', 'no', 'confidentiality', machine(lockdown('none [confidentiality]'))],
  ['lockdown', 'yes', 'integrity', machine(lockdown('none [integrity] confidentiality'))],
  ['hooks', 'partly', 'syscall', machine({}, { hasTracepoint: (name) => name === 'sys_enter' })],
  ['hooks', 'no', 'neither family', machine({}, { hasTracepoint: () => false })],
  ['kprobes', 'partly', 'absent', machine(absent('/sys/bus/event_source/devices/kprobe'))],
  ['uprobes', 'partly', 'absent', machine(absent('/sys/bus/event_source/devices/uprobe'))],
  ['ring memory', 'yes', 'unlimited', machine({ ...release('5.10.0'), ...limits('unlimited') })],
  ['ring memory', 'partly', '64', machine({ ...release('5.10'), ...limits('64'), ...status('') })],
  [
    'names of processes',
    'partly',
    '2 of 9',
    machine({}, { processes: () => ({ total: 9, hidden: 2 }) }),
  ],
  ['control groups', 'yes', 'versions 1 and 2', machine(mounts('a /a cgroup rw\nb /b cgroup2 rw'))],
  ['control groups', 'partly', 'none', machine(mounts(''))],
  ['tracefs', 'partly', 'not mounted', machine(mounts(''))],
  ['plaintext', 'partly', 'TLS, not read: 2', machine({ '/proc/net/tcp': TLS_ROW + TLS_ROW })],
  ['Landlock', 'partly', 'version 3', machine({}, { landlock: () => 3 })],
  ['Landlock', 'no', 'absent', machine({}, { landlock: () => 0 })],
  ['port', 'partly', ':20416 is taken', machine({}, { whyNotListen: () => 'EADDRINUSE' })],
  ['port', 'partly', 'forbidden to this user', machine({}, { whyNotListen: () => 'EACCES' })],
  ['disk', 'no', '0.5 of 100.0', machine({}, { space: () => ({ total: 100e9, free: 5e8 }) })],
  ['memory', 'partly', '0.1 GB', machine({ '/proc/meminfo': 'MemAvailable: 100000 kB' })],
])('examine: %s is %s where it finds %s', (capability, verdict, found, on) => {
  const finding = of(capability, on)!
  expect(finding.verdict).toBe(verdict as 'yes')
  expect(finding.found).toContain(found)
  expect(finding.without === '').toBe(verdict === 'yes')
})

test('metaflow doctor looks at this machine, in text and as JSON', async () => {
  const listener = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data: () => {} } })
  try {
    const where = `--listen=127.0.0.1:${listener.port}`
    const [text, json] = await Promise.all([doctor(where), doctor('--output', 'json', where)])
    expect(text.stdout).toContain(`127.0.0.1:${listener.port} is taken`)
    expect(text.stdout).toContain('less port')
    const elsewhere = await doctor('--listen=192.0.2.1:80', '--server-token=x')
    expect(elsewhere.stdout).toContain('192.0.2.1:80 is no address of this host')
    const findings: { capability: string; verdict: string }[] = JSON.parse(json.stdout)
    expect(findings.map(({ capability }) => capability)).toEqual(
      examine(machine(), WHERE).map(({ capability }) => capability),
    )
    expect(findings.find(({ capability }) => capability === 'port')?.verdict).toBe('partly')
  } finally {
    listener.stop(true)
  }
})

test('metaflow doctor is misused with another output', async () => {
  const run = await doctor('--output=xml')
  expect([run.code, run.stderr]).toEqual([
    2,
    'metaflow: Cannot use --output xml: expected text or json\n',
  ])
})
