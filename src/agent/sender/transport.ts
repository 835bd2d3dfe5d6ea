import { Counters } from '../../lib/counters.ts'
import type { Env, HttpAnswer } from '../../lib/env.ts'
import { sentenceOf } from '../../lib/errors.ts'
import { log } from '../../lib/log.ts'
import { type Batch, Outgoing } from './outgoing.ts'
import { type Entry, findSpools, Spool } from './spool.ts'

export type TransportOptions = {
  readonly env: Env
  /** `http://host:port`, without a path. */
  readonly serverUrl: string
  readonly token?: string
  /** Its own directory (one a lane), made where it is absent: the spool. */
  readonly directory: string
  /** See `agentIdOf`. */
  readonly agentId: string
  /** 32 hex digits, random at every start: by default made here. */
  readonly lifetime?: string
  readonly lane?: number
  /** Bytes the spool may take on disk. */
  readonly maxBytes: number
  /** Bytes that may wait in memory. */
  readonly memoryBytes?: number
  /** Free bytes that the spool leaves on the disk. */
  readonly reserveBytes?: number
  /** How long a file of the spool gets: what is dropped, is dropped by whole files. */
  readonly fileBytes?: number
  readonly timeoutMs?: number
}

const MEMORY_BYTES = 16 * 1024 * 1024
const RESERVE_BYTES = 64 * 1024 * 1024
const WRITE_BYTES = 4 * 1024 * 1024
const FILE_BYTES = 8 * 1024 * 1024
/** Into so many files also a small spool is divided: the oldest but one gives way. */
const FILES_MIN = 8
const TIMEOUT_MS = 30_000
const PAUSE_MS = 500
const PAUSE_MS_MAX = 30_000
/** The longest that is waited because the server, or what stands before it, says so. */
const TOLD_MS_MAX = 300_000
const SPOOL_PAUSE_MS = 1000

/** What the server says of a stream: the number it goes on with, and its rows up to there. */
type Progress = { readonly expected: number; readonly rows: number }

/**
 * Brings blocks to the server, each once: numbers them, sends them in order, one request at a
 * time, and keeps each until it is acknowledged: in memory, or on disk when the server is away.
 * What an earlier run left on disk goes under that run's numbers.
 */
export class Transport {
  /** In rows: `out` are acknowledged, `full` had no room, `refused` the server will not have. */
  readonly counters: Counters<'full' | 'refused'> = new Counters('sender', ['full', 'refused'])
  requests = 0
  failures = 0
  readonly #env: Env
  readonly #options: TransportOptions
  readonly #memoryMax: number
  #current: Outgoing
  /** Streams of earlier runs, until their spools are empty. */
  #old: Outgoing[]
  #isOldNext = true
  #isAway = false
  #isSending = false
  #spilling: Promise<void> | undefined
  #isClosed = false
  #attempts = 0
  #isPaused = false
  #cancelPause: () => void = () => undefined
  #spoolPausedUntil = 0
  /** Whether it was said that the spool takes nothing. */
  #isSpoolFull = false
  #flushes: (() => void)[] = []

