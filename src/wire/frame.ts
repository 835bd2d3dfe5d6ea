import { refuse } from './header.ts'

/*
 * zstd, RFC 8878 §3.1: what must be known of a frame before it is unpacked, so that a few bytes
 * cannot ask for gigabytes: it is one frame, it states its content's size, and it ends where the
 * bytes end. libzstd then never writes beyond that size.
 *
 *   frame = magic 28 B5 2F FD, descriptor (1), [window (1)], dictionary id (0 1 2 4),
 *           content size (0 1 2 4 8), block+, [check (4)]
 *   block = last:1 type:2 size:21, then `size` bytes (one byte where type is RLE)
 */
const MAGIC = 0xfd2f_b528
const DICTIONARY_SIZES = [0, 1, 2, 4] as const
const CONTENT_SIZES = [0, 2, 4, 8] as const
const SINGLE_SEGMENT = 0x20
const CHECK = 0x04
const RLE = 1
const RESERVED = 3

/** Unpacks the one zstd frame that is `packed`, whose content must have `size` bytes. */
export function unpack(packed: Uint8Array, size: number): Uint8Array {
  const wrong = wrongOf(packed, size)
  if (wrong) refuse(wrong)
  try {
    return Bun.zstdDecompressSync(packed)
  } catch {
    // The library's own words ("InvalidZstdData") say no more than this.
    refuse('its body does not unpack')
  }
}

/** What is wrong with the frame, or nothing. */
function wrongOf(packed: Uint8Array, size: number): string {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength)
  if (packed.length < 6 || view.getUint32(0, true) !== MAGIC) return 'its body is no zstd frame'
  const descriptor = packed[4]!
  const single = (descriptor & SINGLE_SEGMENT) !== 0
  const contentSize = CONTENT_SIZES[descriptor >> 6]! || (single ? 1 : 0)
  const contentAt = 5 + (single ? 0 : 1) + DICTIONARY_SIZES[descriptor & 3]!
  const start = contentAt + contentSize
  if (start > packed.length) return 'its body is cut short'
  if (contentOf(view, contentAt, contentSize) !== size)
    return 'its body unpacks to another size than its head says'
  const end = endOf(packed, start) + (descriptor & CHECK ? 4 : 0)
  return end === packed.length ? '' : 'its body is cut short or has bytes after its end'
}

/** The content size as stated; two bytes count from 256. Unstated: -1. */
function contentOf(view: DataView, at: number, size: number): number {
  if (size === 1) return view.getUint8(at)
  if (size === 2) return view.getUint16(at, true) + 256
  if (size === 4) return view.getUint32(at, true)
  if (size === 8) return view.getUint32(at, true) + view.getUint32(at + 4, true) * 0x1_0000_0000
  return -1
}

/** Where the frame's last block ends, or a place beyond all bytes. */
function endOf(packed: Uint8Array, start: number): number {
  for (let at = start; at + 3 <= packed.length; ) {
    const head = packed[at]! | (packed[at + 1]! << 8) | (packed[at + 2]! << 16)
    const type = (head >> 1) & 3
    if (type === RESERVED) break
    at += 3 + (type === RLE ? 1 : head >>> 3)
    if (head & 1) return at
  }
  return Number.POSITIVE_INFINITY
}
