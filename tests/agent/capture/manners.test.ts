/** How an observer may go wrong, whatever the system call: each case on both hook families. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import type { Family } from '../../../src/agent/capture/capture.ts'
import { ALL, IGNORE } from '../../../src/model/segment.ts'
import { until } from '../../until.ts'
import {
  byStream,
  cleanUp,
  FAMILIES,
  type Moved,
  type Observer,
  observer,
  type Seen,
  SHOWN,
  start,
  why,
} from './observed.ts'

afterAll(cleanUp)

const INODE_KEYS = 2 ** 52

const data = (seen: readonly Seen[]): Seen[] => seen.filter((one) => one.kind === 'data')
const total = (calls: readonly Moved[]): number => calls.reduce((sum, { size }) => sum + size, 0)
const sorted = (calls: readonly Moved[]): string[] => calls.map((one) => `${one.bytes}`).sort()

describe.skipIf(why !== undefined).each([...FAMILIES])('capture by %s hooks', (family: Family) => {
  let watcher: Observer
  beforeAll(async () => {
    watcher = await observer(family)
  })
  afterAll(() => watcher.close())

  test('places the calls of several threads on one socket so that they tile its stream', async () => {
    const { said, seen } = await watcher.watch('threads')
    const streams = byStream(data(seen))
    expect(streams.size).toBe(2)
    // A thread has a name of its own; the event bears that of its process.
    expect(new Set(data(seen).map((one) => one.command))).toEqual(new Set(['program']))
    for (const [stream, calls] of byStream(said)) {
      const shown = streams.get(stream)!
      expect(sorted(shown)).toEqual(sorted(calls))
      const placed = shown.toSorted((a, b) => (a.sequence - b.sequence) | 0)
      for (const [index, one] of placed.entries())
        if (index > 0)
          expect(one.sequence).toBe((placed[index - 1]!.sequence + placed[index - 1]!.size) >>> 0)
    }
  })

  test('counts the vectors beyond the eighth, and shows what lies before', async () => {
    const { said, seen, counts } = await watcher.watch('many_vectors')
    expect(seen[0]?.size).toBe(said[0]!.size)
    expect(seen[0]?.bytes).toBe(said[0]!.bytes!.slice(0, 2 * 7 * 20))
    expect(counts.iovecs_cut).toBe(1)
  })

  test('makes holes of what sendfile and splice moved, as far as its hooks see them', async () => {
    const holes = async (scenario: string): Promise<unknown[]> => {
      const { seen } = await watcher.watch(scenario)
      const without = data(seen).filter((one) => one.bytes === undefined)
      return without.map(({ direction, size }) => `${direction} ${size}`)
    }
    expect(await holes('sendfile')).toEqual(['send 3000'])
    // A splice from a socket passes the socket hooks by: a step in the sequence tells of it.
    const spliced = family === 'syscall' ? ['send 500', 'receive 500'] : ['send 500']
    expect(await holes('splice')).toEqual(spliced)
  })

  test('shows no bytes where MSG_TRUNC drops them, and the part of a datagram that fitted', async () => {
    const stream = await watcher.watch('truncated', 'tcp4')
    const received = data(stream.seen).filter((one) => one.direction === 'receive')
    expect(received.map(({ size, bytes }) => [size, bytes?.length])).toEqual([
      [150, undefined],
      [50, 100],
    ])
    const datagram = await watcher.watch('truncated', 'udp4')
    const cut = datagram.seen.find((one) => one.direction === 'receive')
    expect([cut?.size, cut?.bytes]).toEqual([200, datagram.said[0]!.bytes!.slice(0, 120)])
  })

  test.each(['udp4', 'udp6'])('names the peer of an unconnected datagram over %s', async (over) => {
    const { seen } = await watcher.watch('unconnected', over)
    const [question, asked, answer, answered] = seen
    const loopback = over === 'udp4' ? '127.0.0.1' : `${'0'.repeat(31)}1`
    expect([question!.remote, answer!.remote]).toEqual([loopback, loopback])
    expect(question!.remotePort).toBe(asked!.localPort)
    expect(answer!.remotePort).toBe(question!.localPort)
    // The socket hooks run before the sender's address is copied out.
    const known = family === 'syscall'
    expect(asked!.remotePort).toBe(known ? question!.localPort : 0)
    expect(answered!.remotePort).toBe(0)
  })

  test('tells both ends of a connection: addresses, ports, roles, process and thread', async () => {
    for (const over of ['tcp4', 'tcp6', 'mapped']) {
      const { seen } = await watcher.watch('read_write', over)
      const sent = seen.find((one) => one.direction === 'send')!
      const received = seen.find((one) => one.direction === 'receive')!
      expect(sent.local).toBe(over === 'tcp6' ? `${'0'.repeat(31)}1` : '127.0.0.1')
      expect([sent.remote, sent.isIpv4]).toEqual([received.local, over !== 'tcp6'])
      expect([sent.localPort, sent.remotePort]).toEqual([received.remotePort, received.localPort])
      expect([sent.role, received.role]).toEqual(['client', 'server'])
      expect(sent.sequence).toBe(received.sequence)
      expect([sent.before, received.before]).toEqual(['none', 'none'])
      const later = seen.findLast((one) => one.cookie === sent.cookie)
      expect(later?.before).toBe('some')
      expect([sent.command, received.command]).toEqual(['program', 'program'])
      expect(sent.time).toBeLessThanOrEqual(received.time)
      expect(sent.network).toBeGreaterThan(0)
    }
  })

  test('ends a connection once in each direction, after its last bytes', async () => {
    const { seen } = await watcher.watch('half_closed')
    const [client] = data(seen)
    await until(() => {
      watcher.poll()
      return watcher.seen.filter((one) => one.kind === 'close').length >= 4
    })
    const ofClient = watcher.seen.filter((one) => one.cookie === client!.cookie)
    expect(ofClient.map(({ kind, direction }) => `${kind} ${direction}`)).toEqual([
      'data send',
      'data receive',
      'close send',
      'close receive',
    ])
    expect(ofClient[2]!.sequence).toBe(ofClient[0]!.sequence + 10)
    expect(ofClient[3]!.sequence).toBe(ofClient[1]!.sequence + 8)
  })

  test('links what a thread was asked to what it then asked another, and nothing else', async () => {
    const { said, seen } = await watcher.watch('proxied')
    const proxy = said.find(
      (one) => one.direction === 'send' && one.bytes === toHex('ask on'),
    )!.processId
    const [ask, askOn, reply, answer, again] = data(seen).filter((one) => one.processId === proxy)
    expect(ask!.traceId).toBeGreaterThan(0)
    expect(askOn!.traceId).toBe(ask!.traceId)
    expect(reply!.traceId).not.toBe(ask!.traceId)
    expect([answer!.traceId, again!.traceId]).toEqual([reply!.traceId, 0])
  })

  test('counts what moves over unix sockets and shows nothing of it', async () => {
    const before = watcher.capture.counters()
    const child = start('unix', '')
    expect(await child.exited).toBe(0)
    const after = watcher.capture.counters()
    expect(after.unix_messages - before.unix_messages).toBeGreaterThanOrEqual(20)
    expect(after.unix_bytes - before.unix_bytes).toBeGreaterThanOrEqual(140)
    watcher.poll()
    expect(watcher.seen.filter((one) => one.processId === child.pid)).toEqual([])
  })

  test('knows a connection in a network namespace by its number', async () => {
    const { seen: here } = await watcher.watch('read_write')
    const { seen: there } = await watcher.watch('fast_open')
    expect(there[0]!.network).not.toBe(here[0]!.network)
    expect(new Set(there.map((one) => one.network)).size).toBe(1)
  })
})

describe.skipIf(why !== undefined).each([...FAMILIES])(
  'a verdict by %s hooks',
  (family: Family) => {
    test('says how many bytes of each call are shown, up to 16 KB', async () => {
      const watcher = await observer(family)
      const program = await sender(watcher)
      try {
        expect(await program.send()).toEqual([SHOWN])
        const key = program.key()
        for (const verdict of [300, ALL, 7]) {
          watcher.ring.setVerdict(key, verdict)
          expect(await program.send()).toEqual([Math.min(verdict, 5000)])
        }
        expect(watcher.ring.refused).toBe(0)
      } finally {
        program.end()
        watcher.close()
      }
    })

    test('mutes a socket where it is IGNORE, until the socket was quiet for long', async () => {
      const watcher = await observer(family, { quietMs: 500 })
      const program = await sender(watcher)
      try {
        expect(await program.send()).toEqual([SHOWN])
        watcher.ring.setVerdict(program.key(), IGNORE)
        for (let i = 0; i < 3; i++) expect(await program.send()).toEqual([])
        await Bun.sleep(600)
        expect(await program.send()).toEqual([SHOWN])
      } finally {
        program.end()
        watcher.close()
      }
    })
  },
)

type Sender = { send(): Promise<number[]>; key(): number; end(): void }

/** A program that sends one datagram of 5,000 bytes each time; `send` answers the bytes shown. */
async function sender(watcher: Observer): Promise<Sender> {
  const child = start('slow', '5000')
  const said = child.stdout.getReader()
  const ours = (): Seen[] => watcher.seen.filter((one) => one.processId === child.pid)
  return {
    async send() {
      watcher.poll()
      watcher.seen.length = 0
      child.stdin.write('x')
      await child.stdin.flush()
      await said.read()
      watcher.poll()
      return ours().map(({ bytes }) => (bytes?.length ?? 0) / 2)
    },
    key: () => ours()[0]!.cookie,
    end: () => child.kill(),
  }
}

