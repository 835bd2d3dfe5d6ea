/** Answers of ClickHouse's HTTP interface: results, summaries and exceptions where clients look. */
import { randomBytes } from 'node:crypto'
import { sentenceOf } from '../lib/errors.ts'
import type { Summary } from './chdb.ts'
import type { Part } from './messages.ts'
import type { Run } from './pool.ts'

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  JSON: 'application/json; charset=UTF-8',
  JSONCompact: 'application/json; charset=UTF-8',
  JSONEachRow: 'application/x-ndjson; charset=UTF-8',
  JSONCompactEachRow: 'application/x-ndjson; charset=UTF-8',
  CSV: 'text/csv; charset=UTF-8; header=absent',
  CSVWithNames: 'text/csv; charset=UTF-8; header=present',
  TabSeparated: 'text/tab-separated-values; charset=UTF-8',
  TabSeparatedWithNames: 'text/tab-separated-values; charset=UTF-8',
  Native: 'application/octet-stream',
  RowBinary: 'application/octet-stream',
  Parquet: 'application/octet-stream',
  Arrow: 'application/octet-stream',
}

export type Asked = {
  readonly request: Request
  readonly url: URL
  readonly format: string
}

/** The answer to a statement that began well. */
export function answerOf(run: Run, asked: Asked): Response {
  const { first } = run
  const tag = randomBytes(8).toString('hex')
  const headers: Record<string, string> = {
    'content-type': CONTENT_TYPES[asked.format] ?? 'text/plain; charset=UTF-8',
    'x-clickhouse-format': asked.format,
    'x-clickhouse-timezone': 'UTC',
    'x-clickhouse-query-id': asked.url.searchParams.get('query_id') ?? crypto.randomUUID(),
    'x-clickhouse-summary': summaryText(first.summary),
    'x-clickhouse-exception-tag': tag,
  }
  const encoding = encodingOf(asked)
  if (encoding !== undefined && first.bytes.length > 0) headers['content-encoding'] = encoding
  const body = first.last ? first.bytes : bodyOf(run, tag, asked.request.signal)
  if (encoding === undefined || first.bytes.length === 0) return new Response(body, { headers })
  const plainBody = first.last ? new Blob([first.bytes]).stream() : (body as ReadableStream)
  return new Response(plainBody.pipeThrough(new CompressionStream(encoding)), { headers })
}

type Encoding = 'gzip' | 'zstd'
function encodingOf({ request, url }: Asked): Encoding | undefined {
  if (url.searchParams.get('enable_http_compression') !== '1') return undefined
  const accepted = request.headers.get('accept-encoding') ?? ''
  return /\bgzip\b/.test(accepted) ? 'gzip' : /\bzstd\b/.test(accepted) ? 'zstd' : undefined
}

/** Parts as the client reads them; what goes wrong on the way follows in ClickHouse's frame. */
function bodyOf(run: Run, tag: string, gone: AbortSignal): ReadableStream<Uint8Array> {
  let part: Part | undefined = run.first
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller): Promise<void> {
        try {
          const given: Part = part ?? (await run.next())
          part = undefined
          if (given.bytes.length > 0) controller.enqueue(given.bytes)
          if (given.last) controller.close()
        } catch (error) {
          if (gone.aborted) return
          controller.enqueue(exceptionFrame(sentenceOf(error), tag))
          controller.close()
        }
      },
      cancel: () => run.end(),
    },
    { highWaterMark: 0 },
  )
}

/** `\r\n__exception__\r\n<tag>\r\n<sentence>\n<its bytes> <tag>\r\n__exception__\r\n` */
function exceptionFrame(sentence: string, tag: string): Uint8Array {
  const line = `${sentence}\n`
  return new TextEncoder().encode(
    `\r\n__exception__\r\n${tag}\r\n${line}${Buffer.byteLength(line)} ${tag}\r\n__exception__\r\n`,
  )
}

/** Numbers travel as text, as ClickHouse sends them. */
function summaryText(summary: Summary): string {
  return JSON.stringify({
    read_rows: String(summary.readRows),
    read_bytes: String(summary.readBytes),
    written_rows: String(summary.writtenRows),
    written_bytes: String(summary.writtenBytes),
    total_rows_to_read: '0',
    result_rows: String(summary.resultRows),
    result_bytes: '0',
    elapsed_ns: String(summary.elapsedNs),
  })
}

/** ClickHouse's status of an error code; 500 is its own answer to all others. */
const STATUS: Readonly<Record<number, number>> = {
  36: 400,
  46: 404,
  47: 404,
  48: 501,
  60: 404,
  62: 400,
  81: 404,
  115: 404,
  159: 408,
  164: 500,
  202: 503,
  241: 500,
  497: 403,
  516: 403,
}

/** An engine's sentence as an answer: body, code header and status. */
export function exceptionAnswer(sentence: string): Response {
  const code = /Code: (\d+)\./.exec(sentence)?.[1] ?? '1002'
  return new Response(`${sentence}\n`, {
    status: STATUS[Number(code)] ?? 500,
    headers: { 'x-clickhouse-exception-code': code, 'content-type': 'text/plain; charset=UTF-8' },
  })
}

export function plain(text: string, status = 200): Response {
  return new Response(text, { status, headers: { 'content-type': 'text/plain; charset=UTF-8' } })
}
