import { type Context, Hono } from 'hono'
import { ERRORS, type ErrorCode, MetaflowError, sentenceOf } from '../../lib/errors.ts'
import { readBody, readJson } from './body.ts'

/** A statement with room for its longest form in a URL's encoding. */
const BODY_BYTES_MAX = 262_144

export type QueryRequest = {
  readonly database: string | undefined
  readonly precision: '1s' | '1m' | undefined
  readonly signal: AbortSignal
}
export type QueryAnswer = {
  readonly sql: string
  readonly columns: readonly string[]
  readonly types: readonly string[]
  /** Each row as the JSON text of an array. */
  readonly values: readonly string[]
  /** The row of WITH TOTALS, as JSON text. */
  readonly totals?: string | undefined
  readonly isTruncated: boolean
  readonly elapsedMs: number
}
/** What answers queries: `Query` of the query room. */
export type QueryPort = {
  run(sql: string, request: QueryRequest): Promise<QueryAnswer>
  stream(
    sql: string,
    format: string,
    request: QueryRequest,
  ): Promise<{ readonly contentType: string; readonly body: ReadableStream<Uint8Array> }>
}

/** What the peers' clients call the outcome. */
const OUTCOMES: Partial<Record<ErrorCode, string>> = {
  refused: 'INVALID_PARAMETERS',
  misuse: 'INVALID_PARAMETERS',
  absent: 'RESOURCE_NOT_FOUND',
  unauthorized: 'UNAUTHORIZED',
  forbidden: 'FORBIDDEN',
}

/**
 * /v1/query: `sql`, and if wanted `db`, `data_precision` (1s, 1m) and `format`, in a URL, a form
 * or JSON. Answers {OPT_STATUS, DESCRIPTION, result: {columns, schemas, values}} (and `totals`, a
 * row, for WITH TOTALS) or, with a format of ClickHouse's, a stream in it.
 */
export function queryRoutes(query: QueryPort): Hono {
  const app = new Hono()
  app.onError((thrown, c) => failed(c, thrown))
  app.on(['GET', 'POST'], '/', async (c) => {
    const fields = await fieldsOf(c)
    const request: QueryRequest = {
      database: fields.get('db') || undefined,
      precision: precisionOf(fields.get('data_precision')),
      signal: c.req.raw.signal,
    }
    const sql = fields.get('sql')
    if (!sql)
      throw new MetaflowError('refused', 'Cannot run the query: it has no sql; send sql=SELECT …')
    const format = fields.get('format')
    if (!format) return answered(await query.run(sql, request))
    const { contentType, body } = await query.stream(sql, format, request)
    return new Response(body, { headers: { 'content-type': contentType } })
  })
  return app
}

async function fieldsOf(c: Context): Promise<ReadonlyMap<string, string>> {
  const fields = new Map(Object.entries(c.req.query()))
  if (c.req.method === 'GET') return fields
  const type = (c.req.header('content-type') ?? '').split(';', 1)[0]!.trim().toLowerCase()
  if (type === 'application/json') {
    for (const [name, value] of Object.entries(await readJson(c.req.raw, BODY_BYTES_MAX)))
      if (typeof value === 'string') fields.set(name, value)
  } else if (type === 'application/x-www-form-urlencoded' || type === 'multipart/form-data') {
    const body = await readBody(c.req.raw, BODY_BYTES_MAX)
    const headers = { 'content-type': c.req.header('content-type')! }
    const form = await new Response(body as Uint8Array<ArrayBuffer>, { headers })
      .formData()
      .catch((cause: unknown) => {
        throw new MetaflowError('refused', 'Cannot read the request: its form is broken', cause)
      })
    form.forEach((value, name) => {
      if (typeof value === 'string') fields.set(name, value)
    })
  } else
    throw new MetaflowError(
      'refused',
      'Cannot read the request: its content type is neither application/json nor a form',
    )
  return fields
}

function precisionOf(text: string | undefined): '1s' | '1m' | undefined {
  if (!text) return undefined
  if (text === '1s' || text === '1m') return text
  throw new MetaflowError('refused', 'Cannot run the query: data_precision is 1s or 1m')
}

/** Rows are put in as the text the engine wrote, so that no number loses its digits. */
function answered(answer: QueryAnswer): Response {
  const { columns, types, values, totals, isTruncated, sql, elapsedMs } = answer
  const head = JSON.stringify({ OPT_STATUS: 'SUCCESS', DESCRIPTION: '' }).slice(0, -1)
  const result = `"columns":${JSON.stringify(columns)},"schemas":${JSON.stringify(types)}`
  const tail = JSON.stringify({ truncated: isTruncated, sql, elapsed_ms: elapsedMs }).slice(1)
  const last = totals === undefined ? '' : `,"totals":${totals}`
  return new Response(
    `${head},"result":{${result},"values":[${values.join(',')}]${last}},${tail}`,
    { headers: { 'content-type': 'application/json' } },
  )
}

function failed(c: Context, thrown: unknown): Response {
  const code: ErrorCode = thrown instanceof MetaflowError ? thrown.code : 'failed'
  const body = {
    OPT_STATUS: OUTCOMES[code] ?? 'SERVER_ERROR',
    DESCRIPTION: sentenceOf(thrown),
    result: null,
    code,
  }
  return c.json(body, ERRORS[code].status)
}
