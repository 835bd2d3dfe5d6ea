import type { HttpAnswer } from '../../lib/env.ts'
import { MetaflowError } from '../../lib/errors.ts'
import type { BlockHeader } from '../../model/block.ts'
import { HEADER_SIZE, readHead } from '../../wire/header.ts'

export type TakenBlock = {
  readonly header: BlockHeader
  readonly bytes: Uint8Array
  /** Bytes of its body once it is unpacked, as its head says; no body unpacks to more. */
  readonly bodySize: number
}

/**
 * The blocks of a request's body: one after the other, all of one stream. Throws a MetaflowError
 * ('refused', 'tooLarge') where they are not, or one is of a table that is not in `tables`.
 */
export function readRequest(body: Uint8Array, tables: ReadonlySet<number>): TakenBlock[] {
  const blocks: TakenBlock[] = []
  for (let at = 0; at < body.length; ) {
    const { header, bodySize, packedSize, bodyCheck } = readHead(body.subarray(at))
    const end = at + HEADER_SIZE + packedSize
    if (end > body.length) refuse('it is cut short')
    if (Bun.hash.crc32(body.subarray(at + HEADER_SIZE, end)) !== bodyCheck)
      refuse('the check of its body is wrong')
    if (header.sequence < 1) refuse('it has no number')
    if (header.rows > 0 && !tables.has(header.table)) refuse(`table ${header.table} is not known`)
    const first = blocks[0]?.header ?? header
    if (first.lifetime !== header.lifetime || first.lane !== header.lane)
      refuse('it is of another stream than the one before it')
    blocks.push({ header, bytes: body.subarray(at, end), bodySize })
    at = end
  }
  if (blocks.length === 0) refuse('there is none')
  return blocks
}

function refuse(state: string): never {
  throw new MetaflowError('refused', `Cannot read block: ${state}`)
}

/** An answer as JSON. */
export function answer(
  status: number,
  body: Readonly<Record<string, unknown>>,
  headers: Readonly<Record<string, string>> = {},
): HttpAnswer {
  return {
    status,
    headers: { 'content-type': 'application/json', ...headers },
    body: new TextEncoder().encode(JSON.stringify(body)),
  }
}
