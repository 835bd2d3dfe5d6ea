import { MarkList } from './mark-list.ts'

/** Least and greatest size of a buffer: powers of two. */
const SHIFT_MIN = 10
const SHIFT_MAX = 18
/** No side of a connection keeps more bytes than this of what is not understood yet. */
export const BUFFER_BYTES_MAX: number = 1 << SHIFT_MAX
/** Bytes of unused buffers kept of each size. */
const SPARE_BYTES_MAX = 1 << 20
const SPARE_MARKS_MAX = 256

/** Who holds a buffer, linked by age. */
export interface Holder {
  /** Whose it is: nobody gives way to himself. */
  readonly owner: { giveWay(): void }
  held: number
  older: Holder | undefined
  newer: Holder | undefined
}

/** Buffers by size, given out and taken back; all together they are bounded. */
export class Buffers {
  readonly #spare: Uint8Array[][] = []
  readonly #spareMarks: MarkList[] = []
  readonly #bytesMax: number
  #oldest: Holder | undefined
  #newest: Holder | undefined
  /** Bytes given out now. */
  bytes = 0
  /** Holders that had to give way. */
  gaveWay = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
    for (let shift = SHIFT_MIN; shift <= SHIFT_MAX; shift++) this.#spare.push([])
  }

  /** A buffer of at least `size` bytes, ≤ BUFFER_BYTES_MAX; the oldest holder makes room for it. */
  take(holder: Holder, size: number): Uint8Array {
    const shift = Math.max(SHIFT_MIN, 32 - Math.clz32(size - 1))
    const buffer = this.#spare[shift - SHIFT_MIN]!.pop() ?? new Uint8Array(1 << shift)
    if (holder.held === 0) this.#link(holder)
    holder.held += buffer.length
    this.bytes += buffer.length
    while (this.bytes > this.#bytesMax) {
      const oldest = this.#oldestOther(holder)
      if (oldest === undefined) break
      this.gaveWay++
      oldest.owner.giveWay()
    }
    return buffer
  }

  give(holder: Holder, buffer: Uint8Array): void {
    const spare = this.#spare[31 - Math.clz32(buffer.length) - SHIFT_MIN]!
    if (spare.length * buffer.length < SPARE_BYTES_MAX) spare.push(buffer)
    holder.held -= buffer.length
    this.bytes -= buffer.length
    if (holder.held === 0) this.#unlink(holder)
  }

  takeMarks(): MarkList {
    return this.#spareMarks.pop() ?? new MarkList()
  }

  giveMarks(marks: MarkList): void {
    marks.clear()
    if (this.#spareMarks.length < SPARE_MARKS_MAX) this.#spareMarks.push(marks)
  }

  #oldestOther(holder: Holder): Holder | undefined {
    let other = this.#oldest
    while (other !== undefined && other.owner === holder.owner) other = other.newer
    return other
  }

  #link(holder: Holder): void {
    holder.older = this.#newest
    if (this.#newest === undefined) this.#oldest = holder
    else this.#newest.newer = holder
    this.#newest = holder
  }

  #unlink(holder: Holder): void {
    const { older, newer } = holder
    if (older === undefined) this.#oldest = newer
    else older.newer = newer
    if (newer === undefined) this.#newest = older
    else newer.older = older
    holder.older = undefined
    holder.newer = undefined
  }
}
