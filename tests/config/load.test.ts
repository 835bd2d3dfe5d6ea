import { afterAll, expect, test } from 'bun:test'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Environment, loadConfig, reachLoopback } from '../../src/config/load.ts'
import type { Side } from '../../src/config/settings.ts'

const directory = mkdtempSync(join(tmpdir(), 'metaflow-config-'))
afterAll(() => rmSync(directory, { recursive: true }))

function yaml(text: string): string {
  const path = join(directory, `${Bun.hash(text)}.yaml`)
  writeFileSync(path, text)
  return path
}

const load = (side: Side, args: readonly string[], environment: Environment = {}) =>
  loadConfig(side, args, {}, environment)

test('loadConfig lets flags win over environment, environment over file, file over default', () => {
  const file = yaml('agent:\n  rowsPerSecond: 1\n  spoolBytes: 1048576\n  redact: false\n')
  const environment = { METAFLOW_AGENT_ROWS_PER_SECOND: '2', METAFLOW_AGENT_SPOOL_BYTES: '2097152' }
  const args = ['--config', file, '--agent-rows-per-second=3']
  const { config, sources } = loadConfig('agent', args, {}, environment)
  expect(config.agent).toMatchObject({ rowsPerSecond: 3, spoolBytes: 2_097_152, redact: false })
  expect(config.agent.capture.family).toBe('auto')
  expect(Object.fromEntries(sources)).toEqual({
    'agent.rowsPerSecond': '--agent-rows-per-second',
    'agent.spoolBytes': 'METAFLOW_AGENT_SPOOL_BYTES',
    'agent.redact': file,
  })
})

test('loadConfig reads the file that METAFLOW_CONFIG names, nested or dotted', () => {
  const file = yaml('server.listen: 127.0.0.1:1\nserver:\n  retention.rowsHours: 5\nquery:\n')
  const { config } = loadConfig('server', [], {}, { METAFLOW_CONFIG: file })
  expect(config.server.listen).toBe('127.0.0.1:1')
  expect(config.server.retention).toEqual({ rowsHours: 5, secondsHours: 24, minutesHours: 720 })
})

test('loadConfig takes one file for both sides, and judges only its own', () => {
  const file = yaml('server:\n  listen: 0.0.0.0:1\nagent:\n  token: secret\n')
  expect(loadConfig('agent', ['--config', file], {}, {}).config.agent.token).toBe('secret')
  expect(() => load('server', ['--config', file])).toThrow('a server.token is needed')
})

test('loadConfig hands extra flags and arguments back', () => {
  const loaded = loadConfig('client', ['SELECT 1', '--output', 'csv'], { output: true }, {})
  expect(loaded.rest).toEqual(['SELECT 1'])
  expect(Object.fromEntries(loaded.flags)).toEqual({ output: 'csv' })
  expect(loaded.config.agent.server).toBe('http://127.0.0.1:20416')
})

test('loadConfig makes the data folder absolute', () => {
  expect(loadConfig('agent', ['--data-dir', 'x'], {}, {}).config.dataDir).toBe(
    join(process.cwd(), 'x'),
  )
})

