/** libbpf as it is called from here: one class for a loaded object, sentences for its failures. */
import libbpfPath from '../../../embed/libbpf.so.1' with { type: 'file' }
import libelfPath from '../../../embed/libelf.so.1' with { type: 'file' }
import libzPath from '../../../embed/libz.so.1' with { type: 'file' }
import { MetaflowError, sentenceOf } from '../../lib/errors.ts'
import {
  addressOf,
  cString,
  type NativePointer,
  nativeCallback,
  openLibrary,
  textAt,
  viewAt,
} from '../../lib/ffi.ts'

const SIGNATURES = {
  libbpf_set_print: { args: ['ptr'], returns: 'ptr' },
  libbpf_get_error: { args: ['ptr'], returns: 'i32' },
  libbpf_num_possible_cpus: { args: [], returns: 'i32' },
  bpf_object__open_mem: { args: ['ptr', 'usize', 'ptr'], returns: 'ptr' },
  bpf_object__load: { args: ['ptr'], returns: 'i32' },
  bpf_object__close: { args: ['ptr'], returns: 'void' },
  bpf_object__find_map_by_name: { args: ['ptr', 'ptr'], returns: 'ptr' },
  bpf_object__next_program: { args: ['ptr', 'ptr'], returns: 'ptr' },
  bpf_program__attach: { args: ['ptr'], returns: 'ptr' },
  bpf_program__fd: { args: ['ptr'], returns: 'i32' },
  bpf_link__destroy: { args: ['ptr'], returns: 'i32' },
  bpf_map__fd: { args: ['ptr'], returns: 'i32' },
  bpf_map__set_max_entries: { args: ['ptr', 'u32'], returns: 'i32' },
  bpf_map__max_entries: { args: ['ptr'], returns: 'u32' },
  bpf_map__initial_value: { args: ['ptr', 'ptr'], returns: 'ptr' },
  bpf_map_update_elem: { args: ['i32', 'ptr', 'ptr', 'usize'], returns: 'i32' },
  bpf_map_delete_elem: { args: ['i32', 'ptr'], returns: 'i32' },
  bpf_map_get_next_key: { args: ['i32', 'ptr', 'ptr'], returns: 'i32' },
  bpf_map_lookup_elem: { args: ['i32', 'ptr', 'ptr'], returns: 'i32' },
  bpf_obj_get_info_by_fd: { args: ['i32', 'ptr', 'ptr'], returns: 'i32' },
} as const
type Libbpf = { readonly [K in keyof typeof SIGNATURES]: (...args: unknown[]) => number }

const LOG_LINES_MAX = 40
/** LIBBPF_WARN: information is for who debugs libbpf. */
const LOG_LEVEL = 0

/** The last lines that libbpf said, newest last: why a load failed. */
export const logLines: string[] = []
let opened: Libbpf | undefined

/**
 * Opens the embedded libraries, in the order in which one needs the other: each then finds what it
 * needs by soname among what is already loaded, and the host need not have any of them.
 */
export function libbpf(): Libbpf {
  if (opened) return opened
  try {
    openLibrary(libzPath, { zlibVersion: { args: [], returns: 'ptr' } })
    openLibrary(libelfPath, { elf_version: { args: ['u32'], returns: 'u32' } })
    opened = openLibrary(libbpfPath, SIGNATURES) as Libbpf
  } catch (error) {
    throw unopened(error)
  }
  opened.libbpf_set_print(listen())
  return opened
}

function unopened(thrown: unknown): MetaflowError {
  return new MetaflowError(
    'failed',
    `Cannot open the embedded libbpf: ${sentenceOf(thrown)}; the folder for temporary files must ` +
      'be writable and allow execution (TMPDIR names another)',
    thrown,
  )
}

/** libbpf prints to standard error unless it is given a function: (level, format, va_list). */
function listen(): NativePointer {
  const libc = openLibrary('libc.so.6', {
    vsnprintf: { args: ['ptr', 'usize', 'ptr', 'ptr'], returns: 'i32' },
  })
  const text = new Uint8Array(4096)
  const hear = (level: number, format: NativePointer, list: NativePointer): number => {
    if (level > LOG_LEVEL) return 0
    libc.vsnprintf(text, text.length, format, list)
    logLines.push(textAt(addressOf(text)).trimEnd())
    if (logLines.length > LOG_LINES_MAX) logLines.shift()
    return 0
  }
  return nativeCallback(hear, { args: ['i32', 'ptr', 'ptr'], returns: 'i32' }).address
}

/** A negative errno, told apart from what a call answers where it went well. */
export class LoadError extends Error {
  readonly errno: number
  constructor(step: string, errno: number) {
    super(`${step} failed with error ${errno}`)
    this.errno = errno
  }
}

function checked(answer: number, step: string): number {
  if (answer < 0) throw new LoadError(step, -answer)
  return answer
}

/** One object file: opened, sized, loaded into the kernel, attached; closed as a whole. */
export class BpfObject {
  readonly #lib: Libbpf
  readonly #object: number
  readonly #links: number[] = []

  /** Throws LoadError where libbpf cannot read `bytes`. */
  constructor(bytes: Uint8Array) {
    this.#lib = libbpf()
    this.#object = this.#lib.bpf_object__open_mem(bytes, bytes.length, null)
    if (!this.#object) throw new LoadError('opening', -this.#lib.libbpf_get_error(null))
  }

  #map(name: string): number {
    const map = this.#lib.bpf_object__find_map_by_name(this.#object, cString(name))
    if (!map) throw new LoadError(`finding map ${name}`, 2)
    return map
  }

  resize(name: string, entries: number): void {
    checked(this.#lib.bpf_map__set_max_entries(this.#map(name), entries), `sizing ${name}`)
  }

  /** How large a map is: libbpf rounds a ring up to a power of two and whole pages. */
  entries(name: string): number {
    return this.#lib.bpf_map__max_entries(this.#map(name))
  }

  /** The constants of the object as they will be loaded. */
  settings(size: number): DataView {
    const found = new BigUint64Array(1)
    const at = this.#lib.bpf_map__initial_value(this.#map('.rodata'), found)
    if (!at || Number(found[0]) !== size) throw new LoadError('reading settings', 22)
    return new DataView(viewAt(at as NativePointer, size))
  }

  load(): void {
    checked(this.#lib.bpf_object__load(this.#object), 'loading')
  }

  /** Attaches every program: from here on they run. */
  attach(): void {
    for (const program of this.#programs()) {
      const link = this.#lib.bpf_program__attach(program)
      if (!link) throw new LoadError('attaching', -this.#lib.libbpf_get_error(null))
      this.#links.push(link)
    }
  }

  #programs(): number[] {
    const programs: number[] = []
    let program = this.#lib.bpf_object__next_program(this.#object, null)
    for (; program; program = this.#lib.bpf_object__next_program(this.#object, program))
      programs.push(program)
    return programs
  }

  mapFd(name: string): number {
    return this.#lib.bpf_map__fd(this.#map(name))
  }

  programFds(): number[] {
    return this.#programs().map((program) => this.#lib.bpf_program__fd(program))
  }

  close(): void {
    for (const link of this.#links.splice(0)) this.#lib.bpf_link__destroy(link)
    this.#lib.bpf_object__close(this.#object)
  }
}
