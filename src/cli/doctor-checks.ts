/** What a machine permits, one capability at a time, and what MetaFlow does without it. */
import { join } from 'node:path'

/** The machine as the checks look at it, so that tests can show them others. */
export interface Machine {
  /** A file's text, or undefined where it cannot be read. */
  text(path: string): string | undefined
  exists(path: string): boolean
  /** Bytes of the file system that `path`, or the nearest folder above it, lies on. */
  space(path: string): { readonly total: number; readonly free: number }
  hasTracepoint(name: string): boolean
  /** Version of the kernel's Landlock, 0 where it has none. */
  landlock(): number
  /** Processes with a command line, and those of them whose executable is hidden from us. */
  processes(): { readonly total: number; readonly hidden: number }
  /** Why no socket can listen there now: the system's name of it, or undefined where one can. */
  whyNotListen(host: string, port: number): string | undefined
}

export type Verdict = 'yes' | 'partly' | 'no'
export type Finding = {
  readonly capability: string
  readonly verdict: Verdict
  /** What was found. */
  readonly found: string
  /** What MetaFlow does without it; empty where it is there. */
  readonly without: string
}

type Where = { readonly dataDir: string; readonly host: string; readonly port: number }

/** Numbers of linux/capability.h. */
const CAPABILITIES = {
  CAP_DAC_READ_SEARCH: 2,
  CAP_SYS_PTRACE: 19,
  CAP_SYS_ADMIN: 21,
  CAP_SYS_RESOURCE: 24,
  CAP_PERFMON: 38,
  CAP_BPF: 39,
} as const
/** Since 5.11 the memory of maps is counted with the process' other memory, not as locked. */
const MEMLOCK_FREE = [5, 11] as const
const GB = 1_000_000_000
/** The engine unpacked, and room for tables to begin with. */
const DISK_BYTES_MIN = 2 * GB
/** Ports whose connections are nearly always TLS. */
const TLS_PORTS: ReadonlySet<number> = new Set([
  443, 465, 563, 636, 853, 989, 990, 993, 995, 2376, 2379, 5671, 6443, 8443, 8883, 9093,
])
const ESTABLISHED = '01'
const LISTEN_STATES: Readonly<Record<string, string>> = {
  EADDRINUSE: 'taken',
  EADDRNOTAVAIL: 'no address of this host',
  EACCES: 'forbidden to this user',
}

/** Every check in the order of the journey. */
export function examine(machine: Machine, where: Where): Finding[] {
  return [
    kernel(machine),
    privileges(machine),
    types(machine),
    lockdown(machine),
    hooks(machine),
    kprobes(machine),
    uprobes(machine),
    ring(machine),
    processes(machine),
    groups(machine),
    tracing(machine),
    encrypted(machine),
    confinement(machine),
    port(machine, where),
    disk(machine, where),
    memory(machine),
  ]
}

function finding(
  capability: string,
  verdict: Verdict,
  found: string,
  without: string = '',
): Finding {
  return { capability, verdict, found, without: verdict === 'yes' ? '' : without }
}

function releaseOf(machine: Machine): string {
  return machine.text('/proc/sys/kernel/osrelease')?.trim() ?? 'unknown'
}

function isAtLeast(release: string, [major, minor]: readonly [number, number]): boolean {
  const [a = 0, b = 0] = release.split('.', 2).map((part) => Number.parseInt(part, 10))
  return a > major || (a === major && b >= minor)
}

function kernel(machine: Machine): Finding {
  const release = releaseOf(machine)
  const verdict = isAtLeast(release, [5, 8]) ? 'yes' : 'no'
  return finding(
    'kernel',
    verdict,
    `Linux ${release}`,
    'Nothing is observed: 5.8 has what is needed.',
  )
}

function held(machine: Machine): (name: keyof typeof CAPABILITIES) => boolean {
  const hex = /^CapEff:\s*([0-9a-f]+)/m.exec(machine.text('/proc/self/status') ?? '')?.[1]
  const all = BigInt(`0x${hex ?? '0'}`)
  return (name) => ((all >> BigInt(CAPABILITIES[name])) & 1n) === 1n
}

function privileges(machine: Machine): Finding {
  const has = held(machine)
  const names = (Object.keys(CAPABILITIES) as (keyof typeof CAPABILITIES)[]).filter(has)
  const enough = has('CAP_SYS_ADMIN') || (has('CAP_BPF') && has('CAP_PERFMON'))
  return finding(
    'privileges',
    enough ? 'yes' : 'no',
    names.length === 0 ? 'none of those that count' : names.join(', '),
    'Nothing is observed: run as root, or grant CAP_BPF and CAP_PERFMON. A server needs neither.',
  )
}

function types(machine: Machine): Finding {
  const exists = machine.exists('/sys/kernel/btf/vmlinux')
  // Every kernel that has types has this one; an empty file was put in the place of them.
  const there = exists && machine.hasTracepoint('sys_enter')
  return finding(
    'kernel types (BTF)',
    there ? 'yes' : 'no',
    `/sys/kernel/btf/vmlinux${there ? '' : exists ? ' is empty' : ' is absent'}`,
    'Nothing is observed: the kernel must be built with CONFIG_DEBUG_INFO_BTF.',
  )
}

function lockdown(machine: Machine): Finding {
  const text = machine.text('/sys/kernel/security/lockdown')
  const state = /\[(\w+)\]/.exec(text ?? '')?.[1] ?? 'unknown, securityfs is not mounted'
  return finding(
    'lockdown',
    state === 'confidentiality' ? 'no' : 'yes',
    state,
    'Nothing is observed: "confidentiality" forbids programs to read memory.',
  )
}

