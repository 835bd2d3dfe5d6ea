/** The tools that read the code, as tests, so that what decides about a change runs them too. */
import { expect, test } from 'bun:test'
import { join } from 'node:path'
import { runProgram } from '../src/lib/process.ts'

const PROJECT = join(import.meta.dir, '..')

test.each([
  ['biome', ['check', '--error-on-warnings']],
  ['tsc', ['--noEmit']],
  ['knip', []],
])('%s finds nothing', async (tool, args) => {
  const program = join(PROJECT, 'node_modules', '.bin', tool)
  const run = await runProgram([program, ...args], { directory: PROJECT, timeoutMs: 300_000 })
  expect([run.code, run.code === 0 ? '' : run.stdout + run.stderr]).toEqual([0, ''])
})
