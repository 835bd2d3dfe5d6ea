import { expect, test } from 'bun:test'
import { addressText } from '../../../src/agent/identity/addresses.ts'
import { unitOf } from '../../../src/agent/identity/cgroup.ts'
import { isOwnMode, modeOf } from '../../../src/agent/identity/own.ts'
import { executableOf, programOf } from '../../../src/agent/identity/program.ts'

test.each<[string, string, string, string]>([
  ['/usr/sbin/nginx', 'nginx: master process /usr/sbin/nginx -g daemon off;', '', 'nginx'],
  ['/usr/bin/node', 'node server.js', '/srv/shop/server.js', 'shop/server.js'],
  [
    '/usr/bin/node',
    'node --max-old-space-size=99 -r ./hook.js bill.mjs 80',
    '/srv/shop/bill.mjs',
    'bill.mjs',
  ],
  ['/usr/bin/node', 'node -e console.log(1)', '', 'node'],
  ['/usr/bin/node', 'node', '', 'node'],
  ['/usr/bin/bun', 'bun test --timeout 900 a.ts', '/srv/shop/a.ts', 'a.ts'],
  ['/root/.bun/bin/bun', 'bun run src/index.ts', '/srv/shop/src/index.ts', 'src/index.ts'],
  [
    '/usr/bin/python3.11',
    'python3 -u /opt/app/orders.py --port 1',
    '/opt/app/orders.py',
    'orders.py',
  ],
  ['/usr/bin/python3.11', 'python3 -W ignore -m http.server 80', 'http.server', 'http.server'],
  [
    '/usr/bin/python3.11',
    '/usr/bin/python3 /usr/bin/gunicorn app:app',
    '/usr/bin/gunicorn',
    'gunicorn',
  ],
  ['/usr/bin/python3.11', 'python3 -c import-this', '', 'python3.11'],
  [
    '/usr/lib/jvm/17/bin/java',
    'java -Xmx1g -cp /a:/b com.example.Shop x',
    'com.example.Shop',
    'com.example.Shop',
  ],
  ['/usr/lib/jvm/17/bin/java', 'java -jar kafka.jar', '/srv/shop/kafka.jar', 'kafka.jar'],
  ['/usr/bin/bash', '/bin/bash ./deploy.sh', '/srv/shop/deploy.sh', 'deploy.sh'],
  ['/usr/bin/bash', '-bash', '', 'bash'],
  ['/usr/bin/ruby3.1', 'ruby -I lib bin/puma', '/srv/shop/bin/puma', 'puma'],
  ['/usr/bin/perl', 'perl', '', 'perl'],
  ['/usr/bin/nodemon', 'nodemon server.js', '', 'nodemon'],
])('programOf %s run as %j', (executable, line, script, name) => {
  const argv = line.startsWith('nginx') ? [line] : line.split(' ')
  const command = executable.slice(executable.lastIndexOf('/') + 1).slice(0, 15)
  const running = { executable, argv, command, folder: () => '/srv/shop' }
  expect(programOf(running)).toEqual({ script, name })
})

test.each([
  ['/usr/bin/redis-check-rdb', '/usr/bin/redis-server *:6379', 'redis-server', 'redis-server'],
  ['/usr/bin/busybox', 'httpd -f', 'httpd', 'httpd'],
  [
    '/opt/a-name-of-many-letters',
    'a-name-of-many-letters',
    'a-name-of-many-',
    'a-name-of-many-letters',
  ],
  ['/usr/bin/thing', 'anything it likes', 'worker-3', 'thing'],
  ['/usr/lib/postgresql/15/bin/postgres', 'postgres: checkpointer', 'postgres', 'postgres'],
  ['/usr/bin/thing', '', 'thing', 'thing'],
])('programOf %s run as %j, called %j', (executable, line, command, name) => {
  const running = { executable, argv: [line], command, folder: () => undefined }
  expect(programOf(running)).toEqual({ script: '', name })
})

const ID = '4bf1'.repeat(16)
test.each([
  ['0::/system.slice/nginx.service\n', 'nginx.service'],
  ['0::/user.slice/user-0.slice/session-3.scope\n', ''],
  ['0::/user.slice/user-1.slice/user@1.service/app.slice/code.service\n', 'code.service'],
  ['0::/user.slice/user-1.slice/user@1.service/init.scope\n', ''],
  [`0::/system.slice/docker-${ID}.scope\n`, ID],
  [`12:pids:/docker/${ID}\n1:name=systemd:/docker/${ID}\n0::/system.slice/docker.service\n`, ID],
  [`0::/kubepods.slice/kubepods-podab.slice/cri-containerd-${ID}.scope\n`, ID],
  [`0::/kubepods/besteffort/podab/${ID}\n`, ID],
  [`0::/machine.slice/libpod-${ID}.scope/container\n`, ID],
  ['9:name=systemd:/\n4:memory:/a/4ec71ebe80825b6c1e7fa3d8c1d87cf6\n0::/\n', ''],
  ['1:name=systemd:/system.slice/ssh.service\n4:memory:/\n', 'ssh.service'],
  ['', ''],
])('unitOf %j', (cgroup, unit) => {
  expect(unitOf(cgroup)).toBe(unit)
})

test('executableOf takes off the mark of a deleted file', () => {
  expect(executableOf('/opt/a b (deleted)')).toBe('/opt/a b')
  expect(executableOf('/opt/a')).toBe('/opt/a')
})

test.each([
  ['/usr/bin/metaflow', 'metaflow --mode=agent --server x', 'agent', true],
  ['/w/dist/metaflow', './metaflow --data-dir d --mode server', 'server', true],
  ['/w/dist/metaflow', './metaflow --mode=workload', 'workload', false],
  ['/w/dist/metaflow', './metaflow query x', 'query', false],
  ['/w/node_modules/bun/bin/bun.exe', 'bun src/main.ts --mode=engine', 'engine', true],
  ['/w/node_modules/bun/bin/bun.exe', 'bun test x', '', false],
  ['/usr/bin/nginx', 'nginx --mode=agent', '', false],
])('modeOf %s run as %j', (executable, line, mode, own) => {
  expect(modeOf(executable, line.split(' '))).toBe(mode)
  expect(isOwnMode(mode)).toBe(own)
})

test.each([
  ['0'.repeat(31).concat('1'), '::1'],
  ['0'.repeat(32), '::'],
  ['20010db8000000000000000000000001', '2001:db8::1'],
  ['20010db8000000010001000100010001', '2001:db8:0:1:1:1:1:1'],
  ['20010db8000000000001000000000001', '2001:db8::1:0:0:1'],
  ['fe800000000000000000000000000000', 'fe80::'],
])('addressText %s', (hex, text) => {
  const bytes = Uint8Array.fromHex(`ff${hex}`)
  expect(addressText(bytes, 1, false)).toBe(text)
  expect(addressText(Uint8Array.of(9, 192, 0, 2, 1), 1, true)).toBe('192.0.2.1')
})
