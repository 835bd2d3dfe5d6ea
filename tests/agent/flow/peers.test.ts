import { expect, test } from 'bun:test'
import { Flow } from '../../../src/agent/flow/flow.ts'
import type { Connection } from '../../../src/model/connection.ts'
import { Segment, TCP, UDP } from '../../../src/model/segment.ts'

type End = { readonly address: readonly number[]; readonly port: number; readonly network?: number }

const LOCAL = [127, 0, 0, 1]
const NAMES = ['', 'one', 'two', 'three']

/** A flow whose processes 1, 2, 3 have their own names, and its connections in order of opening. */
function start(): {
  say: (key: number, processId: number, ends: readonly [End, End], protocol?: number) => Connection
  close: (key: number) => void
} {
  const connections = new Map<number, Connection>()
  const flow = new Flow({
    openReader: (connection) => {
      connections.set(connection.key, connection)
      return { take: () => undefined, skip: () => undefined, close: () => undefined }
    },
    setVerdict: () => undefined,
    nameProcess: (processId) => processId,
    nameAddress: () => 99,
  })
  const segment = new Segment()
  return {
    say(key, processId, [local, remote], protocol = TCP) {
      Object.assign(segment, { kind: 'data', key, processId, protocol, size: 1, time: key })
      segment.network = local.network ?? 1
      segment.localPort = local.port
      segment.remotePort = remote.port
      segment.addresses = Uint8Array.from({ length: 32 }, (_, at) =>
        at < 16 ? (local.address[at] ?? 0) : (remote.address[at - 16] ?? 0),
      )
      segment.remoteAt = 16
      segment.command = new Uint8Array(16)
      flow.segment(segment)
      return connections.get(key)!
    },
    close(key) {
      Object.assign(segment, { kind: 'close', key })
      flow.segment(segment)
    },
  }
}

const client = { address: LOCAL, port: 40_000 }
const server = { address: LOCAL, port: 80 }

test('Peers names each end of a connection on this host by its process', () => {
  const { say } = start()
  const c = say(1, 1, [client, server])
  const s = say(2, 2, [server, client])
  expect([NAMES[c.remoteName], NAMES[s.remoteName]]).toEqual(['two', 'one'])
  expect([c.remoteProcessId, s.remoteProcessId]).toEqual([2, 1])
})

test('Peers follows when another process takes an end over', () => {
  const { say } = start()
  const c = say(1, 1, [client, server])
  say(2, 2, [server, client])
  say(2, 3, [server, client])
  expect(NAMES[c.remoteName]).toBe('three')
})

test('Peers keeps loopback addresses of different network namespaces apart', () => {
  const { say } = start()
  const c = say(1, 1, [client, server])
  const s = say(2, 2, [
    { ...server, network: 7 },
    { ...client, network: 7 },
  ])
  expect([c.remoteName, s.remoteName]).toEqual([99, 99])
})

test('Peers ties ends of two namespaces of one host by their addresses', () => {
  const { say } = start()
  const [here, there] = [
    { address: [10, 0, 0, 1], port: 40_000, network: 1 },
    { address: [10, 0, 0, 2], port: 80, network: 2 },
  ]
  const c = say(1, 1, [here, there])
  say(2, 2, [there, here])
  expect(NAMES[c.remoteName]).toBe('two')
})

test('Peers forgets an end that closed', () => {
  const { say, close } = start()
  const c = say(1, 1, [client, server])
  say(2, 2, [server, client])
  close(2)
  expect(c.peer).toBeUndefined()
  const next = say(3, 3, [{ ...client, port: 41_000 }, server])
  expect(next.remoteName).toBe(99)
})

test('Peers names who sent a datagram, and who answers it, bound to one address or to all', () => {
  for (const address of [LOCAL, [0, 0, 0, 0]]) {
    const { say } = start()
    const bound = { address, port: 53 }
    const c = say(1, 1, [client, server], UDP)
    expect(c.remoteName).toBe(99)
    const asked = { address: LOCAL, port: 53 }
    const s = say(2, 2, [bound, client], UDP)
    say(1, 1, [client, asked], UDP)
    expect(NAMES[s.remoteName]).toBe('one')
    const again = say(3, 1, [{ ...client, port: 40_001 }, asked], UDP)
    expect(NAMES[again.remoteName]).toBe('two')
  }
})
