/** A SELECT of ClickHouse as a tree. Nothing of the text it was read from gets past it. */

/** Where a node began in the text, for messages. */
export type Position = number

export type Expression =
  | { readonly kind: 'number'; readonly text: string }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'constant'; readonly word: 'NULL' | 'true' | 'false' | 'inf' | 'nan' }
  | Column
  | Star
  | Call
  | { readonly kind: 'unary'; readonly operator: '-' | 'NOT'; readonly operand: Expression }
  | Binary
  | {
      readonly kind: 'between'
      readonly negated: boolean
      readonly operand: Expression
      readonly low: Expression
      readonly high: Expression
    }
  | { readonly kind: 'isNull'; readonly negated: boolean; readonly operand: Expression }
  | Case
  | { readonly kind: 'cast'; readonly operand: Expression; readonly type: TypeName }
  | Lambda
  | { readonly kind: 'array' | 'tuple'; readonly items: readonly Expression[] }
  | { readonly kind: 'index'; readonly operand: Expression; readonly index: Expression }
  | {
      readonly kind: 'element'
      readonly operand: Expression
      readonly element: string | number
    }
  | { readonly kind: 'subquery' | 'exists'; readonly query: Query }
  | Aliased

export type Column = {
  readonly kind: 'column'
  readonly parts: readonly string[]
  readonly at: Position
}

export type Aliased = {
  readonly kind: 'alias'
  readonly expression: Expression
  readonly name: string
}

export type Binary = {
  readonly kind: 'binary'
  readonly operator: BinaryOperator
  readonly left: Expression
  readonly right: Expression
}

export type BinaryOperator =
  | 'AND'
  | 'OR'
  | '='
  | '!='
  | '<'
  | '<='
  | '>'
  | '>='
  | 'IS NOT DISTINCT FROM'
  | 'IS DISTINCT FROM'
  | 'LIKE'
  | 'ILIKE'
  | 'NOT LIKE'
  | 'NOT ILIKE'
  | 'IN'
  | 'NOT IN'
  | '||'
  | '+'
  | '-'
  | '*'
  | '/'
  | '%'

export type Case = {
  readonly kind: 'case'
  readonly operand: Expression | undefined
  readonly branches: readonly { readonly when: Expression; readonly result: Expression }[]
  readonly otherwise: Expression | undefined
}

export type Lambda = {
  readonly kind: 'lambda'
  readonly parameters: readonly string[]
  readonly body: Expression
}

export type Call = {
  readonly kind: 'call'
  readonly name: string
  readonly at: Position
  readonly parameters?: readonly Expression[]
  readonly args: readonly Expression[]
  readonly distinct?: boolean
  readonly nulls?: 'IGNORE' | 'RESPECT'
  readonly filter?: Expression
  readonly over?: Window | string
  /** Set where a name of the catalog was expanded: what it was written as. */
  readonly expanded?: string
}

export type Star = {
  readonly kind: 'star'
  readonly table: readonly string[]
  readonly at: Position
  readonly except: readonly string[]
  readonly replace: readonly Aliased[]
  readonly apply: readonly Applied[]
}

/** APPLY: a function by its name with parameters, or a lambda. */
export type Applied = Lambda | { readonly name: string; readonly parameters: readonly Expression[] }

export type Window = {
  readonly base: string | undefined
  readonly partitionBy: readonly Expression[]
  readonly orderBy: readonly Order[]
  readonly frame: Frame | undefined
}

export type Frame = {
  readonly unit: 'ROWS' | 'RANGE'
  readonly from: Bound
  readonly to: Bound | undefined
}

export type Bound =
  | { readonly at: 'UNBOUNDED PRECEDING' | 'UNBOUNDED FOLLOWING' | 'CURRENT ROW' }
  | { readonly at: 'PRECEDING' | 'FOLLOWING'; readonly offset: Expression }

export type Order = {
  readonly expression: Expression
  readonly descending: boolean
  readonly nulls?: 'FIRST' | 'LAST'
  readonly fill?: {
    readonly from?: Expression
    readonly to?: Expression
    readonly step?: Expression
    readonly staleness?: Expression
  }
}

