import type { Binary, BinaryOperator, Case, Expression, Lambda, TypeName } from './ast.ts'
import type { Cursor } from './cursor.ts'
import { parseCall, parseSpecial } from './parse-call.ts'
import { parseStar } from './parse-star.ts'
import { parseType } from './parse-type.ts'

/** Binding powers are those of ClickHouse (src/Parsers/ExpressionListParsers.cpp). */
const LAMBDA = 1
const TERNARY = 2
const OR = 3
const AND = 4
const NOT = 5
const IS = 6
const BETWEEN = 7
const COMPARISON = 9
const CONCAT = 10
const SUM = 11
const PRODUCT = 12
const MINUS = 13
const POSTFIX = 14

const SYMBOLS: Readonly<Record<string, readonly [number, BinaryOperator]>> = {
  '=': [COMPARISON, '='],
  '==': [COMPARISON, '='],
  '!=': [COMPARISON, '!='],
  '<>': [COMPARISON, '!='],
  '<=>': [COMPARISON, 'IS NOT DISTINCT FROM'],
  '<': [COMPARISON, '<'],
  '<=': [COMPARISON, '<='],
  '>': [COMPARISON, '>'],
  '>=': [COMPARISON, '>='],
  '||': [CONCAT, '||'],
  '+': [SUM, '+'],
  '-': [SUM, '-'],
  '*': [PRODUCT, '*'],
  '/': [PRODUCT, '/'],
  '%': [PRODUCT, '%'],
}
const WORDS: readonly (readonly [string, number, BinaryOperator])[] = [
  ['OR', OR, 'OR'],
  ['AND', AND, 'AND'],
  ['IS NOT DISTINCT FROM', COMPARISON, 'IS NOT DISTINCT FROM'],
  ['IS DISTINCT FROM', COMPARISON, 'IS DISTINCT FROM'],
  ['LIKE', COMPARISON, 'LIKE'],
  ['ILIKE', COMPARISON, 'ILIKE'],
  ['NOT LIKE', COMPARISON, 'NOT LIKE'],
  ['NOT ILIKE', COMPARISON, 'NOT ILIKE'],
  ['GLOBAL IN', COMPARISON, 'IN'],
  ['GLOBAL NOT IN', COMPARISON, 'NOT IN'],
  ['IN', COMPARISON, 'IN'],
  ['NOT IN', COMPARISON, 'NOT IN'],
  ['MOD', PRODUCT, '%'],
]
const WORDS_THAT_OPERATE = new Set(
  'OR AND IS LIKE ILIKE NOT GLOBAL IN MOD DIV BETWEEN REGEXP'.split(' '),
)

/** One expression, as far as operators that bind at least as strongly as `power` carry it. */
export function parseExpression(cursor: Cursor, power = 0): Expression {
  return cursor.nested(() => {
    let left = parsePrefix(cursor)
    for (let length = 0; ; length++) {
      cursor.chain(length)
      const next = parseInfix(cursor, left, power)
      if (!next) return left
      left = next
    }
  })
}

/** An expression that may carry an alias behind AS. */
export function parseAliased(cursor: Cursor): Expression {
  const expression = parseExpression(cursor)
  const name = cursor.takeAlias(false)
  return name === undefined ? expression : { kind: 'alias', expression, name }
}

function parsePrefix(cursor: Cursor): Expression {
  const { kind, text, upper, at } = cursor.peek()
  if (kind === 'number') return { kind: 'number', text: cursor.next().text.replaceAll('_', '') }
  if (kind === 'string') return { kind: 'string', value: cursor.next().text }
  if (kind === 'symbol') return parseSymbol(cursor, text)
  if (kind === 'word') {
    const special = parseKeyword(cursor, upper)
    if (special) return special
  }
  if (kind === 'end') throw cursor.expected('an expression')
  if (cursor.atSymbol('(', 1)) return parseCall(cursor, parseAliased)
  if (cursor.atSymbol('->', 1)) {
    cursor.next()
    return parseLambda(cursor, [text])
  }
  return { kind: 'column', parts: [cursor.next().text], at }
}

