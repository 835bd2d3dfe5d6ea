import { afterAll, expect, test } from 'bun:test'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from '../until.ts'

const directory = mkdtempSync(join(tmpdir(), 'metaflow-steps-'))
afterAll(() => rmSync(directory, { recursive: true }))

/** A script that takes one step, as those of scripts/ do; where it keeps its scratch. */
function script(command: string): { path: string; scratch: string } {
  const place = mkdtempSync(join(directory, 'script-'))
  const scratch = join(place, 'tmp')
  mkdirSync(scratch)
  symlinkSync(join(import.meta.dir, '..', '..', 'scripts', 'steps.sh'), join(place, 'steps.sh'))
  const path = join(place, 'script')
  const text = `#!/usr/bin/env bash\n. "$(dirname "$0")/steps.sh"\nstep 'do it' ${command}\n`
  writeFileSync(path, text, { mode: 0o755 })
  return { path, scratch }
}

function start({ path, scratch }: { path: string; scratch: string }) {
  const environment = { PATH: '/usr/bin:/bin', TMPDIR: scratch }
  return Bun.spawn([path], { env: environment, stdout: 'pipe', stderr: 'pipe', detached: true })
}

/** Processes of a group, by their command lines. */
function membersOf(group: number): string[] {
  const { stdout } = Bun.spawnSync(['ps', '-eo', 'pgid=,args='])
  const lines = stdout.toString().split('\n')
  return lines.filter((line) => line.trimStart().startsWith(`${group} `))
}

test('a step ends at Ctrl-C with what it started, and leaves no file', async () => {
  const one = script('sleep 77')
  const run = start(one)
  await until(() => membersOf(run.pid).some((line) => line.includes('sleep 77')), 10)
  process.kill(-run.pid, 'SIGINT')
  await run.exited
  await until(() => membersOf(run.pid).length === 0, 5)
  expect(readdirSync(one.scratch)).toEqual([])
})

test('a step that fails shows its words, and says in a sentence what failed', async () => {
  const one = script('ls /nowhere/at/all')
  const run = start(one)
  expect(await run.exited).toBe(1)
  const said = await new Response(run.stderr).text()
  expect(said).toContain('/nowhere/at/all')
  expect(said).toEndWith("Cannot do it: 'ls /nowhere/at/all' failed with the words above\n")
  expect(readdirSync(one.scratch)).toEqual([])
})
