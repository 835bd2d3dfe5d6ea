import { MetaflowError } from '../../lib/errors.ts'
import { guess } from './guess.ts'

/** ClickHouse's formats that an answer may be asked for in, and what each is to HTTP. */
const FORMATS: Readonly<Record<string, string>> = {
  JSON: 'application/json',
  JSONStrings: 'application/json',
  JSONCompact: 'application/json',
  JSONCompactStrings: 'application/json',
  JSONColumns: 'application/json',
  JSONColumnsWithMetadata: 'application/json',
  JSONEachRow: 'application/x-ndjson',
  JSONStringsEachRow: 'application/x-ndjson',
  JSONCompactEachRow: 'application/x-ndjson',
  JSONCompactEachRowWithNames: 'application/x-ndjson',
  JSONCompactEachRowWithNamesAndTypes: 'application/x-ndjson',
  CSV: 'text/csv; charset=utf-8',
  CSVWithNames: 'text/csv; charset=utf-8; header=present',
  CSVWithNamesAndTypes: 'text/csv; charset=utf-8; header=present',
  TabSeparated: 'text/tab-separated-values; charset=utf-8',
  TabSeparatedWithNames: 'text/tab-separated-values; charset=utf-8',
  TabSeparatedWithNamesAndTypes: 'text/tab-separated-values; charset=utf-8',
  TSV: 'text/tab-separated-values; charset=utf-8',
  TSVWithNames: 'text/tab-separated-values; charset=utf-8',
  TSVWithNamesAndTypes: 'text/tab-separated-values; charset=utf-8',
  Pretty: 'text/plain; charset=utf-8',
  PrettyCompact: 'text/plain; charset=utf-8',
  PrettyCompactMonoBlock: 'text/plain; charset=utf-8',
  PrettyNoEscapes: 'text/plain; charset=utf-8',
  Vertical: 'text/plain; charset=utf-8',
  Markdown: 'text/markdown; charset=utf-8',
  Values: 'text/plain; charset=utf-8',
  XML: 'application/xml',
  Native: 'application/octet-stream',
  RowBinary: 'application/octet-stream',
  RowBinaryWithNames: 'application/octet-stream',
  RowBinaryWithNamesAndTypes: 'application/octet-stream',
  MsgPack: 'application/octet-stream',
  Arrow: 'application/vnd.apache.arrow.file',
  ArrowStream: 'application/vnd.apache.arrow.stream',
  Parquet: 'application/vnd.apache.parquet',
}

/** The content type of a format; throws for what is no format an answer may have. */
export function contentTypeOf(format: string): string {
  const type = Object.hasOwn(FORMATS, format) ? FORMATS[format] : undefined
  if (type) return type
  throw new MetaflowError(
    'refused',
    `Cannot answer in ${format.slice(0, 64)}: it is no format of an answer` +
      guess(format, Object.keys(FORMATS)),
  )
}
