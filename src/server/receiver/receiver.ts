import { Counters } from '../../lib/counters.ts'
import type { Env, HttpAnswer } from '../../lib/env.ts'
import { ERRORS, MetaflowError, sentenceOf } from '../../lib/errors.ts'
import { log } from '../../lib/log.ts'
import { isAuthorized } from '../../lib/secrets.ts'
import { readHeader } from '../../wire/header.ts'
import { answer, readRequest, type TakenBlock } from './answers.ts'
import { Log } from './log.ts'
import { LIMITS, type ReceiverLimits, type ReceiverOptions } from './options.ts'
import { recover } from './recover.ts'
import { Reserve } from './reserve.ts'
import { readSegment, type Segment, type SegmentBlock } from './segment.ts'
import { State } from './state.ts'
import { type Mark, type Stream, Streams } from './streams.ts'

/** One request that waits for the log. */
type Waiting = {
  readonly blocks: readonly TakenBlock[]
  readonly size: number
  readonly resolve: (answer: HttpAnswer) => void
  stream: Stream | undefined
  /** The last of its blocks that is in the log or was before. */
  last: number
  state: 'taken' | 'gap' | 'full'
}

const CAUSES = ['refused', 'unauthorized', 'gap', 'full', 'failed', 'damaged'] as const
type Cause = (typeof CAUSES)[number]
/** How long nothing is tried after the disk has failed. */
const PAUSE_MS = 1000
/** A segment is at most so much older than it should be when it is sealed: a fourth. */
const TICKS_PER_SEAL = 4
/**
 * While segments wait they grow, so that a slow engine gets few inserts. Where one table alone
 * lags, the others go on, only so many times as slowly.
 */
const LAGGING_TIMES = 5
const RETRY_AFTER: Readonly<Record<string, string>> = { 'retry-after': '1' }

/**
 * Takes blocks from agents: appends them to its log, syncs once for all that came within
 * `commitMs`, then acknowledges. Sealed segments of the log are what the inserters store.
 */
export class Receiver {
  /** In blocks; `out` are acknowledged ones. */
  readonly counters: Counters<Cause> = new Counters('receiver', CAUSES)
  /** Blocks that were sent again and had been taken before. */
  repeats = 0
  /** Called when a segment was sealed: wakes the inserters. */
  onSealed: () => void = () => undefined
  readonly #env: Env
  readonly #options: ReceiverOptions
  readonly #limits: ReceiverLimits
  readonly #tables: ReadonlySet<number>
  readonly #state: State
  readonly #streams: Streams
  readonly #reserve: Reserve
  readonly #log: Log
  #waiting: Waiting[] = []
  #waitingBytes = 0
  #running: Promise<void> = Promise.resolve()
  #isRunning = false
  /** Bytes that the batch under way may still write. */
  #room = 0
  #isDue = false
  #isClosing = false
  #lastSync = Number.NEGATIVE_INFINITY
  #lastDrop = Number.NEGATIVE_INFINITY
  #pausedUntil = Number.NEGATIVE_INFINITY
  #cancelTick: () => void = () => undefined
  #read: { readonly segment: Segment; readonly blocks: SegmentBlock[] } | undefined

  /** Reads what a stop or a crash left, and makes it survive. Throws where the disk will not. */
  static async open(options: ReceiverOptions): Promise<Receiver> {
    const { env, directory, tables } = options
    const limits = { ...LIMITS, ...options.limits }
    env.files.makeDirectory(directory)
    const state = new State(env, directory)
    const streams = new Streams(limits.streams)
    const saved = state.load()
    streams.restore(saved.marks)
    const found = await recover(env, directory, { state, streams, done: saved.done, tables })
    streams.settle()
    const greatest = Math.max(saved.greatest, found.greatest, options.greatestStored)
    await state.save({ greatest, done: saved.done, marks: streams.marks() })
    for (const path of found.done) env.files.remove(path)
    const receiver = new Receiver(options, { limits, state, streams, greatest })
    for (const segment of found.segments) receiver.#log.adopt(segment)
    if (found.cutBytes > 0)
      log('info', 'Cut the log where a stop had torn it', { bytes: found.cutBytes })
    receiver.#tick()
    return receiver
  }

  private constructor(
    options: ReceiverOptions,
    made: { limits: ReceiverLimits; state: State; streams: Streams; greatest: number },
  ) {
    const { env, directory } = options
    const { limits, greatest } = made
    this.#env = env
    this.#options = options
    this.#limits = limits
    this.#tables = new Set(options.tables)
    this.#state = made.state
    this.#streams = made.streams
    this.#reserve = new Reserve(env, directory, limits.reserveBytes)
    this.#log = new Log(env, directory, { greatest, segmentBytes: limits.segmentBytes })
    this.#log.onSealed = () => this.onSealed()
  }

  /** Senders' streams with what was taken of each. */
  get streams(): readonly Mark[] {
    return this.#streams.marks()
  }

