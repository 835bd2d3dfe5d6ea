/**
 * `metaflow uninstall`: undoes what MetaFlow wrote outside its data folder, and says what it did.
 * Only what bears MetaFlow's mark is touched.
 */
import {
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmdirSync,
  rmSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import libbpf from '../../embed/libbpf.so.1' with { type: 'file' }
import libelf from '../../embed/libelf.so.1' with { type: 'file' }
import libz from '../../embed/libz.so.1' with { type: 'file' }
import { loadConfig } from '../config/load.ts'
import { lockDirectory } from '../lib/env-real.ts'
import { MetaflowError, sentenceOf } from '../lib/errors.ts'
import { print } from '../lib/log.ts'
import { runProgram } from '../lib/process.ts'

/** The unit of deploy/ bears this section, which systemd leaves alone. */
const UNIT_MARK = '[X-MetaFlow]'
const UNIT = 'metaflow.service'
const UNIT_FOLDERS = ['etc/systemd/system', 'usr/local/lib/systemd/system', 'lib/systemd/system']
const WANTED = 'etc/systemd/system/multi-user.target.wants'
/** The runtime unpacks a library under such a name to load it, and leaves it there. */
const UNPACKED = /^\.bun-\d+-[0-9a-f]{16}\.so$/
const LIBRARIES = [libz, libelf, libbpf] as const

/** What parts of MetaFlow keep in the data folder; the locks are there wherever one ran. */
const KEPT = [
  ...['agent-id', 'host-id', 'spool', 'log', 'ids', 'set-aside', 'clickhouse', 'engine'],
  ...['demo.yaml', 'demo.log', 'lock'],
]
const LOCKS = ['spool/lock', 'log/lock']
const OWNERS = ['.', 'spool', 'log']

type Undoing = {
  readonly what: string
  undo(): void | Promise<void>
}

export async function uninstallCommand(args: readonly string[]): Promise<number> {
  const { config, flags } = loadConfig('demo', args, { 'dry-run': false, data: false })
  const places = { root: '/', scratch: tmpdir(), dataDir: config.dataDir }
  const withData = isSet(flags, 'data')
  const isOurs = isOurData(config.dataDir)
  const found = whatIsThere(places, withData)
  const isDry = isSet(flags, 'dry-run')
  if (found.length === 0)
    print('Nothing to undo: MetaFlow wrote nothing outside its data folder.\n')
  for (const { what, undo } of found) {
    if (!isDry) await attempt(what, undo)
    print(`${isDry ? 'would remove' : 'removed'} ${what}\n`)
  }
  if (!withData && isOurs)
    print(`The data folder stays: ${config.dataDir} (--data removes it too)\n`)
  else if (withData && !isOurs && existsSync(config.dataDir))
    print(`The folder ${config.dataDir} stays: MetaFlow never ran in it\n`)
  return 0
}

function isSet(flags: ReadonlyMap<string, string>, name: string): boolean {
  const word = flags.get(name) ?? 'false'
  if (word === 'true' || word === 'false') return word === 'true'
  // Whoever means `--dry-run=yes` must not find everything gone.
  throw new MetaflowError('misuse', `Cannot use --${name} ${word}: expected true or false`)
}

export type Places = {
  /** Where the system's folders lie. */
  readonly root: string
  readonly scratch: string
  readonly dataDir: string
}

/** What MetaFlow wrote on this machine, in the order in which it is undone. */
export function whatIsThere(places: Places, withData: boolean): Undoing[] {
  const found = UNIT_FOLDERS.map((folder) => join(places.root, folder, UNIT))
    .filter(isOurUnit)
    .map((path) => ({ what: `the system service ${path}`, undo: () => removeUnit(places, path) }))
  return [
    ...found,
    ...unpackedIn(places.scratch).map((path) => ({
      what: `the unpacked library ${path}`,
      undo: () => rmSync(path, { force: true }),
    })),
    ...(withData && isOurData(places.dataDir) ? [dataOf(places.dataDir)] : []),
  ]
}

/** Any folder may be named, or be meant by default: one in which MetaFlow never ran is not ours. */
function isOurData(folder: string): boolean {
  return LOCKS.some((lock) => existsSync(join(folder, lock)))
}

/** What MetaFlow keeps there, and the folder where nobody else keeps anything in it. */
function dataOf(folder: string): Undoing {
  const isShared = readdirSync(folder).some((name) => !KEPT.includes(name))
  return {
    what: isShared ? `what MetaFlow kept in ${folder}` : `the data folder ${folder}`,
    undo: () => {
      refuseUsed(folder)
      for (const name of KEPT) rmSync(join(folder, name), { recursive: true, force: true })
      if (isShared) return
      // systemd's state folder is a link to the real one.
      rmdirSync(realpathSync(folder))
      rmSync(folder, { force: true })
    },
  }
}

/** Throws where a MetaFlow runs in the folder; from here on none can. */
function refuseUsed(folder: string): void {
  for (const part of OWNERS) {
    const path = join(folder, part)
    if (existsSync(join(path, 'lock')) && !lockDirectory(path))
      throw new MetaflowError('conflict', 'a MetaFlow runs in it; stop it first')
  }
}

function isOurUnit(path: string): boolean {
  try {
    return readFileSync(path, 'utf8').includes(UNIT_MARK)
  } catch {
    return false
  }
}

async function removeUnit({ root }: Places, path: string): Promise<void> {
  const systemctl = root === '/' ? Bun.which('systemctl') : null
  if (systemctl !== null) await runProgram([systemctl, 'disable', '--now', UNIT])
  rmSync(join(root, WANTED, UNIT), { force: true })
  rmSync(path)
  if (systemctl !== null) await runProgram([systemctl, 'daemon-reload'])
}

/** Libraries of ours that were unpacked to be loaded: another program's have other bytes. */
function unpackedIn(folder: string): string[] {
  const paths = namesIn(folder)
    .filter((name) => UNPACKED.test(name))
    .map((name) => join(folder, name))
  if (paths.length === 0) return []
  const ours = LIBRARIES.map((path) => readFileSync(path))
  return paths.filter((path) => {
    try {
      const { size } = lstatSync(path)
      return ours.some((bytes) => bytes.length === size && bytes.equals(readFileSync(path)))
    } catch {
      // Gone meanwhile, or another user's, who alone may read and remove it.
      return false
    }
  })
}

function namesIn(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : []
}

async function attempt(what: string, undo: Undoing['undo']): Promise<void> {
  try {
    await undo()
  } catch (thrown) {
    throw cannotRemove(what, thrown)
  }
}

function cannotRemove(what: string, cause: unknown): MetaflowError {
  return new MetaflowError('failed', `Cannot remove ${what}: ${sentenceOf(cause)}`, cause)
}
