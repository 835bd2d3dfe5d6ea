/** What the person at the terminal got wrong: one sentence, exit 2; what the machine lacks: exit 1. */
import { afterAll, expect } from 'bun:test'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { testWith } from '../needs.ts'
import { expectSentence, ran } from './bad-input.ts'

const directory = mkdtempSync(join(tmpdir(), 'metaflow-bad-input-'))
afterAll(() => rmSync(directory, { recursive: true }))
const file = (name: string, content: string | Uint8Array): string => {
  const path = join(directory, name)
  writeFileSync(path, content)
  return path
}
const data = join(directory, 'data')
const server = (...args: readonly string[]) => ['--mode=server', '--data-dir', data, ...args]
const agent = (...args: readonly string[]) => ['--mode=agent', '--data-dir', data, ...args]

const unknownKey = file('unknown-key.yaml', 'server:\n  lissten: 127.0.0.1:1\n')
const unknownSection = file('unknown-section.yaml', 'sever:\n  listen: 127.0.0.1:1\n')
const wrongValue = file('wrong-value.yaml', 'agent: {rowsPerSecond: many}\n')
const secretValue = file('secret-value.yaml', 'server: {token: [canary-token]}\n')
const noYaml = file('no.yaml', '{{{: nope\n')
const binary = file(
  'binary.yaml',
  Uint8Array.from({ length: 4096 }, (_, at) => (at * 97) % 256),
)
const prose = file('prose.yaml', 'Dear MetaFlow, please listen on every port.\n')
const bomb = file(
  'bomb.yaml',
  `a: &a [x,x,x,x,x,x,x,x,x]\n${[...'bcdefgh'].map((name, at) => `${name}: &${name} [${Array(9).fill(`*${'abcdefg'[at]}`).join(',')}]`).join('\n')}\n`,
)

testWith('executable').each<[string[], string | RegExp]>([
  [[], 'Cannot start: no mode or command given'],
  [['--mode=sever'], 'there is no such mode; did you mean server?'],
  [['--mode'], 'there is no such mode'],
  [['sever'], 'Cannot start sever: there is no such command'],
  [['--moed=server'], /Cannot start --moed=server: .*; did you mean --mode/],
  [['help', 'sever'], 'Cannot explain sever: there is no help on it; did you mean server?'],
  [['config'], 'Cannot do config: the one thing is print'],
  [['config', 'prin'], 'Cannot do config prin: the one thing is print'],
  [['query'], 'Cannot ask: no SQL was given'],
  [['query', '--ouput', 'json', 'SELECT 1'], 'did you mean --output?'],
  [['replay'], 'Cannot replay: no capture file was given'],
  [['replay', '--table', 'call', 'x'], 'did you mean calls?'],
  [['doctor', '--outptu=json'], 'did you mean --output?'],
  [['uninstall', 'everything'], 'Cannot use everything: only flags are taken here'],
  [['--mode=engine'], 'Cannot start the engine: a server starts it'],
  [
    server('--lisen', '127.0.0.1:1'),
    'Cannot read --lisen: there is no such flag; did you mean --listen?',
  ],
  [server('--listen'), 'Cannot read --listen: its value is missing'],
  [server('-v'), 'Cannot read -v: there is no such flag'],
  [server('now'), 'Cannot use now: only flags are taken here'],
  [server('--listen', 'nowhere'), 'Cannot use server.listen from --listen: expected HOST:PORT'],
  [server('--listen', '127.0.0.1:99999'), 'ports end at 65535'],
  [['--mode=demo', '--data-dir', data, '--listen', '127.0.0.1:0'], 'give it a port'],
  [server('--listen', '0.0.0.0:0'), 'a server.token is needed beyond loopback'],
  [server('--listen', '[::]:0'), 'a server.token is needed beyond loopback'],
  [server('--log-level', 'loud'), 'expected debug or info or warn or error, not "loud"'],
  [server('--config', join(directory, 'absent.yaml')), /Cannot read .*absent\.yaml: ENOENT/],
  [server('--config', directory), /Cannot read .*: EISDIR/],
  [server('--config', unknownKey), 'there is no such setting; did you mean server.listen?'],
  [server('--config', unknownSection), 'Cannot use sever from'],
  [server('--config', secretValue), 'Cannot use server.token from'],
  [server('--config', noYaml), /Cannot read .*no\.yaml: .* at line \d+, column \d+$/],
  [server('--config', binary), /Cannot read .*binary\.yaml: /],
  [server('--config', prose), 'settings are expected, as key: value'],
  [server('--config', bomb), /Cannot read .*bomb\.yaml: /],
  [agent('--config', wrongValue), 'Cannot use agent.rowsPerSecond from'],
  [agent('--server', 'ftp://host'), 'Cannot use agent.server from --server'],
  [agent('--agent-capture-ring-bytes', '100000'), 'expected a power of two, not 100000'],
])('metaflow %j is misuse, told in a sentence', async (args, sentence) => {
  const run = await ran(args)
  expectSentence(run, 2, sentence)
  expect(run.stdout).toBe('')
  expect(run.stderr.split('\n')).toHaveLength(2)
  expect(run.stderr).not.toContain('canary')
})

testWith('executable').each<[Record<string, string>, string]>([
  [{ METAFLOW_LOG_LEVLE: 'debug' }, 'there is no such setting; did you mean METAFLOW_LOG_LEVEL?'],
  [{ METAFLOW_LOG_LEVEL: 'loud' }, 'Cannot use logLevel from METAFLOW_LOG_LEVEL: expected'],
  [{ METAFLOW_SERVER_LISTEN: '0.0.0.0:0' }, 'a server.token is needed beyond loopback'],
  [{ METAFLOW_CONFIG: '/absent.yaml' }, 'Cannot read /absent.yaml: ENOENT'],
])('the environment %j is misuse, told in a sentence', async (environment, sentence) => {
  expectSentence(await ran(server(), { environment }), 2, sentence)
})

testWith('executable')('a data dir that cannot be one is told by its name', async () => {
  const plain = file('plain', '')
  for (const mode of ['server', 'agent', 'demo'])
    for (const path of [plain, '/proc/metaflow'])
      expectSentence(
        await ran([`--mode=${mode}`, '--data-dir', path]),
        1,
        `Cannot use the data directory ${path}: `,
      )
})

testWith(
  'executable',
  'root',
  'setpriv',
)('a data dir one may not write is told', async () => {
  chmodSync(directory, 0o755)
  const closed = join(directory, 'closed')
  mkdirSync(closed, { mode: 0o755 })
  const by = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--']
  for (const mode of ['server', 'agent'])
    expectSentence(
      await ran([`--mode=${mode}`, '--data-dir', closed], { by }),
      1,
      `Cannot use the data directory ${closed}: EACCES`,
    )
})

testWith('executable')('metaflow query says that nobody answers', async () => {
  const run = await ran(['query', '--server', 'http://127.0.0.1:1', 'SELECT 1'])
  expectSentence(run, 1, 'Cannot ask http://127.0.0.1:1: it is not reached')
})