describe.skipIf(why !== undefined).each([...FAMILIES])('a ring by %s hooks', (family: Family) => {
  test('that is full loses nothing uncounted', async () => {
    const watcher = await observer(family, { ringBytes: 65_536 })
    try {
      // The other processes of this machine are counted as well: all is read before and after.
      const child = start('flood', '500x1000')
      expect(await child.exited).toBe(0)
      const read = watcher.poll()
      const after = watcher.capture.counters()
      const more = watcher.poll()
      expect(after.ring_full).toBeGreaterThan(0)
      expect(after.events).toBeGreaterThanOrEqual(read)
      expect(after.events).toBeLessThanOrEqual(read + more)
      const ours = watcher.seen.filter((one) => one.processId === child.pid).length
      expect(ours).toBeLessThan(1000)
      expect(ours + after.ring_full).toBeGreaterThanOrEqual(1000)
    } finally {
      watcher.close()
    }
  })

  test('gives room back as it is read, over many times its size', async () => {
    const watcher = await observer(family, { ringBytes: 2 << 20 })
    try {
      let read = 0
      for (let round = 0; round < 20; round++) {
        const child = start('flood', '400x1000')
        expect(await child.exited).toBe(0)
        watcher.poll()
        const ours = watcher.seen.filter((one) => one.processId === child.pid)
        read += ours.length
        // Each datagram is one byte a thousand times, also where the ring's end tears it.
        for (const { bytes } of ours) expect(bytes).toBe(bytes!.slice(0, 2).repeat(1000))
        watcher.seen.length = 0
      }
      // Nothing is lost, unless others on this machine move much meanwhile.
      const lost = watcher.capture.counters().ring_full
      expect(read + lost).toBeGreaterThanOrEqual(20 * 800)
      if (lost === 0) expect(read).toBe(20 * 800)
      expect(read * 1000).toBeGreaterThan(4 * watcher.capture.handle.ringBytes)
      expect(watcher.ring.malformed).toBe(0)
    } finally {
      watcher.close()
    }
  })

  test('wakes its reader when it fills, and not before', async () => {
    const watcher = await observer(family, { ringBytes: 2 << 20 })
    try {
      watcher.ring.wait(0)
      const began = performance.now()
      watcher.ring.wait(100)
      expect(performance.now() - began).toBeGreaterThan(90)
      const child = start('flood', '2000x1000')
      watcher.ring.wait(20_000)
      expect(performance.now() - began).toBeLessThan(15_000)
      expect(watcher.poll() * 1200).toBeGreaterThan((2 << 20) >> 1)
      expect(await child.exited).toBe(0)
    } finally {
      watcher.close()
    }
  })
})