function hooks(machine: Machine): Finding {
  const release = releaseOf(machine)
  if (machine.hasTracepoint('sock_send_length') && machine.hasTracepoint('sock_recv_length'))
    return finding('hooks', 'yes', 'socket family: sock_send_length and sock_recv_length are there')
  if (machine.hasTracepoint('sys_enter'))
    return finding(
      'hooks',
      'partly',
      `syscall family: ${release} has no sock_send_length (6.3 and later do)`,
      'The same is seen at a higher price: every system call of the machine passes by the hooks.',
    )
  return finding('hooks', 'no', 'neither family can be found', 'Nothing is observed.')
}

function kprobes(machine: Machine): Finding {
  const there = machine.exists('/sys/bus/event_source/devices/kprobe')
  const found = there ? 'there' : 'absent from this kernel'
  return finding('kprobes', there ? 'yes' : 'partly', found, 'Nothing is lost: none is used.')
}

function uprobes(machine: Machine): Finding {
  const there = machine.exists('/sys/bus/event_source/devices/uprobe')
  const found = there ? 'there' : 'absent from this kernel'
  return finding('uprobes', there ? 'yes' : 'partly', found, 'Nothing is lost: none is used.')
}

function ring(machine: Machine): Finding {
  if (isAtLeast(releaseOf(machine), MEMLOCK_FREE))
    return finding('ring memory', 'yes', 'counted as ordinary memory; 16 MB by default')
  const limit = /^Max locked memory\s+(\S+)/m.exec(machine.text('/proc/self/limits') ?? '')?.[1]
  const raised = limit === 'unlimited' || held(machine)('CAP_SYS_RESOURCE')
  return finding(
    'ring memory',
    raised ? 'yes' : 'partly',
    `locked memory is limited to ${limit ?? 'unknown'}`,
    'Lower agent.capture.ringBytes, or raise the limit (LimitMEMLOCK=infinity).',
  )
}

function processes(machine: Machine): Finding {
  const { total, hidden } = machine.processes()
  return finding(
    'names of processes',
    hidden === 0 ? 'yes' : 'partly',
    hidden === 0 ? `all ${total} can be read` : `${hidden} of ${total} are hidden from this user`,
    'Those go by their command name alone; CAP_SYS_PTRACE shows them.',
  )
}

function groups(machine: Machine): Finding {
  const mounts = machine.text('/proc/self/mounts') ?? ''
  const two = / cgroup2 /.test(mounts)
  const one = / cgroup /.test(mounts)
  const found = two && one ? 'versions 1 and 2' : two ? 'version 2' : one ? 'version 1' : 'none'
  return finding(
    'control groups',
    two || one ? 'yes' : 'partly',
    found,
    'Services and containers with the same executable are not told apart.',
  )
}

function tracing(machine: Machine): Finding {
  const mounts = machine.text('/proc/self/mounts') ?? ''
  const there = / tracefs /.test(mounts)
  const found = there ? 'mounted' : 'not mounted'
  return finding(
    'tracefs',
    there ? 'yes' : 'partly',
    found,
    'Nothing is lost: hooks need no files.',
  )
}

/** Connections to or from the usual ports of TLS, both ends of a local one counted. */
function encrypted(machine: Machine): Finding {
  let count = 0
  for (const table of ['tcp', 'tcp6'])
    for (const line of (machine.text(`/proc/net/${table}`) ?? '').split('\n')) {
      const [, local = '', remote = '', state] = line.trim().split(/\s+/, 4)
      const ports = [local, remote].map((end) => Number.parseInt(end.split(':')[1] ?? '', 16))
      if (state === ESTABLISHED && ports.some((number) => TLS_PORTS.has(number))) count++
    }
  return finding(
    'plaintext',
    count === 0 ? 'yes' : 'partly',
    count === 0
      ? 'no connections on the usual ports of TLS'
      : `TLS, not read: ${count} connections`,
    'Encrypted connections are counted; what they say is not read.',
  )
}

function confinement(machine: Machine): Finding {
  const abi = machine.landlock()
  return finding(
    'Landlock',
    abi >= 4 ? 'yes' : abi > 0 ? 'partly' : 'no',
    abi > 0 ? `version ${abi}` : 'absent',
    abi > 0
      ? 'The engine is kept to its own files; its network is not confined (version 4 does it).'
      : 'The engine runs unconfined behind the query fence.',
  )
}

function port(machine: Machine, { host, port: number }: Where): Finding {
  const why = machine.whyNotListen(host, number)
  return finding(
    'port',
    why === undefined ? 'yes' : 'partly',
    `${host}:${number} is ${why === undefined ? 'free' : (LISTEN_STATES[why] ?? why)}`,
    'A server cannot start there: give another server.listen, or a MetaFlow runs already.',
  )
}

function disk(machine: Machine, { dataDir }: Where): Finding {
  const { total, free } = machine.space(dataDir)
  const gb = (bytes: number) => (bytes / GB).toFixed(1)
  return finding(
    'disk',
    free >= DISK_BYTES_MIN ? 'yes' : 'no',
    `${gb(free)} of ${gb(total)} GB are free for ${join(dataDir, '/')}`,
    'A server with its engine needs 2 GB to begin with; an agent only its spool.',
  )
}

function memory(machine: Machine): Finding {
  const kb = /^MemAvailable:\s+(\d+)/m.exec(machine.text('/proc/meminfo') ?? '')?.[1]
  const available = Number(kb ?? 0) * 1024
  return finding(
    'memory',
    available >= GB ? 'yes' : 'partly',
    `${(available / GB).toFixed(1)} GB are available`,
    'A server with its engine wants 1 GB; an agent 150 MB.',
  )
}
