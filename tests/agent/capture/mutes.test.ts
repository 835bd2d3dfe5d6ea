/** Whom capture never shows: MetaFlow's own and whoever talks to it, and nobody else. */
import { afterAll, describe, expect, test } from 'bun:test'
import type { Family } from '../../../src/agent/capture/capture.ts'
import { cleanUp, FAMILIES, observer, start, why } from './observed.ts'

afterAll(cleanUp)

describe.skipIf(why !== undefined).each([...FAMILIES])('mutes by %s hooks', (family: Family) => {
  test('cover a process and whoever of this host talks to it', async () => {
    const server = start('echo', '')
    const [port] = new TextDecoder()
      .decode((await server.stdout.getReader().read()).value)
      .split('\n')
    const watcher = await observer(family, { mutedProcessIds: [server.pid] })
    const talk = async (): Promise<number> => {
      watcher.seen.length = 0
      const child = Bun.spawn([
        'bash',
        '-c',
        `exec 3<>/dev/tcp/127.0.0.1/${port}; echo hi >&3; read -u 3`,
      ])
      expect(await child.exited).toBe(0)
      watcher.poll()
      return watcher.seen.filter(
        (one) => one.processId === child.pid || one.processId === server.pid,
      ).length
    }
    try {
      expect(await talk()).toBe(0)
    } finally {
      server.kill()
      watcher.close()
    }
  })

  test('are forgotten once the process has ended: who takes its port is shown', async () => {
    const listen = (port: number): Bun.Subprocess<'ignore', 'pipe', 'inherit'> => {
      const options = `hostname: "127.0.0.1", port: ${port}`
      const script = `const { port } = Bun.listen({ ${options}, socket: { data: (s, d) => void s.end(d) } });`
      return Bun.spawn([process.execPath, '-e', `${script} console.log(port)`], {
        stdin: 'ignore',
        stderr: 'inherit',
      })
    }
    const portOf = async ({ stdout }: { stdout: ReadableStream }): Promise<number> =>
      Number(new TextDecoder().decode((await stdout.getReader().read()).value))
    const own = listen(0)
    const port = await portOf(own)
    const watcher = await observer(family, { mutedProcessIds: [process.pid, own.pid] })
    const shown = async (server: { readonly pid: number }): Promise<boolean[]> => {
      const talk = `exec 3<>/dev/tcp/127.0.0.1/${port}; echo hi >&3; read -u 3`
      const client = Bun.spawn(['bash', '-c', talk])
      expect(await client.exited).toBe(0)
      watcher.poll()
      const pids = new Set(watcher.seen.map(({ processId }) => processId))
      return [client, server].map(({ pid }) => pids.has(pid))
    }
    let other: typeof own | undefined
    try {
      watcher.capture.forgetEnded()
      expect(await shown(own)).toEqual([false, false])
      own.kill()
      await own.exited
      watcher.capture.forgetEnded()
      other = listen(port)
      expect(await portOf(other)).toBe(port)
      expect(await shown(other)).toEqual([true, true])
    } finally {
      own.kill()
      other?.kill()
      watcher.close()
    }
  })

  test('cover a listener of a muted process that comes later, and a muted client’s peer', async () => {
    const watcher = await observer(family)
    try {
      const own = Bun.listen({
        hostname: '127.0.0.1',
        port: 0,
        socket: { data: (socket) => void socket.end('bye') },
      })
      const child = Bun.spawn([
        'bash',
        '-c',
        `exec 3<>/dev/tcp/127.0.0.1/${own.port}; echo hi >&3; cat <&3`,
      ])
      expect(await child.exited).toBe(0)
      const peer = start('echo', '')
      const [port] = new TextDecoder()
        .decode((await peer.stdout.getReader().read()).value)
        .split('\n')
      const answered = Promise.withResolvers<void>()
      await Bun.connect({
        hostname: '127.0.0.1',
        port: Number(port),
        socket: { open: (socket) => void socket.write('hello'), data: () => answered.resolve() },
      })
      await answered.promise
      watcher.poll()
      const pids = [child.pid, peer.pid, process.pid]
      expect(watcher.seen.filter((one) => pids.includes(one.processId))).toEqual([])
      peer.kill()
      own.stop()
    } finally {
      watcher.close()
    }
  })
})
