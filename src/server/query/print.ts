import type {
  Bound,
  Call,
  Case,
  Expression,
  From,
  Join,
  Limit,
  Order,
  Query,
  Select,
  TypeArgument,
  TypeName,
  Window,
  With,
} from './ast.ts'

/**
 * ClickHouse's text of a tree. Every name is quoted, every string escaped anew and every operator
 * in its own parentheses, so that the engine reads it exactly as it was understood here.
 */
export function printQuery(query: Query): string {
  let text = printTerm(query.first)
  for (const { operator, select } of query.rest) text += ` ${operator} ${printTerm(select)}`
  return text
}

function printTerm(term: Select | Query): string {
  return term.kind === 'select' ? printSelect(term) : `(${printQuery(term)})`
}

function printSelect(s: Select): string {
  let text = s.with.length > 0 ? `WITH ${s.with.map(printWith).join(', ')} ` : ''
  text += 'SELECT '
  if (s.distinct) text += 'DISTINCT '
  if (s.distinctOn.length > 0) text += `DISTINCT ON (${printList(s.distinctOn)}) `
  text += s.columns.map(({ expression }) => printItem(expression)).join(', ')
  if (s.from) text += ` FROM ${printFrom(s.from)}`
  if (s.arrayJoin)
    text += `${s.arrayJoin.left ? ' LEFT' : ''} ARRAY JOIN ${printList(s.arrayJoin.items)}`
  if (s.prewhere) text += ` PREWHERE ${print(s.prewhere)}`
  if (s.where) text += ` WHERE ${print(s.where)}`
  text += printGroupBy(s)
  if (s.having) text += ` HAVING ${print(s.having)}`
  const windows = s.windows.map((w) => `${name(w.name)} AS ${printWindow(w.window)}`)
  if (windows.length > 0) text += ` WINDOW ${windows.join(', ')}`
  if (s.qualify) text += ` QUALIFY ${print(s.qualify)}`
  if (s.orderBy === 'ALL') text += ' ORDER BY ALL'
  else if (s.orderBy.length > 0) text += ` ORDER BY ${s.orderBy.map(printOrder).join(', ')}`
  if (s.limitBy) {
    const { count, offset, keys } = s.limitBy
    text += ` LIMIT ${print(count)}`
    if (offset) text += ` OFFSET ${print(offset)}`
    text += ` BY ${printList(keys)}`
  }
  return text + printLimit(s.limit)
}

function printWith(item: With): string {
  if (item.kind === 'table') return `${name(item.name)} AS (${printQuery(item.query)})`
  return `${print(item.expression)} AS ${name(item.name)}`
}

function printGroupBy({ groupBy }: Select): string {
  if (!groupBy) return ''
  const keys = printList(groupBy.keys)
  const totals = groupBy.totals ? ' WITH TOTALS' : ''
  const sums = groupBy.mode.endsWith('rollup') ? ' WITH ROLLUP' : ' WITH CUBE'
  const mode = groupBy.mode === 'list' || groupBy.mode === 'all' ? '' : sums
  return ` GROUP BY ${groupBy.mode.startsWith('all') ? 'ALL' : keys}${mode}${totals}`
}

function printLimit(limit: Limit | undefined): string {
  if (!limit) return ''
  const offset = limit.offset ? ` OFFSET ${print(limit.offset)}` : ''
  const count = limit.count ? ` LIMIT ${print(limit.count)}` : ''
  return limit.ties && !limit.offset
    ? `${count} WITH TIES`
    : `${count}${offset}${limit.ties ? ' WITH TIES' : ''}`
}

function printFrom(from: From): string {
  switch (from.kind) {
    case 'table':
      return `${from.parts.map(name).join('.')}${alias(from.alias)}${from.final ? ' FINAL' : ''}`
    case 'function':
      return `${from.name}(${printList(from.args)})${alias(from.alias)}`
    case 'derived':
      return `(${printQuery(from.query)})${alias(from.alias)}`
    case 'join':
      return printJoin(from)
  }
}

function printJoin(join: Join): string {
  const { left, right, type, strictness, global, on, using } = join
  const words = [global ? 'GLOBAL' : '', strictness ?? '', type].filter(Boolean).join(' ')
  const inner = right.kind === 'join' ? `(${printFrom(right)})` : printFrom(right)
  let text = `${printFrom(left)} ${words} JOIN ${inner}`
  if (on) text += ` ON ${print(on)}`
  if (using) text += ` USING (${using.map(name).join(', ')})`
  return text
}

function alias(text: string | undefined): string {
  return text === undefined ? '' : ` AS ${name(text)}`
}

function printOrder(order: Order): string {
  const { expression, descending, nulls, fill } = order
  let text = `${print(expression)} ${descending ? 'DESC' : 'ASC'}`
  if (nulls) text += ` NULLS ${nulls}`
  if (!fill) return text
  text += ' WITH FILL'
  if (fill.from) text += ` FROM ${print(fill.from)}`
  if (fill.to) text += ` TO ${print(fill.to)}`
  if (fill.step) text += ` STEP ${print(fill.step)}`
  if (fill.staleness) text += ` STALENESS ${print(fill.staleness)}`
  return text
}

function printWindow(window: Window): string {
  const parts: string[] = []
  if (window.base !== undefined) parts.push(name(window.base))
  if (window.partitionBy.length > 0) parts.push(`PARTITION BY ${printList(window.partitionBy)}`)
  if (window.orderBy.length > 0) parts.push(`ORDER BY ${window.orderBy.map(printOrder).join(', ')}`)
  if (window.frame) {
    const { unit, from, to } = window.frame
    const range = to ? `BETWEEN ${printBound(from)} AND ${printBound(to)}` : printBound(from)
    parts.push(`${unit} ${range}`)
  }
  return `(${parts.join(' ')})`
}

