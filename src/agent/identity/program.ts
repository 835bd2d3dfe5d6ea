/** What users would call a program: its executable, or the script that an interpreter runs. */
import { basename, dirname, resolve } from 'node:path'

export type Program = {
  /** The script or what stands for one (a module, a jar); empty for a native program. */
  readonly script: string
  readonly name: string
}

type Interpreter = {
  readonly pattern: RegExp
  /** Options whose value is the next argument. */
  readonly valued: RegExp
  /** Options whose value names what runs. */
  readonly naming: RegExp
}

const NOTHING = /^$/
const INTERPRETERS: readonly Interpreter[] = [
  {
    pattern: /^(node|nodejs|bun|deno|tsx)(\.exe)?$/,
    valued: /^(-r|--require|--import|--loader|-C|--conditions|--env-file|--cwd|--preload)$/,
    naming: NOTHING,
  },
  { pattern: /^(python|pypy)[\d.]*$/, valued: /^-[WX]$/, naming: /^-m$/ },
  {
    pattern: /^java$/,
    valued: /^(-cp|-classpath|--class-path|-p|--module-path|--add-\w+)$/,
    naming: /^(-jar|-m|--module)$/,
  },
  { pattern: /^(ruby|jruby)[\d.]*$/, valued: /^(-r|-I|-C)$/, naming: NOTHING },
  { pattern: /^perl[\d.]*$/, valued: /^-I$/, naming: NOTHING },
  { pattern: /^php[\d.]*(-cgi)?$/, valued: /^-[cdz]$/, naming: /^-f$/ },
  { pattern: /^(ba|da|z|k|fi)?sh$/, valued: /^[-+][oO]$/, naming: NOTHING },
]
/** Options after which there is no script: the program is in the argument, or read. */
const INLINE = /^(-e|--eval|-p|--print|-c|-|-s|-i)$/
/** Sub-commands of interpreters that come before the script. */
const VERB = /^(run|exec|x|test)$/
/** Another option, or the value of one that is not known here. */
const NO_SCRIPT = /^(-.*|\d*)$/s
/** File names that say nothing without their folder. */
const GENERIC = /^(index|main|app|server|cli|__main__|manage|start|run|worker)\.\w+$/
/** What is no path and no such file is a module, a class, or a name looked up somewhere. */
const FILE = /\.([cm]?[jt]sx?|pyc?|rb|pl|php|sh|jar)$/
/** TASK_COMM_LEN without its NUL. */
const COMMAND_MAX = 15
const DELETED = ' (deleted)'

/** The path of an executable as /proc/PID/exe shows it, also when its file is gone by now. */
export function executableOf(link: string): string {
  return link.endsWith(DELETED) ? link.slice(0, -DELETED.length) : link
}

/** A process as /proc tells of it. */
export type Running = {
  readonly executable: string
  readonly argv: readonly string[]
  /** What the kernel calls it: the first 15 bytes of the name it was started by. */
  readonly command: string
  /** Its working directory, for scripts named relatively. */
  folder(): string | undefined
}

export function programOf({ executable, argv, command, folder }: Running): Program {
  const file = basename(executable)
  const interpreter = INTERPRETERS.find(({ pattern }) => pattern.test(file))
  const script = interpreter === undefined ? undefined : scriptOf(interpreter, argv)
  if (script === undefined) return { script: '', name: nameOfNative(file, argv, command) }
  if (!(script.includes('/') || FILE.test(script))) return { script, name: script }
  const path = resolve(folder() ?? '/', script)
  return { script: path, name: nameOfScript(path) }
}

function scriptOf(interpreter: Interpreter, argv: readonly string[]): string | undefined {
  for (let i = 1; i < argv.length; i++) {
    const argument = argv[i]!
    if (interpreter.naming.test(argument)) return argv[i + 1]
    if (interpreter.valued.test(argument)) i++
    else if (INLINE.test(argument)) return undefined
    else if (!NO_SCRIPT.test(argument) && !(i === 1 && VERB.test(argument))) return argument
  }
  return undefined
}

/**
 * One file may be several programs: redis-server is a link to redis-check-rdb, and anything may be
 * one to busybox. The kernel knows the name it was started by, its first argument the whole of it.
 */
function nameOfNative(file: string, argv: readonly string[], command: string): string {
  const called = basename(argv[0]?.split(' ', 1)[0] ?? '')
  const isCalled = called !== '' && called.slice(0, COMMAND_MAX) === command
  return isCalled && !file.startsWith(command) ? called : file
}

function nameOfScript(path: string): string {
  const file = basename(path)
  const folder = basename(dirname(path))
  return GENERIC.test(file) && folder !== '' ? `${folder}/${file}` : file
}
