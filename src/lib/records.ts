import { crc32c } from './crc32c.ts'
import type { AppendFile } from './env.ts'
import { viewOf } from './wide.ts'

/*
 * What logs and spools are made of:
 *
 *   record = length (4, little-endian), CRC-32C of length and payload (4), payload
 *
 * A file ends where its last whole record does: what a crash tore off is not read.
 */
export const RECORD_HEAD = 8

/** Payloads up to this are put together first: one call to the system instead of three. */
const JOINED_MAX = 256 * 1024

/** Appends one record whose payload is `parts`, one after the other. Throws as `file` does. */
export function appendRecord(file: AppendFile, ...parts: readonly Uint8Array[]): void {
  const size = sizeOf(parts)
  if (size <= JOINED_MAX) file.write(recordOf(...parts))
  else for (const part of [headOf(size, parts), ...parts]) file.write(part)
}

/** The bytes of one record. */
export function recordOf(...parts: readonly Uint8Array[]): Uint8Array {
  const size = sizeOf(parts)
  const bytes = new Uint8Array(RECORD_HEAD + size)
  bytes.set(headOf(size, parts))
  let at = RECORD_HEAD
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

/**
 * Gives each whole record's payload (a view) and where it begins to `take`, until the first that
 * is torn, spoilt or that `take` answers false for. Answers where the last good one ends.
 *
 * Where all of `bytes` is known to have been whole once, a spoilt record before a good one is
 * passed over: `onSpoilt` is told.
 */
export function readRecords(
  bytes: Uint8Array,
  start: number,
  take: (payload: Uint8Array, at: number) => boolean,
  onSpoilt?: (at: number) => void,
): number {
  let at = start
  for (;;) {
    const end = endOf(bytes, at)
    if (end < 0) return at
    if (isGood(bytes, at, end)) {
      if (!take(bytes.subarray(at + RECORD_HEAD, end), at + RECORD_HEAD)) return at
    } else {
      const next = endOf(bytes, end)
      const isLast = end === bytes.length
      if (!onSpoilt || !(isLast || (next > 0 && isGood(bytes, end, next)))) return at
      onSpoilt(at)
    }
    at = end
  }
}

/** Where the record at `at` ends by its length, or -1. */
function endOf(bytes: Uint8Array, at: number): number {
  if (at + RECORD_HEAD > bytes.length) return -1
  const end = at + RECORD_HEAD + viewOf(bytes).getUint32(at, true)
  return end > bytes.length ? -1 : end
}

function isGood(bytes: Uint8Array, at: number, end: number): boolean {
  const check = crc32c(bytes.subarray(at + RECORD_HEAD, end), crc32c(bytes.subarray(at, at + 4)))
  return check === viewOf(bytes).getUint32(at + 4, true)
}

function headOf(size: number, parts: readonly Uint8Array[]): Uint8Array {
  const head = new Uint8Array(RECORD_HEAD)
  const view = viewOf(head)
  view.setUint32(0, size, true)
  let check = crc32c(head.subarray(0, 4))
  for (const part of parts) check = crc32c(part, check)
  view.setUint32(4, check, true)
  return head
}

function sizeOf(parts: readonly Uint8Array[]): number {
  let size = 0
  for (const part of parts) size += part.length
  return size
}
