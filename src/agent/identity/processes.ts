/** Processes by id, read from /proc once each, known to their end, and never taken for another. */
import { Counters } from '../../lib/counters.ts'
import { readProcStat } from '../../lib/proc-stat.ts'
import { NAME_TYPE, type Name, type NameTable } from '../../model/name.ts'
import { unitOf } from './cgroup.ts'
import { isOwnMode, modeOf, ownProgram } from './own.ts'
import type { Proc } from './proc.ts'
import { executableOf, programOf } from './program.ts'

/** Processes known at once; the one asked for longest ago gives way. */
export const PROCESSES_MAX = 16_384
/** Then a process is looked at again: its id may be another's, or it runs another file. */
const FRESH_US = 5_000_000
/** An ended process keeps its name this long, for what was seen of it is still on its way. */
const ENDED_US = 30_000_000
/** Ended processes are looked for among this many at a tick. */
const SWEEP_MAX = 32
const ANCESTORS_MAX = 16
/** In place of a name's index. */
export const UNNAMED: number = -1
const RUNS = Number.POSITIVE_INFINITY

export type Process = {
  readonly processId: number
  /** In clock ticks since boot: with the id it names a process for good. Empty: it was gone. */
  readonly startTime: string
  readonly executable: string
  /** Index in the table of names; UNNAMED where it was gone and nobody said its command yet. */
  name: number
  readonly isOwn: boolean
  /** When it was last seen as it is here, µs. */
  seen: number
  /** When it was found to have ended, µs; Infinity while it runs. */
  ended: number
}

type Stat = { readonly command: string; readonly parent: number; readonly startTime: string }

export class Processes {
  /** `full`: forgotten for want of room. `gone`: ended before it was read, named by its command. */
  readonly counters: Counters<'full' | 'gone'> = new Counters('identity', ['full', 'gone'])
  readonly #proc: Proc
  readonly #names: NameTable
  readonly #host: Name
  readonly #known = new Map<number, Process>()
  /** Group of a native executable's command; 0 where several groups share the command. */
  readonly #byCommand = new Map<string, number>()
  #sweep: Iterator<number> = [].values()
  #now = 0

  constructor(proc: Proc, names: NameTable, host: Name) {
    this.#proc = proc
    this.#names = names
    this.#host = host
  }

  get size(): number {
    return this.#known.size
  }

  /** Ids of the processes that were asked for. */
  ids(): Iterable<number> {
    return this.#known.keys()
  }

  /**
   * The process with this id; `command` is what the kernel called its thread when it was seen, the
   * only name left where it is gone by now.
   */
  of(processId: number, command: string): Process {
    const known = this.#known.get(processId)
    const isFresh = known?.ended === RUNS && this.#now - known.seen < FRESH_US
    if (isFresh) return this.#named(known, command)
    const stat = this.#stat(processId)
    // Gone since it was known: it is what it was.
    if (known !== undefined && (stat === undefined || this.#isSame(known, stat))) {
      known.seen = this.#now
      return this.#named(known, command)
    }
    const process = stat === undefined ? this.#gone(processId) : this.#read(processId, stat)
    this.#keep(process)
    return this.#named(process, command)
  }

  /** Whether the process is MetaFlow's own, or was started by one that is. */
  isOwn(processId: number): boolean {
    return this.of(processId, '').isOwn
  }

  /** The process ended: its id may soon be another's. */
  end(processId: number): void {
    const known = this.#known.get(processId)
    if (known !== undefined && known.ended === RUNS) known.ended = this.#now
  }

  /** Forgets some of those that ended; `now` is monotonic µs. */
  tick(now: number): void {
    this.#now = now
    for (let i = 0; i < SWEEP_MAX; i++) {
      const next = this.#sweep.next()
      if (next.done) {
        this.#sweep = this.#known.keys()
        return
      }
      const known = this.#known.get(next.value)!
      if (known.ended === RUNS && this.#stat(known.processId)?.startTime !== known.startTime)
        known.ended = now
      else if (now - known.ended > ENDED_US) this.#known.delete(next.value)
    }
  }

  #keep(process: Process): void {
    this.#known.delete(process.processId)
    this.#known.set(process.processId, process)
    if (this.#known.size <= PROCESSES_MAX) return
    const oldest = this.#known.keys().next().value!
    this.#known.delete(oldest)
    this.counters.dropped.full++
  }

  #isSame(known: Process, stat: Stat): boolean {
    if (known.startTime !== stat.startTime) return false
    return known.executable === this.#executable(known.processId, stat)
  }

  /** The executable's path; a kernel thread has none and goes by its command. */
  #executable(processId: number, stat: Stat): string {
    const link = this.#proc.link(`${processId}/exe`)
    return link === undefined ? stat.command : executableOf(link)
  }

