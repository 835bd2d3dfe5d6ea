import type { Call, Expression, TypeName } from './ast.ts'
import type { Cursor } from './cursor.ts'
import { parseType, typeOf } from './parse-type.ts'
import { parseWindow } from './parse-window.ts'

type Read = (cursor: Cursor) => Expression
type ReadPower = (cursor: Cursor, power?: number) => Expression

/** Units of INTERVAL and of the functions that take a bare unit. */
const UNITS: Readonly<Record<string, string>> = {
  NANOSECOND: 'Nanosecond',
  MICROSECOND: 'Microsecond',
  MILLISECOND: 'Millisecond',
  SECOND: 'Second',
  MINUTE: 'Minute',
  HOUR: 'Hour',
  DAY: 'Day',
  WEEK: 'Week',
  MONTH: 'Month',
  QUARTER: 'Quarter',
  YEAR: 'Year',
}
const EXTRACTS: Readonly<Record<string, string>> = { ...UNITS, DAY: 'DayOfMonth', WEEK: 'ISOWeek' }
/** Functions whose first argument may be a bare unit, by what they do. */
const UNIT_FIRST: Readonly<Record<string, 'add' | 'subtract' | 'difference'>> = {
  DATE_ADD: 'add',
  DATEADD: 'add',
  TIMESTAMP_ADD: 'add',
  TIMESTAMPADD: 'add',
  DATE_SUB: 'subtract',
  DATESUB: 'subtract',
  TIMESTAMP_SUB: 'subtract',
  TIMESTAMPSUB: 'subtract',
  DATE_DIFF: 'difference',
  DATEDIFF: 'difference',
  TIMESTAMP_DIFF: 'difference',
  TIMESTAMPDIFF: 'difference',
  AGE: 'difference',
}

/** `name(…)`, `name(…)(…)`, with DISTINCT, FILTER, IGNORE NULLS and OVER. */
export function parseCall(cursor: Cursor, read: Read): Call {
  const { text: name, at } = cursor.next()
  let parameters: readonly Expression[] | undefined
  let { args, distinct } = parseArguments(cursor, read)
  if (cursor.atSymbol('(')) {
    parameters = args
    ;({ args, distinct } = parseArguments(cursor, read))
  }
  const nulls = cursor.takeOneOf(['IGNORE NULLS', 'RESPECT NULLS'])
  let filter: Expression | undefined
  if (cursor.takeWords('FILTER')) {
    cursor.needSymbol('(')
    cursor.needWords('WHERE')
    filter = read(cursor)
    cursor.needSymbol(')')
  }
  let over: Call['over']
  if (cursor.takeWords('OVER'))
    over = cursor.atSymbol('(') ? parseWindow(cursor, read) : cursor.needName('a window')
  return {
    kind: 'call',
    name,
    at,
    args,
    ...(parameters && { parameters }),
    ...(distinct && { distinct }),
    ...(nulls && { nulls: nulls === 'IGNORE NULLS' ? 'IGNORE' : 'RESPECT' }),
    ...(filter && { filter }),
    ...(over !== undefined && { over }),
  }
}

function parseArguments(
  cursor: Cursor,
  read: Read,
): { args: readonly Expression[]; distinct: boolean } {
  cursor.needSymbol('(')
  const distinct = cursor.takeWords('DISTINCT')
  if (!distinct) cursor.takeWords('ALL')
  if (cursor.takeSymbol(')')) return { args: [], distinct }
  if (cursor.atWords('SELECT') || cursor.atWords('WITH')) {
    const query = cursor.nested(() => cursor.readQuery(cursor))
    cursor.needSymbol(')')
    return { args: [{ kind: 'subquery', query }], distinct }
  }
  const args = cursor.list(read)
  cursor.needSymbol(')')
  return { args, distinct }
}

/** What is written unlike a call: INTERVAL, CAST, EXTRACT, EXISTS and the like; else undefined. */
export function parseSpecial(
  cursor: Cursor,
  word: string,
  read: ReadPower,
): Expression | undefined {
  if (word === 'INTERVAL' && !cursor.atSymbol('(', 1)) return parseInterval(cursor, read)
  if (word === 'DATE' || word === 'TIMESTAMP') return parseDate(cursor, word)
  if (!cursor.atSymbol('(', 1)) return undefined
  const operation = UNIT_FIRST[word]
  if (operation && unitOf(cursor.peek(2).upper)) return parseUnitFirst(cursor, operation, read)
  switch (word) {
    case 'INTERVAL':
      return parseInterval(cursor, read)
    case 'CAST':
      return parseCast(cursor, read)
    case 'EXISTS':
      return parseExists(cursor)
    case 'EXTRACT':
      return EXTRACTS[cursor.peek(2).upper] && cursor.atWords('FROM', 3)
        ? parseExtract(cursor, read)
        : undefined
    case 'SUBSTRING':
    case 'TRIM':
    case 'POSITION':
      return parseStandard(cursor, word, read)
    default:
      return undefined
  }
}

