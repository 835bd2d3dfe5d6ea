/**
 * The part of ClickHouse's HTTP interface that @clickhouse/client uses, over the embedded engine.
 * https://clickhouse.com/docs/interfaces/http
 */
import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import { sentenceOf } from '../lib/errors.ts'
import { equalSecrets } from '../lib/secrets.ts'
import { answerOf, exceptionAnswer, plain } from './answer.ts'
import { EngineError } from './chdb.ts'
import type { Role } from './messages.ts'
import type { Pool } from './pool.ts'
import { type Request as Parts, statementOf } from './statement.ts'

export type Users = Readonly<Record<Role, string>>
export type Pools = Readonly<Record<Role, Pool>>

/** Rows of one insert at most, as they travel. */
export const BODY_BYTES_MAX: number = 1024 * 1024 * 1024

/** Answers requests: users by their passwords, statements by the pool of the user's role. */
export function handler(users: Users, pools: Pools): (request: Request) => Promise<Response> {
  return async (request) => {
    const url = new URL(request.url)
    if (url.pathname === '/ping' || url.pathname === '/replicas_status') return plain('Ok.\n')
    if (url.pathname !== '/') return plain('There is nothing here: statements go to /.\n', 404)
    const role = roleOf(request, url, users)
    if (role === undefined)
      return exceptionAnswer(
        'Code: 516. DB::Exception: Authentication failed. (AUTHENTICATION_FAILED)',
      )
    try {
      const { statement, rows } = statementOf(await partsOf(request, url))
      if (statement.sql.trim() === '') return plain('Ok.\n')
      const run = await pools[role].run(statement, rows, request.signal)
      return answerOf(run, { request, url, format: statement.format })
    } catch (error) {
      if (error instanceof EngineError) return exceptionAnswer(error.message)
      return exceptionAnswer(`Code: 1002. DB::Exception: ${sentenceOf(error)}. (UNKNOWN_EXCEPTION)`)
    }
  }
}

/** The user, by basic authorization, ClickHouse's own headers, or the URL. */
function roleOf(request: Request, url: URL, users: Users): Role | undefined {
  const basic = /^Basic +(\S+)$/i.exec(request.headers.get('authorization') ?? '')?.[1]
  const [name, password] =
    basic === undefined
      ? [
          request.headers.get('x-clickhouse-user') ?? url.searchParams.get('user') ?? '',
          request.headers.get('x-clickhouse-key') ?? url.searchParams.get('password') ?? '',
        ]
      : splitOnce(Buffer.from(basic, 'base64').toString())
  if (name !== 'writer' && name !== 'reader') return undefined
  return equalSecrets(password, users[name]) ? name : undefined
}

function splitOnce(text: string): [string, string] {
  const colon = text.indexOf(':')
  return colon < 0 ? [text, ''] : [text.slice(0, colon), text.slice(colon + 1)]
}

/** URL parameters that are the interface's own; all others are settings of the statement. */
const OWN = new Set([
  'query',
  'query_id',
  'database',
  'default_format',
  'user',
  'password',
  'enable_http_compression',
  'wait_end_of_query',
  'buffer_size',
  'send_progress_in_http_headers',
  'http_headers_progress_interval_ms',
  'cancel_http_readonly_queries_on_client_close',
  'http_write_exception_in_output_format',
  'role',
])
/** Those that would need what the engine does not have. */
const REFUSED: Readonly<Record<string, string>> = {
  session_id: 'sessions are not kept',
  session_timeout: 'sessions are not kept',
  compress: 'blocks framed by ClickHouse itself are not spoken',
  decompress: 'blocks framed by ClickHouse itself are not spoken',
  client_protocol_version: 'Native blocks of later revisions are not spoken',
}

async function partsOf(request: Request, url: URL): Promise<Parts> {
  const parameters = new Map<string, string>()
  const settings: Record<string, string> = {}
  for (const [name, value] of url.searchParams) {
    if (name.startsWith('param_')) parameters.set(name.slice('param_'.length), value)
    else if (!OWN.has(name)) settings[checkedSetting(name)] = value
  }
  const form = await formOf(request, parameters)
  const { searchParams } = url
  const { headers } = request
  return {
    query: form ?? searchParams.get('query') ?? '',
    body: form === undefined ? await bodyOf(request) : new Uint8Array(0),
    parameters,
    settings,
    database: searchParams.get('database') ?? headers.get('x-clickhouse-database') ?? 'default',
    defaultFormat:
      searchParams.get('default_format') ?? headers.get('x-clickhouse-format') ?? 'TabSeparated',
  }
}

function checkedSetting(name: string): string {
  const refused = REFUSED[name]
  if (refused !== undefined)
    throw new EngineError(
      `Code: 48. DB::Exception: Cannot take ${name}: ${refused} by the embedded engine. (NOT_IMPLEMENTED)`,
    )
  if (/^[A-Za-z]\w*$/.test(name)) return name
  throw new EngineError(`Code: 115. DB::Exception: Unknown setting '${name}'. (UNKNOWN_SETTING)`)
}

/** The query of a form, whose parameters join `parameters`; undefined where it is none. */
async function formOf(
  request: Request,
  parameters: Map<string, string>,
): Promise<string | undefined> {
  if (!request.headers.get('content-type')?.startsWith('multipart/form-data')) return undefined
  let query = ''
  for (const [name, value] of await request.formData()) {
    if (typeof value !== 'string') continue
    if (name === 'query') query = value
    if (name.startsWith('param_')) parameters.set(name.slice('param_'.length), value)
  }
  return query
}

async function bodyOf(request: Request): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(await request.arrayBuffer())
  const encoding = request.headers.get('content-encoding') ?? 'identity'
  const limit = { maxOutputLength: BODY_BYTES_MAX }
  if (encoding === 'identity' || bytes.length === 0) return bytes
  if (encoding === 'gzip') return own(gunzipSync(bytes, limit))
  if (encoding === 'zstd') return own(zstdDecompressSync(bytes, limit))
  throw new EngineError(
    `Code: 48. DB::Exception: Cannot read the request: its encoding is ${encoding}, not gzip or zstd. (NOT_IMPLEMENTED)`,
  )
}

/** Bytes that nothing else shares a buffer with: they are handed over to a Worker. */
function own(bytes: Buffer): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(bytes)
}
