import { expect, test } from 'bun:test'
import { join } from 'node:path'
import { runProgram } from '../../src/lib/process.ts'

const LOG = join(import.meta.dir, '..', '..', 'src', 'lib', 'log.ts')

/** Runs `script` with what it needs of log.ts, its standard output piped into `reader`. */
const piped = (script: string, reader: string) =>
  runProgram([
    '/bin/sh',
    '-c',
    '"$0" -e "$1" | eval "$2"',
    process.execPath,
    `import { log, print, setLog } from '${LOG}'; ${script}`,
    reader,
  ])

test('print hands over all of a long answer before the program ends', async () => {
  const run = await piped("print('x'.repeat(5_000_000)); process.exit(0)", 'wc -c')
  expect(run.stdout).toBe('5000000\n')
})

test('print throws EPIPE where its reader went away', async () => {
  const script = `try { for (;;) print('x'.repeat(100_000)) } catch (e) { log('info', e.code) }`
  const run = await piped(script, 'head -c 1')
  expect(run.stdout).toBe('x\n')
  expect(run.stderr).toContain('info  EPIPE')
})

test('log outlives its reader', async () => {
  const script = `
    let lines = 0
    const timer = setInterval(() => {
      log('info', 'a line')
      if (++lines === 20) { clearInterval(timer); print('lived') }
    }, 10)`
  const unheard = await runProgram([
    '/bin/sh',
    '-c',
    '{ "$0" -e "$1" 2>&1 >&3 | head -1 >/dev/null; } 3>&1',
    process.execPath,
    `import { log, print } from '${LOG}'; ${script}`,
  ])
  expect(unheard.stdout).toBe('lived\n')
})

test('log writes one line with time, level, part and fields, from its threshold on', async () => {
  const script = `setLog('warn', 'agent'); log('info', 'No'); log('warn', 'Cannot a', { n: 1, s: 'b c' })`
  const { stderr } = await piped(script, 'cat')
  expect(stderr).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z warn {2}agent: Cannot a n=1 s="b c"\n$/)
})
