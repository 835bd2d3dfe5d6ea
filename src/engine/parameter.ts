/**
 * Query parameters as literals. The engine's own binding of parameters is not safe with several
 * connections (chdb-node#51: they clobber one another), so the text is made here.
 */

import { EngineError } from './chdb.ts'

/** `value`, as a client sends it for `{name:type}`, as an SQL expression of that type. */
export function literalOf(value: string, type: string): string {
  if (/\b(?:Map|JSON|Variant|Dynamic)\b/.test(type))
    throw new EngineError(
      `Code: 48. DB::Exception: Cannot take a parameter of type ${type}. (NOT_IMPLEMENTED)`,
    )
  if (type === 'Identifier') return `\`${value.replace(/[\\`]/g, '\\$&')}\``
  if (value === '\\N') return `CAST(NULL, ${quoted(nullable(type))})`
  return `CAST(${quoted(isEscaped(type) ? unescaped(value) : value)}, ${quoted(type)})`
}

/** At the top level text is escaped as in TabSeparated; inside arrays and tuples it is quoted. */
function isEscaped(type: string): boolean {
  return !/^(?:Array|Tuple|Nested)\b/.test(type)
}

function nullable(type: string): string {
  return /^Nullable\b|^LowCardinality\(Nullable\b/.test(type) ? type : `Nullable(${type})`
}

const ESCAPES: Readonly<Record<string, string>> = {
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  '0': '\0',
}

function unescaped(value: string): string {
  return value.replace(/\\([\s\S])/g, (_, mark: string) => ESCAPES[mark] ?? mark)
}

function quoted(text: string): string {
  return `'${text.replace(/[\\']/g, '\\$&')}'`
}
