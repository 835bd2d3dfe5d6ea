import type { Applied, Bound, Call, Expression, Order, Window } from './ast.ts'

type Change = (e: Expression) => Expression

/** `e` with each expression directly in it changed; queries in it are left as they are. */
export function mapChildren(e: Expression, change: Change): Expression {
  switch (e.kind) {
    case 'number':
    case 'string':
    case 'constant':
    case 'column':
    case 'subquery':
    case 'exists':
      return e
    case 'call':
      return mapCall(e, change)
    case 'unary':
    case 'isNull':
    case 'cast':
    case 'element':
      return { ...e, operand: change(e.operand) }
    case 'binary':
      return { ...e, left: change(e.left), right: change(e.right) }
    case 'between':
      return { ...e, operand: change(e.operand), low: change(e.low), high: change(e.high) }
    case 'case':
      return {
        ...e,
        operand: e.operand && change(e.operand),
        branches: e.branches.map(({ when, result }) => ({
          when: change(when),
          result: change(result),
        })),
        otherwise: e.otherwise && change(e.otherwise),
      }
    case 'lambda':
      return { ...e, body: change(e.body) }
    case 'array':
    case 'tuple':
      return { ...e, items: e.items.map(change) }
    case 'index':
      return { ...e, operand: change(e.operand), index: change(e.index) }
    case 'alias':
      return { ...e, expression: change(e.expression) }
    case 'star':
      return {
        ...e,
        replace: e.replace.map((r) => ({ ...r, expression: change(r.expression) })),
        apply: e.apply.map((a) => mapApplied(a, change)),
      }
  }
}

function mapApplied(applied: Applied, change: Change): Applied {
  return 'kind' in applied
    ? { ...applied, body: change(applied.body) }
    : { ...applied, parameters: applied.parameters.map(change) }
}

function mapCall(call: Call, change: Change): Call {
  const { parameters, filter, over } = call
  return {
    ...call,
    args: call.args.map(change),
    ...(parameters && { parameters: parameters.map(change) }),
    ...(filter && { filter: change(filter) }),
    ...(over !== undefined && { over: typeof over === 'string' ? over : mapWindow(over, change) }),
  }
}

/** A window with each expression in it changed. */
export function mapWindow(window: Window, change: Change): Window {
  const { partitionBy, orderBy, frame } = window
  return {
    ...window,
    partitionBy: partitionBy.map(change),
    orderBy: orderBy.map((order) => mapOrder(order, change)),
    frame: frame && {
      ...frame,
      from: mapBound(frame.from, change),
      to: frame.to && mapBound(frame.to, change),
    },
  }
}

function mapBound(bound: Bound, change: Change): Bound {
  return 'offset' in bound ? { ...bound, offset: change(bound.offset) } : bound
}

/** An item of ORDER BY with each expression in it changed. */
export function mapOrder(order: Order, change: Change): Order {
  const { fill } = order
  const { from, to, step, staleness } = fill ?? {}
  return {
    ...order,
    expression: change(order.expression),
    ...(fill && {
      fill: {
        ...(from && { from: change(from) }),
        ...(to && { to: change(to) }),
        ...(step && { step: change(step) }),
        ...(staleness && { staleness: change(staleness) }),
      },
    }),
  }
}

/** Calls `visit` with `e` and everything in it, queries aside; false stops it going deeper. */
export function walk(e: Expression, visit: (e: Expression) => boolean | undefined): void {
  if (visit(e) === false) return
  mapChildren(e, (child) => {
    walk(child, visit)
    return child
  })
}

/** A text that is equal for expressions that are the same. */
export function keyOf(e: Expression): string {
  return JSON.stringify(e, (key, value) => (key === 'at' || key === 'expanded' ? undefined : value))
}
