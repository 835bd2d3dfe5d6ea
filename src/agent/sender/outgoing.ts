import type { Env } from '../../lib/env.ts'
import { encodeDropped } from '../../wire/block.ts'
import { numberBlock, readHeader } from '../../wire/header.ts'
import type { Entry, Spool } from './spool.ts'

const REQUEST_BYTES_MAX = 4 * 1024 * 1024
/** After a time-out half as much goes at once, then by so much more with each success. */
const REQUEST_GROWTH = 1.25
const REQUEST_BLOCKS = 64
/** Numbers without rows that travel in one request. */
const EMPTY_BLOCKS = 4096

/** What is sent in one request: blocks `first` to `last`. */
export type Batch = {
  readonly first: number
  readonly last: number
  readonly body: Uint8Array
  /** Rows in its blocks. */
  readonly rows: number
  /** Whether it says only that rows are lost. */
  readonly isEmpty: boolean
}

/**
 * One stream on its way to the server: blocks numbered from 1, the oldest in the spool, the rest
 * in memory. A number whose block is lost travels as an empty block; the first of a hole carries
 * the rows of all.
 */
export class Outgoing {
  lifetime: string
  readonly lane: number
  readonly spool: Spool
  /** Blocks not in the spool, in order; their numbers are greater than the spool's. */
  memory: Entry[] = []
  memoryBytes = 0
  /** Up to here the server has it. Unknown of an earlier run's stream until its first answer. */
  acknowledged = 0
  isKnown: boolean
  /** After a refusal blocks go one by one, until the refused one is known. */
  isCareful = false
  #requestBytes = REQUEST_BYTES_MAX
  readonly #env: Env
  readonly #agent: string
  readonly #refused = new Set<number>()
  #acknowledgedRows = 0
  #assigned: number
  #made: number
  #isLastLost = false
  /** What numbers and rows are less by on the wire, since the server forgot the stream. */
  #offset = 0
  #rowsOffset = 0

  constructor(env: Env, agent: string, spool: Spool) {
    this.#env = env
    this.#agent = agent
    const { lifetime, lane, renamed } = spool
    this.lifetime = renamed?.lifetime ?? lifetime
    this.lane = lane
    this.spool = spool
    this.#offset = renamed?.sequence ?? 0
    this.#rowsOffset = renamed?.rows ?? 0
    this.acknowledged = this.#offset
    this.#acknowledgedRows = this.#rowsOffset
    this.isKnown = spool.isEmpty
    this.#assigned = spool.last
    this.#made = spool.made
  }

