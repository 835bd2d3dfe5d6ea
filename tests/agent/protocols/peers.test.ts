/** Real clients and real servers: what they themselves count must be what is told of them. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { dns } from '../../../src/agent/protocols/dns.ts'
import { http } from '../../../src/agent/protocols/http.ts'
import { mysql } from '../../../src/agent/protocols/mysql.ts'
import { redis } from '../../../src/agent/protocols/redis.ts'
import { runProgram } from '../../../src/lib/process.ts'
import { STATUS } from '../../../src/model/message.ts'
import {
  type Dnsmasq,
  type Mariadb,
  missing,
  type Nginx,
  peer,
  type Server,
  startDnsmasq,
  startMariadb,
  startNginx,
  startRedis,
} from '../../peers/peers.ts'
import type { Told } from './link.ts'
import { Relay } from './relay.ts'

const directory = mkdtempSync(join(tmpdir(), 'metaflow-peers-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const inSevens = (bytes: Uint8Array): Uint8Array[] =>
  Array.from({ length: Math.ceil(bytes.length / 7) }, (_, i) => bytes.slice(7 * i, 7 * i + 7))
const of = (told: readonly Told[], kind: string): Told[] =>
  told.filter((message) => message['kind'] === kind)

/** Everything asked was answered, and pieces of another size tell the same. */
function isWhole(relay: Relay): Told[] {
  const told = relay.told()
  expect(of(told, 'response').length).toBe(of(told, 'request').length)
  expect(relay.told(inSevens)).toEqual(told)
  return told
}

const noRedis = missing('redis-server', 'redis-cli')
describe.skipIf(noRedis !== '')(
  `redis beside redis-server ${noRedis && `(skipped: ${noRedis})`}`,
  () => {
    let server: Server
    beforeAll(async () => {
      server = await startRedis(directory)
    })
    afterAll(() => server.stop())

    async function cli(
      port: number,
      input: string,
      ...options: readonly string[]
    ): Promise<string> {
      const file = join(directory, 'commands')
      writeFileSync(file, input)
      const words = [peer('redis-cli')!, '-p', String(port), ...options].join(' ')
      return (await runProgram(['/bin/sh', '-c', `${words} < ${file}`])).stdout
    }

    test.each(['-2', '-3'])('redis-cli %s: every command, every error', async (version) => {
      const relay = await Relay.open(redis, server.port)
      const commands = [
        'FLUSHALL',
        'CONFIG RESETSTAT',
        ...Array.from({ length: 300 }, (_, i) => `RPUSH list value-${i}`),
        'LRANGE list 0 -1',
        'HSET hash a 1 b 2 c 3',
        'HGETALL hash',
        'SADD set x y z',
        'SMEMBERS set',
        'ZADD ranks 1.5 a 2 b',
        'ZRANGE ranks 0 -1 WITHSCORES',
        'XADD stream * field value',
        'XRANGE stream - +',
        'GET nothing',
        'GET list',
        'INCR hash',
        'NOSUCH command',
        'EVAL "return {1, {2, {3, redis.status_reply(\'x\')}}, false}" 0',
        'EVAL "return redis.error_reply(\'MY error\')" 0',
        'MULTI',
        'SET k v',
        'INCR k',
        'EXEC',
        'CLIENT LIST',
        'COMMAND COUNT',
        'DEBUG JMAP',
        'INFO errorstats',
        'INFO commandstats',
      ]
      const printed = await cli(relay.port, `${commands.join('\n')}\n`, version)
      const told = isWhole(relay)
      const asked = of(told, 'request')
      const names = asked.map(({ operation }) => String(operation))
      for (const command of commands) expect(names).toContain(command.split(' ')[0]!)
      expect(names.filter((name) => name === 'RPUSH').length).toBe(300)
      expect(printed).toContain('cmdstat_rpush:calls=300,')
      const failed = of(told, 'response').filter(({ status }) => status === STATUS.serverError)
      expect(failed.map(({ error }) => String(error).split(' ')[0])).toContain('WRONGTYPE')
      expect(failed.map(({ error }) => String(error).slice(0, 8))).toContain('MY error')
      relay.stop()
    })

    test('a pipeline with values of many sizes', async () => {
      const relay = await Relay.open(redis, server.port)
      const client = new Bun.RedisClient(`redis://127.0.0.1:${relay.port}`)
      const sizes = [0, 1, 100, 5000, 70_000, 1_000_000]
      await Promise.all(sizes.map((size) => client.set(`size:${size}`, 'x'.repeat(size))))
      const got = await Promise.all(sizes.map((size) => client.get(`size:${size}`)))
      expect(got.map((text) => text?.length ?? 0)).toEqual(sizes)
      client.close()
      const told = isWhole(relay)
      expect(of(told, 'request').filter(({ operation }) => operation === 'SET').length).toBe(6)
      relay.stop()
    })

    test('what was published, between answers', async () => {
      const relay = await Relay.open(redis, server.port)
      const listener = new Bun.RedisClient(`redis://127.0.0.1:${relay.port}`)
      const speaker = new Bun.RedisClient(`redis://127.0.0.1:${server.port}`)
      const heard: string[] = []
      await new Promise<void>((done) => {
        void listener
          .subscribe('news', (text) => {
            heard.push(text)
            if (heard.length === 20) done()
          })
          .then(async () => {
            for (let i = 0; i < 20; i++) await speaker.publish('news', `item ${i}`)
          })
      })
      listener.close()
      speaker.close()
      const told = isWhole(relay)
      expect(of(told, 'request').map(({ operation }) => operation)).toEqual(['HELLO', 'SUBSCRIBE'])
      relay.stop()
    })
  },
)

