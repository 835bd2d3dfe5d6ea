/** The built agent on a host that lacks what others need, and beside what it cannot read. */
import { afterEach, expect } from 'bun:test'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Child, startChild } from '../../src/lib/process.ts'
import { testWith } from '../needs.ts'
import { until } from '../until.ts'
import { EXECUTABLE, MetaFlow } from './metaflow.ts'

const LIBRARIES = /^lib(bpf|elf|z)\.so/
const FOLDERS = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu']

const opened: { stop(): Promise<unknown> }[] = []
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.stop()
})

type Status = {
  readonly agents: readonly {
    readonly samples: readonly { readonly name: string; readonly value: number }[]
  }[]
}

async function statusOf(metaflow: MetaFlow): Promise<Status> {
  return (await (await fetch(`${metaflow.url}/v1/status`)).json()) as Status
}

async function startServer(): Promise<[MetaFlow, string]> {
  const directory = mkdtempSync(join(tmpdir(), 'metaflow-host-'))
  opened.push({ stop: async () => rmSync(directory, { recursive: true, force: true }) })
  const metaflow = new MetaFlow(directory)
  opened.push(metaflow)
  await metaflow.startServer()
  return [metaflow, directory]
}

testWith(
  'root',
  'btf',
  'mounts',
  'executable',
)(
  'the agent observes a host whose own libbpf, libelf and libz are hidden',
  async () => {
    const [metaflow, directory] = await startServer()
    const hidden = FOLDERS.flatMap((folder) => {
      try {
        return readdirSync(folder)
          .filter((name) => LIBRARIES.test(name))
          .map((name) => join(folder, name))
      } catch {
        return []
      }
    })
    const hide = hidden.map((path) => `mount --bind /dev/null ${path}`).join(' && ')
    const flags = `--mode=agent --data-dir ${directory}/agent --server ${metaflow.url}`
    const agent: Child = startChild({
      command: ['unshare', '-m', 'sh', '-c', `${hide || 'true'} && exec ${EXECUTABLE} ${flags}`],
      name: 'agent',
      onLine: () => undefined,
    })
    opened.push(agent)
    await until(async () => (await statusOf(metaflow)).agents.length > 0, 30)
  },
  90_000,
)

const CERTIFICATE = `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=test`

testWith(
  'root',
  'btf',
  'executable',
  'openssl',
  'curl',
)(
  'the agent counts TLS connections and reads nothing of them',
  async () => {
    const [metaflow, directory] = await startServer()
    await metaflow.startAgent('socket')
    const [key, certificate] = [join(directory, 'key.pem'), join(directory, 'certificate.pem')]
    const made = Bun.spawnSync([...CERTIFICATE.split(' '), '-keyout', key, '-out', certificate])
    expect(made.exitCode).toBe(0)
    const server = Bun.serve({
      hostname: '127.0.0.1',
      port: 0,
      tls: { key: Bun.file(key), cert: Bun.file(certificate) },
      fetch: () => new Response('secret'),
    })
    opened.push({ stop: () => server.stop(true) })
    const calls = 3
    for (let at = 0; at < calls; at++) {
      const curl = Bun.spawn(['curl', '-sk', `https://127.0.0.1:${server.port}/`], {
        stdout: 'pipe',
      })
      expect(await new Response(curl.stdout).text()).toBe('secret')
    }
    const counted = async (): Promise<number> =>
      (await statusOf(metaflow)).agents
        .flatMap(({ samples }) => samples)
        .filter(({ name }) => name === 'protocols_tls_connections_total')
        .reduce((sum, { value }) => sum + value, 0)
    // Each is seen at both of its ends.
    await until(async () => (await counted()) >= 2 * calls, 20)
    const rows = await metaflow.sql(
      `SELECT count() AS n FROM flow_log.l7_flow_log WHERE server_port = ${server.port}`,
    )
    expect(Number(rows[0]!['n'])).toBe(0)
  },
  90_000,
)
