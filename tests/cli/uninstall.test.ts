import { afterAll, beforeAll, expect, test } from 'bun:test'
import {
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Places, whatIsThere } from '../../src/cli/uninstall.ts'
import { lockDirectory } from '../../src/lib/env-real.ts'
import { runProgram } from '../../src/lib/process.ts'

const PROJECT = join(import.meta.dir, '..', '..')
const directory = mkdtempSync(join(tmpdir(), 'metaflow-uninstall-'))
const places: Places = {
  root: join(directory, 'root'),
  scratch: join(directory, 'tmp'),
  dataDir: join(directory, 'data'),
}
const units = join(places.root, 'etc/systemd/system')
const wants = join(units, 'multi-user.target.wants')

beforeAll(() => {
  for (const folder of [wants, places.scratch, places.dataDir])
    mkdirSync(folder, { recursive: true })
})
afterAll(() => rmSync(directory, { recursive: true }))

/** Leaves what a server and an agent leave in their data folder. */
function run(folder: string): void {
  for (const part of ['log', 'spool']) {
    mkdirSync(join(folder, part), { recursive: true })
    writeFileSync(join(folder, part, 'lock'), '')
  }
}

const undo = async (withData: boolean) => {
  for (const { undo } of whatIsThere(places, withData)) await undo()
}

test('whatIsThere finds the unit of deploy/ and undoes it, its link too', async () => {
  const unit = join(units, 'metaflow.service')
  copyFileSync(join(PROJECT, 'deploy', 'metaflow.service'), unit)
  symlinkSync(unit, join(wants, 'metaflow.service'))
  expect(whatIsThere(places, false).map(({ what }) => what)).toEqual([`the system service ${unit}`])
  await undo(false)
  expect(existsSync(unit)).toBe(false)
  expect(whatIsThere(places, false)).toEqual([])
})

test('whatIsThere leaves a unit of the same name that is not ours', () => {
  const unit = join(units, 'metaflow.service')
  writeFileSync(unit, '[Service]\nExecStart=/usr/bin/other\n')
  expect(whatIsThere(places, false)).toEqual([])
  rmSync(unit)
})

test('whatIsThere finds our unpacked libraries, and no other file beside them', async () => {
  const ours = join(places.scratch, '.bun-0-eff255a9ece7ecef.so')
  copyFileSync(join(PROJECT, 'embed', 'libz.so.1'), ours)
  const others = ['.bun-0-0123456789abcdef.so', 'libz.so', 'metaflow-x'].map((name) =>
    join(places.scratch, name),
  )
  for (const path of others) writeFileSync(path, 'other')
  await undo(false)
  expect(existsSync(ours)).toBe(false)
  expect(others.map((path) => existsSync(path))).toEqual([true, true, true])
})

test('whatIsThere takes the data folder where it is asked to, and only then', async () => {
  run(places.dataDir)
  await undo(false)
  expect(existsSync(places.dataDir)).toBe(true)
  await undo(true)
  expect(existsSync(places.dataDir)).toBe(false)
})

test('whatIsThere leaves a folder in which MetaFlow never ran, and what others keep beside it', async () => {
  mkdirSync(join(places.dataDir, 'log'), { recursive: true })
  const others = join(places.dataDir, 'others')
  writeFileSync(others, '')
  await undo(true)
  expect(existsSync(join(places.dataDir, 'log'))).toBe(true)
  run(places.dataDir)
  await undo(true)
  expect([existsSync(others), existsSync(join(places.dataDir, 'log'))]).toEqual([true, false])
})

test('whatIsThere takes a data folder that is a link, as systemd makes it', async () => {
  const real = join(directory, 'private')
  run(real)
  const link = join(directory, 'link')
  symlinkSync(real, link)
  for (const { undo } of whatIsThere({ ...places, dataDir: link }, true)) await undo()
  expect([existsSync(real), lstatSync(link, { throwIfNoEntry: false })]).toEqual([false, undefined])
})

test('whatIsThere finds nothing in a folder for scratch that is absent', () => {
  expect(whatIsThere({ ...places, scratch: join(directory, 'absent') }, false)).toEqual([])
})

const uninstall = (...args: readonly string[]) =>
  runProgram([process.execPath, join(PROJECT, 'src/main.ts'), 'uninstall', ...args], {
    environment: { TMPDIR: places.scratch },
  })

test('metaflow uninstall --data leaves a folder in which a MetaFlow runs', async () => {
  const data = join(directory, 'used')
  run(data)
  lockDirectory(join(data, 'log'))
  const refused = await uninstall('--data', `--data-dir=${data}`)
  expect([refused.code, refused.stderr]).toEqual([
    1,
    `metaflow: Cannot remove the data folder ${data}: a MetaFlow runs in it; stop it first\n`,
  ])
  expect(existsSync(join(data, 'spool', 'lock'))).toBe(true)
})

test('metaflow uninstall takes --dry-run=yes for no answer', async () => {
  const data = join(directory, 'kept-too')
  run(data)
  const misused = await uninstall('--dry-run=yes', '--data', `--data-dir=${data}`)
  expect([misused.code, misused.stderr]).toEqual([
    2,
    'metaflow: Cannot use --dry-run yes: expected true or false\n',
  ])
  expect(existsSync(data)).toBe(true)
})

test('metaflow uninstall --dry-run says what would be done, and does nothing', async () => {
  const data = join(directory, 'kept')
  run(data)
  const dry = await uninstall('--dry-run', '--data', `--data-dir=${data}`)
  expect([dry.code, dry.stdout]).toEqual([0, `would remove the data folder ${data}\n`])
  expect(existsSync(data)).toBe(true)
})