export type TypeName = {
  readonly name: string
  readonly args: readonly TypeArgument[] | undefined
}
export type TypeArgument =
  | { readonly kind: 'type'; readonly field?: string; readonly type: TypeName }
  | { readonly kind: 'number'; readonly text: string }
  | { readonly kind: 'string'; readonly value: string; readonly number?: string }

export type Query = {
  readonly kind: 'query'
  /** The first, then each further one behind its operator. */
  readonly first: Select | Query
  readonly rest: readonly { readonly operator: SetOperator; readonly select: Select | Query }[]
}
export type SetOperator =
  | 'UNION ALL'
  | 'UNION DISTINCT'
  | 'INTERSECT'
  | 'INTERSECT DISTINCT'
  | 'EXCEPT'
  | 'EXCEPT DISTINCT'

export type With =
  | { readonly kind: 'table'; readonly name: string; readonly query: Query }
  | { readonly kind: 'value'; readonly name: string; readonly expression: Expression }

export type Select = {
  readonly kind: 'select'
  readonly with: readonly With[]
  readonly distinct: boolean
  readonly distinctOn: readonly Expression[]
  readonly columns: readonly SelectItem[]
  readonly from: From | undefined
  readonly arrayJoin: { readonly left: boolean; readonly items: readonly Expression[] } | undefined
  readonly prewhere: Expression | undefined
  readonly where: Expression | undefined
  readonly groupBy: GroupBy | undefined
  readonly having: Expression | undefined
  readonly windows: readonly { readonly name: string; readonly window: Window }[]
  readonly qualify: Expression | undefined
  readonly orderBy: readonly Order[] | 'ALL'
  readonly limitBy: LimitBy | undefined
  readonly limit: Limit | undefined
}

/** An item of the select list and the text it was written as, which names its column. */
export type SelectItem = { readonly expression: Expression; readonly text: string }

export type GroupBy = {
  readonly mode: 'list' | 'all' | 'rollup' | 'cube' | 'all rollup' | 'all cube'
  readonly keys: readonly Expression[]
  readonly totals: boolean
}
export type LimitBy = {
  readonly count: Expression
  readonly offset: Expression | undefined
  readonly keys: readonly Expression[]
}
export type Limit = {
  readonly count: Expression | undefined
  readonly offset: Expression | undefined
  readonly ties: boolean
}

export type From =
  | {
      readonly kind: 'table'
      readonly parts: readonly string[]
      readonly alias: string | undefined
      readonly final: boolean
      readonly at: Position
    }
  | {
      readonly kind: 'function'
      readonly name: string
      readonly args: readonly Expression[]
      readonly alias: string | undefined
      readonly at: Position
    }
  | { readonly kind: 'derived'; readonly query: Query; readonly alias: string | undefined }
  | Join

export type Join = {
  readonly kind: 'join'
  readonly left: From
  readonly right: From
  readonly type: 'INNER' | 'LEFT' | 'RIGHT' | 'FULL' | 'CROSS'
  readonly strictness: 'ANY' | 'ALL' | 'ASOF' | 'SEMI' | 'ANTI' | undefined
  readonly global: boolean
  readonly on: Expression | undefined
  readonly using: readonly string[] | undefined
}

export type Show =
  | { readonly kind: 'databases' }
  | { readonly kind: 'tables'; readonly database: string | undefined }
  | { readonly kind: 'tags'; readonly table: readonly string[]; readonly at: Position }
  | { readonly kind: 'metrics'; readonly table: readonly string[]; readonly at: Position }
  | { readonly kind: 'describe'; readonly table: readonly string[]; readonly at: Position }
  | {
      readonly kind: 'values'
      readonly tag: string
      readonly table: readonly string[]
      readonly at: Position
      readonly where: Expression | undefined
      readonly limit: Limit | undefined
    }

export type Statement = Query | (Show & { readonly show: true })