describe.skipIf(why !== undefined).each([...FAMILIES])(
  'a connection older than %s hooks',
  (family) => {
    test('is shown from its next byte on, its role unknown', async () => {
      const child = start('before', 'tcp4')
      const lines = child.stdout.getReader()
      const inode = Number(new TextDecoder().decode((await lines.read()).value))
      const watcher = await observer(family)
      try {
        child.stdin.write('x')
        const ours = (): Seen[] => watcher.seen.filter((one) => one.processId === child.pid)
        await until(() => {
          watcher.poll()
          return ours().filter((one) => one.kind === 'data').length === 2
        })
        const [sent, received] = ours()
        expect([sent!.bytes, received!.bytes]).toEqual([toHex('at last'), toHex('at last')])
        expect([sent!.role, received!.role]).toEqual(['unknown', 'unknown'])
        expect([sent!.before, received!.before]).toEqual(['unknown', 'unknown'])
        expect(sent!.sequence).toBe(received!.sequence)
        // Whoever else asks for cookies on this machine may have given it one.
        const keys = [sent!.cookie < INODE_KEYS, sent!.cookie === INODE_KEYS + inode]
        expect(keys).toContain(true)
        if (family === 'socket') expect(keys[0]).toBe(true)
        const { cookie } = sent!
        await until(() => {
          watcher.poll()
          return watcher.seen.some((one) => one.kind === 'close' && one.cookie === cookie)
        })
        child.stdin.write('x')
        await child.exited
      } finally {
        watcher.close()
      }
    })
  },
)

function toHex(text: string): string {
  return Buffer.from(text).toString('hex')
}

test.skipIf(why !== undefined)(
  'a call is shown up to 1 KB until its socket has a verdict',
  async () => {
    const watcher = await observer('auto')
    try {
      const { said, seen } = await watcher.watch('short_writes')
      const long = data(seen).filter((one) => one.size > SHOWN)
      expect(long.length).toBeGreaterThan(0)
      for (const one of long) expect(one.bytes?.length).toBe(2 * SHOWN)
      expect(total(data(seen))).toBe(total(said))
    } finally {
      watcher.close()
    }
  },
)
