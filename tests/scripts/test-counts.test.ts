import { expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseCounts } from '../../scripts/test-counts.ts'
import { runProgram } from '../../src/lib/process.ts'

/** Runs `files` through the real runner and reads its counts. */
async function countsOf(files: Readonly<Record<string, string>>) {
  const directory = mkdtempSync(join(tmpdir(), 'metaflow-counts-'))
  try {
    for (const name in files) await Bun.write(join(directory, name), files[name]!)
    const run = await runProgram([process.execPath, 'test'], { directory })
    return parseCounts(run.stderr.split('\n'))
  } finally {
    rmSync(directory, { recursive: true })
  }
}

const HEAD = "import { test } from 'bun:test'\n"

test('parseCounts reads what the runner says of tests that pass, fail and are skipped', async () => {
  const text = `${HEAD}test('a', () => {}); test('b', () => {}); test.skip('c', () => {})
    test.todo('d'); test('e', () => { throw new Error('no') })`
  expect(await countsOf({ 'a.test.ts': text })).toEqual({ passed: 2, failed: 1, skipped: 2 })
})

test('parseCounts counts a file that fails outside any test', async () => {
  const broken = `${HEAD}throw new Error('outside')`
  const fine = `${HEAD}test('a', () => {})`
  expect(await countsOf({ 'b.test.ts': broken })).toEqual({ passed: 0, failed: 1, skipped: 0 })
  const both = await countsOf({ 'a.test.ts': fine, 'b.test.ts': broken })
  expect(both).toEqual({ passed: 1, failed: 1, skipped: 0 })
})

test('parseCounts takes the closing lines, not what a test printed', () => {
  const lines = [
    ' 9 pass',
    'Ran 9 tests across 1 file.',
    '',
    ' 2 pass',
    ' 0 fail',
    ' 3 expect() calls',
  ]
  expect(parseCounts([...lines, 'Ran 2 tests across 1 file. [1.00ms]', '']).passed).toBe(2)
  expect(parseCounts([])).toEqual({ passed: 0, failed: 0, skipped: 0 })
})
