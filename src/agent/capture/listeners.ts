/** What a process is and listens on, read from /proc: mutes cover whoever talks to it. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { readProcStat } from '../../lib/proc-stat.ts'

const LISTEN = '0A'

export type Listening = {
  /** Inode of its network namespace. */
  readonly network: number
  readonly ports: readonly number[]
}

/** TCP ports on which process `processId` listens now; none where it is gone. */
export function listeningPorts(processId: number): Listening {
  const root = `/proc/${processId}`
  const ports = new Set<number>()
  const inodes = socketInodes(root)
  for (const table of ['tcp', 'tcp6'])
    for (const line of linesOf(`${root}/net/${table}`)) {
      const [, local, , state, , , , , , inode] = line.trim().split(/\s+/)
      if (state === LISTEN && inodes.has(inode ?? ''))
        ports.add(Number.parseInt(local?.split(':')[1] ?? '0', 16))
    }
  return { network: Number(numberIn(linkOf(`${root}/ns/net`)) ?? 0), ports: [...ports] }
}

/**
 * When a process was started, in ticks since boot: with its id it names it for good. Empty: it is
 * gone. The 22nd field of /proc/PID/stat.
 */
export function startOf(processId: number): string {
  const [line = ''] = linesOf(`/proc/${processId}/stat`)
  return readProcStat(line)?.fields[19] ?? ''
}

function socketInodes(root: string): ReadonlySet<string> {
  const inodes = new Set<string>()
  for (const name of namesIn(`${root}/fd`)) {
    const to = linkOf(`${root}/fd/${name}`)
    if (to.startsWith('socket:')) inodes.add(numberIn(to) ?? '')
  }
  return inodes
}

function numberIn(text: string): string | undefined {
  return /\[(\d+)\]/.exec(text)?.[1]
}

function linesOf(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\n')
  } catch {
    return []
  }
}

function namesIn(path: string): string[] {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}
