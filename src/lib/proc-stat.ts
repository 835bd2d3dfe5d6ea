/** What /proc/PID/stat says of a process. */
export type ProcStat = {
  readonly command: string
  /** The fields behind the command, from the third on: state, parent, … */
  readonly fields: readonly string[]
}

/**
 * Reads a line of /proc/PID/stat; undefined where it is none. The command, in brackets, may hold
 * anything, brackets too. https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
 */
export function readProcStat(line: string): ProcStat | undefined {
  const close = line.lastIndexOf(')')
  if (close < 0) return undefined
  return {
    command: line.slice(line.indexOf('(') + 1, close),
    fields: line.slice(close + 2).split(' '),
  }
}
