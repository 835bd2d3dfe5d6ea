import { readRecords } from '../../lib/records.ts'
import { getWide, setWide, viewOf } from '../../lib/wide.ts'

/*
 * A file of the receiver's log, `<number, 16 digits>.log`, is records (lib/records.ts):
 *
 *   first = magic "MFSG" (4), version (4), number (8), bounds × { number (8), size (8) }
 *   then  = received, wall µs (8), block
 *
 * A bound says where an earlier file ends, whatever lies behind: after a write or sync has failed,
 * what it left may come back after a crash, when it has long been sent and stored again.
 */
const MAGIC = 0x4753_464d
const VERSION = 1
const HEAD = 16
const BOUND = 16
/** Bytes before a block in its record's payload. */
export const RECEIVED_SIZE = 8

export type Bound = { readonly number: number; readonly size: number }

/** A sealed file: never written again, its blocks wait to be stored. */
export type Segment = {
  readonly number: number
  readonly path: string
  /** Bytes that count; the file may be longer. */
  readonly size: number
  readonly rows: number
  /** Numbers of the tables whose rows in it are not stored yet. */
  readonly pending: Set<number>
}

/** One block of a segment. */
export type SegmentBlock = {
  /** Its place among the segment's blocks, from 1. */
  readonly place: number
  /** When the server took it, wall µs: what its rows' times are held against, then and later. */
  readonly received: number
  readonly bytes: Uint8Array
}

export function segmentName(number: number): string {
  return `${String(number).padStart(16, '0')}.log`
}

/** The number of the segment that is called `name`, 0 where none is. */
export function segmentNumber(name: string): number {
  return /^\d{16}\.log$/.test(name) ? Number.parseInt(name, 10) : 0
}

export function segmentHead(number: number, bounds: readonly Bound[]): Uint8Array {
  const bytes = new Uint8Array(HEAD + bounds.length * BOUND)
  const view = viewOf(bytes)
  view.setUint32(0, MAGIC, true)
  view.setUint32(4, VERSION, true)
  setWide(view, 8, number)
  for (const [i, bound] of bounds.entries()) {
    setWide(view, HEAD + i * BOUND, bound.number)
    setWide(view, HEAD + i * BOUND + 8, bound.size)
  }
  return bytes
}

/** The time a block came, as it stands before the block in its record. */
export function receivedHead(received: number): Uint8Array {
  const bytes = new Uint8Array(RECEIVED_SIZE)
  setWide(viewOf(bytes), 0, received)
  return bytes
}

/** The bounds that a segment's first record states; undefined where there is no such record. */
export function readBounds(bytes: Uint8Array): Bound[] | undefined {
  let bounds: Bound[] | undefined
  readRecords(bytes, 0, (payload) => {
    const view = viewOf(payload)
    if (payload.length < HEAD || view.getUint32(0, true) !== MAGIC) return false
    bounds = []
    for (let at = HEAD; at + BOUND <= payload.length; at += BOUND)
      bounds.push({ number: getWide(view, at), size: getWide(view, at + 8) })
    return false
  })
  return bounds
}

/**
 * Gives every block of a segment to `take`; answers where the last whole record ends. Of a segment
 * whose end is known, spoilt records are passed over where `onSpoilt` is given: it is told.
 */
export function readSegment(
  bytes: Uint8Array,
  take: (block: SegmentBlock) => void,
  onSpoilt?: (at: number) => void,
): number {
  let place = 0
  const takeRecord = (payload: Uint8Array): boolean => {
    if (place > 0)
      take({
        place,
        received: getWide(viewOf(payload), 0),
        bytes: payload.subarray(RECEIVED_SIZE),
      })
    place++
    return true
  }
  const passOver = (at: number): void => {
    place++
    onSpoilt!(at)
  }
  return readRecords(bytes, 0, takeRecord, onSpoilt && passOver)
}
