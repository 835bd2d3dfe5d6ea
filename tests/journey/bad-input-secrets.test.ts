/** What programs say to each other in confidence is kept nowhere: not on disk, in logs, in answers. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { tables } from '../../src/model/tables/registry.ts'
import { HEADER_SIZE, readHead } from '../../src/wire/header.ts'
import { missing } from '../needs.ts'
import {
  type Mariadb,
  type Nginx,
  peer,
  type Server,
  startMariadb,
  startNginx,
  startRedis,
} from '../peers/peers.ts'
import { until } from '../until.ts'
import { Part, ServerPart } from './bad-input.ts'
import { mariadb, redisCli, run } from './traffic.ts'

const reason =
  missing('executable', 'root', 'btf', 'nginx', 'redis-server', 'mariadbd', 'curl') ??
  missing('redis-cli', 'mariadb') ??
  ''
if (reason) process.stderr.write(`skipped, since ${reason}: secrets in observed traffic\n`)

/** What must be found nowhere; and what must be found, or the search itself is blind. */
const SECRET = 'cAnArY7f3a'
const OPEN = 'oPeNmArK'
const TOKEN = `${SECRET}-token`

/** Requests whose secrets lie wherever HTTP lets them. */
const HTTP: readonly string[][] = [
  [`/ok/${OPEN}`, '-H', `Authorization: Bearer ${SECRET}-bearer`],
  ['/ok', '-u', `user:${SECRET}-basic`],
  ['/ok', '-H', `Proxy-Authorization: Basic ${SECRET}`, '-H', `X-Api-Key: ${SECRET}-key`],
  ['/ok', '-b', `session=${SECRET}-cookie; theme=dark`],
  [`/ok?user=me&password=${SECRET}-query;x=${SECRET}`],
  [`/missing?a=${SECRET}-missing&next=http://a:${SECRET}@b/`],
  ['/ok', '-d', `password=${SECRET}-body`],
  ['/ok', '-H', `Referer: http://host/page?token=${SECRET}-referer`],
]
const REDIS = [
  `SET ${OPEN} ${SECRET}-value`,
  `GET ${OPEN}`,
  `AUTH ${SECRET}-password`,
  `AUTH default ${SECRET}-password`,
  `HELLO 3 AUTH default ${SECRET}-hello`,
  `CONFIG SET masterauth ${SECRET}-master`,
  `ACL SETUSER bob on >${SECRET}-acl`,
  `EVAL "return '${SECRET}-script'" 0`,
  `EVAL_RO "return '${SECRET}-script'" 0`,
  `ECHO ${SECRET}-echo`,
  `INCR ${OPEN}`,
  `NOSUCH ${SECRET}-argument`,
  `MSET a ${SECRET}-a b ${SECRET}-b`,
  `HSET h field ${SECRET}-hash`,
  `LPUSH l ${SECRET}-list`,
  `PUBLISH channel ${SECRET}-message`,
  `MIGRATE 127.0.0.1 1 k 0 10 AUTH ${SECRET}-migrate`,
]
const SQL = [
  `CREATE TABLE ${OPEN} (id INT PRIMARY KEY, name VARCHAR(40) UNIQUE, n INT)`,
  `INSERT INTO ${OPEN} VALUES (1, '${SECRET}-insert', 2)`,
  `INSERT INTO ${OPEN} VALUES (2, '${SECRET}-insert', 3)`,
  `SELECT name FROM ${OPEN} WHERE name = "${SECRET}-double" OR name = x'${Buffer.from(SECRET).toString('hex')}'`,
  `SELECT * FROM ${OPEN} WHERE name LIKE '${SECRET}%' /* ${SECRET}-comment */`,
  `UPDATE ${OPEN} SET n = '${SECRET}-number'`,
  `SELEC '${SECRET}-misspelt'`,
  `SELECT '${SECRET}-unended`,
  `'`,
  `CREATE USER bob IDENTIFIED BY '${SECRET}-user'`,
  `SET PASSWORD FOR bob = PASSWORD('${SECRET}-set')`,
  `SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '${SECRET}-signal'`,
]