  /** Bytes of the log on disk, and segments that wait to be stored. */
  get size(): { readonly bytes: number; readonly segments: number } {
    return { bytes: this.#log.bytes, segments: this.#log.sealed.filter(isPending).length }
  }

  /** Whether all that was taken is stored. */
  get isIdle(): boolean {
    const { blocks, hasFailed, sealed } = this.#log
    return this.#waiting.length === 0 && blocks === 0 && !hasFailed && !sealed.some(isPending)
  }

  /**
   * Takes the body of `POST /v1/blocks` (blocks of one stream, one after the other) with its
   * Authorization header. Answers, as JSON, `expected` (the number the stream goes on with) and
   * `rows` (of its rows up to there, dropped ones too):
   *
   *   200 all of it survives a power cut    413 too large
   *   400 no block of ours: `error`         503 full, or the disk failed: come back (Retry-After)
   *   401 wrong token                       409 a gap: go on with `expected`
   */
  take(body: Uint8Array, authorization?: string): Promise<HttpAnswer> {
    if (!isAuthorized(authorization, this.#options.token))
      return this.#refuse('unauthorized', 'Cannot take blocks: the token is wrong')
    if (body.length > this.#limits.bodyBytes)
      return this.#refuse('tooLarge', `Cannot take blocks: ${body.length} bytes are too many`)
    let blocks: TakenBlock[]
    try {
      blocks = readRequest(body, this.#tables)
    } catch (error) {
      const code = error instanceof MetaflowError ? error.code : 'failed'
      return this.#refuse(code === 'tooLarge' ? code : 'refused', sentenceOf(error))
    }
    this.counters.in += blocks.length
    if (this.#isClosing || this.#waitingBytes + body.length > this.#limits.waitingBytes)
      return Promise.resolve(this.#full(blocks.length))
    this.#waitingBytes += body.length
    const { promise, resolve } = Promise.withResolvers<HttpAnswer>()
    const size = body.length
    this.#waiting.push({ blocks, size, resolve, stream: undefined, last: 0, state: 'taken' })
    this.#wake()
    return promise
  }

  /** The oldest sealed segment that has rows of `table` to be stored. */
  next(table: number): number | undefined {
    return this.#log.sealed.find(({ pending }) => pending.has(table))?.number
  }

  /** The blocks of `table` in a sealed segment. */
  blocks(number: number, table: number): SegmentBlock[] {
    const segment = this.#log.sealed.find((s) => s.number === number)
    if (!segment) return []
    if (this.#read?.segment !== segment) {
      const blocks: SegmentBlock[] = []
      const bytes = this.#env.files.read(segment.path).subarray(0, segment.size)
      const spoilt = (): void => void this.counters.dropped.damaged++
      readSegment(bytes, (block) => void blocks.push(block), spoilt)
      this.#read = { segment, blocks }
    }
    return this.#read.blocks.filter(({ bytes }) => isOf(bytes, table))
  }

  /** Resolves once it is synced that the table's rows up to the segment are stored. */
  async advance(table: number, number: number): Promise<void> {
    await this.#state.advance(table, number)
    const segment = this.#log.sealed.find((s) => s.number === number)
    segment?.pending.delete(table)
    if (!segment || isPending(segment)) return
    if (this.#read?.segment === segment) this.#read = undefined
    this.#due()
  }

  /** Takes nothing more; resolves once all that was acknowledged lies in sealed segments. */
  async stop(): Promise<void> {
    this.#isClosing = true
    this.#due()
    await this.#running
    this.#due()
    await this.#running
  }

  /** Ends it. What is not stored by then is found by the next start. */
  async close(): Promise<void> {
    await this.stop()
    this.#cancelTick()
    this.#state.close()
  }

  #tick(): void {
    this.#cancelTick = this.#env.timers.after(this.#limits.sealMs / TICKS_PER_SEAL, () => {
      this.#tick()
      this.#due()
    })
  }

  #due(): void {
    this.#isDue = true
    this.#wake()
  }

  #wake(): void {
    if (this.#isRunning) return
    this.#isRunning = true
    this.#running = this.#run()
  }

  /** The one loop that touches the log. */
  async #run(): Promise<void> {
    while (this.#waiting.length > 0 || this.#isDue) {
      if (this.#isDue) {
        this.#isDue = false
        await this.#maintain()
      }
      if (this.#waiting.length === 0) continue
      const pause = this.#lastSync + this.#limits.commitMs * 1000 - this.#env.clock.monotonic()
      if (pause > 0) await this.#sleep(pause / 1000)
      this.#lastSync = this.#env.clock.monotonic()
      await this.#commit(this.#waiting.splice(0))
    }
    this.#isRunning = false
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#env.timers.after(ms, resolve))
  }

  /** Writes what waits, syncs it, and answers: nothing is acknowledged before the sync. */
  async #commit(batch: readonly Waiting[]): Promise<void> {
    if (this.#env.clock.monotonic() >= this.#pausedUntil) {
      try {
        this.#room = Math.min(this.#options.maxBytes - this.#log.bytes, this.#reserve.room())
        for (const waiting of batch) await this.#append(waiting)
        await this.#log.sync()
        this.#streams.settle()
      } catch (error) {
        this.#fail(error)
      }
    } else for (const waiting of batch) waiting.state = 'full'
    for (const waiting of batch) {
      this.#waitingBytes -= waiting.size
      waiting.resolve(this.#answerOf(waiting))
    }
  }

  async #append(waiting: Waiting): Promise<void> {
    for (const block of waiting.blocks) {
      const { header, bytes } = block
      const now = this.#env.clock.wall()
      const stream = this.#streams.of(header, now)
      waiting.stream = stream
      if (!stream) waiting.state = 'full'
      else if (header.sequence > stream.written + 1) waiting.state = 'gap'
      else if (header.sequence <= stream.written) this.repeats++
      else if (bytes.length > this.#room) waiting.state = 'full'
      else {
        this.#room -= bytes.length
        if (this.#log.isFullFor(block)) await this.#seal()
        if (!this.#log.isOpen) await this.#log.open()
        this.#log.append(block, now)
        this.#streams.write(stream, header, now)
      }
      if (waiting.state !== 'taken') return
      waiting.last = header.sequence
    }
  }

  async #seal(): Promise<void> {
    await this.#log.sync()
    this.#streams.settle()
    this.#log.seal()
  }

  /** The disk failed: nothing since the last sync counts, and the file is not touched again. */
  #fail(error: unknown): void {
    log('error', `Cannot write the log: ${sentenceOf(error)}`)
    this.#log.abandon()
    this.#streams.revert()
    this.#pausedUntil = this.#env.clock.monotonic() + PAUSE_MS * 1000
  }

  #answerOf({ blocks, stream, last, state }: Waiting): HttpAnswer {
    if (!stream) return this.#full(blocks.length)
    const body = { expected: stream.synced + 1, rows: stream.rows }
    const taken = state === 'taken' ? blocks.at(-1)!.header.sequence : last
    if (taken > stream.synced) {
      this.counters.dropped.failed += blocks.length
      const error = 'Cannot take blocks: the log could not be written'
      return answer(503, { error, ...body }, RETRY_AFTER)
    }
    if (state === 'full') return this.#full(blocks.length, body)
    if (state === 'gap') {
      this.counters.dropped.gap += blocks.length
      const error = `Cannot take blocks: block ${body.expected} comes next`
      return answer(409, { error, ...body })
    }
    this.counters.out += blocks.length
    return answer(200, body)
  }

  #full(blocks: number, body: Readonly<Record<string, unknown>> = {}): HttpAnswer {
    this.counters.dropped.full += blocks
    const error = 'Cannot take blocks: there is no room until some are stored'
    return answer(503, { error, ...body }, RETRY_AFTER)
  }

  #refuse(code: 'unauthorized' | 'tooLarge' | 'refused', error: string): Promise<HttpAnswer> {
    this.counters.in++
    this.counters.dropped[code === 'unauthorized' ? code : 'refused']++
    return Promise.resolve(answer(ERRORS[code].status, { error }))
  }

  /** Seals what is old enough, drops what is stored. A failing disk is tried again later. */
  async #maintain(): Promise<void> {
    const now = this.#env.clock.monotonic()
    if (now < this.#pausedUntil && !this.#isClosing) return
    try {
      this.#reserve.check()
      const ages = (now - this.#log.opened) / (this.#limits.sealMs * 1000)
      const isBehind = this.#log.sealed.some(isPending)
      const isOld = isBehind ? ages >= LAGGING_TIMES && this.#log.hasIdleTable : ages >= 1
      if (this.#log.hasFailed) await this.#log.open()
      if (this.#log.isOpen && this.#log.blocks > 0 && (isOld || this.#isClosing)) await this.#seal()
      await this.#drop(now)
    } catch (error) {
      this.#fail(error)
    }
  }

  /** Stored segments go once the marks of all senders are saved: they know what was taken. */
  async #drop(now: number): Promise<void> {
    const { sealed, bytes } = this.#log
    const count = sealed.findIndex(isPending)
    const stored = count < 0 ? sealed.length : count
    if (stored === 0) return
    const isDue = now - this.#lastDrop >= this.#limits.dropMs * 1000
    if (!isDue && !this.#isClosing && bytes < this.#options.maxBytes / 2) return
    this.#lastDrop = now
    const done = sealed[stored - 1]!.number
    try {
      await this.#state.save({ greatest: this.#log.greatest, done, marks: this.#streams.marks() })
      this.#log.drop(stored)
    } catch (error) {
      log('error', `Cannot save the receiver state: ${sentenceOf(error)}`)
    }
  }
}

function isPending(segment: Segment): boolean {
  return segment.pending.size > 0
}

/** Whether a block that was taken (so its head is whole) has rows of `table`. */
function isOf(block: Uint8Array, table: number): boolean {
  const header = readHeader(block)
  return header.table === table && header.rows > 0
}
