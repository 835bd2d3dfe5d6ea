/** What is captured of each system call, compared with what the program says it moved. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import type { Family } from '../../../src/agent/capture/capture.ts'
import {
  byStream,
  cleanUp,
  FAMILIES,
  type Moved,
  type Observation,
  type Observer,
  observer,
  type Seen,
  why,
} from './observed.ts'

afterAll(cleanUp)

const STREAMS = ['tcp4', 'tcp6', 'mapped'] as const
const ALL = [...STREAMS, 'udp4', 'udp6'] as const

/** Scenario, and the transports that it runs over. */
const CALLS: readonly (readonly [string, readonly string[]])[] = [
  ['read_write', ALL],
  ['readv_writev', ALL],
  ['send_recv', ALL],
  ['sendmsg_recvmsg', ALL],
  ['sendmmsg_recvmmsg', ['tcp4', 'udp4', 'udp6']],
  ['sendfile', ['tcp4', 'tcp6']],
  ['splice', ['tcp4']],
  ['io_uring', ['tcp4', 'udp4']],
  ['aio', ['tcp4']],
  ['duplicated', ['tcp4', 'udp6']],
  ['forked', ['tcp4']],
  ['passed', ['tcp4']],
  ['peeked', ['tcp4', 'udp4']],
  ['error_queue', ['udp4']],
  ['short_writes', ['tcp4', 'tcp6']],
  ['fast_open', ['tcp4']],
  ['half_closed', ['tcp4']],
]

/**
 * What was seen must be what was said, in order. Bytes that the program itself never saw are a hole:
 * an event without bytes, or, where no hook saw them either, a step in the sequence.
 */
function compare(observation: Observation): void {
  const seen = byStream(observation.seen.filter((one) => one.kind === 'data'))
  const said = byStream(observation.said)
  for (const [stream, calls] of said) {
    compareStream(calls, seen.get(stream) ?? [])
    seen.delete(stream)
  }
  expect([...seen.keys()]).toEqual([])
}

function compareStream(said: readonly Moved[], seen: readonly Seen[]): void {
  const isHole = (call: Moved | undefined): boolean => call !== undefined && !call.bytes
  let offset = 0
  let base: number | undefined
  let next = 0
  for (const call of said) {
    const event = seen[next]
    const isStream = event?.protocol === 6
    const at = base === undefined || !event ? undefined : (event.sequence - base) >>> 0
    const elsewhere = isStream && at !== undefined && at !== offset
    const unseen = isHole(call) && (!event || elsewhere || !isHole(event))
    if (!unseen) {
      expect(event && accountOf(event)).toEqual(accountOf(call))
      if (event && base === undefined) base = (event.sequence - offset) >>> 0
      else if (isStream) expect(at).toBe(offset)
      next++
    }
    offset += call.size
  }
  expect(seen.length).toBe(next)
}

/** A hole may be another thread's doing: io_uring has workers. */
function accountOf({ direction, processId, threadId, cookie, size, bytes }: Moved): Partial<Moved> {
  return bytes
    ? { direction, processId, threadId, cookie, size, bytes }
    : { direction, processId, cookie, size }
}

describe.skipIf(why !== undefined).each([...FAMILIES])('capture by %s hooks', (family: Family) => {
  let watcher: Observer
  beforeAll(async () => {
    watcher = await observer(family)
  })
  afterAll(() => {
    watcher.close()
  })

  for (const [scenario, transports] of CALLS)
    for (const transport of transports)
      test(`shows what ${scenario} over ${transport} moved, no more and no less`, async () => {
        compare(await watcher.watch(scenario, transport))
      })
})