const noMariadb = missing('mariadbd', 'mariadb')
describe.skipIf(noMariadb !== '')(
  `mysql beside mariadbd ${noMariadb && `(skipped: ${noMariadb})`}`,
  () => {
    let server: Mariadb
    beforeAll(async () => {
      server = await startMariadb(directory)
    }, 60_000)
    afterAll(() => server.stop())

    async function client(port: number, sql: string, ...options: readonly string[]): Promise<void> {
      const file = join(directory, 'statements.sql')
      writeFileSync(file, sql)
      const words = [
        peer('mariadb')!,
        ...['--no-defaults', '--protocol=tcp', '-h127.0.0.1', `-P${port}`, '-uroot', '--force'],
        ...['--local-infile=1', '--binary-mode', ...options, 'shop'],
      ].join(' ')
      await runProgram(['/bin/sh', '-c', `${words} < ${file}`])
    }

    const SCRIPT = [
      'CREATE TABLE IF NOT EXISTS t (id INT PRIMARY KEY, name TEXT, many LONGTEXT)',
      'DELETE FROM t',
      `INSERT INTO t VALUES (1, 'one', REPEAT('x', 70000)), (2, NULL, ''), (3, '', NULL)`,
      'SELECT * FROM t',
      'SELECT * FROM t WHERE id > 99',
      'SELEC 1',
      'SELECT * FROM nowhere',
      'SELECT seq, seq * 2, MD5(seq) FROM seq_1_to_5000',
      'UPDATE t SET name = "x" WHERE id > 1',
      'SHOW VARIABLES',
      'PREPARE s FROM "SELECT ?"',
      'EXECUTE s USING 1',
      'CREATE OR REPLACE PROCEDURE several() BEGIN SELECT 1; SELECT 2, 3; UPDATE t SET name = 4; END',
      'CALL several()',
      'INSERT INTO t VALUES (1, 2, 3)',
      'EXPLAIN SELECT * FROM t',
      'SELECT 1 FROM t WHERE id = (SELECT id FROM t)',
    ]

    test("mariadb: every statement as the server's own log has it", async () => {
      const relay = await Relay.open(mysql, server.port)
      const before = server.statements().length
      writeFileSync(
        join(directory, 'rows.csv'),
        Array.from({ length: 3000 }, (_, i) => `${i + 10},n,m\n`).join(''),
      )
      const load = `LOAD DATA LOCAL INFILE '${directory}/rows.csv' INTO TABLE t FIELDS TERMINATED BY ','`
      const script = `delimiter //\n${[...SCRIPT, load].join('\n//\n')}\n//\n`
      await client(relay.port, script)
      const told = isWhole(relay)
      const asked = of(told, 'request').filter(({ operation }) => operation === 'COM_QUERY')
      const log = server.statements().slice(before)
      // The log also tells what PREPARE, EXECUTE and CALL ran inside.
      for (const { resource } of asked) expect(log).toContain(String(resource))
      expect(asked.map(({ resource }) => resource)).toEqual(
        expect.arrayContaining([...SCRIPT, load].map((statement) => statement.trim())),
      )
      const answers = of(told, 'response')
      const codes = answers.flatMap(({ code }) => code ?? [])
      expect(codes).toEqual([1064, 1146, 1062, 1242])
      expect(answers.flatMap(({ rows }) => (Number(rows) > 0 ? [rows] : []))).toContain(3000)
      expect(told[0]).toMatchObject({ operation: 'COM_CONNECT', resource: 'user=root db=shop' })
      expect(told.at(-1)).toMatchObject({ kind: 'oneway', operation: 'COM_QUIT' })
      relay.stop()
    }, 30_000)

    test('mariadb --compress: what is deflated is marked, nothing is taken for something else', async () => {
      const relay = await Relay.open(mysql, server.port)
      await client(relay.port, `delimiter //\n${SCRIPT.join('\n//\n')}\n//\n`, '--compress')
      const told = isWhole(relay)
      const asked = of(told, 'request').length
      expect(asked).toBeGreaterThanOrEqual(SCRIPT.length + 1)
      expect(of(told, 'request').some(({ resource }) => resource === 'SELEC 1')).toBe(true)
      expect(of(told, 'response').some(({ status }) => status === STATUS.unknown)).toBe(true)
      expect(of(told, 'response').flatMap(({ code }) => code ?? [])).toContain(1146)
      relay.stop()
    }, 30_000)

    test('a client that prepares what it asks, some at once', async () => {
      const relay = await Relay.open(mysql, server.port)
      const sql = new Bun.SQL({
        adapter: 'mysql',
        hostname: '127.0.0.1',
        port: relay.port,
        username: 'root',
        password: '',
        database: 'shop',
        max: 2,
      })
      await sql`CREATE TABLE IF NOT EXISTS p (id INT PRIMARY KEY, name TEXT)`
      await sql`DELETE FROM p`
      for (let i = 0; i < 20; i++) await sql`INSERT INTO p VALUES (${i}, ${`name ${i}`})`
      const rows = await Promise.all(
        [1, 2, 3, 4].map((id) => sql`SELECT * FROM p WHERE id < ${id}`),
      )
      expect(rows.map((found: unknown[]) => found.length)).toEqual([1, 2, 3, 4])
      await sql`SELECT * FROM absent WHERE id = ${1}`.catch(() => undefined)
      await sql`INSERT INTO p VALUES (${1}, ${'again'})`.catch(() => undefined)
      const bound = [-1.5, true, null, 2n ** 64n - 1n, 'été', new Date(86_400_123)]
      await sql`SELECT ${bound[0]}, ${bound[1]}, ${bound[2]}, ${bound[3]}, ${bound[4]}, ${bound[5]}`
      await sql.close()
      const told = isWhole(relay)
      const executed = of(told, 'request').filter(
        ({ operation, resource }) =>
          operation === 'COM_STMT_EXECUTE' && String(resource).startsWith('INSERT INTO p VALUES'),
      )
      expect(executed.length).toBe(21)
      expect(executed.map(({ values }) => values)).toEqual([
        ...Array.from({ length: 20 }, (_, i) => `${i} , name ${i}`),
        '1 , again',
      ])
      const every = '-1.5 , 1 , NULL , 18446744073709551615 , été , 1970-01-02 00:00:00.123000'
      const asBytes = Buffer.from(every).toString('latin1')
      expect(of(told, 'request').map(({ values }) => values)).toContain(asBytes)
      expect(of(told, 'response').flatMap(({ code }) => code ?? [])).toEqual(
        expect.arrayContaining([1146, 1062]),
      )
      relay.stop()
    })
  },
)

