import { afterAll, beforeAll, expect, test } from 'bun:test'
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runProgram } from '../../src/lib/process.ts'

const PROJECT = join(import.meta.dir, '..', '..')
/** What the script itself is made of: nothing of it installs. */
const TOOLS = [
  ...['bash', 'dirname', 'date', 'cut', 'cat', 'awk', 'sha256sum', 'mktemp', 'rm', 'wc', 'env'],
] as const
const directory = mkdtempSync(join(tmpdir(), 'metaflow-bootstrap-'))
const tools = join(directory, 'tools')

beforeAll(() => {
  mkdirSync(tools)
  for (const tool of TOOLS) symlinkSync(Bun.which(tool)!, join(tools, tool))
})
afterAll(() => rmSync(directory, { recursive: true }))

/** A Debian as root, where nothing is installed and whatever would change it is noted. */
const MACHINE = {
  uname: 'case $1 in -s) echo Linux ;; *) echo x86_64 ;; esac',
  id: 'echo 0',
  node: 'exit 0',
  npm: 'exit 0',
  'dpkg-query': 'exit 1',
  'apt-get': 'echo "$@" >>"$NOTES"',
  df: "echo 'Filesystem 1M-blocks Used Available'; echo 'disk 99999 1 99998'",
}

/** Runs bootstrap on a machine that differs from MACHINE; an absent program is undefined. */
async function bootstrap(
  purpose: string,
  changes: Readonly<Partial<Record<keyof typeof MACHINE, string | undefined>>>,
) {
  const programs = mkdtempSync(join(directory, 'programs-'))
  const notes = join(programs, 'notes')
  for (const [name, script] of Object.entries({ ...MACHINE, ...changes }))
    if (script !== undefined)
      writeFileSync(join(programs, name), `#!${tools}/bash\n${script}\n`, { mode: 0o755 })
  const environment = { PATH: `${programs}:${tools}`, NOTES: notes }
  const run = await runProgram([join(PROJECT, 'scripts', 'bootstrap'), purpose], { environment })
  const asked = existsSync(notes) ? await Bun.file(notes).text() : ''
  return { ...run, changed: asked.split('\n').filter((line) => /\b(update|-y)\b/.test(line)) }
}

test.each([
  ['another system', { uname: 'echo Darwin' }, 'Cannot prepare: Linux is needed, this is Darwin'],
  [
    'another processor',
    { uname: 'case $1 in -s) echo Linux ;; *) echo riscv64 ;; esac' },
    'Cannot prepare: x86_64 is needed, this machine is riscv64',
  ],
  [
    'no Node',
    { node: undefined },
    'Cannot prepare: node and npm are missing; install Node 18 or later, with npm',
  ],
  ['no npm', { npm: undefined }, 'Cannot prepare: node and npm are missing'],
  ['no apt', { 'apt-get': undefined }, 'apt-get is missing; this needs Debian 12 or a relative'],
  ['no root', { id: 'echo 1000' }, 'clang libbpf-dev libelf-dev zlib1g-dev linux-libc-dev'],
  [
    'no room',
    { df: "echo 'Filesystem 1M-blocks Used Available'; echo 'disk 99999 1 99'" },
    'are needed in',
  ],
])('bootstrap on a machine with %s says so in a sentence', async (_, changes, sentence) => {
  const run = await bootstrap('build', changes)
  expect(run.code).toBe(1)
  expect(run.stderr).toContain(sentence)
  expect(run.stderr.trimEnd().split('\n')).toHaveLength(1)
  expect(run.changed.filter((line) => line.includes('install'))).toEqual([])
})

test('bootstrap for the demo wants root first of all', async () => {
  const run = await bootstrap('demo', { id: 'echo 1000' })
  expect([run.code, run.stderr]).toEqual([
    1,
    'bootstrap: Cannot observe this machine: run it as root, eBPF needs it\n',
  ])
})

test('bootstrap says what it will download, and how much, before it does', async () => {
  const sizes = 'echo "Need to get 82.8 MB of archives."; echo "After this operation, 405 MB"'
  const apt = `echo "$@" >>"$NOTES"; case "$*" in *--assume-no*) ${sizes} ;; *-y*) exit 1 ;; esac`
  const run = await bootstrap('build', { 'apt-get': apt })
  const said = run.stdout.split('\n')
  expect(said[0]).toMatch(/^ {2}read the package lists +\d+\.\d s$/)
  expect(said[1]).toBe('To be installed now, once; 1 to 10 minutes, as the network goes:')
  expect(said[2]).toContain('82.8 MB to download,   405 MB on disk')
  expect(run.stderr).toContain("Cannot install Debian packages: 'apt_get install -y")
})
