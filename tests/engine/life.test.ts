import { afterEach, describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { runProgram, startChild } from '../../src/lib/process.ts'
import type { EngineOptions } from '../../src/model/engine.ts'
import { DEFAULT_LIMITS } from '../../src/server/storage/clickhouse.ts'
import {
  ENGINE_COMMAND,
  HAS_ENGINE,
  LIBRARY,
  rowsOf,
  startEngine,
  type TestEngine,
} from '../server/storage/engine.ts'
import { until } from '../until.ts'

const places: string[] = []
function place(): string {
  const directory = mkdtempSync(join(tmpdir(), 'mf-life-'))
  places.push(directory)
  return directory
}
afterEach(() => {
  for (const directory of places.splice(0)) rmSync(directory, { recursive: true, force: true })
})

/** An options file as the server writes it. */
function optionsFile(directory: string, options: Partial<EngineOptions> = {}): string {
  const file = join(place(), 'options.json')
  const all: EngineOptions = {
    library: LIBRARY,
    directory,
    parentProcessId: process.pid,
    users: { writer: 'w', reader: 'r' },
    writers: 1,
    readers: 1,
    limits: DEFAULT_LIMITS,
    ...options,
  }
  writeFileSync(file, JSON.stringify(all))
  return file
}

function isAlive(processId: number): boolean {
  try {
    process.kill(processId, 0)
    return true
  } catch {
    return false
  }
}

async function started(engine: TestEngine): Promise<void> {
  await engine.writer.command({ query: 'CREATE DATABASE flow_log' })
  await engine.writer.command({
    query: `CREATE TABLE flow_log.t (n UInt64, s String) ENGINE = MergeTree ORDER BY n
      SETTINGS fsync_after_insert = 1, fsync_part_directory = 1`,
  })
}

describe('confine', () => {
  test('confine leaves the files that are named, and no TCP', async () => {
    const directory = place()
    const server = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response('') })
    const { stdout, stderr } = await runProgram([
      process.execPath,
      resolve(import.meta.dir, 'confined.ts'),
      directory,
      String(server.port),
    ])
    await server.stop(true)
    if (stdout.includes('"abi":0'))
      process.stderr.write('skipped: this kernel has no Landlock: nothing is confined\n')
    else
      expect([JSON.parse(stdout || 'null'), stderr]).toEqual([
        {
          abi: expect.any(Number),
          read: 'EACCES',
          write: 'EACCES',
          list: 'EACCES',
          connect: 'EACCES',
          bind: 'EACCES',
          inside: 'ok',
          moved: 'ok',
        },
        '',
      ])
  })
})

