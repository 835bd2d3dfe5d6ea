import { ENUMS } from '../../model/tables/enums.ts'
import type { BinaryOperator, Expression } from './ast.ts'
import type { Context } from './context.ts'
import { guess } from './guess.ts'
import type { Scope } from './scope.ts'

/** Columns whose numbers have words: what is compared with a word is compared with its number. */

const EQUALITIES: ReadonlySet<BinaryOperator> = new Set([
  '=',
  '!=',
  'IS NOT DISTINCT FROM',
  'IS DISTINCT FROM',
])
const PATTERNS: ReadonlySet<BinaryOperator> = new Set(['LIKE', 'ILIKE', 'NOT LIKE', 'NOT ILIKE'])

type Worded = { readonly words: string; readonly number: Expression }

/** `e` with the words in it turned into numbers; `e` itself where there are none. */
export function compareWords(e: Expression, scope: Scope, context: Context): Expression {
  if (e.kind === 'binary') return compareBinary(e, scope, context)
  if (e.kind !== 'case' || !e.operand) return e
  const worded = wordedOf(e.operand, scope)
  if (!worded || !e.branches.some(({ when }) => when.kind === 'string')) return e
  const branches = e.branches.map(({ when, result }) => ({
    when: numberOf(when, worded.words, context),
    result,
  }))
  return { ...e, operand: worded.number, branches }
}

function compareBinary(
  e: Extract<Expression, { kind: 'binary' }>,
  scope: Scope,
  context: Context,
): Expression {
  const { operator, left, right } = e
  if (EQUALITIES.has(operator)) {
    const [a, b] = [wordedOf(left, scope), wordedOf(right, scope)]
    if (a && right.kind === 'string')
      return { ...e, left: a.number, right: numberOf(right, a.words, context) }
    if (b && left.kind === 'string')
      return { ...e, left: numberOf(left, b.words, context), right: b.number }
    return e
  }
  const worded = wordedOf(left, scope)
  if (!worded) return e
  if (PATTERNS.has(operator)) return left.kind === 'call' ? e : { ...e, left: enumCall(left) }
  const isSet = operator === 'IN' || operator === 'NOT IN'
  if (!isSet || (right.kind !== 'tuple' && right.kind !== 'array')) return e
  if (!right.items.some((item) => item.kind === 'string')) return e
  const items = right.items.map((item) => numberOf(item, worded.words, context))
  return { ...e, left: worded.number, right: { ...right, items } }
}

/** The words of a column, of an alias of it, or of Enum() of either. */
function wordedOf(e: Expression, scope: Scope): Worded | undefined {
  if (e.kind === 'call' && e.name.toLowerCase() === 'enum' && e.args.length === 1)
    return wordedOf(e.args[0]!, scope)
  const words = wordsOf(e, scope, 0)
  return words === undefined ? undefined : { words, number: e }
}

/** The key of the words that `e` has numbers of. */
export function wordsOf(e: Expression, scope: Scope, depth: number): string | undefined {
  if (depth > 20 || e.kind !== 'column') return undefined
  const meaning = scope.find(e.parts, e.at)
  if (!meaning || meaning.taken !== e.parts.length) return undefined
  const { found } = meaning
  if (found.kind === 'column') return found.info?.words
  return found.kind === 'alias' ? wordsOf(found.expression, found.scope, depth + 1) : undefined
}

/** The number of a word, in any case; what is no string stays. Unknown words are refused. */
function numberOf(e: Expression, words: string, context: Context): Expression {
  if (e.kind !== 'string' || /^\d+$/.test(e.value)) return e
  const wanted = e.value.toLowerCase()
  const known = ENUMS[words]!
  for (const number in known)
    if (known[Number(number)]!.toLowerCase() === wanted) return { kind: 'number', text: number }
  const near = guess(e.value, Object.values(known))
  throw context.fail(undefined, `${words} is never '${e.value}'${near}`)
}

function enumCall(column: Expression): Expression {
  return { kind: 'call', name: 'Enum', at: 0, args: [column] }
}

/** What Enum(column) is written as: the number's word, or the number where it has none. */
export function printedWords(words: string, column: Expression): Expression {
  const known = Object.entries(ENUMS[words]!)
  return {
    kind: 'call',
    name: 'transform',
    at: 0,
    args: [
      column,
      { kind: 'array', items: known.map(([number]) => ({ kind: 'number', text: number })) },
      { kind: 'array', items: known.map(([, word]) => ({ kind: 'string', value: word })) },
      { kind: 'call', name: 'toString', at: 0, args: [column] },
    ],
  }
}
