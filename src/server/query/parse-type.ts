import { MetaflowError } from '../../lib/errors.ts'
import type { TypeArgument, TypeName } from './ast.ts'
import { Cursor } from './cursor.ts'

/**
 * Types a value may be cast to, by the name ClickHouse gives them. AggregateFunction is left out:
 * the bytes of a state are read by code that trusts them.
 */
const TYPES = (
  'Array BFloat16 Bool Date Date32 DateTime DateTime32 DateTime64 Decimal Decimal128 Decimal256 ' +
  'Decimal32 Decimal64 Enum Enum16 Enum8 FixedString Float32 Float64 IPv4 IPv6 Int128 Int16 ' +
  'Int256 Int32 Int64 Int8 LowCardinality Map Nothing Nullable String Tuple UInt128 UInt16 ' +
  'UInt256 UInt32 UInt64 UInt8 UUID'
).split(' ')
/** What other databases call them. */
const SYNONYMS: Readonly<Record<string, string>> = {
  INT: 'Int32',
  INTEGER: 'Int32',
  SMALLINT: 'Int16',
  TINYINT: 'Int8',
  BIGINT: 'Int64',
  FLOAT: 'Float32',
  DOUBLE: 'Float64',
  REAL: 'Float32',
  TEXT: 'String',
  VARCHAR: 'String',
  CHAR: 'String',
  BOOLEAN: 'Bool',
  TIMESTAMP: 'DateTime',
}
const BY_CAPITALS = new Map(TYPES.map((name) => [name.toUpperCase(), name]))

/** A type name with its arguments, from the types that may be named. */
export function parseType(cursor: Cursor): TypeName {
  return cursor.nested(() => {
    const { at } = cursor.peek()
    const written = cursor.needName('a type')
    const name = SYNONYMS[written.toUpperCase()] ?? BY_CAPITALS.get(written.toUpperCase())
    if (!name) throw cursor.fail(`${written} is no type a value can be cast to`, at)
    const args = cursor.atSymbol('(') ? cursor.listIn('(', ')', parseArgument) : undefined
    return { name, args }
  })
}

function parseArgument(cursor: Cursor): TypeArgument {
  const { kind } = cursor.peek()
  if (kind === 'number') return { kind: 'number', text: cursor.next().text }
  if (kind === 'string') {
    const value = cursor.next().text
    if (!cursor.takeSymbol('=')) return { kind: 'string', value }
    const sign = cursor.takeSymbol('-') ? '-' : ''
    if (cursor.peek().kind !== 'number') throw cursor.expected('a number')
    return { kind: 'string', value, number: `${sign}${cursor.next().text}` }
  }
  const following = cursor.peek(1).kind
  if (following === 'word' || following === 'quoted')
    return { kind: 'type', field: cursor.next().text, type: parseType(cursor) }
  return { kind: 'type', type: parseType(cursor) }
}

/** The type that a text names, if it names one. */
export function typeOf(text: string): TypeName | undefined {
  try {
    const cursor = new Cursor(text, () => {
      throw cursor.expected('a type')
    })
    const type = parseType(cursor)
    return cursor.peek().kind === 'end' ? type : undefined
  } catch (thrown) {
    if (thrown instanceof MetaflowError) return undefined
    throw thrown
  }
}
