import type { Call, Column, Expression, From, Select, SelectItem, With } from './ast.ts'
import { functionOf } from './functions.ts'
import { isName } from './names.ts'
import { selectOf } from './select-of.ts'
import { keyOf, mapChildren, mapOrder, mapWindow, walk } from './walk.ts'

/**
 * Grouping by a name looks the name up once a row (88 ms for 3 M rows); grouping by its id looks
 * it up once a group (28 ms). Two ids may share a name, and then it is one group, so:
 *
 *   SELECT name(id) AS n, quantile(0.9)(x) FROM t GROUP BY n
 *   SELECT name(k) AS n, quantileMerge(0.9)(a) FROM
 *     (SELECT id AS k, quantileState(0.9)(x) AS a FROM t GROUP BY k) GROUP BY name(k)
 *
 * Where the id itself is among the keys its name adds nothing to them and is left out. What cannot
 * be taken apart so (ROLLUP, arrayJoin, states handed out) is grouped by the name as written.
 */
export function groupByIds(select: Select): Select {
  const { groupBy } = select
  if (groupBy?.mode !== 'list') return select
  const aliases = aliasesOf(select)
  const targets = groupBy.keys.map((key) => targetOf(key, select, aliases))
  if (!targets.some(isName) || isShadowed(select, aliases)) return select
  const ids = new Set(targets.filter((target) => !isName(target)).map(keyOf))
  const needed = groupBy.keys.filter((_, at) => {
    const target = targets[at]!
    return !(isName(target) && ids.has(keyOf(target.args[2]!)))
  })
  const simpler: Select = { ...select, groupBy: { ...groupBy, keys: needed } }
  const left = needed.map((key) => targetOf(key, select, aliases))
  if (!left.some(isName)) return simpler
  return new Stages(simpler, left, aliases).split() ?? simpler
}

/** What aliases stand for. Those of ARRAY JOIN are columns of their own. */
export function aliasesOf(select: Select): Map<string, Expression> {
  const aliases = new Map<string, Expression>()
  for (const item of select.with) if (item.kind === 'value') aliases.set(item.name, item.expression)
  const { where, prewhere, having, orderBy, groupBy } = select
  const others = [where, prewhere, having].flatMap((e) => e ?? [])
  const orders = orderBy === 'ALL' ? [] : orderBy.map(({ expression }) => expression)
  const items = select.columns.map(({ expression }) => expression)
  for (const e of [...items, ...others, ...orders, ...(groupBy?.keys ?? [])])
    walk(e, (part) => {
      if (part.kind === 'alias') aliases.set(part.name, part.expression)
      return true
    })
  return aliases
}

/** What a key means: an alias's expression, the item at a position, or itself. */
function targetOf(
  key: Expression,
  select: Select,
  aliases: ReadonlyMap<string, Expression>,
): Expression {
  if (key.kind === 'alias') return targetOf(key.expression, select, aliases)
  if (key.kind === 'number') {
    const item = select.columns[Number(key.text) - 1]?.expression
    return item ? bareOf(item) : key
  }
  const alias =
    key.kind === 'column' && key.parts.length === 1 ? aliases.get(key.parts[0]!) : undefined
  return alias ? bareOf(alias) : key
}

export function bareOf(e: Expression): Expression {
  return e.kind === 'alias' ? bareOf(e.expression) : e
}

/** One SELECT taken apart into one by ids and one by names around it. */
class Stages {
  readonly #select: Select
  readonly #aliases: ReadonlyMap<string, Expression>
  /** Aliases that the outer SELECT gives again. */
  readonly #outerAliases: ReadonlySet<string>
  readonly #targets: readonly Expression[]
  readonly #inner: SelectItem[] = []
  readonly #columns = new Map<string, Column>()
  readonly #keys = new Map<string, Expression>()
  #isWhole = true

