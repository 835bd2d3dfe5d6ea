import type { Env } from '../../lib/env.ts'
import { sentenceOf } from '../../lib/errors.ts'
import { log } from '../../lib/log.ts'
import type { BlockHeader } from '../../model/block.ts'
import { readHeader } from '../../wire/header.ts'
import {
  readBounds,
  readSegment,
  type Segment,
  type SegmentBlock,
  segmentNumber,
} from './segment.ts'
import type { State } from './state.ts'
import type { Streams } from './streams.ts'

/** What a start found in the log. */
export type Recovered = {
  readonly segments: readonly Segment[]
  /** Files whose all is stored: to be removed once the state that says so is surely on disk. */
  readonly done: readonly string[]
  /** The greatest number of a file. */
  readonly greatest: number
  /** Bytes that were torn off. */
  readonly cutBytes: number
}

/** What is known before the log is read. */
export type Known = {
  readonly state: State
  readonly streams: Streams
  /** Segments up to this one are stored whole. */
  readonly done: number
  readonly tables: readonly number[]
}

type Found = { readonly number: number; readonly path: string }

/**
 * Reads the log as a crash left it. A file that is longer than what counts in it is cut, by a
 * synced copy; so is one of which no later file says where it ends: what a failed sync left in
 * memory only would pass for written until the power goes. Raises the streams' marks to the blocks
 * found.
 */
export async function recover(env: Env, directory: string, known: Known): Promise<Recovered> {
  const { files } = env
  const done: string[] = []
  const found: Found[] = []
  for (const name of files.list(directory)) {
    const number = segmentNumber(name)
    const path = `${directory}/${name}`
    if (number > known.done) found.push({ number, path })
    else if (number > 0 || name.endsWith('.new')) done.push(path)
  }
  const bounds = boundsOf(env, found)
  const segments: Segment[] = []
  let cutBytes = 0
  for (const file of found) {
    const bytes = files.read(file.path)
    const segment = readFound(file, bytes, bounds.get(file.number), known)
    cutBytes += bytes.length - segment.size
    if (segment.size < bytes.length || !bounds.has(file.number))
      await files.replace(file.path, bytes.subarray(0, segment.size))
    segments.push(segment)
  }
  return { segments, done, greatest: found.at(-1)?.number ?? known.done, cutBytes }
}

/** Reads one file: up to its bound, past spoilt records; or, without a bound, to the first torn. */
function readFound(
  { number, path }: Found,
  bytes: Uint8Array,
  bound: number | undefined,
  { streams, state, tables }: Known,
): Segment {
  const found = new Set<number>()
  let rows = 0
  const take = (block: SegmentBlock): void => {
    const header = headerOf(block.bytes)
    if (!header) return
    raise(streams, header, block.received)
    rows += header.rows
    if (header.rows > 0) found.add(header.table)
  }
  const damaged = (at: number): void =>
    log('error', `Cannot read all of segment ${number}: it is damaged at byte ${at}`)
  const bounded = bytes.subarray(0, bound ?? bytes.length)
  const size = readSegment(bounded, take, bound === undefined ? undefined : damaged)
  if (size < bounded.length && bound !== undefined) damaged(size)
  const pending = new Set<number>()
  for (const table of tables)
    if (found.has(table) && state.progressOf(table) < number) pending.add(table)
  return { number, path, size, rows, pending }
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
