import { expect, test } from 'bun:test'
import { join } from 'node:path'
import { runProgram } from '../../src/lib/process.ts'

const MAIN = join(import.meta.dir, '..', '..', 'src', 'main.ts')
const metaflow = (...args: readonly string[]) =>
  runProgram([process.execPath, MAIN, ...args], {
    environment: { METAFLOW_AGENT_TOKEN: 'hunter2' },
  })

test('metaflow config print shows settings with meaning and source, secrets masked', async () => {
  const run = await metaflow('config', 'print', '--side', 'agent', '--agent-rows-per-second=5')
  expect(run.code).toBe(0)
  expect(run.stdout).toContain('  # Calls sent as rows a second at most; metrics count all.')
  expect(run.stdout).toContain('from --agent-rows-per-second\n  rowsPerSecond: 5\n')
  expect(run.stdout).toContain('from METAFLOW_AGENT_TOKEN\n  # token: "********"\n')
  expect(run.stdout).not.toContain('hunter2')
  expect(run.stdout).not.toContain('clickhouse')
})

test('metaflow config print --output json is one list', async () => {
  const run = await metaflow('config', 'print', '--output=json', '--side=server')
  const settings: { key: string; value: unknown }[] = JSON.parse(run.stdout)
  expect(settings.find(({ key }) => key === 'server.listen')?.value).toBe('127.0.0.1:20416')
})

test.each([
  [['config'], 'Cannot do config: the one thing is print'],
  [['config', 'prnt'], 'Cannot do config prnt: the one thing is print'],
  [
    ['config', 'print', '--side=sever'],
    'expected agent or server or demo or client; did you mean server?',
  ],
  [['config', 'print', '--side'], 'Cannot read --side: its value is missing'],
  [['config', 'print', 'x'], 'Cannot use x: only flags are taken here'],
  [['config', 'print', '--output=xml'], 'Cannot use --output xml: expected yaml or json'],
])('metaflow %j is misuse', async (args, sentence) => {
  const run = await metaflow(...args)
  expect(run.code).toBe(2)
  expect(run.stderr).toContain(sentence)
})

test.each([
  [['--help'], 'metaflow --mode=demo'],
  [['-h'], 'metaflow --mode=demo'],
  [['help'], 'metaflow --mode=demo'],
  [['--mode=agent', '--help'], '--agent-capture-family VALUE'],
  [['--mode=engine', '--help'], 'as a child of the server'],
  [['--mode', 'workload', '--help'], '--part shop-dns|shop-store'],
  [['replay', '-h'], '- is\nthe standard input'],
  [['config', '--help'], '--side agent|server|demo|client'],
  [['config', 'print', '--help'], '--side agent|server|demo|client'],
])('metaflow %j is help', async (args, text) => {
  const run = await metaflow(...args)
  expect([run.code, run.stderr]).toEqual([0, ''])
  expect(run.stdout).toContain(text)
})