const noNginx = missing('nginx', 'curl')
describe.skipIf(noNginx !== '')(`http beside nginx ${noNginx && `(skipped: ${noNginx})`}`, () => {
  let server: Nginx
  beforeAll(async () => {
    server = await startNginx(directory)
  })
  afterAll(() => server.stop())

  test('curl: every request of the access log', async () => {
    const relay = await Relay.open(http, server.port)
    const url = `http://127.0.0.1:${relay.port}`
    const curl = (...words: readonly string[]): Promise<unknown> =>
      runProgram([peer('curl')!, '-s', '-o', '/dev/null', ...words])
    await curl(`${url}/ok/[1-20]`, `${url}/missing`, `${url}/broken?x=1`)
    await curl('-I', `${url}/ok/head`, `${url}/file`)
    await curl('--http1.0', `${url}/file`)
    await curl('-d', 'a=b', `${url}/ok/post`)
    await curl('-H', 'Transfer-Encoding: chunked', '-d', 'x'.repeat(3000), `${url}/ok/chunked`)
    await curl('-H', 'Expect: 100-continue', '-d', 'x'.repeat(3000), `${url}/ok/expect`)
    await curl('-H', 'Host: other', `${url}/count`)
    const told = isWhole(relay)
    const answers = of(told, 'response')
    const seen = of(told, 'request').map(({ operation, resource }, i) => ({
      method: operation,
      target: resource,
      status: answers[i]!['code'],
    }))
    expect(seen).toEqual(server.answered() as unknown as typeof seen)
    expect(answers.map(({ code }) => code)).toEqual(expect.arrayContaining([200, 404, 500]))
    relay.stop()
  })

  test('a server that answers in chunks', async () => {
    const pieces = Array.from({ length: 50 }, (_, i) => `piece ${i} `.repeat(1 + (i % 7) * 300))
    const chunks = Bun.serve({
      hostname: '127.0.0.1',
      port: 0,
      fetch: () =>
        new Response(
          new ReadableStream({
            async pull(controller) {
              for (const piece of pieces) {
                controller.enqueue(piece)
                await Bun.sleep(0)
              }
              controller.close()
            },
          }),
        ),
    })
    const relay = await Relay.open(http, chunks.port!)
    for (let i = 0; i < 3; i++)
      expect((await (await fetch(`http://127.0.0.1:${relay.port}/`)).text()).length).toBe(
        pieces.join('').length,
      )
    await chunks.stop(true)
    const told = isWhole(relay)
    for (const { length } of of(told, 'response')) expect(length).toBe(pieces.join('').length)
    relay.stop()
  })
})

