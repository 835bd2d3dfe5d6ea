import { afterAll, expect, test } from 'bun:test'
import { type Ends, Identity } from '../../../src/agent/identity/identity.ts'
import { PROCESSES_MAX } from '../../../src/agent/identity/processes.ts'
import { startChild } from '../../../src/lib/process.ts'
import { NAME_TYPE, NAMES_MAX, NameTable } from '../../../src/model/name.ts'
import { TCP, UDP } from '../../../src/model/segment.ts'
import { until } from '../../until.ts'
import { FakeProc } from './fixture.ts'

const HOST = 'aa'.repeat(16)
const SECOND = 1_000_000

function setup() {
  const proc = new FakeProc()
  const names = new NameTable()
  const identity = new Identity({ names, hostId: HOST, proc })
  return { proc, names, identity }
}

/** A connection of `processId` from 127.0.0.1:50000 to `remote`. */
function ends(processId: number, remote: string, remotePort: number, protocol = TCP): Ends {
  const isIpv4 = !remote.includes(':')
  const addresses = new Uint8Array(32)
  addresses.set([127, 0, 0, 1])
  if (isIpv4) addresses.set(remote.split('.').map(Number), 16)
  else addresses[31] = 1
  return { addresses, isIpv4, protocol, localPort: 50_000, remotePort, processId }
}

test('process is the group of host, unit, executable and script', () => {
  const { proc, names, identity } = setup()
  const nginx = { exe: '/usr/sbin/nginx', cgroup: '0::/system.slice/nginx.service\n' }
  proc.add(10, nginx)
  proc.add(11, nginx)
  proc.add(12, { exe: '/usr/sbin/nginx' })
  proc.add(13, { exe: '/usr/bin/node', argv: ['node', 'a.js'], cwd: '/srv', command: 'MainThread' })
  proc.add(14, { exe: '/usr/bin/node', argv: ['node', 'b.js'], cwd: '/srv' })
  const [a, b, c, d, e] = [10, 11, 12, 13, 14].map((id) => identity.process(id, 'x'))
  expect(a).toBe(b!)
  expect(new Set([a, c, d, e]).size).toBe(4)
  expect(names.at(a!)).toEqual({
    type: NAME_TYPE.process,
    key: `${HOST}|nginx.service|/usr/sbin/nginx|`,
    name: 'nginx',
    processName: 'nginx',
    hostKey: HOST,
    hostName: 'shop-1',
  })
  expect(names.at(d!)).toMatchObject({ name: 'a.js', processName: 'MainThread' })
  expect(names.at(d!).key).toBe(`${HOST}||/usr/bin/node|/srv/a.js`)
  expect(names.at(identity.host)).toMatchObject({ type: NAME_TYPE.host, key: HOST, name: 'shop-1' })
})

test('process reads /proc once while it is fresh', () => {
  const { proc, identity } = setup()
  proc.add(10, {})
  identity.process(10, 'x')
  const { reads } = proc
  for (let i = 0; i < 100; i++) identity.process(10, 'x')
  expect(proc.reads).toBe(reads)
})

test('process takes no reused id, and no other file run in the same process, for the old one', () => {
  const { proc, names, identity } = setup()
  proc.add(10, { exe: '/bin/first' })
  const first = identity.process(10, 'first')
  proc.add(10, { exe: '/bin/second', startTime: 99 })
  identity.ended(10)
  expect(names.at(identity.process(10, 'second')).name).toBe('second')
  proc.add(10, { exe: '/bin/third', startTime: 99 })
  identity.tick(6 * SECOND)
  expect(names.at(identity.process(10, 'third')).name).toBe('third')
  expect(names.at(first).name).toBe('first')
})

test('process keeps the name of what ended, for what was seen of it comes later', () => {
  const { proc, names, identity } = setup()
  proc.add(10, { exe: '/bin/first' })
  identity.process(10, 'first')
  proc.remove(10)
  identity.ended(10)
  identity.tick(7 * SECOND)
  expect(names.at(identity.process(10, 'x')).name).toBe('first')
  for (let s = 8; s < 60; s++) identity.tick(s * SECOND)
  expect(names.at(identity.process(10, 'x')).name).toBe('x')
})

