/** Opening a capture: what it is built of, what it says where a host does not let it. */
import { afterAll, describe, expect, test } from 'bun:test'
import { mkdtempSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  COUNTERS,
  EVENT,
  EVENT_SIZE,
  SETTINGS,
  SETTINGS_SIZE,
} from '../../../src/agent/capture/layout.ts'
import { testWith } from '../../needs.ts'
import { until } from '../../until.ts'
import { build, cleanUp, observer, start, why } from './observed.ts'

const directory = mkdtempSync(join(tmpdir(), 'metaflow-open-'))
afterAll(() => {
  rmSync(directory, { recursive: true })
  cleanUp()
})

const OPEN = `
  import { openCapture } from '${process.cwd()}/src/agent/capture/capture.ts'
  try {
    openCapture({ mutedProcessIds: [] }).close()
    console.log('opened')
  } catch (error) {
    console.log(error.code, error.message)
  }
`

/** What a process in a changed world says when it opens a capture. */
function openUnder(...command: readonly string[]): string {
  build()
  const script = join(directory, 'open.ts')
  writeFileSync(script, OPEN)
  const { stdout, stderr } = Bun.spawnSync([...command, process.execPath, script])
  return `${stdout}${stderr}`.trim()
}

/** `sh -c` in a mount namespace of its own, where something is hidden first. */
function hiding(...mounts: readonly string[]): readonly string[] {
  return ['unshare', '-m', 'sh', '-c', `${mounts.join(' && ')} && exec "$0" "$@"`]
}

test.skipIf(why !== undefined)('layout.ts says what the C compiler says', () => {
  const asserts = [
    ...Object.entries(EVENT).map(([field, at]) => `offsetof(struct event, ${field}) == ${at}`),
    ...Object.entries(SETTINGS).map(
      ([field, at]) => `offsetof(struct settings, ${field}) == ${at}`,
    ),
    ...COUNTERS.map((name, index) => `COUNT_${name.toUpperCase()} == ${index}`),
    `sizeof(struct event) == ${EVENT_SIZE}`,
    `sizeof(struct settings) == ${SETTINGS_SIZE}`,
    `COUNTERS == ${COUNTERS.length}`,
  ]
  const lines = asserts.map((one) => `_Static_assert(${one}, "${one}");`)
  const source = join(directory, 'layout.c')
  writeFileSync(source, `#include "maps.h"\n#include <stddef.h>\n${lines.join('\n')}\n`)
  const { stderr } = Bun.spawnSync([
    ...['clang', '-target', 'bpf', '-fsyntax-only', '-Ibpf', '-I/usr/include/x86_64-linux-gnu'],
    source,
  ])
  expect(`${stderr}`).toBe('')
})

describe('missingPermit', () => {
  const root = { capabilities: (1n << 41n) - 1n, hasTypes: true, lockdown: '[none] integrity' }
  test.each([
    ['nothing where all is there', {}, undefined],
    [
      'nothing under lockdown=integrity',
      { lockdown: 'none [integrity] confidentiality' },
      undefined,
    ],
    [
      'nothing with CAP_BPF and CAP_PERFMON',
      { capabilities: (1n << 39n) | (1n << 38n) },
      undefined,
    ],
    ['the capabilities', { capabilities: 1n << 39n }, /CAP_SYS_ADMIN nor CAP_BPF with CAP_PERFMON/],
    ['the types', { hasTypes: false }, /btf\/vmlinux is absent or empty; boot a kernel built with/],
    ['the lockdown', { lockdown: 'none integrity [confidentiality]' }, /lockdown=integrity/],
  ])('names %s', async (_, changed, sentence) => {
    if (why === undefined) build()
    const { missingPermit } = await import('../../../src/agent/capture/permits.ts')
    const said = missingPermit({ ...root, ...changed })
    if (sentence) expect(said).toMatch(sentence)
    else expect(said).toBeUndefined()
  })
})

describe.skipIf(why !== undefined)('openCapture', () => {
  testWith('mounts')('opens with the host’s own libbpf, libelf and libz hidden', () => {
    const hidden = ['libbpf.so.1', 'libelf.so.1', 'libz.so.1'].map(
      (name) =>
        `for f in $(ls -d /usr/lib/*/${name}* /lib/*/${name}* 2>/dev/null); ` +
        'do mount --bind /dev/null $(readlink -f $f); done',
    )
    expect(openUnder(...hiding(...hidden))).toBe('opened')
  })

  test('says what is missing without capabilities', () => {
    const dropped = '-sys_admin,-bpf,-perfmon'
    const said = openUnder('setpriv', `--bounding-set=${dropped}`, `--inh-caps=${dropped}`)
    expect(said).toStartWith('unsupported Cannot observe sockets: this process has neither')
  })

  testWith('mounts')('says what is missing without the kernel’s types', () => {
    const said = openUnder(...hiding('mount -t tmpfs none /sys/kernel/btf'))
    expect(said).toStartWith(
      'unsupported Cannot observe sockets: /sys/kernel/btf/vmlinux is absent',
    )
  })

  test('rounds the ring up to what the kernel takes, and says how large it is', async () => {
    const watcher = await observer('auto', { ringBytes: 70_000 })
    expect(watcher.capture.handle.ringBytes).toBe(131_072)
    watcher.close()
  })

  test('takes the socket hooks by itself where the kernel has them', async () => {
    const { hasTracepoint } = await import('../../../src/agent/capture/permits.ts')
    expect(hasTracepoint('no_such_tracepoint')).toBe(false)
    const watcher = await observer('auto')
    const has = hasTracepoint('sock_send_length') && hasTracepoint('sock_recv_length')
    expect(watcher.capture.family).toBe(has ? 'socket' : 'syscall')
    watcher.close()
  })

  test('leaves nothing in the kernel once it is closed', async () => {
    const descriptors = (): number => [...new Bun.Glob('*').scanSync('/proc/self/fd')].length
    const before = descriptors()
    for (let i = 0; i < 3; i++) (await observer('auto')).close()
    expect(descriptors()).toBeLessThanOrEqual(before)
  })

  test('closes nothing that is not its own where the ring cannot be mapped', async () => {
    const watcher = await observer('auto')
    const { openRing } = await import('../../../src/agent/capture/ring.ts')
    const { handle } = watcher.capture
    const file = readlinkSync('/proc/self/fd/0')
    expect(() => openRing({ ...handle, ringFd: -1 })).toThrow('mmap was refused')
    expect(readlinkSync('/proc/self/fd/0')).toBe(file)
    watcher.close()
  })

  test('gives a handle that a Worker reads by', async () => {
    const watcher = await observer('auto')
    const child = start('flood', '10x100')
    expect(await child.exited).toBe(0)
    const worker = new Worker(new URL('./worker.ts', import.meta.url).href)
    const answer = Promise.withResolvers<number>()
    worker.onmessage = ({ data }) => answer.resolve(data)
    worker.postMessage({ handle: watcher.capture.handle, processId: child.pid })
    expect(await answer.promise).toBe(20)
    worker.terminate()
    watcher.close()
  })

  test('counts the events that its hooks make while it is read', async () => {
    const watcher = await observer('auto')
    const { counts } = await watcher.watch('read_write')
    expect(counts.events).toBeGreaterThanOrEqual(12)
    await until(() => watcher.poll() === 0)
    expect(watcher.capture.samples().map(({ name }) => name)).toContain('capture_ring_full_total')
    watcher.close()
  })
})
