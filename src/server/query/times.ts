import type { Expression, Select } from './ast.ts'

/** The range of `time` that a SELECT asks for, s since 1970, where it can be told. */
export type Times = { readonly from: number | undefined; readonly to: number | undefined }

const UNITS: ReadonlyMap<string, number> = new Map([
  ['second', 1],
  ['minute', 60],
  ['hour', 3600],
  ['day', 86_400],
  ['week', 604_800],
])

/** What PREWHERE and WHERE say of `time`: its greatest lower and least upper bound. */
export function timesOf({ prewhere, where }: Select, now: number): Times {
  let from: number | undefined
  let to: number | undefined
  const bound = (operator: string, value: number | undefined): void => {
    if (value === undefined) return
    if (operator.startsWith('>') || operator === '=') from = Math.max(from ?? value, value)
    if (operator.startsWith('<') || operator === '=') to = Math.min(to ?? value, value)
  }
  for (const condition of [prewhere, where].flatMap((e) => (e ? conjuncts(e) : []))) {
    if (condition.kind === 'between' && !condition.negated && isTime(condition.operand)) {
      bound('>=', secondsOf(condition.low, now))
      bound('<=', secondsOf(condition.high, now))
    }
    if (condition.kind !== 'binary') continue
    const { operator, left, right } = condition
    if (isTime(left)) bound(operator, secondsOf(right, now))
    else if (isTime(right)) bound(mirrored(operator), secondsOf(left, now))
  }
  return { from, to }
}

function conjuncts(e: Expression): Expression[] {
  const all: Expression[] = []
  let rest = e
  while (rest.kind === 'binary' && rest.operator === 'AND') {
    all.push(
      ...(rest.right.kind === 'binary' && rest.right.operator === 'AND'
        ? conjuncts(rest.right)
        : [rest.right]),
    )
    rest = rest.left
  }
  all.push(rest)
  return all
}

function isTime(e: Expression): boolean {
  return e.kind === 'column' && e.parts.at(-1) === 'time'
}

function mirrored(operator: string): string {
  return operator.replace(/[<>]/, (c) => (c === '<' ? '>' : '<'))
}

/** A moment written as a constant: a number, a text, now(), and either plus or minus a span. */
function secondsOf(e: Expression, now: number): number | undefined {
  if (e.kind === 'number') return Number(e.text)
  if (e.kind === 'string') return secondsOfText(e.value)
  if (e.kind === 'binary' && (e.operator === '-' || e.operator === '+')) {
    const [left, right] = [secondsOf(e.left, now), spanOf(e.right)]
    if (left === undefined || right === undefined) return undefined
    return e.operator === '-' ? left - right : left + right
  }
  return e.kind === 'call' ? secondsOfCall(e.name.toLowerCase(), e.args, now) : undefined
}

function secondsOfCall(name: string, args: readonly Expression[], now: number): number | undefined {
  const [first, second] = args
  if (['now', 'now64', 'current_timestamp'].includes(name)) return now
  if (name === 'today') return Math.floor(now / 86_400) * 86_400
  if (name === 'yesterday') return (Math.floor(now / 86_400) - 1) * 86_400
  if (first && ['todatetime', 'todatetime64', 'fromunixtimestamp'].includes(name))
    return secondsOf(first, now)
  const unit = UNITS.get(/^(?:subtract|add)(\w+)s$/.exec(name)?.[1] ?? '')
  if (!unit || !first || second?.kind !== 'number') return undefined
  const start = secondsOf(first, now)
  const span = unit * Number(second.text)
  if (start === undefined) return undefined
  return name.startsWith('add') ? start + span : start - span
}

function secondsOfText(text: string): number | undefined {
  if (/^\d{9,10}$/.test(text)) return Number(text)
  const match = /^(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d:\d\d))?/.exec(text)
  const ms = match ? Date.parse(`${match[1]}T${match[2] ?? '00:00:00'}Z`) : Number.NaN
  return Number.isNaN(ms) ? undefined : ms / 1000
}

function spanOf(e: Expression): number | undefined {
  if (e.kind === 'number') return Number(e.text)
  const unit =
    e.kind === 'call' ? UNITS.get(e.name.replace(/^toInterval/, '').toLowerCase()) : undefined
  const amount = e.kind === 'call' && e.args.length === 1 ? e.args[0]! : undefined
  return unit && amount?.kind === 'number' ? unit * Number(amount.text) : undefined
}
