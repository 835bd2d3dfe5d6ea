/** Real servers and clients, as Debian packs them: found on PATH or unpacked into .cache/peers. */
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join, resolve } from 'node:path'
import { type Child, startChild } from '../../src/lib/process.ts'
import { until } from '../until.ts'

const ROOT = resolve('.cache/peers')

/** Path of a program, or undefined where this machine has none. */
export function peer(name: string): string | undefined {
  const unpacked = join(ROOT, 'bin', name)
  return existsSync(unpacked) ? unpacked : (Bun.which(name) ?? undefined)
}

/** The reason to skip where one of `names` is missing, else the empty string. */
export function missing(...names: readonly string[]): string {
  const absent = names.filter((name) => peer(name) === undefined)
  return absent.length === 0 ? '' : `not installed: ${absent.join(', ')}`
}

export type Server = { readonly port: number; readonly processId: number; stop(): Promise<unknown> }

/** A TCP port nobody listens on now. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const { port } = server.address() as { port: number }
  await new Promise((done) => server.close(done))
  return port
}

async function start(command: readonly [string, ...string[]], port: number): Promise<Server> {
  const lines: string[] = []
  const child: Child = startChild({
    command,
    name: command[0],
    onLine: (line) => lines.push(line),
  })
  let ended = false
  void child.exited.then(() => {
    ended = true
  })
  await until(async () => {
    if (ended) throw new Error(`Cannot start ${command[0]}: ${lines.slice(-5).join(' | ')}`)
    return await accepts(port)
  }, 30)
  return { port, processId: child.processId, stop: () => child.stop() }
}

async function accepts(port: number): Promise<boolean> {
  try {
    const socket = await Bun.connect({ hostname: '127.0.0.1', port, socket: { data() {} } })
    socket.end()
    return true
  } catch {
    return false
  }
}

/** What nginx says of the requests it answered: method, target, status. */
export type Answered = { readonly method: string; readonly target: string; readonly status: number }
export type Nginx = Server & {
  /** Who answers requests: nginx itself only watches over it. */
  readonly workerProcessId: number
  answered(): Answered[]
}

/** nginx with one worker: /ok… answers 200, /missing… 404, /broken… 500, /slow… after a while. */
export async function startNginx(directory: string, accessLog = true): Promise<Nginx> {
  const port = await freePort()
  const log = join(directory, 'access.log')
  const page = join(directory, 'html')
  await mkdir(page, { recursive: true })
  await writeFile(join(page, 'ok'), 'fine\n')
  await writeFile(
    join(directory, 'nginx.conf'),
    `daemon off; worker_processes 1; pid ${directory}/nginx.pid; error_log ${directory}/error.log;
events { worker_connections 1024; }
http {
  log_format truth '$request_method $request_uri $status';
  access_log ${accessLog ? `${log} truth` : 'off'};
  client_body_temp_path ${directory}/t1; proxy_temp_path ${directory}/t2;
  fastcgi_temp_path ${directory}/t3; uwsgi_temp_path ${directory}/t4; scgi_temp_path ${directory}/t5;
  keepalive_requests 1000000;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location /ok { return 200 "fine\\n"; }
    location /missing { return 404 "no\\n"; }
    location /broken { return 500 "oh\\n"; }
    location /count { stub_status; }
    location /file { alias ${page}/ok; }
  }
}
`,
  )
  const server = await start(
    [peer('nginx')!, '-c', join(directory, 'nginx.conf'), '-e', join(directory, 'error.log')],
    port,
  )
  const answered = (): Answered[] =>
    readFileSync(log, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => {
        const [method = '', target = '', status = ''] = line.split(' ')
        return { method, target, status: Number(status) }
      })
  const { processId } = server
  const children = readFileSync(`/proc/${processId}/task/${processId}/children`, 'utf8')
  return { ...server, workerProcessId: Number(children.trim().split(' ')[0]), answered }
}

export async function startRedis(directory: string): Promise<Server> {
  const port = await freePort()
  return await start(
    [
      peer('redis-server')!,
      ...['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'],
      ...['--dir', directory],
    ],
    port,
  )
}

