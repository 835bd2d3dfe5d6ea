import { MetaflowError } from '../../lib/errors.ts'

/** Bytes of bodies that are held while the rest of them comes, of all requests together. */
const HELD_BYTES_MAX = 128 * 1024 * 1024

/** Reads large bodies: of many at a time only as many as there is room for. */
export class Bodies {
  /** Requests sent away for want of room. */
  refused = 0
  readonly #bytesMax: number
  #held = 0

  constructor(bytesMax: number = HELD_BYTES_MAX) {
    this.#bytesMax = bytesMax
  }

  /** As `readBody`; throws 'unavailable' where others have the room. */
  async read(request: Request, bytesMax: number): Promise<Uint8Array> {
    let own = 0
    const hold = (bytes: number): void => {
      own += bytes
      this.#held += bytes
      if (this.#held <= this.#bytesMax) return
      this.refused++
      throw new MetaflowError('unavailable', 'Cannot take the request: too many come at once')
    }
    try {
      return await readBody(request, bytesMax, hold)
    } finally {
      this.#held -= own
    }
  }
}

/** The body of a request, at most `bytesMax` of it; more is refused before it is held. */
export async function readBody(
  request: Request,
  bytesMax: number,
  hold: (bytes: number) => void = () => undefined,
): Promise<Uint8Array> {
  const refuse = (): never => {
    throw new MetaflowError('tooLarge', `Cannot take the request: it is over ${bytesMax} bytes`)
  }
  if (Number(request.headers.get('content-length') ?? 0) > bytesMax) refuse()
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of request.body ?? []) {
    size += chunk.length
    if (size > bytesMax) refuse()
    hold(chunk.length)
    chunks.push(chunk)
  }
  if (chunks.length === 1) return chunks[0]!
  const body = new Uint8Array(size)
  let at = 0
  for (const chunk of chunks) {
    body.set(chunk, at)
    at += chunk.length
  }
  return body
}

/** The body as a JSON object. */
export async function readJson(
  request: Request,
  bytesMax: number,
): Promise<Readonly<Record<string, unknown>>> {
  const text = new TextDecoder().decode(await readBody(request, bytesMax))
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw noJson(cause)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new MetaflowError('refused', 'Cannot read the request: its body is no JSON object')
  return value as Readonly<Record<string, unknown>>
}

function noJson(cause: unknown): MetaflowError {
  return new MetaflowError('refused', 'Cannot read the request: its body is no JSON', cause)
}