function printBound(bound: Bound): string {
  return 'offset' in bound ? `${print(bound.offset)} ${bound.at}` : bound.at
}

/** An item of a list that may carry an alias: no parentheses around it. */
function printItem(expression: Expression): string {
  if (expression.kind !== 'alias') return print(expression)
  return `${print(expression.expression)} AS ${name(expression.name)}`
}

function printList(expressions: readonly Expression[]): string {
  return expressions.map(printItem).join(', ')
}

/** ClickHouse's text of an expression. */
export function print(e: Expression): string {
  switch (e.kind) {
    case 'number':
      return e.text
    case 'string':
      return literal(e.value)
    case 'constant':
      return e.word
    case 'column':
      return e.parts.map(name).join('.')
    case 'call':
      return printCall(e)
    case 'unary':
      return printUnary(e.operator, e.operand)
    case 'binary':
      return printBinary(e)
    case 'between': {
      const not = e.negated ? ' NOT' : ''
      return `(${print(e.operand)}${not} BETWEEN ${print(e.low)} AND ${print(e.high)})`
    }
    case 'isNull':
      return `(${print(e.operand)} IS${e.negated ? ' NOT' : ''} NULL)`
    case 'case':
      return printCase(e)
    case 'cast':
      return `CAST(${print(e.operand)}, ${literal(printType(e.type))})`
    case 'lambda':
      return `((${e.parameters.map(name).join(', ')}) -> ${print(e.body)})`
    case 'array':
      return `[${printList(e.items)}]`
    case 'tuple':
      return e.items.length > 1 ? `(${printList(e.items)})` : `tuple(${printList(e.items)})`
    case 'index':
      return `arrayElement(${print(e.operand)}, ${print(e.index)})`
    case 'element': {
      const element = typeof e.element === 'number' ? String(e.element) : literal(e.element)
      return `tupleElement(${print(e.operand)}, ${element})`
    }
    case 'subquery':
      return `(${printQuery(e.query)})`
    case 'exists':
      return `EXISTS (${printQuery(e.query)})`
    case 'alias':
      return `(${print(e.expression)} AS ${name(e.name)})`
    case 'star':
      return [...e.table.map(name), '*'].join('.')
  }
}

function printUnary(operator: '-' | 'NOT', operand: Expression): string {
  if (operator === 'NOT') return `(NOT ${print(operand)})`
  return operand.kind === 'number' ? `-${operand.text}` : `(-(${print(operand)}))`
}

/** A chain of one associative operator stays flat: engines bound how deep parentheses nest. */
function printBinary(e: Extract<Expression, { kind: 'binary' }>): string {
  if (e.operator !== 'AND' && e.operator !== 'OR')
    return `(${print(e.left)} ${e.operator} ${printRight(e)})`
  const operands: string[] = []
  let left: Expression = e
  while (left.kind === 'binary' && left.operator === e.operator) {
    operands.push(print(left.right))
    left = left.left
  }
  operands.push(print(left))
  return `(${operands.reverse().join(` ${e.operator} `)})`
}

/** A set in plain parentheses, which the engine reads as one literal however long it is. */
function printRight({ operator, right }: Extract<Expression, { kind: 'binary' }>): string {
  const isSet = (operator === 'IN' || operator === 'NOT IN') && right.kind === 'tuple'
  return isSet && right.items.length > 0 ? `(${printList(right.items)})` : print(right)
}

function printCall(call: Call): string {
  let text = call.name
  if (call.parameters) text += `(${printList(call.parameters)})`
  text += `(${call.distinct ? 'DISTINCT ' : ''}${printList(call.args)})`
  if (call.nulls) text += ` ${call.nulls} NULLS`
  if (call.filter) text += ` FILTER(WHERE ${print(call.filter)})`
  if (typeof call.over === 'string') text += ` OVER ${name(call.over)}`
  else if (call.over) text += ` OVER ${printWindow(call.over)}`
  return text
}

function printCase(e: Case): string {
  let text = 'CASE'
  if (e.operand) text += ` ${print(e.operand)}`
  for (const { when, result } of e.branches) text += ` WHEN ${print(when)} THEN ${print(result)}`
  if (e.otherwise) text += ` ELSE ${print(e.otherwise)}`
  return `(${text} END)`
}

/** ClickHouse's text of a type. */
export function printType({ name: type, args }: TypeName): string {
  return args ? `${type}(${args.map(printTypeArgument).join(', ')})` : type
}

function printTypeArgument(argument: TypeArgument): string {
  if (argument.kind === 'number') return argument.text
  if (argument.kind === 'string') {
    const { value, number } = argument
    return number === undefined ? literal(value) : `${literal(value)} = ${number}`
  }
  const field = argument.field === undefined ? '' : `${name(argument.field)} `
  return `${field}${printType(argument.type)}`
}

const ESCAPES: Readonly<Record<string, string>> = {
  '\\': '\\\\',
  "'": "\\'",
  '`': '\\`',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\b': '\\b',
  '\f': '\\f',
  '\0': '\\0',
}

/** A string literal: quotes, backslashes and control characters escaped. */
export function literal(value: string): string {
  return `'${escaped(value)}'`
}

/** A quoted name. */
export function name(value: string): string {
  return `\`${escaped(value)}\``
}

function escaped(value: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it escapes
  return value.replace(/[\\'`\u0000-\u001f\u007f]/g, (c) => {
    return ESCAPES[c] ?? `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`
  })
}
