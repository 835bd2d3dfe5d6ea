import { Segment, type SegmentSink } from '../../model/segment.ts'

/**
 * Segments given on at a time. One after the other a replay costs a fifth more: all rooms' code
 * together is three times what a processor's first cache holds, so each segment fetches it anew.
 */
const BATCH = 64

/** Segments that were read and wait to be given on together; they are filled again and again. */
export class SegmentBatch {
  readonly #segments: readonly Segment[]
  #size = 0

  /** `prepare` sets what all of them share. */
  constructor(prepare: (segment: Segment) => void) {
    this.#segments = Array.from({ length: BATCH }, () => new Segment())
    this.#segments.forEach(prepare)
  }

  get isFull(): boolean {
    return this.#size === BATCH
  }

  /** The next segment to fill, while the batch is not full. */
  next(): Segment {
    return this.#segments[this.#size++]!
  }

  /** Gives all on, in order, and begins anew. */
  give(sink: SegmentSink): void {
    const segments = this.#segments
    const size = this.#size
    this.#size = 0
    for (let i = 0; i < size; i++) sink(segments[i]!)
  }
}