  /** Takes a block: it is the stream's next. */
  push(bytes: Uint8Array, rows: number): void {
    this.memory.push({ sequence: ++this.#assigned, before: this.#made, rows, bytes })
    this.memoryBytes += bytes.length
    this.#made += rows
    this.#isLastLost = false
  }

  /** Rows that were made and cannot be kept. Losses that follow each other share a number. */
  lose(rows: number): void {
    if (!this.#isLastLost) this.#assigned++
    this.#isLastLost = true
    this.#made += rows
  }

  /** What goes next, or undefined where all is acknowledged. Nothing of it was sent otherwise. */
  compose(): Batch | undefined {
    const entries = this.#head()
    const first = entries[0]
    const next = this.acknowledged + 1
    if (!first)
      return this.#assigned > this.acknowledged && this.isKnown
        ? this.#empties(next, this.#assigned, this.#made)
        : undefined
    if (first.sequence > next && this.isKnown)
      return this.#empties(next, first.sequence - 1, first.before)
    return this.#blocks(entries)
  }

  /**
   * The server has all before `expected`, `rows` rows in all. Answers false where that is less
   * than it had acknowledged, or more than was sent: it has lost its memory of the stream, or a
   * copy of this machine, taken while it ran, sends under its name. The stream goes on as a new
   * one once `keepName` has resolved.
   */
  acknowledge(expected: number, rows: number): boolean {
    const acknowledged = expected - 1 + this.#offset
    const first = this.#first()
    const isForgotten = expected === 1 && first !== undefined && first.sequence - this.#offset > 1
    const isStrange = acknowledged < this.acknowledged || acknowledged > this.#assigned
    if (this.isKnown ? isStrange : isForgotten) {
      this.#rename(this.isKnown || !first ? undefined : first)
      return false
    }
    this.acknowledged = acknowledged
    this.#acknowledgedRows = rows + this.#rowsOffset
    this.isKnown = true
    this.forget(this.acknowledged)
    for (const sequence of this.#refused)
      if (sequence <= this.acknowledged) this.#refused.delete(sequence)
    return true
  }

  /** Keeps the stream's new name on disk: what is spooled is of it, also in the next run. */
  keepName(): Promise<void> {
    const { lifetime, spool } = this
    return spool.rename({ lifetime, sequence: this.#offset, rows: this.#rowsOffset })
  }

  /** Blocks up to `sequence` need not be in memory. */
  forget(sequence: number): void {
    const keep = this.memory.findIndex((entry) => entry.sequence > sequence)
    for (const { bytes } of this.memory.splice(0, keep < 0 ? this.memory.length : keep))
      this.memoryBytes -= bytes.length
  }

  /** Whether a request was answered in time: what the way takes is found out by trying. */
  tried(batch: Batch, isInTime: boolean): void {
    this.#requestBytes = isInTime
      ? Math.min(REQUEST_BYTES_MAX, this.#requestBytes * REQUEST_GROWTH)
      : batch.body.length / 2
  }

  /** The server will never have this block: its number travels empty. */
  refuse(sequence: number): void {
    this.#refused.add(sequence)
  }

  #head(): readonly Entry[] {
    const inSpool = this.spool.head(this.acknowledged)
    return inSpool.length > 0 ? inSpool : this.memory
  }

  #first(): Entry | undefined {
    return this.#head()[0]
  }

  /** Goes on as a stream of its own from what is still here. */
  #rename(first: Entry | undefined): void {
    this.lifetime = this.#env.random.bytes(16).toHex()
    this.#offset = first ? first.sequence - 1 : this.acknowledged
    this.#rowsOffset = first ? first.before : this.#acknowledgedRows
    this.acknowledged = this.#offset
    this.#acknowledgedRows = this.#rowsOffset
    this.isKnown = true
  }

  /** Writes into a block which one it is: under a name that may have changed since it was made. */
  #number({ sequence, bytes }: Entry): void {
    const { lifetime, lane } = this
    const number = { agent: this.#agent, lifetime, lane, sequence: sequence - this.#offset }
    numberBlock(bytes, number)
  }

  #blocks(entries: readonly Entry[]): Batch {
    const first = entries[0]!.sequence
    const parts: Uint8Array[] = []
    let size = 0
    let last = first - 1
    let sum = 0
    for (const entry of entries) {
      const { sequence, rows, bytes } = entry
      if (sequence !== last + 1) break
      const isFull = parts.length >= REQUEST_BLOCKS || size + bytes.length > this.#requestBytes
      if (parts.length > 0 && (isFull || this.isCareful)) break
      const isRefused = this.#refused.has(sequence)
      this.#number(entry)
      const part = isRefused ? this.#empty(sequence, rows, bytes) : bytes
      sum += isRefused ? 0 : rows
      parts.push(part)
      size += part.length
      last = sequence
    }
    return { first, last, body: joined(parts), rows: sum, isEmpty: this.#refused.has(first) }
  }

  #empties(first: number, end: number, made: number): Batch {
    const last = Math.min(end, first + EMPTY_BLOCKS - 1)
    const parts: Uint8Array[] = []
    for (let sequence = first; sequence <= last; sequence++) {
      const rows = sequence === first ? Math.max(0, made - this.#acknowledgedRows) : 0
      parts.push(this.#empty(sequence, rows))
    }
    return { first, last, body: joined(parts), rows: 0, isEmpty: true }
  }

  /** The block that stands for rows that are lost; of table 0 where they were of several. */
  #empty(sequence: number, dropped: number, bytes?: Uint8Array): Uint8Array {
    const { clock } = this.#env
    return encodeDropped({
      table: bytes ? readHeader(bytes).table : 0,
      agent: this.#agent,
      lifetime: this.lifetime,
      lane: this.lane,
      sequence: sequence - this.#offset,
      dropped,
      wall: clock.wall(),
      monotonic: clock.monotonic(),
    })
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!
  const body = new Uint8Array(parts.reduce((size, part) => size + part.length, 0))
  let at = 0
  for (const part of parts) {
    body.set(part, at)
    at += part.length
  }
  return body
}
