import { expect, test } from 'bun:test'
import { join } from 'node:path'
import { version } from '../package.json' with { type: 'json' }
import { runProgram } from '../src/lib/process.ts'

const MAIN = join(import.meta.dir, '..', 'src', 'main.ts')
const metaflow = (...args: readonly string[]) => runProgram([process.execPath, MAIN, ...args])

test('metaflow --version prints its version', async () => {
  const run = await metaflow('--version')
  expect(run).toEqual({ code: 0, signal: null, stdout: `metaflow ${version}\n`, stderr: '' })
})

test.each([
  [['--mode=sever'], 'Cannot start sever: there is no such mode; did you mean server?'],
  [['--mode'], 'Cannot start nothing: there is no such mode'],
  [['relpay', 'x.pcap'], 'Cannot start relpay: there is no such command; did you mean replay?'],
  [['constructor'], 'Cannot start constructor: there is no such command'],
])('metaflow %j is misuse, with the nearest name', async (args, sentence) => {
  const run = await metaflow(...args)
  expect(run.code).toBe(2)
  expect(run.stderr).toBe(`metaflow: ${sentence}\n`)
  expect(run.stdout).toBe('')
})
