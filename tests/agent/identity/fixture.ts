import type { Proc } from '../../../src/agent/identity/proc.ts'

type Entry = {
  readonly stat?: string
  readonly exe?: string
  readonly argv?: readonly string[]
  readonly cgroup?: string
  readonly cwd?: string
  readonly net?: string
  readonly sockets?: readonly number[]
  readonly parent?: number
  readonly startTime?: number
  readonly command?: string
}

/** A /proc in memory: files and links by path, counted when they are read. */
export class FakeProc implements Proc {
  readonly files: Map<string, string> = new Map([['sys/kernel/hostname', 'shop-1\n']])
  readonly links: Map<string, string> = new Map([['self/ns/net', 'net:[1]']])
  reads = 0

  text(path: string): string | undefined {
    this.reads++
    return this.files.get(path)
  }

  lines(path: string, take: (line: string) => boolean): void {
    this.reads++
    this.files.get(path)?.split('\n').every(take)
  }

  link(path: string): string | undefined {
    this.reads++
    return this.links.get(path)
  }

  list(path: string): readonly string[] {
    this.reads++
    const prefix = path === '.' ? '' : `${path}/`
    const names = new Set<string>()
    for (const key of [...this.files.keys(), ...this.links.keys()])
      if (key.startsWith(prefix)) names.add(key.slice(prefix.length).split('/', 1)[0]!)
    return [...names]
  }

  /** Puts a process in; what is not said is as of a native program in no unit. */
  add(processId: number, entry: Entry): void {
    this.remove(processId)
    const { exe = '/usr/bin/thing', argv = [exe], parent = 1, startTime = processId } = entry
    const command = entry.command ?? exe.slice(exe.lastIndexOf('/') + 1, exe.lastIndexOf('/') + 16)
    const fields = `S ${parent} 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 ${startTime} 0 0`
    this.files.set(`${processId}/stat`, `${processId} (${command}) ${fields}`)
    this.files.set(`${processId}/cmdline`, argv.map((word) => `${word}\0`).join(''))
    this.files.set(`${processId}/cgroup`, entry.cgroup ?? '0::/\n')
    this.links.set(`${processId}/exe`, exe)
    this.links.set(`${processId}/cwd`, entry.cwd ?? '/')
    this.links.set(`${processId}/ns/net`, entry.net ?? 'net:[1]')
    for (const [i, inode] of (entry.sockets ?? []).entries())
      this.links.set(`${processId}/fd/${i + 3}`, `socket:[${inode}]`)
  }

  remove(processId: number): void {
    for (const map of [this.files, this.links])
      for (const key of map.keys()) if (key.startsWith(`${processId}/`)) map.delete(key)
  }
}
