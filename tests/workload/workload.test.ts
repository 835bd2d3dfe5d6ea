/** The workload's servers beside real clients, and all of its parts together. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { Resolver } from 'node:dns/promises'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { realEnv } from '../../src/lib/env-real.ts'
import { ownCommand, runProgram, startChild } from '../../src/lib/process.ts'
import { answer } from '../../src/workload/names.ts'
import { addressOf, PARTS, PORTS, urlOf } from '../../src/workload/parts.ts'
import { readRequest } from '../../src/workload/resp.ts'
import { runWorkload, workloadCommand } from '../../src/workload/workload.ts'
import { missing, peer } from '../peers/peers.ts'
import { until } from '../until.ts'

const env = realEnv()
const address = addressOf(process.pid)

describe('the workload as one', () => {
  const stop = new AbortController()
  let ended: Promise<unknown>
  beforeAll(() => {
    const parts = PARTS.filter((part) => part !== 'shop-visitors')
    ended = Promise.all(parts.map((part) => runWorkload(part, { env, address, stop: stop.signal })))
  })
  afterAll(async () => {
    stop.abort()
    await ended
  })

  test('shop-web answers with what shop-api found, and hands request ids on', async () => {
    const url = urlOf(address, 'shop-web')
    await until(async () => (await fetch(`${url}/health`).catch(() => undefined))?.ok ?? false)
    expect(await (await fetch(`${url}/`)).text()).toContain('teapot')
    expect((await fetch(`${url}/products/7`)).status).toBe(200)
    expect((await fetch(`${url}/products/7`)).status).toBe(200)
    expect((await fetch(`${url}/products/99999`)).status).toBe(404)
    expect((await fetch(`${url}/sale`)).status).toBe(404)
    const orders = await Promise.all(
      Array.from({ length: 200 }, () =>
        fetch(`${url}/checkout`, { method: 'POST', body: '{"product":3}' }),
      ),
    )
    expect(new Set(orders.map(({ status }) => status))).toEqual(new Set([201, 500]))
    expect(await (await fetch(`${url}/basket`)).text()).toContain('3')
  }, 20_000)

  test('shop-store speaks Redis to a real client', async () => {
    const client = new Bun.RedisClient(`redis://${address}:${PORTS['shop-store']}`)
    expect(await client.set('k', 'v')).toBe('OK')
    expect(await client.get('k')).toBe('v')
    expect(await client.get('absent')).toBeNull()
    expect(await client.incr('n')).toBe(1)
    expect(await client.send('LPUSH', ['l', 'a', 'b'])).toBe(2)
    expect(await client.send('LRANGE', ['l', '0', '-1'])).toEqual(['b', 'a'])
    await expect(client.send('LPUSH', ['k', 'a'])).rejects.toThrow('WRONGTYPE')
    await expect(client.incr('k')).rejects.toThrow('not an integer')
    await expect(client.send('NOPE', [])).rejects.toThrow('unknown command')
    const many = Array.from({ length: 500 }, (_, i) => client.set(`many:${i}`, 'x'.repeat(i)))
    expect(new Set(await Promise.all(many))).toEqual(new Set(['OK']))
    client.close()
  })

  test('shop-db speaks MySQL to a real client, prepared and not', async () => {
    const sql = new Bun.SQL({
      adapter: 'mysql',
      hostname: address,
      port: PORTS['shop-db'],
      username: 'shop',
      password: '',
      database: 'shop',
      max: 1,
    })
    const rows: { id: string }[] = await sql`SELECT id, name FROM products LIMIT 5`
    expect(rows.map(({ id }) => id)).toEqual(['1', '2', '3', '4', '5'])
    expect((await sql`SELECT * FROM orders WHERE id = ${3}`).length).toBe(1)
    expect((await sql.unsafe('DELETE FROM orders WHERE id = 4')).affectedRows).toBe(1)
    await expect(sql.unsafe('SELEC 1').catch((thrown: Error) => thrown.message)).resolves.toContain(
      'SQL syntax',
    )
    await expect(
      sql`SELECT * FROM nowhere`.catch((thrown: Error) => thrown.message),
    ).resolves.toContain("doesn't exist")
    await sql.close()
  })

  test('shop-dns answers for its zone, and for no other name', async () => {
    const names = new Resolver({ timeout: 2000, tries: 1 })
    names.setServers([`${address}:${PORTS['shop-dns']}`])
    expect(await names.resolve4('store.shop.internal')).toEqual([address])
    await expect(names.resolve6('store.shop.internal')).rejects.toThrow('queryAaaa')
    await expect(names.resolve4('legacy.shop.internal')).rejects.toThrow('ENOTFOUND')
  })

  const noClients = missing('redis-cli', 'mariadb', 'dig')
  test.skipIf(noClients !== '')(
    `its servers satisfy redis-cli, mariadb and dig ${noClients && `(skipped: ${noClients})`}`,
    async () => {
      const directory = mkdtempSync(join(tmpdir(), 'metaflow-workload-'))
      const file = join(directory, 'statements.sql')
      writeFileSync(file, 'SELECT id, name FROM products LIMIT 2;\nSELEC 1;\nSELECT * FROM none;\n')
      const run = async (words: readonly string[]): Promise<string> => {
        const { stdout, stderr } = await runProgram(['/bin/sh', '-c', words.join(' ')])
        return stdout + stderr
      }
      const cli = [peer('redis-cli')!, '-h', address, '-p', String(PORTS['shop-store'])]
      expect(await run([...cli, 'SET', 'cli', 'value'])).toBe('OK\n')
      expect(await run([...cli, 'LPUSH', 'cli', 'value'])).toContain('WRONGTYPE')
      const client = [peer('mariadb')!, '--no-defaults', '--force', `-h${address}`]
      const printed = await run([...client, `-P${PORTS['shop-db']}`, '-ushop', 'shop', '<', file])
      expect(printed).toContain('1\tteapot')
      expect(printed).toContain('ERROR 1064 (42000)')
      expect(printed).toContain('ERROR 1146 (42S02)')
      const dig = [peer('dig')!, `@${address}`, '-p', String(PORTS['shop-dns'])]
      expect(await run([...dig, '+short', 'api.shop.internal'])).toBe(`${address}\n`)
      expect(await run([...dig, 'old.shop.internal'])).toContain('status: NXDOMAIN')
      rmSync(directory, { recursive: true })
    },
    20_000,
  )
})

test('shop-visitors come again and again, and go away where nobody is', async () => {
  const asked: { readonly method: string; readonly trace: string }[] = []
  const server = Bun.serve({
    hostname: address,
    port: PORTS['shop-web'],
    fetch: (request) => {
      asked.push({ method: request.method, trace: request.headers.get('traceparent') ?? '' })
      return new Response('ok')
    },
  })
  const stop = new AbortController()
  const options = { env, address, stop: stop.signal, visitsPerSecond: 500 }
  const ended = runWorkload('shop-visitors', options)
  await until(() => asked.length > 200)
  await server.stop(true)
  stop.abort()
  await ended
  expect(new Set(asked.map(({ method }) => method))).toEqual(new Set(['GET', 'HEAD', 'POST']))
  for (const { trace } of asked) expect(trace).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/)
})

describe('a part of its own', () => {
  const other = addressOf(process.pid + 2 ** 20)

  test('ends on SIGTERM with exit code 0', async () => {
    const lines: string[] = []
    const child = startChild({
      command: ownCommand(['--mode=workload', '--part=shop-store', `--address=${other}`]),
      name: 'workload',
      onLine: (line) => lines.push(line),
    })
    await until(() => lines.some((line) => line.includes('running')))
    expect(await child.stop()).toEqual({ code: 0, signal: null })
  }, 20_000)

  test('ends when its parent is gone', async () => {
    const command = ownCommand(['--mode=workload', '--part=shop-store', `--address=${other}`])
    const script = `setsid ${command.join(' ')} >/dev/null 2>&1 & echo $!; read line`
    const shell = Bun.spawn(['/bin/sh', '-c', script], { stdin: 'pipe', stdout: 'pipe' })
    const reader = shell.stdout.getReader()
    const processId = Number(new TextDecoder().decode((await reader.read()).value))
    const client = new Bun.RedisClient(`redis://${other}:${PORTS['shop-store']}`)
    await until(() =>
      client.send('PING', []).then(
        (answered) => answered === 'PONG',
        () => false,
      ),
    )
    client.close()
    shell.kill('SIGKILL')
    await until(() => !isAlive(processId))
  }, 20_000)

  test('is refused where there is no such part', async () => {
    const { signal } = new AbortController()
    await expect(workloadCommand(['--part=shop-stor'], signal)).rejects.toThrow(
      'Cannot run part shop-stor of the workload: there is no such part; did you mean shop-store?',
    )
  })
})

function isAlive(processId: number): boolean {
  try {
    process.kill(processId, 0)
    return true
  } catch {
    return false
  }
}

test.each([
  ['PING\r\n', ['PING'], 6],
  ['*2\r\n$3\r\nGET\r\n$1\r\nk\r\nrest', ['GET', 'k'], 20],
  ['*2\r\n$3\r\nGET\r\n$9\r\nk', undefined, 0],
  ['*2\r\n$3\r\nGET\r\n$', undefined, 0],
  ['*0\r\n', [], 4],
  ['', undefined, 0],
])('readRequest of %j', (input, words, size) => {
  const request = readRequest(Buffer.from(input))
  expect(request?.words).toEqual(words)
  if (request !== undefined) expect(request.size).toBe(size)
})

test('answer says nothing to what is no question', () => {
  expect(answer(Buffer.from('short'), [127, 0, 0, 1])).toBeUndefined()
  const cut = answer(Buffer.from('\0\x01\x01\0\0\x01\0\0\0\0\0\0\x3fabc', 'latin1'), [127, 0, 0, 1])
  expect(cut?.readUInt16BE(2)).toBe(0x8581)
})

test('addressOf gives every process an address of its own on the loopback', () => {
  const addresses = [1, 2, 255, 256, 65_536, 4_194_303].map(addressOf)
  expect(addresses).toEqual([
    '127.64.0.1',
    '127.64.0.2',
    '127.64.0.255',
    '127.64.1.1',
    '127.65.0.1',
    '127.127.255.255',
  ])
})
