import type { Numbers } from '../model/block.ts'

/*
 * Numbers where they travel shorter than they are: the least of them, and by how much each is above
 * it in as few bytes as the greatest of these needs; or one alone, where all are equal.
 *
 *   base (8), rows × difference (1, 2 or 4), little-endian
 *   value (8-aligned)
 *
 * What zstd then has to look at is a third of the columns' bytes.
 */
const BASE = 8
/** Of fewer rows numbers of 32 bits are no shorter so. */
const ROWS_MIN = 8
const WORD = 0x1_0000_0000
/** Bytes of a difference; none: the numbers travel as they are. */
export type Width = 1 | 2 | 4

/** Whether `bytes` repeats its first `size` bytes up to the end: one comparison by the runtime. */
export function isConstant(bytes: Uint8Array, size: number): boolean {
  return (
    bytes.length >= size &&
    Buffer.compare(bytes.subarray(size), bytes.subarray(0, bytes.length - size)) === 0
  )
}

/** Writes numbers of 32 bits at `at`, which is 8-aligned; nothing where that is not shorter. */
export function pack32(body: Uint8Array, at: number, values: Int32Array): Width | undefined {
  if (values.length < ROWS_MIN) return undefined
  let min = values[0]!
  let max = min
  for (let i = 1; i < values.length; i++) {
    const value = values[i]!
    if (value < min) min = value
    else if (value > max) max = value
  }
  const width = widthOf(max - min)
  if (width === undefined || width === 4) return undefined
  new Int32Array(body.buffer, body.byteOffset + at, 2).set([min, 0])
  const to = differences(body, at, width, values.length)
  if (to instanceof Uint8Array) for (let i = 0; i < values.length; i++) to[i] = values[i]! - min
  else for (let i = 0; i < values.length; i++) to[i] = values[i]! - min
  return width
}

/** The same for whole numbers of up to 53 bits and sign. */
export function pack64(body: Uint8Array, at: number, values: Float64Array): Width | undefined {
  let min = values[0]!
  let max = min
  for (let i = 1; i < values.length; i++) {
    const value = values[i]!
    if (value < min) min = value
    else if (value > max) max = value
  }
  const width = widthOf(max - min)
  if (width === undefined) return undefined
  new Uint32Array(body.buffer, body.byteOffset + at, 2).set([min, Math.floor(min / WORD)])
  const to = differences(body, at, width, values.length)
  if (to instanceof Uint8Array) for (let i = 0; i < values.length; i++) to[i] = values[i]! - min
  else if (to instanceof Uint16Array)
    for (let i = 0; i < values.length; i++) to[i] = values[i]! - min
  else for (let i = 0; i < values.length; i++) to[i] = values[i]! - min
  return width
}

/** What `pack32` and `pack64` write takes so many bytes, not 8-aligned. */
export function packedSize(width: Width, rows: number): number {
  return BASE + rows * width
}

/** Writes whole numbers as 64 bits each. */
export function write64(to: Uint32Array, values: Float64Array): void {
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!
    to[2 * i] = value
    to[2 * i + 1] = Math.floor(value / WORD)
  }
}

/** Reads what `pack32` wrote into `out`; `packed` are the bytes. */
export function unpack32(packed: Uint8Array, width: Width, out: Int32Array): void {
  const base = new Int32Array(packed.buffer, packed.byteOffset, 1)[0]!
  const from = differences(packed, 0, width, out.length)
  if (from instanceof Uint8Array) for (let i = 0; i < out.length; i++) out[i] = base + from[i]!
  else for (let i = 0; i < out.length; i++) out[i] = base + from[i]!
}

/** Reads what `pack64` wrote as words, low before high. */
export function unpack64(packed: Uint8Array, width: Width, out: Uint32Array): void {
  const [low = 0, high = 0] = new Uint32Array(packed.buffer, packed.byteOffset, 2)
  const from = differences(packed, 0, width, out.length / 2)
  if (from instanceof Uint8Array)
    for (let i = 0; i < from.length; i++) {
      const sum = low + from[i]!
      out[2 * i] = sum
      out[2 * i + 1] = sum >= WORD ? high + 1 : high
    }
  else if (from instanceof Uint16Array)
    for (let i = 0; i < from.length; i++) {
      const sum = low + from[i]!
      out[2 * i] = sum
      out[2 * i + 1] = sum >= WORD ? high + 1 : high
    }
  else
    for (let i = 0; i < from.length; i++) {
      const sum = low + from[i]!
      out[2 * i] = sum
      out[2 * i + 1] = sum >= WORD ? high + 1 : high
    }
}

/** Fills `bytes` with copies of its first `size` bytes: each turn copies all there is. */
export function repeat(bytes: Uint8Array, size: number): void {
  for (let done = size; done < bytes.length; done *= 2) bytes.copyWithin(done, 0, done)
}

/** Where the differences lie, whose base is at `at`. */
function differences(bytes: Uint8Array, at: number, width: Width, rows: number): Numbers {
  const start = bytes.byteOffset + at + BASE
  if (width === 4) return new Uint32Array(bytes.buffer, start, rows)
  return width === 2
    ? new Uint16Array(bytes.buffer, start, rows)
    : new Uint8Array(bytes.buffer, start, rows)
}

function widthOf(range: number): Width | undefined {
  if (range < 0x100) return 1
  return range < 0x1_0000 ? 2 : range < WORD ? 4 : undefined
}
