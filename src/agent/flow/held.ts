import { Segment } from '../../model/segment.ts'

const BYTES_MIN = 2048

/** A segment kept until those before it came: it owns what it points to. */
export class Held extends Segment {
  #own = new Uint8Array(BYTES_MIN)

  keep(from: Segment): void {
    copySegment(from, this)
    const size = from.end - from.start
    if (this.#own.length < size) this.#own = new Uint8Array(size)
    this.#own.set(from.bytes.subarray(from.start, from.end))
    this.bytes = this.#own
    this.start = 0
    this.end = size
  }

  /** Bytes of memory it takes. */
  get memory(): number {
    return this.#own.length
  }
}

/** Copies what a reader needs to know of a segment; its bytes stay where they are. */
export function copySegment(from: Segment, to: Segment): void {
  to.kind = from.kind
  to.source = from.source
  to.key = from.key
  to.direction = from.direction
  to.role = from.role
  to.protocol = from.protocol
  to.sequence = from.sequence
  to.time = from.time
  to.size = from.size
  to.bytes = from.bytes
  to.start = from.start
  to.end = from.end
  to.processId = from.processId
  to.threadId = from.threadId
  to.traceId = from.traceId
}