  #stat(processId: number): Stat | undefined {
    const text = this.#proc.text(`${processId}/stat`)
    const stat = readProcStat(text ?? '')
    if (stat === undefined) return undefined
    const { command, fields } = stat
    // A zombie has neither executable nor command line any more.
    if (fields[0] === 'Z' || fields[0] === 'X') return undefined
    return {
      command,
      parent: Number(fields[1]),
      startTime: fields[19] ?? '',
    }
  }

  #read(processId: number, stat: Stat): Process {
    this.counters.in++
    const executable = this.#executable(processId, stat)
    const argv = this.#proc.text(`${processId}/cmdline`)?.split('\0') ?? []
    const unit = unitOf(this.#proc.text(`${processId}/cgroup`) ?? '')
    const mode = modeOf(executable, argv)
    const folder = (): string | undefined => this.#proc.link(`${processId}/cwd`)
    const program =
      mode === ''
        ? programOf({ executable, argv, command: stat.command, folder })
        : ownProgram(mode, argv)
    const key = [unit, executable, program.script].join('|')
    const name = this.#group(key, program.name, stat.command)
    if (program.script === '' && program.name.startsWith(stat.command))
      this.#learn(stat.command, name)
    return {
      processId,
      startTime: stat.startTime,
      executable,
      name,
      isOwn: mode === '' ? this.#isBelowOwn(stat.parent) : isOwnMode(mode),
      seen: this.#now,
      ended: RUNS,
    }
  }

  #group(keyOnHost: string, name: string, command: string): number {
    const { key: hostKey, name: hostName } = this.#host
    return this.#names.add({
      type: NAME_TYPE.process,
      key: `${hostKey}|${keyOnHost}`,
      name,
      processName: command,
      hostKey,
      hostName,
    })
  }

  /** A child of ours that is no MetaFlow itself (a ClickHouse program) is ours too. */
  #isBelowOwn(parent: number): boolean {
    let processId = parent
    for (let i = 0; i < ANCESTORS_MAX && processId > 1; i++) {
      const known = this.#known.get(processId)
      if (known?.isOwn) return true
      const stat = this.#stat(processId)
      if (stat === undefined) return false
      const argv = this.#proc.text(`${processId}/cmdline`)?.split('\0') ?? []
      const mode = modeOf(this.#executable(processId, stat), argv)
      if (mode !== '') return isOwnMode(mode)
      processId = stat.parent
    }
    return false
  }

  #gone(processId: number): Process {
    this.counters.dropped.gone++
    return {
      processId,
      startTime: '',
      executable: '',
      name: UNNAMED,
      isOwn: false,
      seen: this.#now,
      ended: this.#now,
    }
  }

  /**
   * Names what ended before it was read. Where one native program alone goes by its command, it was
   * that one: a thousand runs of curl are one curl, however many were too short to be read.
   */
  #named(process: Process, command: string): Process {
    if (process.name !== UNNAMED || command === '') return process
    const learnt = this.#byCommand.get(command)
    process.name = learnt || this.#group(`|${command}|`, command, command)
    return process
  }

  #learn(command: string, name: number): void {
    const before = this.#byCommand.get(command)
    if (before === undefined && this.#byCommand.size < PROCESSES_MAX)
      this.#byCommand.set(command, name)
    else if (before !== undefined && before !== name) this.#byCommand.set(command, 0)
  }
}