  constructor(
    select: Select,
    targets: readonly Expression[],
    aliases: ReadonlyMap<string, Expression>,
  ) {
    this.#select = select
    this.#targets = targets
    this.#aliases = aliases
    this.#outerAliases = new Set(
      select.columns.flatMap(({ expression: e }) => (e.kind === 'alias' ? [e.name] : [])),
    )
  }

  /** The two SELECTs, or undefined where the one cannot be taken apart. */
  split(): Select | undefined {
    const select = this.#select
    if (!isSplittable(select, this.#aliases)) return undefined
    const keys = this.#targets.map((target) => this.#key(target))
    const innerKeys = [...this.#columns.values()]
    const outer = this.#outer(select, keys)
    if (!this.#isWhole) return undefined
    const inner = selectOf({
      columns: this.#inner,
      from: select.from,
      arrayJoin: select.arrayJoin,
      prewhere: select.prewhere && this.#inlined(select.prewhere),
      where: select.where && this.#inlined(select.where),
      groupBy: { mode: 'list', keys: innerKeys, totals: false },
    })
    const query = { kind: 'query', first: inner, rest: [] } as const
    return { ...outer, from: { kind: 'derived', query, alias: '_g' } }
  }

  /** What a key is in the outer SELECT: a column of the inner one, or the name looked up by it. */
  #key(target: Expression): Expression {
    const read = isName(target) ? target.args[2] : target
    const column = this.#column(this.#inlined(read), '_k')
    const key = isName(target)
      ? { ...target, args: [target.args[0], target.args[1], column] }
      : column
    this.#keys.set(keyOf(target), key)
    return key
  }

  #column(e: Expression, prefix: string): Column {
    const known = this.#columns.get(keyOf(e))
    if (known) return known
    const name = `${prefix}${this.#inner.length}`
    const column: Column = { kind: 'column', parts: [name], at: 0 }
    this.#columns.set(keyOf(e), column)
    this.#inner.push({ expression: { kind: 'alias', expression: e, name }, text: name })
    return column
  }

  #outer(select: Select, keys: readonly Expression[]): Select {
    const change = (e: Expression): Expression => this.#merged(e, NOTHING)
    const { having, qualify, orderBy, limitBy, windows } = select
    return {
      ...select,
      with: select.with.filter((item) => item.kind === 'table' || isConstant(item)),
      distinctOn: select.distinctOn.map(change),
      columns: select.columns.map(({ expression, text }) => {
        const changed = change(expression)
        if (changed.kind === 'alias' || expression.kind !== 'column')
          return { expression: changed, text }
        const name = expression.parts.at(-1)!
        return { expression: { kind: 'alias', expression: changed, name }, text }
      }),
      arrayJoin: undefined,
      prewhere: undefined,
      where: undefined,
      groupBy: { ...select.groupBy!, keys },
      having: having && change(having),
      windows: windows.map((w) => ({ ...w, window: mapWindow(w.window, change) })),
      qualify: qualify && change(qualify),
      orderBy: orderBy === 'ALL' ? orderBy : orderBy.map((order) => mapOrder(order, change)),
      limitBy: limitBy && { ...limitBy, keys: limitBy.keys.map(change) },
    }
  }

  /** An expression of the outer SELECT: keys and merged aggregates in place of what they read. */
  #merged(e: Expression, locals: ReadonlySet<string>): Expression {
    const key = this.#keys.get(keyOf(e))
    if (key) return key
    if (e.kind === 'column') return this.#mergedColumn(e, locals)
    if (e.kind === 'subquery' || e.kind === 'exists') this.#isWhole = false
    if (e.kind === 'lambda') {
      const inside = new Set([...locals, ...e.parameters])
      return { ...e, body: this.#merged(e.body, inside) }
    }
    if (e.kind === 'call' && e.over === undefined && functionOf(e.name)?.kind === 'aggregate')
      return this.#aggregate(e)
    return mapChildren(e, (child) => this.#merged(child, locals))
  }

  #mergedColumn(column: Column, locals: ReadonlySet<string>): Expression {
    const [name] = column.parts
    if (column.parts.length === 1 && locals.has(name!)) return column
    const alias = column.parts.length === 1 ? this.#aliases.get(name!) : undefined
    if (!alias) {
      this.#isWhole = false
      return column
    }
    return this.#outerAliases.has(name!) ? column : this.#merged(bareOf(alias), locals)
  }

  #aggregate(call: Call): Expression {
    if (call.nulls || /(?:State|Merge)$/.test(call.name)) this.#isWhole = false
    const inner = this.#inlined({ ...call, name: `${call.name}State` })
    const { parameters, at } = call
    const column = this.#column(inner, '_a')
    const merge: Call = { kind: 'call', name: `${call.name}Merge`, at, args: [column] }
    return parameters ? { ...merge, parameters } : merge
  }

  /** An expression of the inner SELECT: what aliases stand for in their place. */
  #inlined(e: Expression): Expression {
    if (e.kind === 'alias') return this.#inlined(e.expression)
    const alias =
      e.kind === 'column' && e.parts.length === 1 ? this.#aliases.get(e.parts[0]!) : undefined
    if (alias) return this.#inlined(bareOf(alias))
    return mapChildren(e, (child) => this.#inlined(child))
  }
}

