import { crc32c } from './crc32c.ts'
import type { AppendFile } from './env.ts'

/*
 * What logs and spools are made of:
 *
 *   record = length (4, little-endian), CRC-32C of length and payload (4), payload
 *
 * A file ends where its last whole record does: what a crash tore off is not read.
 */
export const RECORD_HEAD = 8

/** Appends one record whose payload is `parts`, one after the other. Throws as `file` does. */
export function appendRecord(file: AppendFile, ...parts: readonly Uint8Array[]): void {
  const head = new Uint8Array(RECORD_HEAD)
  const view = new DataView(head.buffer)
  view.setUint32(0, sizeOf(parts), true)
  let check = crc32c(head.subarray(0, 4))
  for (const part of parts) check = crc32c(part, check)
  view.setUint32(4, check, true)
  file.write(head)
  for (const part of parts) file.write(part)
}

/** The bytes of one record. */
export function recordOf(...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(RECORD_HEAD + sizeOf(parts))
  let at = 0
  appendRecord({ size: 0, write, sync: () => Promise.resolve(), close: () => undefined }, ...parts)
  return bytes

  function write(part: Uint8Array): void {
    bytes.set(part, at)
    at += part.length
  }
}

/**
 * Gives each whole record's payload (a view) and where it begins to `take`, until the first that
 * is torn, spoilt or that `take` answers false for. Answers where the last good one ends.
 */
export function readRecords(
  bytes: Uint8Array,
  start: number,
  take: (payload: Uint8Array, at: number) => boolean,
): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let at = start
  while (at + RECORD_HEAD <= bytes.length) {
    const from = at + RECORD_HEAD
    const end = from + view.getUint32(at, true)
    if (end > bytes.length) break
    const payload = bytes.subarray(from, end)
    const check = crc32c(payload, crc32c(bytes.subarray(at, at + 4)))
    if (check !== view.getUint32(at + 4, true) || !take(payload, from)) break
    at = end
  }
  return at
}

function sizeOf(parts: readonly Uint8Array[]): number {
  let size = 0
  for (const part of parts) size += part.length
  return size
}
