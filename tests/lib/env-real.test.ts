import { afterAll, expect, test } from 'bun:test'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { lockDirectory, realEnv } from '../../src/lib/env-real.ts'
import { equalSecrets, isAuthorized } from '../../src/lib/secrets.ts'
import { testWith } from '../needs.ts'

const { clock, files, network } = realEnv()
const directory = mkdtempSync(join(tmpdir(), 'metaflow-'))
afterAll(() => rmSync(directory, { recursive: true }))
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

test("realEnv's clocks are the system's: wall, and CLOCK_MONOTONIC as the kernel stamps with", () => {
  expect(Math.abs(clock.wall() / 1000 - Date.now())).toBeLessThan(1000)
  const uptime = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0])
  // Both count from the start of the machine; uptime also counts sleep.
  expect(clock.monotonic() / 1e6).toBeLessThanOrEqual(uptime + 1)
  const before = clock.monotonic()
  expect(clock.monotonic()).toBeGreaterThanOrEqual(before)
})

test('realEnv appends to what is there and knows its size', async () => {
  const path = join(directory, 'appended')
  for (const text of ['one', 'two']) {
    const file = files.append(path)
    file.write(bytes(text))
    await file.sync()
    file.close()
  }
  expect(files.append(path).size).toBe(6)
  expect(new TextDecoder().decode(files.read(path))).toBe('onetwo')
  files.truncate(path, 3)
  expect(files.size(path)).toBe(3)
})

test('realEnv replaces a file whole and leaves nothing beside it', async () => {
  const folder = join(directory, 'replaced')
  files.makeDirectory(folder)
  await files.replace(join(folder, 'file'), bytes('old'))
  await files.replace(join(folder, 'file'), bytes('new'))
  expect(readdirSync(folder)).toEqual(['file'])
  expect(readFileSync(join(folder, 'file'), 'utf8')).toBe('new')
})

test("realEnv's failures carry the system's code", () => {
  expect(() => files.read(join(directory, 'absent'))).toThrow(
    expect.objectContaining({ code: 'ENOENT' }),
  )
})

testWith('root')('realEnv tells a full disk, and what was written before stays', async () => {
  const folder = join(directory, 'small')
  files.makeDirectory(folder)
  Bun.spawnSync(['mount', '-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', folder])
  try {
    const file = files.append(join(folder, 'file'))
    file.write(new Uint8Array(100_000))
    await file.sync()
    expect(() => file.write(new Uint8Array(400_000))).toThrow(
      expect.objectContaining({ code: 'ENOSPC' }),
    )
    expect(files.space(folder).free).toBe(0)
    expect(files.size(join(folder, 'file'))).toBeGreaterThanOrEqual(100_000)
    file.close()
  } finally {
    Bun.spawnSync(['umount', folder])
  }
})

testWith('strace')('realEnv tells a failing sync, and one that fails only once', async () => {
  const program = join(directory, 'sync.ts')
  const library = join(import.meta.dir, '../../src/lib/env-real.ts')
  writeFileSync(
    program,
    `import { realEnv } from '${library}'
     const file = realEnv().files.append('${join(directory, 'synced')}')
     file.write(new Uint8Array(10))
     const codes = []
     for (let i = 0; i < 2; i++)
       codes.push(await file.sync().then(() => 'ok', ({ code }) => code))
     await Bun.write(Bun.stdout, codes.join(' '))`,
  )
  const inject = 'inject=fdatasync:error=EIO:when=1'
  const command = ['strace', '-f', '-qq', '-o', '/dev/null', '-e', inject]
  const run = Bun.spawnSync([...command, process.execPath, program])
  // strace counts by thread, and either sync may have a thread of its own.
  expect(run.stdout.toString()).toMatch(/^EIO (ok|EIO)$/)
})

test('realEnv sends requests and says why none was answered', async () => {
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    async fetch(request) {
      if (request.url.endsWith('/slow')) await new Promise(() => undefined)
      return new Response(await request.bytes(), { status: 503, headers: { 'Retry-After': '7' } })
    },
  })
  const url = `http://127.0.0.1:${server.port}`
  const request = {
    method: 'POST',
    url,
    headers: {},
    body: bytes('body'),
    timeoutMs: 5000,
  } as const
  const answer = await network.send(request)
  expect([answer.status, answer.headers['retry-after'], answer.body.length]).toEqual([503, '7', 4])
  const slow = network.send({ ...request, url: `${url}/slow`, timeoutMs: 50 })
  await expect(slow).rejects.toMatchObject({ code: 'ETIMEDOUT' })
  await server.stop(true)
  await expect(network.send(request)).rejects.toThrow(`Cannot reach ${url}: `)
})

test('lockDirectory lets one process in', async () => {
  expect(lockDirectory(directory)).toBe(true)
  const program = join(directory, 'other.ts')
  const library = join(import.meta.dir, '../../src/lib/env-real.ts')
  writeFileSync(
    program,
    `import { lockDirectory } from '${library}'\nprocess.exit(lockDirectory('${directory}') ? 0 : 9)`,
  )
  expect(await Bun.spawn([process.execPath, program]).exited).toBe(9)
})

test('isAuthorized wants the very token', () => {
  expect(equalSecrets('one', 'one')).toBe(true)
  expect(equalSecrets('one', 'onetwo')).toBe(false)
  expect(isAuthorized(undefined, undefined)).toBe(true)
  expect(isAuthorized('Bearer secret', 'secret')).toBe(true)
  for (const header of [undefined, '', 'secret', 'Bearer', 'Bearer secret2', 'Basic secret'])
    expect([header, isAuthorized(header, 'secret')]).toEqual([header, false])
})