function parseSymbol(cursor: Cursor, symbol: string): Expression {
  if (symbol === '(') return parseParenthesis(cursor)
  if (symbol === '[') return { kind: 'array', items: cursor.listIn('[', ']', parseAliased) }
  if (symbol === '*') return parseStar(cursor, [], parseAliased)
  if (symbol === '-') {
    cursor.next()
    return { kind: 'unary', operator: '-', operand: parseExpression(cursor, MINUS) }
  }
  if (symbol === '{' && cursor.peek(1).kind !== 'word') return parseMap(cursor)
  if (symbol === '{' || symbol === '@')
    throw cursor.fail('parameters are not taken; write the value itself')
  throw cursor.expected('an expression')
}

function parseKeyword(cursor: Cursor, word: string): Expression | undefined {
  switch (word) {
    case 'NULL':
      cursor.next()
      return { kind: 'constant', word: 'NULL' }
    case 'TRUE':
    case 'FALSE':
    case 'INF':
    case 'NAN':
      if (cursor.atSymbol('(', 1)) return undefined
      cursor.next()
      return { kind: 'constant', word: word.toLowerCase() as 'true' | 'false' | 'inf' | 'nan' }
    case 'NOT':
      if (cursor.atSymbol('(', 1) && cursor.atSymbol(')', 2)) return undefined
      cursor.next()
      return { kind: 'unary', operator: 'NOT', operand: parseExpression(cursor, NOT) }
    case 'CASE':
      return parseCase(cursor)
    case 'SELECT':
      throw cursor.fail('a SELECT inside an expression stands in parentheses')
    default:
      return parseSpecial(cursor, word, parseExpression)
  }
}

/** A subquery, a tuple, the parameters of a lambda, or an expression in parentheses. */
function parseParenthesis(cursor: Cursor): Expression {
  if (cursor.atWords('SELECT', 1) || cursor.atWords('WITH', 1)) return parseSubquery(cursor)
  const { at } = cursor.next()
  if (cursor.takeSymbol(')')) return { kind: 'tuple', items: [] }
  const items = [parseAliased(cursor)]
  let comma = false
  while (cursor.takeSymbol(',')) {
    comma = true
    if (cursor.atSymbol(')')) break
    items.push(parseAliased(cursor))
  }
  cursor.needSymbol(')')
  if (cursor.atSymbol('->')) return parseLambda(cursor, parametersOf(cursor, items, at))
  return comma ? { kind: 'tuple', items } : items[0]!
}

/** {'a': 1, 'b': 2} */
function parseMap(cursor: Cursor): Expression {
  const { at } = cursor.peek()
  const pairs = cursor.listIn('{', '}', (c) => {
    const key = parseExpression(c)
    c.needSymbol(':')
    return [key, parseExpression(c)]
  })
  return { kind: 'call', name: 'map', at, args: pairs.flat() }
}

/** A query in parentheses, as a value. */
function parseSubquery(cursor: Cursor): Expression {
  cursor.needSymbol('(')
  const query = cursor.nested(() => cursor.readQuery(cursor))
  cursor.needSymbol(')')
  return { kind: 'subquery', query }
}

function parametersOf(cursor: Cursor, items: readonly Expression[], at: number): string[] {
  return items.map((item) => {
    if (item.kind !== 'column' || item.parts.length !== 1)
      throw cursor.fail("a lambda's parameters are names", at)
    return item.parts[0]!
  })
}

function parseLambda(cursor: Cursor, parameters: readonly string[]): Lambda {
  cursor.needSymbol('->')
  return { kind: 'lambda', parameters, body: parseExpression(cursor, LAMBDA) }
}

function parseCase(cursor: Cursor): Case {
  cursor.needWords('CASE')
  const operand = cursor.atWords('WHEN') ? undefined : parseExpression(cursor)
  const branches: { when: Expression; result: Expression }[] = []
  while (cursor.takeWords('WHEN')) {
    const when = parseExpression(cursor)
    cursor.needWords('THEN')
    branches.push({ when, result: parseExpression(cursor) })
  }
  if (branches.length === 0) throw cursor.expected('WHEN')
  const otherwise = cursor.takeWords('ELSE') ? parseExpression(cursor) : undefined
  cursor.needWords('END')
  return { kind: 'case', operand, branches, otherwise }
}

function parseInfix(cursor: Cursor, left: Expression, power: number): Expression | undefined {
  const { kind, text, upper } = cursor.peek()
  if (kind === 'symbol') return parseSymbolInfix(cursor, left, text, power)
  if (kind !== 'word' || !WORDS_THAT_OPERATE.has(upper)) return undefined
  return parseTest(cursor, left, power) ?? parseWordInfix(cursor, left, power)
}