  constructor(options: TransportOptions) {
    const { env, directory, agentId, lane = 0, maxBytes } = options
    const fileBytes = options.fileBytes ?? Math.min(FILE_BYTES, maxBytes / FILES_MIN)
    const lifetime = options.lifetime ?? env.random.bytes(16).toHex()
    this.#env = env
    this.#options = options
    this.#memoryMax = options.memoryBytes ?? MEMORY_BYTES
    env.files.makeDirectory(directory)
    this.#old = findSpools(env, directory).map((spool) => new Outgoing(env, agentId, spool))
    this.#current = new Outgoing(
      env,
      agentId,
      new Spool(env, directory, { lifetime, lane, fileBytes }),
    )
    this.#wake()
  }

  /** Bytes that wait on disk and in memory. */
  get held(): { readonly disk: number; readonly memory: number } {
    return { disk: this.#diskBytes(), memory: this.#current.memoryBytes }
  }

  /** Takes a block (its bytes will be numbered in place) with how many rows it has. */
  send(block: Uint8Array, rows: number): void {
    this.counters.in += rows
    const stream = this.#current
    if (this.#isClosed || stream.memoryBytes + block.length > this.#memoryMax * 2) {
      this.counters.dropped.full += rows
      stream.lose(rows)
    } else stream.push(block, rows)
    this.#spill()
    this.#wake()
  }

  /** Resolves when the server has everything, or after `ms`. */
  async flush(ms: number): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const cancel = this.#env.timers.after(ms, resolve)
    this.#flushes.push(resolve)
    this.#wake()
    await promise
    cancel()
    return this.isIdle
  }

  /** Takes nothing more; what is not acknowledged is on disk when it resolves. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#cancelPause()
    await this.#spilling
    if (this.#current.memory.length > 0) await this.#spillNow()
    for (const { spool } of [...this.#old, this.#current]) spool.close()
  }

  /** Whether the server has all there is. */
  get isIdle(): boolean {
    return this.#old.length === 0 && this.#current.compose() === undefined
  }

  #wake(): void {
    if (this.#isSending || this.#isPaused || this.#isClosed) return
    this.#isSending = true
    this.#run().catch((error: unknown) => {
      this.#isSending = false
      log('error', `Cannot send blocks: ${sentenceOf(error)}`)
      this.#pause(PAUSE_MS_MAX)
    })
  }

  async #run(): Promise<void> {
    while (!this.#isPaused && !this.#isClosed) {
      const stream = this.#next()
      const batch = stream.compose()
      if (batch) await this.#exchange(stream, batch)
      else if (stream === this.#current && this.#old.length === 0) break
      else {
        this.#old = this.#old.filter((old) => old !== stream)
        stream.spool.close()
      }
    }
    this.#isSending = false
    if (!this.#isPaused) for (const resolve of this.#flushes.splice(0)) resolve()
  }

  /** New blocks and those of earlier runs take turns. */
  #next(): Outgoing {
    const old = this.#old[0]
    this.#isOldNext = !this.#isOldNext
    return old && (this.#isOldNext || this.#current.compose() === undefined) ? old : this.#current
  }

  async #exchange(stream: Outgoing, batch: Batch): Promise<void> {
    const { env, serverUrl, token, timeoutMs = TIMEOUT_MS } = this.#options
    const authorization: Record<string, string> = token ? { authorization: `Bearer ${token}` } : {}
    this.requests++
    let answer: HttpAnswer
    try {
      answer = await env.network.send({
        method: 'POST',
        url: `${serverUrl}/v1/blocks`,
        headers: { 'content-type': 'application/octet-stream', ...authorization },
        body: batch.body,
        timeoutMs,
      })
    } catch (error) {
      if ((error as { code?: unknown }).code === 'ETIMEDOUT') stream.tried(batch, false)
      this.#away(sentenceOf(error), 0)
      return
    }
    stream.tried(batch, true)
    const progress = progressOf(answer.body)
    const isAnswer = answer.status === 200 || answer.status === 409
    if (isAnswer && progress) await this.#progress(stream, batch, progress, answer.status)
    else this.#refused(stream, batch, answer)
  }

  async #progress(
    stream: Outgoing,
    batch: Batch,
    { expected, rows }: Progress,
    status: number,
  ): Promise<void> {
    const before = stream.isKnown ? stream.acknowledged : -1
    if (!stream.acknowledge(expected, rows)) await this.#forgotten(stream)
    else if (stream.acknowledged === before) {
      // To ask at once would be to ask without end.
      this.#away(`Cannot send to ${this.#origin}: it goes on with block ${expected} for ever`, 0)
      return
    } else if (status === 200) this.counters.out += batch.rows
    stream.isCareful = false
    this.#isAway = false
    this.#attempts = 0
  }

  #refused(stream: Outgoing, batch: Batch, { status, headers }: HttpAnswer): void {
    const isBlock = batch.last === batch.first
    if ((status === 400 || status === 413) && !batch.isEmpty && !isBlock) stream.isCareful = true
    else if ((status === 400 || status === 413) && !batch.isEmpty) {
      log('error', 'Cannot send a block: the server refuses it', { status, rows: batch.rows })
      this.counters.dropped.refused += batch.rows
      stream.refuse(batch.first)
    } else {
      const state = status === 401 ? 'it will not have our token' : `it answered ${status}`
      this.#away(`Cannot send to ${this.#origin}: ${state}`, Number(headers['retry-after']) || 0)
    }
  }

  get #origin(): string {
    return new URL(this.#options.serverUrl).origin
  }

  async #forgotten(stream: Outgoing): Promise<void> {
    const { lifetime, lane } = stream
    await stream.keepName().catch((error: unknown) => {
      log('warn', `Cannot keep a stream's new name: ${sentenceOf(error)}`)
    })
    log('warn', 'The server does not know the stream as we do; going on as a new one', {
      lifetime,
      lane,
    })
  }

  /** The server is away: blocks go to disk, and it is asked again later, not by all at once. */
  #away(sentence: string, retryAfterS: number): void {
    this.failures++
    if (!this.#isAway) log('warn', sentence)
    this.#isAway = true
    const ms = Math.min(PAUSE_MS * 2 ** this.#attempts++, PAUSE_MS_MAX)
    const told = Math.min(retryAfterS * 1000, TOLD_MS_MAX)
    this.#pause(Math.max(ms * (0.5 + this.#env.random.fraction() / 2), told))
    this.#spill()
  }

  #pause(ms: number): void {
    this.#isPaused = true
    this.#cancelPause = this.#env.timers.after(ms, () => {
      this.#isPaused = false
      this.#wake()
    })
  }

  /** Begins to write to disk what should not wait in memory. */
  #spill(): void {
    if (this.#spilling || this.#isClosed || !this.#mustSpill()) return
    this.#spilling = this.#spillNow().finally(() => {
      this.#spilling = undefined
      this.#wake()
    })
  }

  #mustSpill(): boolean {
    const { memory, memoryBytes } = this.#current
    const isDue = this.#isAway || memoryBytes > this.#memoryMax
    return isDue && memory.length > 0 && this.#env.clock.monotonic() >= this.#spoolPausedUntil
  }

  async #spillNow(): Promise<void> {
    const stream = this.#current
    do {
      const batch: Entry[] = []
      let size = 0
      for (const entry of stream.memory) {
        if (size > 0 && size + entry.bytes.length > WRITE_BYTES) break
        batch.push(entry)
        size += entry.bytes.length
      }
      try {
        if (!(await this.#makeRoom(size))) return this.#pauseSpool('there is no room')
        await stream.spool.write(batch)
      } catch (error) {
        return this.#pauseSpool(sentenceOf(error))
      }
      this.#isSpoolFull = false
      stream.forget(batch.at(-1)!.sequence)
    } while (this.#mustSpill() || (this.#isClosed && stream.memory.length > 0))
  }

  #pauseSpool(state: string): void {
    if (!this.#isSpoolFull) log('warn', `Cannot write the spool: ${state}`)
    this.#isSpoolFull = true
    this.#spoolPausedUntil = this.#env.clock.monotonic() + SPOOL_PAUSE_MS * 1000
  }

  /** Gives up old blocks until there is room for `size` bytes more; false where there is none. */
  async #makeRoom(size: number): Promise<boolean> {
    const { env, directory, maxBytes, reserveBytes = RESERVE_BYTES } = this.#options
    for (;;) {
      const { free } = env.files.space(directory)
      if (this.#diskBytes() + size <= maxBytes && free >= size + reserveBytes) return true
      let rows: number | undefined
      for (const { spool } of [...this.#old, this.#current]) {
        rows = await spool.dropSecond()
        if (rows !== undefined) break
      }
      if (rows === undefined) return false
      this.counters.dropped.full += rows
    }
  }

  #diskBytes(): number {
    let bytes = this.#current.spool.bytes
    for (const { spool } of this.#old) bytes += spool.bytes
    return bytes
  }
}

function progressOf(body: Uint8Array): Progress | undefined {
  try {
    const { expected, rows } = JSON.parse(new TextDecoder().decode(body)) as Partial<Progress>
    if (Number.isSafeInteger(expected) && Number.isSafeInteger(rows) && expected! >= 1)
      return { expected: expected!, rows: rows! }
  } catch {
    // Another than our server answered.
  }
  return undefined
}
