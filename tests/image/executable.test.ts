/** The built executable as what it is: sealed, whole, and stopped by signals. */
import { afterAll, expect } from 'bun:test'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { version } from '../../package.json' with { type: 'json' }
import { runProgram, startChild } from '../../src/lib/process.ts'
import { testWith } from '../needs.ts'
import { until } from '../until.ts'

const METAFLOW = join(import.meta.dir, '..', '..', 'dist', 'metaflow')
const directory = mkdtempSync(join(tmpdir(), 'metaflow-executable-'))
afterAll(() => rmSync(directory, { recursive: true }))

const foreign = join(directory, 'foreign.ts')
writeFileSync(foreign, 'process.stdout.write("foreign code ran")')
writeFileSync(join(directory, 'bunfig.toml'), `preload = ["${foreign}"]\n`)
writeFileSync(join(directory, '.env'), 'METAFLOW_AGNET=1\n')

testWith('executable').each([
  ['BUN_BE_BUN', { BUN_BE_BUN: '1' }],
  ['BUN_OPTIONS', { BUN_OPTIONS: `--preload=${foreign}` }],
  ['NODE_OPTIONS', { NODE_OPTIONS: `--require=${foreign}` }],
  ['BUN_INSPECT_PRELOAD', { BUN_INSPECT_PRELOAD: foreign }],
  ['BUN_INSPECT', { BUN_INSPECT: '127.0.0.1:0' }],
  ['bunfig.toml and .env where it is started', {}],
])('the executable runs no other code for %s', async (_, environment) => {
  const run = await runProgram([METAFLOW, '--version'], { directory, environment })
  expect([run.stdout, run.code]).toEqual([`metaflow ${version}\n`, 0])
  const config = await runProgram([METAFLOW, 'config', 'print'], { directory, environment })
  expect([config.stderr, config.code]).toEqual(['', 0])
})

/** An agent of the executable that observes by now. */
async function startAgent(name: string) {
  const said: string[] = []
  const child = startChild({
    command: [METAFLOW, '--mode=agent', '--data-dir', join(directory, name)],
    name,
    onLine: (line) => said.push(line),
  })
  await until(() => said.some((line) => line.includes('Observing this host')), 30)
  return { child, said }
}

testWith(
  'root',
  'btf',
  'executable',
)('one signal stops the agent in order', async () => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    const { child, said } = await startAgent(signal)
    child.signal(signal)
    expect(await child.exited).toEqual({ code: 0, signal: null })
    expect(said.some((line) => line.endsWith('Stopping'))).toBe(true)
  }
})

testWith(
  'root',
  'btf',
  'executable',
)('a second signal stops it at once', async () => {
  const { child } = await startAgent('twice')
  // Two that are pending at once may be one: the second is another.
  child.signal('SIGINT')
  child.signal('SIGTERM')
  expect(await child.exited).toEqual({ code: 1, signal: null })
})