function parseSymbolInfix(
  cursor: Cursor,
  left: Expression,
  symbol: string,
  power: number,
): Expression | undefined {
  if (symbol === '.' || symbol === '[' || symbol === '::')
    return power > POSTFIX ? undefined : parsePostfix(cursor, left, symbol)
  if (symbol === '?') return power > TERNARY ? undefined : parseTernary(cursor, left)
  const operator = SYMBOLS[symbol]
  if (!operator || operator[0] < power) return undefined
  const { at } = cursor.next()
  const right = parseExpression(cursor, operator[0] + 1)
  if (symbol === '*' && left.kind === 'star') throw cursor.fail('a star is no number', at)
  return { kind: 'binary', operator: operator[1], left, right }
}

function parsePostfix(cursor: Cursor, left: Expression, symbol: string): Expression {
  cursor.next()
  if (symbol === '::') return { kind: 'cast', operand: left, type: parseType(cursor) as TypeName }
  if (symbol === '[') {
    const index = parseExpression(cursor)
    cursor.needSymbol(']')
    return { kind: 'index', operand: left, index }
  }
  if (cursor.atSymbol('*') && left.kind === 'column')
    return parseStar(cursor, left.parts, parseAliased)
  if (cursor.peek().kind === 'number')
    return { kind: 'element', operand: left, element: Number(cursor.next().text) }
  const name = cursor.needName('a name')
  if (left.kind === 'column') return { ...left, parts: [...left.parts, name] }
  return { kind: 'element', operand: left, element: name }
}

function parseTernary(cursor: Cursor, condition: Expression): Expression {
  const { at } = cursor.next()
  const then = parseExpression(cursor, TERNARY + 1)
  cursor.needSymbol(':')
  const otherwise = parseExpression(cursor, TERNARY)
  return { kind: 'call', name: 'if', at, args: [condition, then, otherwise] }
}

/** IS NULL, BETWEEN, REGEXP, DIV: what is no plain binary operator. */
function parseTest(cursor: Cursor, left: Expression, power: number): Expression | undefined {
  const { at } = cursor.peek()
  const isNull = !cursor.atWords('IS NOT DISTINCT') && !cursor.atWords('IS DISTINCT')
  if (cursor.atWords('IS') && isNull) {
    if (power > IS) return undefined
    cursor.next()
    const negated = cursor.takeWords('NOT')
    cursor.needWords('NULL')
    return { kind: 'isNull', negated, operand: left }
  }
  if (cursor.atWords('BETWEEN') || cursor.atWords('NOT BETWEEN')) {
    if (power > BETWEEN) return undefined
    const negated = cursor.takeWords('NOT')
    cursor.needWords('BETWEEN')
    const low = parseExpression(cursor, BETWEEN + 1)
    cursor.needWords('AND')
    const high = parseExpression(cursor, BETWEEN + 1)
    return { kind: 'between', negated, operand: left, low, high }
  }
  const named = namedOperator(cursor, power)
  if (!named) return undefined
  const right = parseExpression(cursor, named.power + 1)
  const call: Expression = { kind: 'call', name: named.name, at, args: [left, right] }
  return named.negated ? { kind: 'unary', operator: 'NOT', operand: call } : call
}

function namedOperator(
  cursor: Cursor,
  power: number,
): { name: string; power: number; negated: boolean } | undefined {
  if (power <= PRODUCT && cursor.takeWords('DIV'))
    return { name: 'intDiv', power: PRODUCT, negated: false }
  if (power > COMPARISON) return undefined
  if (cursor.takeWords('REGEXP')) return { name: 'match', power: COMPARISON, negated: false }
  if (cursor.takeWords('NOT REGEXP')) return { name: 'match', power: COMPARISON, negated: true }
  return undefined
}

function parseWordInfix(cursor: Cursor, left: Expression, power: number): Binary | undefined {
  for (const [words, binds, operator] of WORDS)
    if (binds >= power && cursor.takeWords(words)) {
      const right = parseExpression(cursor, binds + 1)
      const isIn = operator === 'IN' || operator === 'NOT IN'
      return { kind: 'binary', operator, left, right: isIn ? setOf(right) : right }
    }
  return undefined
}

/** `x IN ('a')` has a list of one. */
function setOf(right: Expression): Expression {
  return right.kind === 'string' || right.kind === 'number'
    ? { kind: 'tuple', items: [right] }
    : right
}