export type Mariadb = Server & {
  /** What its general log says it was asked to run: the statements, in order. */
  statements(): string[]
}

/** MariaDB over TCP, with an account `root` without a password, and the general log on. */
export async function startMariadb(directory: string): Promise<Mariadb> {
  const port = await freePort()
  const data = join(directory, 'mariadb')
  const log = join(directory, 'general.log')
  const share = join(ROOT, 'usr/share/mysql')
  const base = existsSync(share) ? join(ROOT, 'usr') : '/usr'
  await mkdir(data, { recursive: true })
  const common = [
    '--no-defaults',
    `--basedir=${base}`,
    `--datadir=${data}`,
    `--lc-messages-dir=${join(base, 'share/mysql')}`,
    `--character-sets-dir=${join(base, 'share/mysql/charsets')}`,
    ...(process.getuid?.() === 0 ? ['--user=root'] : []),
  ]
  await bootstrapMariadb(common, base)
  const server = await start(
    [
      peer('mariadbd')!,
      ...common,
      ...[`--port=${port}`, '--bind-address=127.0.0.1', `--socket=${join(data, 'm.sock')}`],
      ...['--general-log=1', `--general-log-file=${log}`, '--skip-name-resolve'],
      ...['--innodb-buffer-pool-size=32M', '--innodb-log-file-size=8M', '--skip-log-bin'],
    ],
    port,
  )
  const statements = (): string[] =>
    readFileSync(log, 'utf8')
      .split('\n')
      .flatMap((line) => {
        const found = /\t\s*\d+ Query\t(.*)$/.exec(line)
        return found ? [found[1]!] : []
      })
  return { ...server, statements }
}

/** The system tables, as mariadb-install-db makes them, with an open root account. */
async function bootstrapMariadb(common: readonly string[], base: string): Promise<void> {
  const read = (name: string): string => readFileSync(join(base, 'share/mysql', name), 'utf8')
  const sql = [
    'CREATE DATABASE IF NOT EXISTS mysql;\nUSE mysql;\n',
    read('mysql_system_tables.sql'),
    read('mysql_performance_tables.sql'),
    read('mysql_system_tables_data.sql'),
    'CREATE DATABASE shop;\nFLUSH PRIVILEGES;\nCREATE USER IF NOT EXISTS root@127.0.0.1;\n',
    'GRANT ALL ON *.* TO root@127.0.0.1 WITH GRANT OPTION;\n',
  ].join('\n')
  const child = Bun.spawn([peer('mariadbd')!, ...common, '--bootstrap', '--skip-grant-tables'], {
    stdin: new TextEncoder().encode(sql),
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const words = await new Response(child.stderr).text()
  if ((await child.exited) !== 0) throw new Error(`Cannot prepare mariadb: ${words.slice(-500)}`)
}

export type Dnsmasq = Server & { asked(): string[] }

/** dnsmasq that answers `*.known.test` with 10.1.2.3 and knows nothing else. */
export async function startDnsmasq(directory: string): Promise<Dnsmasq> {
  const port = await freePort()
  const log = join(directory, 'dnsmasq.log')
  const server = await start(
    [
      peer('dnsmasq')!,
      ...['--keep-in-foreground', '--no-resolv', '--no-hosts', '--conf-file=/dev/null'],
      ...[`--port=${port}`, '--listen-address=127.0.0.1', '--bind-interfaces', '--log-queries'],
      ...[`--log-facility=${log}`, '--address=/known.test/10.1.2.3', '--local=/unknown.test/'],
      ...['--pid-file=', '--user=root', '--cache-size=0'],
    ],
    port,
  )
  const asked = (): string[] =>
    readFileSync(log, 'utf8')
      .split('\n')
      .flatMap((line) => {
        const found = /query\[(\w+)\] (\S+) from/.exec(line)
        return found ? [`${found[1]} ${found[2]}`] : []
      })
  return { ...server, asked }
}