const noDns = missing('dnsmasq', 'dig')
describe.skipIf(noDns !== '')(`dns beside dnsmasq ${noDns && `(skipped: ${noDns})`}`, () => {
  let server: Dnsmasq
  beforeAll(async () => {
    server = await startDnsmasq(directory)
  })
  afterAll(() => server.stop())

  test('dig +tcp: every question of the query log', async () => {
    const relay = await Relay.open(dns, server.port)
    const dig = (...words: readonly string[]): Promise<unknown> =>
      runProgram([peer('dig')!, '@127.0.0.1', '-p', String(relay.port), '+tcp', ...words])
    await dig('a.known.test', 'A', 'b.known.test', 'AAAA', 'c.unknown.test', 'A')
    await dig('+keepopen', 'd.known.test', 'TXT', 'e.known.test', 'MX', '+noedns')
    const told = isWhole(relay)
    const asked = of(told, 'request').map(({ operation, resource }) => `${operation} ${resource}`)
    const truth = server
      .asked()
      .map((line) => line.replace(/^(\w+) /, (word) => word.toUpperCase()))
    expect(asked).toEqual(truth)
    const [first, , third] = of(told, 'response')
    expect(first).toMatchObject({ code: 0, result: 'A=10.1.2.3', domain: 'a.known.test' })
    expect(third).toMatchObject({ code: 3, status: STATUS.clientError })
    relay.stop()
  })
})