const NOTHING: ReadonlySet<string> = new Set()
const WHOLE_ONLY = new Set(['arrayJoin', 'grouping'])

/**
 * Whether a lambda's parameter is called like a column or an alias: what is put in for that one
 * must not be put in for the parameter, nor be taken for it.
 */
function isShadowed(select: Select, aliases: ReadonlyMap<string, Expression>): boolean {
  const parameters = new Set<string>()
  const names = new Set<string>(aliases.keys())
  const read = (e: Expression, locals: ReadonlySet<string>): void => {
    if (e.kind === 'lambda') {
      for (const parameter of e.parameters) parameters.add(parameter)
      read(e.body, new Set([...locals, ...e.parameters]))
      return
    }
    if (e.kind === 'column' && !(e.parts.length === 1 && locals.has(e.parts[0]!)))
      for (const part of e.parts) names.add(part)
    mapChildren(e, (child) => {
      read(child, locals)
      return child
    })
  }
  for (const e of expressionsOf(select)) read(e, NOTHING)
  return [...parameters].some((parameter) => names.has(parameter))
}

/** All that stands in a SELECT, what is in its FROM aside. */
function expressionsOf(select: Select): Expression[] {
  const { prewhere, where, having, qualify, orderBy, windows } = select
  const all = [prewhere, where, having, qualify].flatMap((e) => e ?? [])
  const add = (e: Expression): Expression => {
    all.push(e)
    return e
  }
  for (const { expression } of select.columns) add(expression)
  for (const item of select.with) if (item.kind === 'value') add(item.expression)
  for (const { window } of windows) mapWindow(window, add)
  if (orderBy !== 'ALL') for (const order of orderBy) mapOrder(order, add)
  const { distinctOn, arrayJoin, groupBy, limitBy } = select
  all.push(...distinctOn, ...(arrayJoin?.items ?? []), ...(groupBy?.keys ?? []))
  return [...all, ...(limitBy?.keys ?? [])]
}

/** Nothing in it depends on the rows being grouped where they are read. */
function isSplittable(select: Select, aliases: ReadonlyMap<string, Expression>): boolean {
  let isSplit = select.groupBy?.mode === 'list' && select.orderBy !== 'ALL'
  const check = (e: Expression): void =>
    walk(e, (part) => {
      if (part.kind === 'call' && WHOLE_ONLY.has(part.name)) isSplit = false
      return isSplit
    })
  for (const { expression } of select.columns) check(expression)
  for (const e of aliases.values()) check(e)
  if (select.from)
    checkJoins(select.from, (e) =>
      walk(e, (part) => {
        if (part.kind === 'column' && part.parts.length === 1 && aliases.has(part.parts[0]!))
          isSplit = false
        return isSplit
      }),
    )
  return isSplit
}

function checkJoins(from: From, check: (e: Expression) => void): void {
  if (from.kind !== 'join') return
  checkJoins(from.left, check)
  checkJoins(from.right, check)
  if (from.on) check(from.on)
}

/** A value of WITH that reads no column: subqueries may name it still. */
function isConstant(item: With): boolean {
  let isFree = item.kind === 'value'
  if (item.kind === 'value')
    walk(item.expression, (e) => {
      if (e.kind === 'column') isFree = false
      return isFree
    })
  return isFree
}
