import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { LINE_BYTES_MAX, runProgram, startChild } from '../../src/lib/process.ts'
import { until } from '../until.ts'

/** Whether a process runs: a zombie does not. */
function runs(processId: number): boolean {
  try {
    const stat = readFileSync(`/proc/${processId}/stat`, 'latin1')
    return stat[stat.lastIndexOf(')') + 2] !== 'Z'
  } catch {
    return false
  }
}

test('startChild hands on each line with its stream, and a last one without a newline', async () => {
  const lines: string[] = []
  const child = startChild({
    command: ['/bin/sh', '-c', 'echo one; echo two >&2; printf "gr\\303\\274n"'],
    name: 'sh',
    onLine: (line, from) => lines.push(`${from} ${line}`),
  })
  expect(await child.exited).toEqual({ code: 0, signal: null })
  expect(new Set(lines)).toEqual(new Set(['stderr two', 'stdout grün', 'stdout one']))
})

test('startChild cuts an endless line instead of keeping it', async () => {
  let longest = 0
  let total = 0
  const child = startChild({
    command: ['/bin/sh', '-c', `head -c ${LINE_BYTES_MAX * 40} /dev/zero | tr '\\0' x`],
    name: 'sh',
    onLine: (line) => {
      longest = Math.max(longest, line.length)
      total += line.length
    },
  })
  await child.exited
  expect(longest).toBeLessThanOrEqual(LINE_BYTES_MAX)
  expect(total).toBeGreaterThan(0)
})

test('startChild gives the exit code, and the signal of a killed child', async () => {
  const failed = startChild({ command: ['/bin/sh', '-c', 'exit 3'], name: 'sh' })
  expect(await failed.exited).toEqual({ code: 3, signal: null })
  const killed = startChild({ command: ['/bin/sleep', '600'], name: 'sleep' })
  killed.signal('SIGKILL')
  expect(await killed.exited).toEqual({ code: null, signal: 'SIGKILL' })
})

test('startChild throws where there is no such program', () => {
  expect(() => startChild({ command: ['/absent/program'], name: 'absent' })).toThrow(
    'Cannot start /absent/program: there is no such program',
  )
})

test('stop ends a child that heeds SIGTERM, and kills one that does not after the grace', async () => {
  const polite = startChild({ command: ['/bin/sleep', '600'], name: 'sleep' })
  expect(await polite.stop()).toEqual({ code: null, signal: 'SIGTERM' })
  const said: string[] = []
  const stubborn = startChild({
    command: ['/bin/sh', '-c', 'trap "" TERM; echo ready; while :; do sleep 0.05; done'],
    name: 'sh',
    onLine: (line) => said.push(line),
  })
  await until(() => said.includes('ready'))
  expect(await stubborn.stop(50)).toEqual({ code: null, signal: 'SIGKILL' })
  expect(await stubborn.stop(50)).toEqual({ code: null, signal: 'SIGKILL' })
})

test('a child that ends leaves no grandchild', async () => {
  const said: string[] = []
  const child = startChild({
    command: ['/bin/sh', '-c', 'sleep 600 & echo $!'],
    name: 'sh',
    onLine: (line) => said.push(line),
  })
  await child.exited
  const grandchild = Number(said[0])
  expect(grandchild).toBeGreaterThan(1)
  await until(() => !runs(grandchild))
})

test('children die with a parent that was killed: our executable and others', async () => {
  const parent = `
    import { startChild } from '${import.meta.dir}/../../src/lib/process.ts'
    const other = startChild({ command: ['/bin/sleep', '600'], name: 'sleep' })
    const own = startChild({
      command: [process.execPath, '-e', 'console.log("up"); setInterval(() => {}, 1000)'],
      name: 'own',
      onLine: () => console.log(other.processId, own.processId),
    })
    setInterval(() => {}, 1000)`
  const said: string[] = []
  const child = startChild({
    command: [process.execPath, '-e', parent],
    name: 'parent',
    onLine: (line) => said.push(line),
  })
  await until(() => said.length > 0)
  const [other = 0, own = 0] = said[0]!.split(' ').map(Number)
  expect([runs(other), runs(own)]).toEqual([true, true])
  child.signal('SIGKILL')
  expect((await child.exited).signal).toBe('SIGKILL')
  await until(() => !runs(own))
  if (Bun.which('setpriv') !== null) await until(() => !runs(other))
})

test('runProgram answers what a program wrote, with variables added and taken away', async () => {
  const run = await runProgram(['/bin/sh', '-c', 'echo "$A $HOME"; echo bad >&2; exit 4'], {
    environment: { A: 'b', HOME: undefined },
  })
  expect(run).toEqual({ code: 4, signal: null, stdout: 'b \n', stderr: 'bad\n' })
})

test('runProgram kills what takes too long', async () => {
  const run = await runProgram(['/bin/sleep', '600'], { timeoutMs: 20 })
  expect(run.signal === 'SIGTERM' || run.signal === 'SIGKILL').toBe(true)
})
