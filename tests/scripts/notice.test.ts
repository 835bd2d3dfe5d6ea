import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { dependencies } from '../../package.json' with { type: 'json' }

const PROJECT = join(import.meta.dir, '..', '..')
const text = (path: string): string => readFileSync(join(PROJECT, path), 'utf8')

test('NOTICE names every package and library that the executable carries, with its licence', () => {
  const packer = text('scripts/pack-engine.ts')
  const engine = /node_modules\/(@chdb\/[\w-]+)/.exec(packer)![1]!
  const libraries = text('src/agent/capture/libbpf.ts').match(/lib\w+\.so\.1/g)!
  const lines = text('NOTICE').split('\n')
  for (const name of [...Object.keys(dependencies), engine, ...new Set(libraries)]) {
    const line = lines.find((one) => one.trim().startsWith(`${name} `))
    expect([name, line?.trim().slice(name.length).trim() ?? '']).not.toEqual([name, ''])
  }
})

test('NOTICE gives packages the licence that they state', () => {
  for (const name of Object.keys(dependencies)) {
    const { license } = JSON.parse(text(`node_modules/${name}/package.json`)) as { license: string }
    expect(text('NOTICE')).toMatch(new RegExp(`  ${name} +${license.replaceAll('.', '\\.')}\\b`))
  }
})
