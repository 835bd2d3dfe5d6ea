import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { settingsOf } from '../../src/config/catalog.ts'
import { effective, effectiveYaml, flagsHelp, settingsPage } from '../../src/config/describe.ts'
import { loadConfig } from '../../src/config/load.ts'
import { SIDES } from '../../src/config/settings.ts'

test('docs/settings.md is what settingsPage writes (bun scripts/write-docs.ts)', () => {
  const path = join(import.meta.dir, '..', '..', 'docs', 'settings.md')
  expect(readFileSync(path, 'utf8')).toBe(settingsPage())
})

test('there are at most 60 settings, each described and with names of its own', () => {
  const settings = [...new Map(SIDES.flatMap(settingsOf).map((s) => [s.key, s])).values()]
  expect(settings.length).toBeLessThanOrEqual(60)
  expect(settings.filter((s) => s.description.length < 10)).toEqual([])
  for (const name of ['flag', 'variable'] as const)
    expect(new Set(settings.map((s) => s[name])).size).toBe(settings.length)
})

test('flagsHelp names every flag of its side and no other', () => {
  const help = flagsHelp('agent')
  for (const { flag } of settingsOf('agent')) expect(help).toContain(`  --${flag}`)
  expect(help).not.toContain('--listen')
})

test('effective masks secrets and tells sources and defaults', () => {
  const args = ['--server-token', 'hunter2', '--clickhouse-user=me']
  const settings = effective('server', loadConfig('server', args, {}, {}))
  const of = (key: string) => settings.find((one) => one.key === key)
  expect(of('server.token')).toMatchObject({ value: '********', source: '--server-token' })
  expect(of('clickhouse.user')).toMatchObject({ value: 'me', default: 'default' })
  expect(of('clickhouse.password')).toMatchObject({ value: '', source: 'default' })
  expect(JSON.stringify(settings)).not.toContain('hunter2')
})

test('effectiveYaml never gives a mask as the secret', () => {
  const loaded = loadConfig('demo', ['--server-token=hunter2', '--clickhouse-password=p'], {}, {})
  const text = effectiveYaml(effective('demo', loaded))
  const { server, clickhouse } = parse(text)
  expect([server.token, clickhouse.password]).toEqual([undefined, undefined])
  expect(text).toContain('from --server-token\n  # token: "********"\n')
})

test('effectiveYaml can be read back as a file', () => {
  const loaded = loadConfig('demo', ['--workload=off'], {}, {})
  const { config } = loaded
  const text = effectiveYaml(effective('demo', loaded))
  expect(parse(text)).toEqual(JSON.parse(JSON.stringify(config)))
  expect(text).toContain('; from --workload\n')
})
