/** The configuration we give a ClickHouse server, read by the parsers of the real engine. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { runProgram } from '../../../src/lib/process.ts'
import { l7FlowLog } from '../../../src/model/tables/l7-flow-log.ts'
import { serverUsersXml, serverXml } from '../../../src/server/storage/binary.ts'
import { DEFAULT_LIMITS } from '../../../src/server/storage/clickhouse.ts'
import { createTable } from '../../../src/server/storage/schema.ts'
import { HAS_ENGINE } from './engine.ts'

const PASSWORD = 'of the writer'

describe.skipIf(!HAS_ENGINE)('the configuration of a ClickHouse server', () => {
  const directory = mkdtempSync(join(tmpdir(), 'mf-binary-'))
  const config = {
    directory,
    port: 4711,
    writer: { user: 'metaflow_writer', password: PASSWORD },
    reader: { user: 'metaflow_reader', password: 'of the reader' },
    limits: DEFAULT_LIMITS,
  }
  const dictionary = (password: string): string =>
    `CREATE OR REPLACE DICTIONARY flow_tag.named (id UInt64, name String) PRIMARY KEY id
     SOURCE(CLICKHOUSE(HOST '127.0.0.1' USER 'metaflow_writer' PASSWORD '${password}' QUERY 'SELECT id, name FROM flow_tag.some'))
     LAYOUT(HASHED_ARRAY()) LIFETIME(0)`

  beforeAll(() => {
    for (const part of ['data', 'tmp', 'none']) mkdirSync(join(directory, part))
    // The library logs to standard output, where the answers are.
    writeFileSync(
      join(directory, 'config.xml'),
      serverXml(config).replace(/<logger>.*<\/logger>/, ''),
    )
    writeFileSync(join(directory, 'users.xml'), serverUsersXml(config))
  })
  afterAll(() => rmSync(directory, { recursive: true, force: true }))

  async function asked(user: string, statements: readonly string[]): Promise<string[]> {
    writeFileSync(join(directory, 'statements.json'), JSON.stringify(statements))
    const program = resolve(import.meta.dir, 'user-main.ts')
    const run = await runProgram([process.execPath, program, directory, user])
    expect([run.code, run.stderr]).toEqual([0, ''])
    return JSON.parse(run.stdout) as string[]
  }
  const code = (number: number, name: string) =>
    expect.stringMatching(new RegExp(`^Code: ${number}\\. .*\\(${name}\\)$`, 's'))
  const denied = code(497, 'ACCESS_DENIED')

  test('the writer may do what tables, dictionaries and retention need', async () => {
    const answers = await asked('metaflow_writer', [
      ...['flow_log', 'flow_metrics', 'flow_tag'].map((name) => `CREATE DATABASE ${name}`),
      createTable(l7FlowLog),
      'CREATE TABLE flow_tag.some (id UInt32, name String) ENGINE = MergeTree ORDER BY id',
      "INSERT INTO flow_tag.some SELECT 1, 'one'",
      dictionary(PASSWORD),
      'SYSTEM RELOAD DICTIONARY flow_tag.named',
      "SELECT dictGet('flow_tag.named', 'name', 1::UInt64)",
      "SELECT count() FROM system.columns WHERE database = 'flow_tag' AND table = 'some'",
      "SELECT count() > 0 FROM system.parts WHERE database = 'flow_tag'",
      "SELECT count() FROM system.data_skipping_indices WHERE table = 'none'",
      "ALTER TABLE flow_tag.some DROP PARTITION ID 'none'",
      'ALTER TABLE flow_log.l7_flow_log MODIFY TTL time + toIntervalHour(1)',
      "KILL QUERY WHERE startsWith(query_id, 'none') SYNC",
      'SELECT timezone()',
    ])
    const done = (times: number): string[] => Array.from({ length: times }, () => '')
    expect(answers.slice(0, 8)).toEqual(done(8))
    expect(answers.slice(8, 12)).toEqual(['one', '2', '1', '0'])
    expect(answers.slice(12)).toEqual([...done(3), expect.stringMatching(/UTC$/)])
  }, 30_000)

  test('a dictionary with a wrong password is not read', async () => {
    const reload = 'SYSTEM RELOAD DICTIONARY flow_tag.named'
    const [, answer] = await asked('metaflow_writer', [dictionary('another'), reload])
    expect(answer).toEqual(code(516, 'AUTHENTICATION_FAILED'))
    expect(await asked('metaflow_writer', [dictionary(PASSWORD), reload])).toEqual(['', ''])
  }, 30_000)

  test('the writer may do nothing else', async () => {
    const refused = [
      'CREATE DATABASE another',
      "CREATE USER another IDENTIFIED BY 'x'",
      "SELECT * FROM file('/etc/passwd', 'LineAsString')",
      "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString', 'a String')",
      "INSERT INTO FUNCTION file('x', 'LineAsString', 'a String') SELECT 'a'",
      'SYSTEM SHUTDOWN',
      'GRANT SELECT ON *.* TO metaflow_reader',
    ]
    expect(await asked('metaflow_writer', refused)).toEqual(refused.map(() => denied))
  }, 30_000)

  test('the reader reads our tables within its limits, and nothing else', async () => {
    const answers = await asked('metaflow_reader', [
      'SELECT name FROM flow_tag.some',
      "SELECT dictGet('flow_tag.named', 'name', 1::UInt64)",
      'SELECT count() FROM flow_log.l7_flow_log',
      "SELECT getSetting('readonly'), getSetting('max_execution_time'), getSetting('max_result_rows'), getSetting('session_timezone')",
    ])
    expect(answers).toEqual(['one', 'one', '0', '1\t30\t1000000\tUTC'])
    const readonly = code(164, 'READONLY')
    const refused: [string, unknown][] = [
      ['SET max_execution_time = 100', readonly],
      ['SET min_insert_block_size_rows = 100000000', readonly],
      ["INSERT INTO flow_tag.some SELECT 2, 'two'", denied],
      ['DROP TABLE flow_tag.some', denied],
      ['SELECT * FROM system.users', denied],
      ["SELECT * FROM file('/etc/passwd', 'LineAsString')", denied],
      ["SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString', 'a String')", denied],
      ["SELECT * FROM remote('127.0.0.1', flow_tag.some)", denied],
    ]
    expect(
      await asked(
        'metaflow_reader',
        refused.map(([sql]) => sql),
      ),
    ).toEqual(refused.map(([, answer]) => answer) as string[])
  }, 30_000)
})
