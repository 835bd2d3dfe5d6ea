import type { Env } from '../../lib/env.ts'
import { sentenceOf } from '../../lib/errors.ts'
import { log } from '../../lib/log.ts'
import type { BlockHeader } from '../../model/block.ts'
import { readHeader } from '../../wire/header.ts'
import { readBounds, readSegment, type Segment, segmentNumber } from './segment.ts'
import type { State } from './state.ts'
import type { Streams } from './streams.ts'

/** What a start found in the log. */
export type Recovered = {
  readonly segments: readonly Segment[]
  /** The greatest number of a file. */
  readonly greatest: number
  /** Blocks that stood twice (never in a log of ours), and bytes that were cut off. */
  readonly repeated: number
  readonly cutBytes: number
}

type Found = { readonly number: number; readonly path: string }

/**
 * Reads the log as a crash left it. Files whose all is stored are removed; a file that is longer
 * than what counts in it is cut, by a synced copy; so is one of which no later file says where it
 * ends: what a failed sync left in memory only would pass for written until the power goes.
 * Raises the streams' marks to the blocks found.
 */
export async function recover(
  env: Env,
  directory: string,
  known: { state: State; streams: Streams; done: number; tables: readonly number[] },
): Promise<Recovered> {
  const { files } = env
  const segments: Segment[] = []
  const last = new Map<string, number>()
  let greatest = known.done
  let repeated = 0
  let cutBytes = 0
  const found: Found[] = []
  for (const name of files.list(directory)) {
    const number = segmentNumber(name)
    const path = `${directory}/${name}`
    if (number > known.done) found.push({ number, path })
    else if (number > 0 || name.endsWith('.new')) files.remove(path)
  }
  const bounds = boundsOf(env, found)
  for (const { number, path } of found) {
    greatest = Math.max(greatest, number)
    const bytes = files.read(path)
    const bounded = bytes.subarray(0, bounds.get(number) ?? bytes.length)
    const tables = new Set<number>()
    let rows = 0
    const size = readSegment(bounded, (block) => {
      const header = headerOf(block.bytes)
      if (!header) return
      const key = `${header.lifetime}/${header.lane}`
      if (header.sequence <= (last.get(key) ?? 0)) repeated++
      last.set(key, header.sequence)
      raise(known.streams, header, block.received)
      rows += header.rows
      if (header.rows > 0) tables.add(header.table)
    })
    if (size < bounded.length && bounds.has(number))
      log('error', `Cannot read all of segment ${number}: it is damaged at byte ${size}`)
    cutBytes += bytes.length - size
    if (size < bytes.length || !bounds.has(number))
      await files.replace(path, bytes.subarray(0, size))
    const pending = new Set<number>()
    for (const table of known.tables)
      if (tables.has(table) && known.state.progressOf(table) < number) pending.add(table)
    segments.push({ number, path, size, rows, pending })
  }
  return { segments, greatest, repeated, cutBytes }
}

/** Where each file ends, as the heads of later ones say. */
function boundsOf(env: Env, found: readonly Found[]): Map<number, number> {
  const bounds = new Map<number, number>()
  for (const { path } of found)
    for (const { number, size } of readBounds(env.files.read(path)) ?? []) bounds.set(number, size)
  return bounds
}

function headerOf(block: Uint8Array): BlockHeader | undefined {
  try {
    return readHeader(block)
  } catch (error) {
    log('error', `Cannot read a block of the log: ${sentenceOf(error)}`)
    return undefined
  }
}

/** The stream has at least this block; its rows count where the saved mark did not have them. */
function raise(streams: Streams, header: BlockHeader, now: number): void {
  const stream = streams.of(header, now)
  if (stream && header.sequence > stream.written) streams.write(stream, header, now)
}
