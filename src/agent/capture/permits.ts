/** What the host must permit before its sockets can be observed, and what to do if it does not. */
import { readFileSync, statSync } from 'node:fs'
import { MetaflowError } from '../../lib/errors.ts'
import { LoadError } from './libbpf.ts'

/** Numbers of linux/capability.h. */
const CAP_SYS_ADMIN = 21
const CAP_PERFMON = 38
const CAP_BPF = 39
const ERRNO = { EPERM: 1, ENOMEM: 12 } as const
const TYPES = '/sys/kernel/btf/vmlinux'

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}

/** What decides whether sockets can be observed, as this host has it. */
export type Permits = {
  /** Effective capabilities, one bit each. */
  readonly capabilities: bigint
  /** Whether the kernel tells its types. */
  readonly hasTypes: boolean
  /** Text of /sys/kernel/security/lockdown; empty where there is none. */
  readonly lockdown: string
}

function permits(): Permits {
  const hex = /^CapEff:\s*([0-9a-f]+)/m.exec(textOf('/proc/self/status'))?.[1]
  return {
    capabilities: BigInt(`0x${hex ?? '0'}`),
    hasTypes: sizeOf(TYPES) > 0,
    lockdown: textOf('/sys/kernel/security/lockdown'),
  }
}

/** The sentence that says what is missing for capture, or undefined where nothing is. */
export function missingPermit(host: Permits = permits()): string | undefined {
  const has = (bit: number): boolean => ((host.capabilities >> BigInt(bit)) & 1n) === 1n
  if (!has(CAP_SYS_ADMIN) && !(has(CAP_BPF) && has(CAP_PERFMON)))
    return (
      'Cannot observe sockets: this process has neither CAP_SYS_ADMIN nor CAP_BPF with ' +
      'CAP_PERFMON; run it as root, or give it these two (AmbientCapabilities= of its unit)'
    )
  if (!host.hasTypes)
    return (
      `Cannot observe sockets: ${TYPES} is absent or empty; boot a kernel built with ` +
      'CONFIG_DEBUG_INFO_BTF (Debian 11 and later have it)'
    )
  if (host.lockdown.includes('[confidentiality]'))
    return (
      'Cannot observe sockets: kernel lockdown is "confidentiality", which forbids programs to ' +
      'read memory; boot with lockdown=integrity or without'
    )
  return undefined
}

/** The error of a failed load in a sentence; `log` is what libbpf had to say. */
export function loadFailure(thrown: unknown, log: readonly string[]): MetaflowError {
  const because = missingPermit()
  if (because !== undefined) return new MetaflowError('unsupported', because, thrown)
  const errno = thrown instanceof LoadError ? thrown.errno : 0
  const said = (log.find((line) => /fail|error/i.test(line)) ?? '')
    .replace(/\s+/g, ' ')
    .slice(0, 300)
  if (errno === ERRNO.EPERM)
    return new MetaflowError(
      'forbidden',
      'Cannot observe sockets: the kernel refused the programs; a container needs --privileged, ' +
        `or a security module forbids bpf() (${said})`,
      thrown,
    )
  if (errno === ERRNO.ENOMEM)
    return new MetaflowError(
      'unavailable',
      'Cannot observe sockets: no memory for the kernel maps; raise the memory limit, or ' +
        'lower the ring size',
      thrown,
    )
  const state = thrown instanceof Error ? thrown.message : String(thrown)
  return new MetaflowError('unsupported', `Cannot observe sockets: ${state} (${said})`, thrown)
}

/**
 * True where the kernel declares the tracepoint: its BTF holds the name of its type. The file's
 * 6 MB are searched once, at start.
 */
export function hasTracepoint(name: string): boolean {
  try {
    return readFileSync(TYPES).includes(`btf_trace_${name}\0`)
  } catch {
    return false
  }
}
