import { afterAll, expect, test } from 'bun:test'
import { mkdtempSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bounded } from '../../src/lib/data-directory.ts'
import { realEnv } from '../../src/lib/env-real.ts'

const directory = mkdtempSync(join(tmpdir(), 'metaflow-bounded-'))
afterAll(() => rmSync(directory, { recursive: true }))

test('bounded answers the bytes that were asked for, or a share of the file system', () => {
  const env = realEnv()
  const { bsize, blocks } = statfsSync(directory)
  expect(bounded(env, directory, 1000, 0.1)).toBe(1000)
  expect(bounded(env, directory, Number.MAX_SAFE_INTEGER, 0.1)).toBe(
    Math.floor(bsize * blocks * 0.1),
  )
})