test.each<[Side, string[], Environment, string]>([
  [
    'agent',
    ['--serve', 'x'],
    {},
    'Cannot read --serve: there is no such flag; did you mean --server?',
  ],
  ['agent', ['--listen=127.0.0.1:1'], {}, 'Cannot read --listen: there is no such flag'],
  [
    'agent',
    ['--server', 'foo'],
    {},
    'agent.server from --server: expected http(s)://HOST:PORT, not "foo"',
  ],
  ['agent', ['--agent-rows-per-second', ''], {}, 'expected whole number ≥ 0, not ""'],
  ['agent', ['--agent-rows-per-second', '1.5'], {}, 'expected whole number ≥ 0, not 1.5'],
  ['agent', ['--agent-capture-ring-bytes=100000'], {}, 'expected a power of two, not 100000'],
  ['agent', ['--log-level=loud'], {}, 'expected debug or info or warn or error, not "loud"'],
  [
    'agent',
    [],
    { METAFLOW_AGENT_SEVER: 'x' },
    'Cannot use METAFLOW_AGENT_SEVER: there is no such setting; did you mean METAFLOW_AGENT_SERVER?',
  ],
  [
    'agent',
    [],
    { METAFLOW_AGENT_REDACT: 'no' },
    'agent.redact from METAFLOW_AGENT_REDACT: expected true or false, not "no"',
  ],
  ['server', ['--server-disk-share=2'], {}, 'expected number > 0 and ≤ 0.95, not 2'],
  ['server', ['--listen=127.0.0.1'], {}, 'expected HOST:PORT'],
  ['server', ['--listen=127.0.0.1:70000'], {}, 'ports end at 65535'],
  [
    'agent',
    ['--server=http://u:p@host'],
    {},
    'Cannot use agent.server: it is to be http(s)://HOST:',
  ],
  ['client', ['--server=http://host/metaflow'], {}, 'Cannot use agent.server: it is to be'],
  ['server', ['--server-token=a b'], {}, 'expected visible ASCII characters, no spaces'],
  ['agent', [], { METAFLOW_AGENT_TOKEN: '秘密' }, 'METAFLOW_AGENT_TOKEN: expected visible ASCII'],
  ['agent', ['--agent-endpoints=x'], {}, 'expected PREFIX=SEGMENTS, …, not "x"'],
  // A million hours from now is beyond 32 bits of seconds: rows would be over as they come.
  ['server', ['--server-retention-rows-hours=1000000'], {}, '≥ 1 and ≤ 262800, not 1000000'],
  [
    'server',
    ['--clickhouse-cluster=a'],
    {},
    'Cannot use clickhouse.cluster: clickhouse.url is not given',
  ],
  ...['http://u:p@host:8123', 'http://u@host', 'http://host/database', 'http://host/?user=u'].map(
    (url): [Side, string[], Record<string, string>, string] => [
      'server',
      [],
      { METAFLOW_CLICKHOUSE_URL: url },
      'Cannot use clickhouse.url: it is to be http(s)://HOST:PORT; clickhouse.user and',
    ],
  ),
  [
    'server',
    ['--clickhouse-binary=a', '--clickhouse-url=http://b'],
    {},
    'clickhouse.url is given too',
  ],
  ['server', ['--config=/absent.yaml'], {}, 'Cannot read /absent.yaml: ENOENT'],
])('loadConfig of %s refuses %j %j', (side, args, environment, sentence) => {
  expect(() => load(side, args, environment)).toThrow(sentence)
})

test.each([
  [
    'agnet:\n  server: x\n',
    'Cannot use agnet from FILE: there is no such setting; did you mean agent?',
  ],
  [
    'agent:\n  sever: x\n',
    'Cannot use agent.sever from FILE: there is no such setting; did you mean agent.server?',
  ],
  ['agent:\n  capture: socket\n', 'Cannot use agent.capture from FILE: it is a section'],
  ['agent: []\n', undefined],
  ['- a\n', 'Cannot read FILE: settings are expected, as key: value'],
  ['a: [\n', 'Cannot read FILE: '],
  [
    'agent:\n  rowsPerSecond: "5"\n',
    'agent.rowsPerSecond from FILE: expected whole number ≥ 0, not "5"',
  ],
  ['agent:\n  token: 5\n', 'agent.token from FILE: expected text, not empty'],
  ['', undefined],
])('loadConfig judges the file %j', (text, sentence) => {
  const file = yaml(text)
  const run = () => load('agent', ['--config', file])
  if (sentence === undefined) run()
  else expect(run).toThrow(sentence.replace('FILE', file))
})

test('loadConfig never shows a secret that cannot be used', () => {
  const file = yaml('server:\n  token: [hunter2]\n')
  expect(() => load('server', ['--config', file])).toThrow(/^(?!.*hunter2)/)
})

test('loadConfig takes the slash from the end of an address, behind which paths are put', () => {
  for (const side of ['agent', 'client', 'demo'] as const)
    for (const given of ['http://host:20416/', 'http://host:20416'])
      expect(load(side, ['--server', given]).config).toMatchObject({
        agent: { server: 'http://host:20416' },
      })
})

test('reachLoopback excepts this machine from a proxy, beside what was excepted', () => {
  const environment: Record<string, string | undefined> = { no_proxy: 'a.example' }
  reachLoopback(environment)
  const all = 'a.example,localhost,127.0.0.0/8,::1'
  expect(environment).toEqual({ NO_PROXY: all, no_proxy: all })
})

test.each([
  ['127.0.0.1:0', true],
  ['127.9.9.9:1', true],
  ['[::1]:1', true],
  ['localhost:1', true],
  ['0.0.0.0:1', false],
  ['[::]:1', false],
  ['10.0.0.1:1', false],
  ['127.0.0.1.example.com:1', false],
  ['myhost:1', false],
])('a server on %s without a token is accepted: %p', (listen, accepted) => {
  const run = () => load('server', ['--listen', listen])
  if (accepted) run()
  else expect(run).toThrow(`Cannot listen on ${listen}: a server.token is needed beyond loopback`)
  load('server', ['--listen', listen, '--server-token', 'x'])
})
