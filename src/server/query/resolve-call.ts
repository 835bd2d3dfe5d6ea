import type { Call, Expression } from './ast.ts'
import type { Context } from './context.ts'
import { type AllowedFunction, functionNames, functionOf, NAMES_REFUSED } from './functions.ts'
import { guess } from './guess.ts'
import { typeOf } from './parse-type.ts'
import { Scope } from './scope.ts'
import { mapWindow } from './walk.ts'
import { printedWords, wordsOf } from './words.ts'

export type Resolver = {
  readonly context: Context
  readonly resolve: (e: Expression, scope: Scope, context: Context) => Expression
}

const TYPED = new Set([
  'accurateCast',
  'accurateCastOrNull',
  'accurateCastOrDefault',
  'reinterpret',
  'JSONExtract',
  'JSONExtractCaseInsensitive',
  'JSONExtractKeysAndValues',
  'JSONExtractKeysAndValuesCaseInsensitive',
])
const NAMES_AGGREGATE = new Set(['arrayReduce', 'arrayReduceInRanges'])

/** A call, if the fence lets it through: the function known, what it is handed fit for it. */
export function resolveCall(call: Call, scope: Scope, resolver: Resolver): Expression {
  const { context } = resolver
  if (call.name.toLowerCase() === 'enum') return resolveEnum(call, scope, resolver)
  const known = functionOf(call.name)
  if (!known)
    throw context.fail(
      call.at,
      `${call.name} is no function a query may call${suggestion(call.name)}`,
    )
  checkForm(call, known, context)
  checkTexts(call, known.name, context)
  const { distinct: _, filter, over, parameters, ...rest } = named(call, known, context)
  const read = (e: Expression): Expression => resolver.resolve(e, scope, context)
  const args = ofRows(call, known, scope, () => [
    ...rest.args.map((arg) => resolveArgument(arg, scope, resolver)),
    ...(filter ? [read(filter)] : []),
  ])
  return {
    ...rest,
    args,
    ...(parameters && { parameters: parameters.map(read) }),
    ...(over !== undefined && { over: typeof over === 'string' ? over : mapWindow(over, read) }),
  }
}

/** What an aggregate is handed is read of rows, wherever it stands. */
function ofRows<T>(call: Call, { kind }: AllowedFunction, scope: Scope, read: () => T): T {
  const { isOfRows } = scope
  if (kind === 'aggregate' && call.over === undefined) scope.isOfRows = true
  const result = read()
  scope.isOfRows = isOfRows
  return result
}

/** Short names are near to everything, and some are known well but not allowed. */
function suggestion(name: string): string {
  const isGuess = name.length > 3 && !NAMES_REFUSED.has(name.toLowerCase())
  return isGuess ? guess(name, functionNames()) : ''
}

function resolveArgument(arg: Expression, scope: Scope, resolver: Resolver): Expression {
  const { context, resolve } = resolver
  if (arg.kind !== 'lambda') return resolve(arg, scope, context)
  context.spend(1)
  for (const parameter of arg.parameters) context.takeName(parameter)
  const body = resolve(arg.body, new Scope(scope, arg.parameters), context)
  return { ...arg, body }
}

/** Enum(l7_protocol): the word, as the peers' users know it; of what is a word, the word itself. */
function resolveEnum(call: Call, scope: Scope, { context, resolve }: Resolver): Expression {
  const [column, ...others] = call.args
  const isAlone = column !== undefined && others.length === 0
  const words = isAlone ? wordsOf(column, scope, 0) : undefined
  if (words)
    return { ...printedWords(words, resolve(column!, scope, context)), expanded: 'Enum' } as Call
  if (!isAlone || !isWord(column, scope))
    throw context.fail(call.at, 'Enum takes one column whose numbers have words')
  return { ...call, name: 'toString', args: [resolve(column, scope, context)] }
}

function isWord(e: Expression, scope: Scope): boolean {
  const found = e.kind === 'column' ? scope.find(e.parts, e.at)?.found : undefined
  return found?.kind === 'column' && found.info?.kind === 'string'
}

/** DISTINCT, FILTER and `count(*)` as what they are short for; the name as ClickHouse has it. */
function named(call: Call, known: AllowedFunction, context: Context): Call {
  const args = call.args.filter((arg) => arg.kind !== 'star' || known.name !== 'count')
  let { name } = known
  if (call.distinct) {
    if (args.length === 0) throw context.fail(call.at, 'DISTINCT takes what is to be distinct')
    name = name === 'count' ? 'uniqExact' : `${name}Distinct`
  }
  if (call.filter) name += 'If'
  return { ...call, name, args }
}

function checkForm(call: Call, { name, kind }: AllowedFunction, context: Context): void {
  const isAggregate = kind !== 'scalar'
  if (!isAggregate && call.parameters)
    throw context.fail(call.at, `${name} takes no parameters before its arguments`)
  if (!isAggregate && (call.distinct || call.filter || call.nulls))
    throw context.fail(call.at, `${name} is no aggregate: it takes no DISTINCT, FILTER or NULLS`)
  if (!isAggregate && call.over !== undefined)
    throw context.fail(call.at, `${name} is no aggregate or window function: it takes no OVER`)
  if (kind === 'window' && call.over === undefined)
    throw context.fail(call.at, `${name} is a window function: it takes OVER`)
}

/** Texts that name things: dictionaries of the catalog, types, aggregates. */
function checkTexts(call: Call, name: string, context: Context): void {
  if (name.startsWith('dict')) checkDictionary(call, name, context)
  if (NAMES_AGGREGATE.has(name)) {
    const text = literal(call.args[0])?.replace(/\(.*$/s, '')
    if (text === undefined || functionOf(text)?.kind !== 'aggregate')
      throw context.fail(call.at, `${name} takes the name of an aggregate that a query may call`)
  }
  if (!TYPED.has(name)) return
  const at = name.startsWith('JSON') ? call.args.length - 1 : 1
  const text = literal(call.args[at])
  if (text === undefined || !typeOf(text))
    throw context.fail(call.at, `${name} takes a type a value can be cast to`)
}

function checkDictionary(call: Call, name: string, context: Context): void {
  const [dictionary, attribute] = [literal(call.args[0]), literal(call.args[1])]
  const attributes = context.catalog.dictionaries.get(dictionary ?? '')
  if (!attributes) {
    const known = [...context.catalog.dictionaries.keys()].join(', ')
    throw context.fail(call.at, `${name} takes a dictionary of the catalog: ${known}`)
  }
  if (name !== 'dictHas' && !attributes.includes(attribute ?? ''))
    throw context.fail(call.at, `${dictionary} has ${attributes.join(', ')}`)
}

function literal(e: Expression | undefined): string | undefined {
  return e?.kind === 'string' ? e.value : undefined
}
