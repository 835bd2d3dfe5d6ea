/** How the demo begins and ends where something is in its way. */
import { afterAll, expect, test } from 'bun:test'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { lockDirectory } from '../../src/lib/env-real.ts'
import { ownCommand, runProgram } from '../../src/lib/process.ts'
import { testWith } from '../needs.ts'
import { until } from '../until.ts'

const directory = mkdtempSync(join(tmpdir(), 'metaflow-demo-'))
afterAll(() => rmSync(directory, { recursive: true }))

test('a second demo on the same data is refused, and leaves the log of the first', async () => {
  const data = mkdtempSync(join(directory, 'second-'))
  writeFileSync(join(data, 'demo.log'), 'of the first\n')
  lockDirectory(data)
  const run = await runProgram(ownCommand(['--mode=demo', '--data-dir', data]))
  expect([run.code, run.stderr]).toEqual([
    1,
    `metaflow: Cannot use the data directory ${data}: another demo has it; only one may at a time\n`,
  ])
  expect(readFileSync(join(data, 'demo.log'), 'utf8')).toBe('of the first\n')
})

/** A port that was free a moment ago. */
function freePort(): number {
  const listener = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data: () => {} } })
  listener.stop(true)
  return listener.port
}

testWith('root', 'btf')(
  'the demo stops its parts in order though nobody reads what it says',
  async () => {
    const data = mkdtempSync(join(directory, 'unheard-'))
    const listen = `127.0.0.1:${freePort()}`
    const flags = ['--data-dir', data, '--listen', listen, '--workload=off']
    const demo = Bun.spawn(ownCommand(['--mode=demo', ...flags]), { stderr: 'pipe' })
    const reader = demo.stderr.getReader()
    let said = ''
    await until(async () => {
      said += new TextDecoder().decode((await reader.read()).value)
      return said.includes('Ctrl-C stops everything')
    }, 100)
    // As `tee` does at the same Ctrl-C.
    await reader.cancel()
    demo.kill('SIGINT')
    expect(await demo.exited).toBe(0)
    expect(said).not.toContain('idle')
    expect(readFileSync(join(data, 'demo.log'), 'utf8')).toContain('agent: Stopping')
  },
  120_000,
)