test('process names what is gone by its command, or by the one program known to have it', () => {
  const { proc, names, identity } = setup()
  expect(names.at(identity.process(10, 'brief'))).toMatchObject({
    name: 'brief',
    processName: 'brief',
    key: `${HOST}||brief|`,
  })
  proc.add(11, { exe: '/usr/bin/curl' })
  const curl = identity.process(11, 'curl')
  expect(identity.process(12, 'curl')).toBe(curl)
  // Two programs go by that command: now nobody can tell.
  proc.add(13, { exe: '/opt/curl' })
  identity.process(13, 'curl')
  expect(names.at(identity.process(14, 'curl')).key).toBe(`${HOST}||curl|`)
  // An interpreter's command says nothing of its script.
  proc.add(15, { exe: '/usr/bin/node', argv: ['node', '/a.js'] })
  identity.process(15, 'node')
  expect(names.at(identity.process(16, 'node')).name).toBe('node')
  expect(identity.counters[0]!.dropped['gone']).toBe(4)
})

test('isOwn of what is gone leaves it to be named by its command', () => {
  const { names, identity } = setup()
  expect(identity.isOwn(10)).toBe(false)
  expect(names.at(identity.process(10, 'brief')).name).toBe('brief')
})

test('process is bounded: the one known longest gives way, and is counted', () => {
  const { identity } = setup()
  for (let id = 1; id <= PROCESSES_MAX + 5; id++) identity.process(id, 'x')
  expect(identity.counters[0]!.dropped['full']).toBe(5)
})

test('process reads a command with brackets and spaces, and takes no zombie for a program', () => {
  const { proc, names, identity } = setup()
  proc.add(10, { exe: '/bin/odd', command: 'a) S 1 (b' })
  expect(names.at(identity.process(10, 'x')).processName).toBe('a) S 1 (b')
  proc.files.set('11/stat', '11 (dead) Z 1 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0')
  expect(names.at(identity.process(11, 'dead')).key).toBe(`${HOST}||dead|`)
})

test('isOwn knows agent, server and engine of any folder, and their children; not the workload', () => {
  const { proc, names, identity } = setup()
  const exe = '/opt/metaflow'
  proc.add(10, { exe, argv: ['metaflow', '--mode=server', '--data-dir', '/b'] })
  proc.add(11, { exe, argv: ['metaflow', '--mode=engine'], parent: 10 })
  proc.add(12, { exe: '/usr/bin/clickhouse', parent: 10 })
  proc.add(13, { exe, argv: ['metaflow', '--mode=demo'] })
  proc.add(14, { exe, argv: ['metaflow', '--mode=workload', '--part=shop'], parent: 13 })
  proc.add(15, { exe: '/usr/bin/curl', parent: 14 })
  proc.add(16, { exe: '/usr/sbin/nginx' })
  const own = [0, 10, 11, 12, 13, 14, 15, 16, 999].map((id) => identity.isOwn(id))
  expect(own).toEqual([false, true, true, true, true, false, false, false, false])
  expect(names.at(identity.process(11, 'x')).name).toBe('metaflow-engine')
  expect(names.at(identity.process(14, 'x'))).toMatchObject({
    name: 'shop',
    key: `${HOST}||${exe}|workload shop`,
  })
})

const HEAD =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode'
const row = (local: string, state: string, inode: number, remote = '00000000:0000') =>
  `   0: ${local} ${remote} ${state} 00000000:00000000 00:00000000 00000000     0        0 ${inode} 1`

