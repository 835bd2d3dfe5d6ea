import { MetaflowError } from '../lib/errors.ts'
import { getWide, setWide, viewOf } from '../lib/wide.ts'
import { BLOCK_BYTES_MAX, BLOCK_ROWS_MAX, type BlockHeader } from '../model/block.ts'

/*
 * The head of a block, never compressed, so that a receiver can admit a block by it alone.
 * Little-endian.
 *
 *    0  4  magic "MFBK"            56  8  wall clock, µs
 *    4  2  format version          64  8  monotonic clock, µs
 *    6  2  table                   72  8  sequence
 *    8 16  agent                   80  4  rows dropped in its place
 *   24 16  lifetime                84  4  size of the body, unpacked
 *   40  4  lane                    88  4  size of the body, packed (zstd)
 *   44  4  rows                    92  4  CRC-32 of the packed body
 *   48  8  (reserved, 0)           96  4  CRC-32 of bytes [0, 96)
 */

export const HEADER_SIZE = 100
const FORMAT_VERSION = 1
const MAGIC = 0x4b42_464d
const AGENT_AT = 8
const LIFETIME_AT = 24
const CHECKED_SIZE = 96
/** A body that zstd cannot shrink grows a little: ZSTD_COMPRESSBOUND of 8 MB, rounded up. */
const BODY_PACKED_MAX: number = BLOCK_BYTES_MAX + (BLOCK_BYTES_MAX >> 8) + 1024
export const NO_STREAM_ID: string = '0'.repeat(32)

/** A block's head with the sizes and check of its body. */
export type Head = {
  readonly header: BlockHeader
  readonly bodySize: number
  readonly packedSize: number
  readonly bodyCheck: number
}

/** Which block of which stream a block is. */
export type BlockNumber = Pick<BlockHeader, 'agent' | 'lifetime' | 'lane' | 'sequence'>

/** Writes `head` into the first HEADER_SIZE bytes of `bytes`. */
export function writeHead(bytes: Uint8Array, head: Head): void {
  const { header } = head
  const view = viewOf(bytes)
  view.setUint32(0, MAGIC, true)
  view.setUint16(4, FORMAT_VERSION, true)
  view.setUint16(6, header.table, true)
  view.setUint32(44, header.rows, true)
  setWide(view, 48, 0)
  setWide(view, 56, Math.floor(header.wall))
  setWide(view, 64, Math.floor(header.monotonic))
  view.setUint32(80, Math.min(header.dropped, 0xffff_ffff), true)
  view.setUint32(84, head.bodySize, true)
  view.setUint32(88, head.packedSize, true)
  view.setUint32(92, head.bodyCheck, true)
  numberBlock(bytes, header)
}

/** Makes an encoded block the `sequence`th of its stream, in place: the sender numbers late. */
export function numberBlock(bytes: Uint8Array, number: BlockNumber): void {
  const view = viewOf(bytes)
  writeId(bytes, AGENT_AT, number.agent)
  writeId(bytes, LIFETIME_AT, number.lifetime)
  view.setUint32(40, number.lane, true)
  setWide(view, 72, number.sequence)
  view.setUint32(CHECKED_SIZE, Bun.hash.crc32(bytes.subarray(0, CHECKED_SIZE)), true)
}

/**
 * Reads the head of a block without unpacking its body; `bytes` may hold the head alone.
 * Throws a MetaflowError ('refused', or 'tooLarge') where it is none of ours.
 */
export function readHeader(bytes: Uint8Array): BlockHeader {
  return readHead(bytes).header
}

export function readHead(bytes: Uint8Array): Head {
  if (bytes.length < HEADER_SIZE) refuse(`it has ${bytes.length} bytes, a head has ${HEADER_SIZE}`)
  const view = viewOf(bytes)
  if (view.getUint32(0, true) !== MAGIC) refuse('it does not begin as a block')
  const version = view.getUint16(4, true)
  if (version !== FORMAT_VERSION)
    refuse(`its format is version ${version}, this server reads ${FORMAT_VERSION}`)
  if (view.getUint32(CHECKED_SIZE, true) !== Bun.hash.crc32(bytes.subarray(0, CHECKED_SIZE)))
    refuse('the check of its head is wrong')
  const header: BlockHeader = {
    table: view.getUint16(6, true),
    rows: view.getUint32(44, true),
    agent: readId(bytes, AGENT_AT),
    lifetime: readId(bytes, LIFETIME_AT),
    lane: view.getUint32(40, true),
    sequence: getWide(view, 72),
    dropped: view.getUint32(80, true),
    wall: getWide(view, 56),
    monotonic: getWide(view, 64),
  }
  const head = {
    header,
    bodySize: view.getUint32(84, true),
    packedSize: view.getUint32(88, true),
    bodyCheck: view.getUint32(92, true),
  }
  if (header.rows > BLOCK_ROWS_MAX)
    throw new MetaflowError('tooLarge', `Cannot read block: it says it has ${header.rows} rows`)
  if (head.bodySize > BLOCK_BYTES_MAX || head.packedSize > BODY_PACKED_MAX)
    throw new MetaflowError(
      'tooLarge',
      `Cannot read block: it says it has ${head.bodySize} bytes (${head.packedSize} packed)`,
    )
  if (header.dropped > 0 && header.rows > 0)
    refuse('it says that its rows were dropped, and has rows')
  return head
}

/** Ends the reading of a block with what is wrong with it. */
export function refuse(state: string): never {
  throw new MetaflowError('refused', `Cannot read block: ${state}`)
}

function readId(bytes: Uint8Array, at: number): string {
  return bytes.subarray(at, at + 16).toHex()
}

/** Writes 32 hex digits as 16 bytes; whatever is no such id is our own mistake. */
function writeId(bytes: Uint8Array, at: number, id: string): void {
  const { written } = bytes.subarray(at, at + 16).setFromHex(id)
  if (written !== 16 || id.length !== 32)
    throw new MetaflowError('failed', `Cannot number block: '${id}' is no id of 32 hex digits`)
}