describe.skipIf(reason !== '')('secrets in observed traffic', () => {
  const directory = mkdtempSync(join(tmpdir(), 'metaflow-secrets-'))
  const [serverData, agentData] = [join(directory, 'server'), join(directory, 'agent')]
  let server: ServerPart
  let agent: Part
  let nginx: Nginx
  let redis: Server
  let maria: Mariadb
  const said: string[] = []

  beforeAll(async () => {
    ;[nginx, redis, maria] = await Promise.all([
      startNginx(directory),
      startRedis(directory),
      startMariadb(directory),
    ])
    const debug = ['--log-level=debug']
    server = await ServerPart.start(serverData, ['--server-token', TOKEN, ...debug])
    agent = new Part([
      '--mode=agent',
      '--data-dir',
      agentData,
      '--server',
      server.url,
      '--token',
      TOKEN,
      ...debug,
    ])
    await agent.says('Observing this host')
  }, 180_000)
  afterAll(async () => {
    await agent?.child.stop()
    await server?.child.stop()
    await Promise.all([nginx, redis, maria].map((one) => one?.stop()))
    rmSync(directory, { recursive: true })
  }, 60_000)

  async function speak(): Promise<void> {
    for (const [target, ...options] of HTTP)
      await run([peer('curl')!, '-s', ...options, `http://127.0.0.1:${nginx.port}${target}`])
    await redisCli(redis.port, REDIS)
    await mariadb(maria.port, SQL)
  }

  const headers = { authorization: `Bearer ${TOKEN}` }
  async function answer(sql: string): Promise<string> {
    const body = new URLSearchParams({ sql, format: 'JSONEachRow' })
    const response = await server.get('/v1/query', { method: 'POST', body, headers })
    const text = (await response?.text()) ?? ''
    if (response?.status !== 200) throw new Error(text)
    return text
  }

  /** Files below `folder` in which `word` stands, plainly or packed in a block. */
  function filesWith(word: string, folder: string): string[] {
    return readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((path) => textsOf(readFileSync(path)).some((text) => text.includes(word)))
  }

  test('rows, points and names have none of them', async () => {
    await speak()
    const count = `SELECT uniqExact(server_port) AS n FROM flow_log.l7_flow_log WHERE server_port IN (${nginx.port}, ${redis.port}, ${maria.port}) AND request_resource LIKE '%${OPEN}%'`
    await until(async () => /"n":"?3"?/.test(await answer(count)), 30)
    let all = ''
    for (const { database, name } of tables)
      all += await answer(`SELECT * FROM ${database}.\`${name}\` LIMIT 100000`)
    expect(all).toContain(OPEN)
    expect(leaks(all)).toEqual([])
    const status = await (await server.get('/v1/status', { headers }))!.text()
    const metrics = await (await server.get('/metrics', { headers }))!.text()
    expect(status + metrics).not.toContain(SECRET)
  }, 60_000)

  test('the spool of an agent whose server is away has none of them', async () => {
    server.child.signal('SIGKILL')
    said.push(server.words)
    await server.child.exited
    await speak()
    await until(() => filesWith(OPEN, agentData).length > 0, 30)
    expect(filesWith(SECRET, agentData)).toEqual([])
  }, 60_000)

  test("the server's data dir and both logs have none of them", async () => {
    await agent.child.stop()
    expect(filesWith(SECRET, serverData)).toEqual([])
    expect(filesWith(SECRET, agentData)).toEqual([])
    said.push(agent.words)
    expect(said.join('\n')).not.toContain(SECRET)
    expect(said.join('\n')).toContain('Observing this host')
  }, 60_000)
})

/** What stands around each secret. */
function leaks(text: string): string[] {
  return [...text.matchAll(new RegExp(`.{0,90}${SECRET}.{0,20}`, 'g'))].map(([found]) => found)
}

/** A file as it is, and each block in it unpacked. */
function textsOf(bytes: Buffer): Buffer[] {
  const texts = [bytes]
  for (let at = bytes.indexOf('MFBK'); at >= 0; at = bytes.indexOf('MFBK', at + 1))
    try {
      const { packedSize } = readHead(bytes.subarray(at))
      const body = bytes.subarray(at + HEADER_SIZE, at + HEADER_SIZE + packedSize)
      texts.push(Buffer.from(Bun.zstdDecompressSync(body)))
    } catch {
      // These four bytes began no block.
    }
  return texts
}