test('remoteListener finds who listens: exact, any address, dual-stack, IPv6, datagrams', () => {
  const { proc, identity } = setup()
  proc.files.set(
    'self/net/tcp',
    [
      HEAD,
      row('0100007F:0050', '0A', 100),
      row('00000000:0051', '0A', 101),
      row('0100007F:C350', '01', 109),
    ].join('\n'),
  )
  proc.files.set(
    'self/net/tcp6',
    [
      HEAD,
      row(`${'0'.repeat(32)}:0052`, '0A', 102),
      row(`${'0'.repeat(24)}01000000:0053`, '0A', 103),
    ].join('\n'),
  )
  const connected = row('0100007F:0036', '07', 105, '0100007F:1234')
  proc.files.set('self/net/udp', [HEAD, connected, row('00000000:0035', '07', 104)].join('\n'))
  proc.files.set(
    'self/net/fib_trie',
    '  |-- 192.0.2.2\n     /32 host LOCAL\n  |-- 192.0.2.0\n     /24 link UNICAST\n',
  )
  proc.add(20, { sockets: [1, 100, 101] })
  proc.add(21, { sockets: [102, 103, 104, 105, 109] })
  proc.add(30, {})
  identity.open(0)
  const of = (remote: string, port: number, protocol = TCP) =>
    identity.remoteListener(ends(30, remote, port, protocol))
  expect([of('127.0.0.1', 80), of('127.0.0.1', 81), of('192.0.2.2', 81)]).toEqual([20, 20, 20])
  expect([of('192.0.2.2', 80), of('192.0.2.9', 81)]).toEqual([0, 0])
  expect([of('127.0.0.1', 82), of('::1', 82), of('::1', 83), of('127.0.0.1', 83)]).toEqual([
    21, 21, 21, 0,
  ])
  expect([of('127.0.0.1', 53, UDP), of('127.0.0.1', 53), of('127.0.0.1', 54, UDP)]).toEqual([
    21, 0, 0,
  ])
  expect([of('127.0.0.1', 50_000), of('127.0.0.1', 0)]).toEqual([0, 0])
  expect([identity.listens(80), identity.listens(83, false), identity.listens(84)]).toEqual([
    20, 21, 0,
  ])
})

test('remoteListener keeps loopback apart by network namespace, and finds containers by address', () => {
  const { proc, identity } = setup()
  proc.files.set('self/net/tcp', [HEAD, row('00000000:0050', '0A', 100)].join('\n'))
  proc.files.set('41/net/tcp', [HEAD, row('00000000:0050', '0A', 200)].join('\n'))
  proc.files.set('41/net/fib_trie', '  |-- 10.88.0.5\n     /32 host LOCAL\n')
  proc.add(20, { sockets: [100] })
  proc.add(30, {})
  identity.open(0)
  proc.files.set('41/stat', '')
  proc.add(41, { net: 'net:[2]', sockets: [200] })
  proc.files.set('41/net/tcp', [HEAD, row('00000000:0050', '0A', 200)].join('\n'))
  proc.files.set('41/net/fib_trie', '  |-- 10.88.0.5\n     /32 host LOCAL\n')
  identity.process(41, 'x')
  for (let s = 1; s < 5; s++) identity.tick(s * SECOND)
  expect(identity.remoteListener(ends(30, '127.0.0.1', 80))).toBe(20)
  expect(identity.remoteListener(ends(41, '127.0.0.1', 80))).toBe(41)
  expect(identity.remoteListener(ends(30, '10.88.0.5', 80))).toBe(41)
})

test('remoteListener learns of who began to listen a second after it was missed', () => {
  const { proc, identity } = setup()
  identity.open(0)
  proc.files.set('self/net/tcp', [HEAD, row('0100007F:0050', '0A', 100)].join('\n'))
  proc.add(20, { sockets: [100] })
  expect(identity.remoteListener(ends(30, '127.0.0.1', 80))).toBe(0)
  identity.tick(SECOND / 2)
  expect(identity.remoteListener(ends(30, '127.0.0.1', 80))).toBe(0)
  identity.tick(SECOND)
  expect(identity.remoteListener(ends(30, '127.0.0.1', 80))).toBe(20)
})

