/** What the host does not permit or another process has: the agent and doctor say it and end. */
import { afterAll, expect } from 'bun:test'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { testWith } from '../needs.ts'
import { peer } from '../peers/peers.ts'
import { expectNoInsides, expectSentence, Part, ran } from './bad-input.ts'

const directory = mkdtempSync(join(tmpdir(), 'metaflow-host-'))
afterAll(() => rmSync(directory, { recursive: true }))
const NOBODY = '127.0.0.1:1'
const agent = (name: string, ...args: readonly string[]): string[] => {
  const data = join(directory, name)
  return ['--mode=agent', '--data-dir', data, '--server', `http://${NOBODY}`, ...args]
}
const WITHOUT = ['setpriv', '--bounding-set=-all', '--inh-caps=-all', '--ambient-caps=-all', '--']
const UNPRIVILEGED = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--']
/** In a mount namespace of its own: the kernel's types are not the kernel's any more. */
const hidden = (mount: string): string[] => [
  'unshare',
  '-m',
  'sh',
  '-c',
  `${mount} && exec "$@"`,
  '-',
]
const empty = join(directory, 'empty')
writeFileSync(empty, '')
const TYPES = '/sys/kernel/btf/vmlinux'
const NO_TYPES: [string, string[]][] = [
  ['absent', hidden('mount -t tmpfs none /sys/kernel/btf')],
  ['void', hidden(`mount --bind ${empty} ${TYPES}`)],
]

type Found = { readonly capability: string; readonly verdict: string; readonly without: string }
/** What doctor finds, by capability. */
async function found(by: readonly string[]): Promise<Map<string, Found>> {
  const run = await ran(['doctor', '--output', 'json'], { by })
  expectNoInsides(run.stdout + run.stderr)
  expect([run.code, run.stderr]).toEqual([1, ''])
  const findings = JSON.parse(run.stdout) as Found[]
  return new Map(findings.map((finding) => [finding.capability, finding]))
}

testWith('executable', 'root', 'setpriv').each([
  ['root without capabilities', WITHOUT],
  ['an unprivileged user', UNPRIVILEGED],
])('an agent of %s says what it needs, and doctor does', async (name, by) => {
  // Whoever they are, they may write here: it is not the files that they lack.
  mkdirSync(join(directory, name))
  for (const folder of [directory, join(directory, name)]) chmodSync(folder, 0o777)
  const run = await ran(agent(name), { by })
  expectSentence(run, 1, /Cannot observe sockets: .* CAP_BPF with CAP_PERFMON; run it as root/)
  const { verdict, without } = (await found(by)).get('privileges')!
  expect([verdict, without]).toEqual(['no', expect.stringContaining('Nothing is observed')])
})

testWith('executable', 'root', 'mounts', 'unshare').each(NO_TYPES)(
  'an agent where the kernel types are %s says so, and doctor does',
  async (name, by) => {
    expectSentence(
      await ran(agent(name), { by }),
      1,
      'Cannot observe sockets: /sys/kernel/btf/vmlinux is absent or empty; boot a kernel built with',
    )
    const { verdict, without } = (await found(by)).get('kernel types (BTF)')!
    expect([verdict, without]).toEqual(['no', expect.stringContaining('CONFIG_DEBUG_INFO_BTF')])
  },
)

testWith(
  'executable',
  'root',
  'btf',
)('a second agent on a data dir is told; the first does not mind', async () => {
  const first = new Part(agent('shared'))
  await first.says('Observing this host')
  const data = join(directory, 'shared')
  expectSentence(
    await ran(agent('shared')),
    1,
    `Cannot use the data directory ${data}: another agent`,
  )
  expect(first.hasEnded).toBe(false)
  first.child.signal('SIGKILL')
  await first.child.exited
  const again = new Part(agent('shared'))
  await again.says('Observing this host')
  expect((await again.child.stop()).code).toBe(0)
  expectNoInsides(again.words)
})

testWith(
  'executable',
  'root',
  'btf',
  'curl',
)('an agent without a server says so once, and goes on', async () => {
  const part = new Part(agent('alone'))
  await part.says('Observing this host')
  // Something to tell the server of.
  const nobody = Bun.serve({ hostname: '127.0.0.1', port: 0, fetch: () => new Response('') })
  await Bun.spawn([peer('curl')!, '-s', nobody.url.href]).exited
  await nobody.stop(true)
  await part.says('Cannot reach')
  const lines = part.lines.filter((line) => line.includes('Cannot reach'))
  expect(lines).toHaveLength(1)
  expect(lines[0]).toEndWith(`warn  agent: Cannot reach http://${NOBODY}: ECONNREFUSED`)
  expect((await part.child.stop()).code).toBe(0)
})

testWith(
  'executable',
  'root',
  'btf',
  'prlimit',
)('too few open files are told', async () => {
  const run = await ran(agent('files'), { by: ['prlimit', '--nofile=16:16', '--'] })
  expectSentence(run, 1, /Cannot /)
})

testWith('executable')('an answer that cannot be written ends with a sentence', async () => {
  const full = ['sh', '-c', `exec "$@" > /dev/full`, '-']
  for (const args of [['--help'], ['config', 'print'], ['doctor']])
    expectSentence(await ran(args, { by: full }), 1, 'Cannot go on: ENOSPC: no space left')
  const closed = ['sh', '-c', `exec "$@" | true`, '-']
  expect((await ran(['config', 'print'], { by: closed })).stderr).toBe('')
})
