/** What the engine asks of the kernel itself, by libc: confinement, its parent's death, a lock. */
import { closeSync, constants, openSync } from 'node:fs'
import { MetaflowError } from '../lib/errors.ts'
import { addressOf, type NativeFunction, openLibrary, type Signatures } from '../lib/ffi.ts'

type Libc = Readonly<Record<'prctl' | 'flock' | 'syscall' | '_exit', NativeFunction>>

let opened: Libc | undefined
function libc(): Libc {
  opened ??= openLibrary('libc.so.6', {
    prctl: { args: ['i32', 'u64', 'u64', 'u64', 'u64'], returns: 'i32' },
    flock: { args: ['i32', 'i32'], returns: 'i32' },
    _exit: { args: ['i32'], returns: 'void' },
    syscall: { args: ['i64', 'u64', 'u64', 'u64', 'u64'], returns: 'i64' },
  } satisfies Signatures)
  return opened
}

/** Not among Node's constants: the flags of Linux that open() takes besides. */
const O_CLOEXEC = 0o2000000
const O_PATH = 0o10000000

const PR_SET_PDEATHSIG = 1
const PR_SET_NO_NEW_PRIVS = 38
const SIGKILL = 9

/** The kernel ends this process when its parent ends, however it ends. */
export function dieWithParent(): void {
  libc().prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
}

/** Ends this process here, without the destructors of libraries whose threads still run. */
export function exitAtOnce(code: number): never {
  libc()._exit(code)
  throw new Error('it is over')
}

const LOCK_EX_NB = 2 | 4

/** Takes `path`'s lock for as long as this process lives. False: another process has it. */
export function lockFile(path: string): boolean {
  const file = openSync(path, constants.O_RDWR | constants.O_CREAT | O_CLOEXEC, 0o600)
  if (libc().flock(file, LOCK_EX_NB) === 0) return true
  closeSync(file)
  return false
}

// linux/landlock.h; the system call numbers are the same on every architecture.
const CREATE_RULESET = 444
const ADD_RULE = 445
const RESTRICT_SELF = 446
const CREATE_RULESET_VERSION = 1
const RULE_PATH_BENEATH = 1
const EXECUTE = 1 << 0
const WRITE_FILE = 1 << 1
const READ_FILE = 1 << 2
const READ_DIR = 1 << 3
const REFER = 1 << 13
const TRUNCATE = 1 << 14
const IOCTL_DEV = 1 << 15
/** All rights of the first ABI: EXECUTE … MAKE_SYM. */
const FIRST_ABI = (1 << 13) - 1
const READ = READ_FILE | READ_DIR
const FILE_ONLY = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
const NET_BIND_AND_CONNECT = 3
const SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS = 3

export type Places = {
  /** Read, written, made and removed below. */
  readonly writable: readonly string[]
  readonly readable: readonly string[]
  /** Read and mapped as code. */
  readonly executable: readonly string[]
}

/**
 * From here on this thread and all it starts reach the files below `places` and nothing else, and
 * no TCP port. Answers the kernel's Landlock version; 0: it has none, nothing is confined.
 * https://docs.kernel.org/userspace-api/landlock.html
 */
export function confine(places: Places): number {
  const abi = Number(libc().syscall(CREATE_RULESET, 0, 0, CREATE_RULESET_VERSION, 0))
  if (abi < 1) return 0
  const handled =
    FIRST_ABI | (abi >= 2 ? REFER : 0) | (abi >= 3 ? TRUNCATE : 0) | (abi >= 5 ? IOCTL_DEV : 0)
  // struct landlock_ruleset_attr { u64 handled_access_fs, handled_access_net, scoped }
  const attributes = new BigUint64Array([
    BigInt(handled),
    BigInt(abi >= 4 ? NET_BIND_AND_CONNECT : 0),
    BigInt(abi >= 6 ? SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS : 0),
  ])
  const size = abi >= 6 ? 24 : abi >= 4 ? 16 : 8
  const ruleset = check(libc().syscall(CREATE_RULESET, addressOf(attributes), size, 0, 0))
  for (const path of places.writable) allow(ruleset, path, handled & ~EXECUTE)
  for (const path of places.readable) allow(ruleset, path, READ & handled)
  for (const path of places.executable) allow(ruleset, path, (READ | EXECUTE) & handled)
  check(libc().prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
  check(libc().syscall(RESTRICT_SELF, ruleset, 0, 0, 0))
  closeSync(ruleset)
  return abi
}

/** A place that is absent is nothing to allow. */
function allow(ruleset: number, path: string, rights: number): void {
  let place: number
  let isDirectory = true
  try {
    place = openSync(path, O_PATH | constants.O_DIRECTORY | O_CLOEXEC)
  } catch {
    isDirectory = false
    try {
      place = openSync(path, O_PATH | O_CLOEXEC)
    } catch {
      return
    }
  }
  // struct landlock_path_beneath_attr { u64 allowed_access; s32 parent_fd } packed
  const rule = new DataView(new ArrayBuffer(16))
  rule.setBigUint64(0, BigInt(isDirectory ? rights : rights & FILE_ONLY), true)
  rule.setInt32(8, place, true)
  const answer = libc().syscall(
    ADD_RULE,
    ruleset,
    RULE_PATH_BENEATH,
    addressOf(new Uint8Array(rule.buffer)),
    0,
  )
  closeSync(place)
  check(answer)
}

function check(answer: number | bigint): number {
  if (Number(answer) >= 0) return Number(answer)
  throw new MetaflowError(
    'failed',
    'Cannot confine the engine: the kernel refused its Landlock rules',
  )
}