test('remoteListener finds who has the socket of a listener that ended or let it go', () => {
  const { proc, names, identity } = setup()
  proc.files.set('self/net/tcp', [HEAD, row('0100007F:0050', '0A', 100)].join('\n'))
  proc.add(20, { exe: '/sbin/first', sockets: [100] })
  proc.add(21, { exe: '/sbin/second', sockets: [99, 100] })
  proc.add(22, { exe: '/sbin/third', sockets: [100] })
  identity.open(0)
  const owner = (second: number): string => {
    identity.tick(second * SECOND)
    return names.at(identity.process(identity.listens(80), '')).name
  }
  expect(owner(1)).toBe('first')
  proc.remove(20)
  expect(owner(5)).toBe('first')
  expect(owner(11)).toBe('second')
  proc.links.set('21/fd/4', 'socket:[98]')
  expect(owner(22)).toBe('third')
  proc.remove(22)
  expect(owner(33)).toBe('shop-1')
})

test('process is this host where the process is gone and nobody knows its command', () => {
  const { identity } = setup()
  expect(identity.process(10, '')).toBe(identity.host)
})

test('address leaves room for the names of processes, and counts what shares a name', () => {
  const { proc, names, identity } = setup()
  const address = new Uint8Array(4)
  for (let i = 0; i < NAMES_MAX; i++) {
    address.set([9, i >> 16, i >> 8, i])
    identity.address(address, 0, true)
  }
  expect(names.at(identity.address(address, 0, true)).name).toBe('(other)')
  // Nobody and this host are names too.
  expect(names.overflowed).toBe(NAMES_MAX * 0.25 + 2)
  proc.add(10, { exe: '/bin/new' })
  expect(names.at(identity.process(10, 'new')).name).toBe('new')
})

test('isOwnConnection is true where either end is ours', () => {
  const { proc, identity } = setup()
  proc.files.set('self/net/tcp', [HEAD, row('0100007F:4FC0', '0A', 100)].join('\n'))
  proc.add(20, { exe: '/opt/metaflow', argv: ['metaflow', '--mode=server'], sockets: [100] })
  proc.add(30, { exe: '/usr/bin/chromium' })
  identity.open(0)
  expect(identity.isOwnConnection(ends(30, '127.0.0.1', 20_416))).toBe(true)
  expect(identity.isOwnConnection(ends(20, '192.0.2.9', 443))).toBe(true)
  expect(identity.isOwnConnection(ends(30, '192.0.2.9', 443))).toBe(false)
})

test('address is this host where it is one of its own, else itself', () => {
  const { proc, names, identity } = setup()
  proc.files.set('self/net/fib_trie', '  |-- 192.0.2.2\n     /32 host LOCAL\n')
  identity.open(0)
  const of = (text: string) =>
    names.at(identity.address(Uint8Array.from(text.split('.').map(Number)), 0, true))
  expect([of('127.0.0.1').name, of('127.1.2.3').name, of('192.0.2.2').name]).toEqual([
    'shop-1',
    'shop-1',
    'shop-1',
  ])
  expect(of('192.0.2.3')).toEqual({
    type: NAME_TYPE.ip,
    key: '192.0.2.3',
    name: '192.0.2.3',
    processName: '',
    hostKey: '',
    hostName: '',
  })
})

const children: { stop(): Promise<unknown> }[] = []
afterAll(() => Promise.all(children.map((child) => child.stop())))

test('Identity reads the real /proc: this runner, and a child that listens', async () => {
  const names = new NameTable()
  const identity = new Identity({ names, hostId: HOST })
  let port = 0
  const script =
    'console.log(Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("") }).port)'
  const child = startChild({
    command: [process.execPath, '-e', script],
    name: 'listener',
    onLine: (line) => {
      port = Number(line)
    },
  })
  children.push(child)
  await until(() => port > 0)
  identity.open(0)
  expect(names.at(identity.process(child.processId, 'x')).name).toBe('bun.exe')
  expect(identity.remoteListener(ends(process.pid, '127.0.0.1', port))).toBe(child.processId)
  expect(identity.listens(port)).toBe(child.processId)
  expect(names.at(identity.process(process.pid, 'x')).hostName.length).toBeGreaterThan(0)
  expect(identity.isOwn(process.pid)).toBe(false)
})
