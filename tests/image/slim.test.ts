/** A build without the engine, made in a copy of the project: it reads captures, and serves others'. */
import { afterAll, expect, setDefaultTimeout } from 'bun:test'
import { mkdtempSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { runProgram } from '../../src/lib/process.ts'
import { testWith } from '../needs.ts'

setDefaultTimeout(120_000)
const PROJECT = join(import.meta.dir, '..', '..')
const directory = mkdtempSync('/var/tmp/metaflow-slim-')
afterAll(() => rmSync(directory, { recursive: true }))

const NEEDED = ['src', 'bpf', 'scripts', 'package.json', 'tsconfig.json', 'bunfig.toml']
const METAFLOW = join(directory, 'dist', 'metaflow')

testWith('clang', 'cp')(
  'scripts/build --slim leaves the engine out and says what to give in its place',
  async () => {
    const sources = NEEDED.map((name) => join(PROJECT, name))
    expect((await runProgram(['cp', '-r', ...sources, directory])).code).toBe(0)
    symlinkSync(join(PROJECT, 'node_modules'), join(directory, 'node_modules'))
    const build = await runProgram([join(directory, 'scripts', 'build'), '--slim'], { directory })
    expect([build.stderr, build.code]).toEqual(['', 0])
    // Bun itself is some 100 MB; the packed engine would be 135 more.
    expect(statSync(METAFLOW).size).toBeLessThan(150_000_000)
    const data = `--data-dir=${join(directory, 'data')}`
    const server = await runProgram([METAFLOW, '--mode=server', data, '--listen=127.0.0.1:0'])
    expect([server.code, server.stderr]).toEqual([
      1,
      'metaflow: Cannot start ClickHouse: this is a slim build without the engine; set ' +
        'clickhouse.url or clickhouse.binary\n',
    ])
    expect((await runProgram([METAFLOW, '--version'])).stdout).toMatch(/^metaflow \d/)
  },
)