function unitOf(word: string): string | undefined {
  return UNITS[word] ?? UNITS[word.replace(/S$/, '')]
}

function call(name: string, at: number, args: readonly Expression[]): Call {
  return { kind: 'call', name, at, args }
}

/** INTERVAL n UNIT, or INTERVAL 'n unit'. */
function parseInterval(cursor: Cursor, read: ReadPower): Expression {
  const { at } = cursor.next()
  if (cursor.peek().kind === 'string') {
    const match = /^\s*(-?\d+)\s*([A-Za-z]+)\s*$/.exec(cursor.next().text)
    const unit = match && unitOf(match[2]!.toUpperCase())
    if (unit) return call(`toInterval${unit}`, at, [{ kind: 'number', text: match[1]! }])
    throw cursor.fail("an interval is written as INTERVAL 5 MINUTE or '5 minute'", at)
  }
  const amount = read(cursor, 11)
  const unit = unitOf(cursor.peek().upper)
  if (!unit) throw cursor.expected('a unit, such as MINUTE')
  cursor.next()
  return call(`toInterval${unit}`, at, [amount])
}

/** DATE '2026-01-31' and TIMESTAMP '2026-01-31 10:00:00'. */
function parseDate(cursor: Cursor, word: string): Expression | undefined {
  if (cursor.peek(1).kind !== 'string') return undefined
  const { at } = cursor.next()
  const name = word === 'DATE' ? 'toDate' : 'toDateTime'
  return call(name, at, [{ kind: 'string', value: cursor.next().text }])
}

function parseUnitFirst(
  cursor: Cursor,
  operation: 'add' | 'subtract' | 'difference',
  read: ReadPower,
): Expression {
  const { at } = cursor.next()
  cursor.needSymbol('(')
  const unit = unitOf(cursor.next().upper)!
  const args: Expression[] = []
  while (cursor.takeSymbol(',')) args.push(read(cursor))
  cursor.needSymbol(')')
  if (operation === 'difference')
    return call('dateDiff', at, [{ kind: 'string', value: unit.toLowerCase() }, ...args])
  if (args.length !== 2) throw cursor.fail('it takes a unit, a number and a time', at)
  return {
    kind: 'binary',
    operator: operation === 'add' ? '+' : '-',
    left: args[1]!,
    right: call(`toInterval${unit}`, at, [args[0]!]),
  }
}

/** CAST(x AS T) and CAST(x, 'T'). */
function parseCast(cursor: Cursor, read: ReadPower): Expression {
  cursor.next()
  cursor.needSymbol('(')
  const operand = read(cursor)
  let type: TypeName
  if (cursor.takeWords('AS')) type = parseType(cursor)
  else {
    cursor.needSymbol(',')
    const { kind, text, at } = cursor.peek()
    if (kind !== 'string') throw cursor.expected('a type')
    cursor.next()
    const named = typeOf(text)
    if (!named) throw cursor.fail(`${text} is no type a value can be cast to`, at)
    type = named
  }
  cursor.needSymbol(')')
  return { kind: 'cast', operand, type }
}

function parseExists(cursor: Cursor): Expression | undefined {
  if (!cursor.atWords('SELECT', 2) && !cursor.atWords('WITH', 2)) return undefined
  cursor.next()
  cursor.needSymbol('(')
  const query = cursor.nested(() => cursor.readQuery(cursor))
  cursor.needSymbol(')')
  return { kind: 'exists', query }
}

function parseExtract(cursor: Cursor, read: ReadPower): Expression {
  const { at } = cursor.next()
  cursor.needSymbol('(')
  const unit = EXTRACTS[cursor.next().upper]!
  cursor.needWords('FROM')
  const operand = read(cursor)
  cursor.needSymbol(')')
  return call(`to${unit}`, at, [operand])
}

/** SUBSTRING(s FROM a FOR b), TRIM(BOTH 'x' FROM s), POSITION(a IN s), and their plain forms. */
function parseStandard(cursor: Cursor, word: string, read: ReadPower): Expression | undefined {
  const { text, at } = cursor.next()
  cursor.needSymbol('(')
  const side = word === 'TRIM' ? cursor.takeOneOf(['BOTH', 'LEADING', 'TRAILING']) : undefined
  // POSITION's IN is no operator: read what binds tighter.
  const args = [read(cursor, word === 'POSITION' ? 10 : 0)]
  if (word === 'POSITION' && cursor.takeWords('IN')) args.unshift(read(cursor))
  else if (side && cursor.takeWords('FROM')) args.unshift(read(cursor))
  else if (cursor.takeWords('FROM')) {
    args.push(read(cursor))
    if (cursor.takeWords('FOR')) args.push(read(cursor))
  }
  while (cursor.takeSymbol(',')) args.push(read(cursor))
  cursor.needSymbol(')')
  const sides = { BOTH: 'trimBoth', LEADING: 'trimLeft', TRAILING: 'trimRight' } as const
  return call(side ? sides[side] : text, at, args)
}