describe.skipIf(!HAS_ENGINE)('runEngine', () => {
  test('runEngine is confined: files outside its directory and the network are out of reach', async () => {
    const engine = await startEngine()
    try {
      await started(engine)
      const secret = join(place(), 'secret')
      writeFileSync(secret, 'secret')
      // As a writer, whom no fence of statements holds back.
      const reach = async (sql: string): Promise<string> =>
        String(
          (await engine.writer.query({ query: sql }).then(
            (a) => a.text(),
            (e) => e.code,
          )) as string,
        )
      for (const path of [
        '/etc/passwd',
        '/etc/hostname',
        secret,
        '/proc/1/environ',
        '/proc/self/environ',
        `/proc/${process.pid}/environ`,
        '/root/.bashrc',
      ]) {
        const answer = await reach(`SELECT file('${path}')`)
        expect([path, answer]).toEqual([path, '76'])
        expect(await reach(`SELECT * APPLY(file) FROM (SELECT '${path}')`)).toBe('76')
      }
      const write = `SELECT 1 INTO OUTFILE '${secret}.out'`
      expect(await reach(write)).toMatch(/^\d+$/)
      expect(await Bun.file(`${secret}.out`).exists()).toBe(false)
      const mine = `${engine.directory}/config.xml`
      expect(await reach(`SELECT length(file('${mine}')) > 100 AS ok`)).toContain('"ok": 1')
    } finally {
      await engine.end()
    }
  })

  test('runEngine refuses a directory that another engine has', async () => {
    const engine = await startEngine()
    try {
      const second = await runProgram([...ENGINE_COMMAND, optionsFile(engine.directory)])
      expect(second.code).toBe(1)
      expect(second.stderr).toContain(`Cannot open ${engine.directory}: another engine has it`)
      expect(await rowsOf(engine.reader, 'SELECT 1')).toEqual([[1]])
    } finally {
      await engine.end()
    }
  })

  test('runEngine says what is wrong with where it is started', async () => {
    const long = join(place(), 'x'.repeat(100))
    const cases: [string[], string][] = [
      [[], 'a server starts it, no one else'],
      [[optionsFile(long)], 'choose a shorter data directory'],
      [[optionsFile(place(), { library: '/nowhere/libchdb.so' })], '/nowhere/libchdb.so'],
    ]
    for (const [args, want] of cases) {
      const { code, stderr } = await runProgram([...ENGINE_COMMAND, ...args])
      expect([code, stderr.includes(want) ? want : stderr]).toEqual([1, want])
    }
  })

  test('runEngine ends when its parent is killed, and another one can have the directory', async () => {
    const directory = place()
    const parent = startChild({
      command: [process.execPath, resolve(import.meta.dir, 'parent.ts'), directory],
      name: 'parent',
      environment: { BUN_FEATURE_FLAG_NO_ORPHANS: undefined },
      onLine: (line) => {
        if (/^\d+$/.test(line)) child = Number(line)
      },
    })
    let child = 0
    await until(() => child > 0, 30)
    expect(isAlive(child)).toBe(true)
    parent.signal('SIGKILL')
    await until(() => !isAlive(child))
    const engine = await startEngine(undefined, directory)
    expect(await rowsOf(engine.reader, 'SELECT 1')).toEqual([[1]])
    await engine.end()
  })

  test('runEngine stops at SIGTERM within its grace, whatever it is asked just then', async () => {
    const engine = await startEngine()
    try {
      const query = 'SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1'
      const failed = engine.reader.query({ query }).catch((error) => error)
      await until(
        async () =>
          (
            await rowsOf(
              engine.writer,
              "SELECT 1 FROM system.processes WHERE query LIKE '%sipHash64%' AND query NOT LIKE '%system%'",
            )
          ).length > 0,
      )
      process.kill(engine.processId()!, 'SIGTERM')
      await until(() => engine.health().state === 'down')
      expect(engine.health().sentence).toContain('it ended with code 0')
      expect(await failed).toBeInstanceOf(Error)
      await engine.restarted(1)
    } finally {
      await engine.end()
    }
  }, 30_000)

  test('runEngine keeps what it acknowledged when it is killed in the middle of inserts', async () => {
    const engine = await startEngine()
    try {
      await started(engine)
      let acknowledged = 0
      let sent = 0
      for (let kill = 0; kill < 3; kill++) {
        const before = engine.processId()
        const until = acknowledged + 20
        const killed = async (): Promise<void> => {
          while (acknowledged < until) await Bun.sleep(1)
          process.kill(before!, 'SIGKILL')
        }
        const insert = async (): Promise<void> => {
          for (;;) {
            const n = ++sent
            try {
              await engine.writer.insert({
                table: 'flow_log.t',
                values: Array.from({ length: 100 }, () => ({ n, s: 'x'.repeat(100) })),
                format: 'JSONEachRow',
              })
              acknowledged++
              kept.add(n)
            } catch {
              return
            }
          }
        }
        const kept = keptOf
        await Promise.all([killed(), insert(), insert()])
        await engine.restarted(kill + 1)
      }
      const rows = await rowsOf(
        engine.reader,
        'SELECT n, count() FROM flow_log.t GROUP BY n ORDER BY n',
      )
      const stored = new Map(rows as [number, number][])
      for (const n of keptOf) expect([n, stored.get(n)]).toEqual([n, 100])
      for (const [n, count] of stored) expect([n, count]).toEqual([n, 100])
      expect(keptOf.size).toBeGreaterThanOrEqual(60)
      expect(engine.health()).toMatchObject({ state: 'up', restarts: 3 })
    } finally {
      await engine.end()
    }
  }, 60_000)
})
const keptOf = new Set<number>()
