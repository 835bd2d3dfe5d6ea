import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { MetaflowError } from '../../../src/lib/errors.ts'
import type { Query } from '../../../src/server/query/ast.ts'
import { parse } from '../../../src/server/query/parse.ts'
import { printQuery } from '../../../src/server/query/print.ts'

const printed = (sql: string): string => printQuery(parse(sql) as Query)

/** An expression, and how it was understood: every operator in parentheses of its own. */
const EXPRESSIONS: readonly (readonly [string, string])[] = [
  ['1 + 2 * 3 - 4', '((1 + (2 * 3)) - 4)'],
  ['NOT a = b AND c OR d', '(((NOT (`a` = `b`)) AND `c`) OR `d`)'],
  ['a AND b AND c OR d OR e', '((`a` AND `b` AND `c`) OR `d` OR `e`)'],
  ['a == b <> c', '((`a` = `b`) != `c`)'],
  ['-a * -1', '((-(`a`)) * -1)'],
  ['a || b || c', '((`a` || `b`) || `c`)'],
  ['a MOD 2 + b DIV 3 % 4', '((`a` % 2) + (intDiv(`b`, 3) % 4))'],
  ['a BETWEEN 1 AND 2 AND b', '((`a` BETWEEN 1 AND 2) AND `b`)'],
  ['a NOT BETWEEN 1 + 1 AND 2', '(`a` NOT BETWEEN (1 + 1) AND 2)'],
  ['a IS NOT NULL OR b IS NULL', '((`a` IS NOT NULL) OR (`b` IS NULL))'],
  ['a <=> NULL', '(`a` IS NOT DISTINCT FROM NULL)'],
  ["a NOT LIKE '%x' AND b ILIKE 'y'", "((`a` NOT LIKE '%x') AND (`b` ILIKE 'y'))"],
  ["a REGEXP 'x'", "match(`a`, 'x')"],
  ["a IN (1, 2) AND b NOT IN ('x')", "((`a` IN (1, 2)) AND (`b` NOT IN ('x')))"],
  ['a GLOBAL IN (SELECT 1)', '(`a` IN (SELECT 1))'],
  ['(a, b) IN ((1, 2), (3, 4))', '((`a`, `b`) IN ((1, 2), (3, 4)))'],
  ['a ? b : c ? d : e', 'if(`a`, `b`, if(`c`, `d`, `e`))'],
  ['x -> x + 1', '((`x`) -> (`x` + 1))'],
  ['(x, y) -> (x, y)', '((`x`, `y`) -> (`x`, `y`))'],
  ['a[1][2].3.b', "tupleElement(tupleElement(arrayElement(arrayElement(`a`, 1), 2), 3), 'b')"],
  ['t.1.2', 'tupleElement(tupleElement(`t`, 1), 2)'],
  ['a.b.c', '`a`.`b`.`c`'],
  ["a::Array(Nullable(Enum8('x' = -1)))", "CAST(`a`, 'Array(Nullable(Enum8(\\'x\\' = -1)))')"],
  ["CAST(a, 'DateTime64(6, \\'UTC\\')')", "CAST(`a`, 'DateTime64(6, \\'UTC\\')')"],
  ['CAST(a AS bigint)', "CAST(`a`, 'Int64')"],
  ['CASE a WHEN 1 THEN b ELSE c END', '(CASE `a` WHEN 1 THEN `b` ELSE `c` END)'],
  ['CASE WHEN a THEN b END + 1', '((CASE WHEN `a` THEN `b` END) + 1)'],
  ["INTERVAL 5 MINUTE + INTERVAL '2 days'", '(toIntervalMinute(5) + toIntervalDay(2))'],
  ["DATE '2026-01-31'", "toDate('2026-01-31')"],
  ['date_add(HOUR, 3, t)', '(`t` + toIntervalHour(3))'],
  ["dateDiff('second', a, b)", "dateDiff('second', `a`, `b`)"],
  ['EXTRACT(DAY FROM t)', 'toDayOfMonth(`t`)'],
  ["extract(s, '[0-9]+')", "extract(`s`, '[0-9]+')"],
  ["TRIM(BOTH 'x' FROM s)", "trimBoth(`s`, 'x')"],
  ['SUBSTRING(s FROM 2 FOR 3)', 'SUBSTRING(`s`, 2, 3)'],
  ["POSITION('a' IN s)", "POSITION(`s`, 'a')"],
  ['quantiles(0.5, 0.9)(x)', 'quantiles(0.5, 0.9)(`x`)'],
  ['count(DISTINCT a, b)', 'count(DISTINCT `a`, `b`)'],
  ['sum(a) FILTER (WHERE b)', 'sum(`a`) FILTER(WHERE `b`)'],
  ['any(a) IGNORE NULLS OVER w', 'any(`a`) IGNORE NULLS OVER `w`'],
  [
    'sum(a) OVER (PARTITION BY b ORDER BY c DESC ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)',
    'sum(`a`) OVER (PARTITION BY `b` ORDER BY `c` DESC ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)',
  ],
  ["'it''s \\'x\\' \\\\_ \\% \\n'", "'it\\'s \\'x\\' \\\\_ \\\\% \\n'"],
  ['0xFF + 1e-3 + .5 + 1_000', '(((0xFF + 1e-3) + .5) + 1000)'],
  ['[] = [1, [2]]', '([] = [1, [2]])'],
  ['(a) + ((b))', '(`a` + `b`)'],
  ['(1,)', 'tuple(1)'],
  ["{'a': 1, 'b': [2]}", "map('a', 1, 'b', [2])"],
  ['(1, 2).1 + [3][1]', '(tupleElement((1, 2), 1) + arrayElement([3], 1))'],
  ['"quoted" = `also`', '(`quoted` = `also`)'],
]

test('parse understands operators as ClickHouse does, and print says so', () => {
  for (const [sql, want] of EXPRESSIONS) expect(printed(`SELECT ${sql}`)).toBe(`SELECT ${want}`)
})

const QUERIES: readonly (readonly [string, string])[] = [
  [
    'select a x, b as `y z` from t final where c -- comment\n group by 1 with totals having d /* x */ order by e desc nulls last, f limit 1 by g limit 2 offset 3;',
    'SELECT `a` AS `x`, `b` AS `y z` FROM `t` FINAL WHERE `c` GROUP BY 1 WITH TOTALS HAVING `d` ORDER BY `e` DESC NULLS LAST, `f` ASC LIMIT 1 BY `g` LIMIT 2 OFFSET 3',
  ],
  ['SELECT a FROM application.1s', 'SELECT `a` FROM `application.1s`'],
  [
    'SELECT a FROM flow_metrics.application_map.1m AS m',
    'SELECT `a` FROM `flow_metrics`.`application_map.1m` AS `m`',
  ],
  [
    'WITH q AS (SELECT 1), 2 AS two SELECT * FROM q',
    'WITH `q` AS (SELECT 1), 2 AS `two` SELECT * FROM `q`',
  ],
  ['SELECT 1 LIMIT 10, 20', 'SELECT 1 LIMIT 20 OFFSET 10'],
  ['SELECT 1 OFFSET 5 ROWS FETCH FIRST 3 ROWS ONLY', 'SELECT 1 LIMIT 3 OFFSET 5'],
  ['SELECT 1 LIMIT 3 WITH TIES', 'SELECT 1 LIMIT 3 WITH TIES'],
  ['SELECT DISTINCT ON (a) b', 'SELECT DISTINCT ON (`a`) `b`'],
  ['SELECT 1 GROUP BY ROLLUP(a, b)', 'SELECT 1 GROUP BY `a`, `b` WITH ROLLUP'],
  [
    'SELECT 1 ORDER BY t WITH FILL FROM 1 TO 9 STEP 2',
    'SELECT 1 ORDER BY `t` ASC WITH FILL FROM 1 TO 9 STEP 2',
  ],
  [
    'SELECT 1 FROM a LEFT ANY JOIN b USING (c), d',
    'SELECT 1 FROM `a` ANY LEFT JOIN `b` USING (`c`) CROSS JOIN `d`',
  ],
  [
    'SELECT 1 FROM (a JOIN b ON c) FULL OUTER JOIN (SELECT 1) AS d ON e',
    'SELECT 1 FROM `a` INNER JOIN `b` ON `c` FULL JOIN (SELECT 1) AS `d` ON `e`',
  ],
  [
    'SELECT 1 FROM t LEFT ARRAY JOIN a AS b, c PREWHERE d',
    'SELECT 1 FROM `t` LEFT ARRAY JOIN `a` AS `b`, `c` PREWHERE `d`',
  ],
  [
    '(SELECT 1) UNION SELECT 2 UNION DISTINCT SELECT 3',
    '(SELECT 1) UNION DISTINCT SELECT 2 UNION DISTINCT SELECT 3',
  ],
  [
    'SELECT 1 EXCEPT (SELECT 2 INTERSECT SELECT 3)',
    'SELECT 1 EXCEPT DISTINCT (SELECT 2 INTERSECT DISTINCT SELECT 3)',
  ],
  [
    'SELECT sum(a) OVER w FROM t WINDOW w AS (PARTITION BY b), v AS (w ORDER BY c) QUALIFY d',
    'SELECT sum(`a`) OVER `w` FROM `t` WINDOW `w` AS (PARTITION BY `b`), `v` AS (`w` ORDER BY `c` ASC) QUALIFY `d`',
  ],
  ["select a as 'b'", 'SELECT `a` AS `b`'],
]

test('parse reads every clause of a SELECT', () => {
  for (const [sql, want] of QUERIES) expect(printed(sql)).toBe(want)
})

test('parse reads SHOW and DESCRIBE', () => {
  const at = expect.any(Number)
  const cases: [string, object][] = [
    ['SHOW databases', { kind: 'databases' }],
    ['show tables from flow_log', { kind: 'tables', database: 'flow_log' }],
    [
      'show tags from flow_log.l7_flow_log',
      { kind: 'tags', table: ['flow_log', 'l7_flow_log'], at },
    ],
    ['SHOW METRICS FROM application.1s', { kind: 'metrics', table: ['application.1s'], at }],
    ['desc table x', { kind: 'describe', table: ['x'], at }],
    [
      'SHOW TAG host VALUES FROM x LIMIT 5, 10',
      {
        kind: 'values',
        tag: 'host',
        table: ['x'],
        at,
        where: undefined,
        limit: {
          count: { kind: 'number', text: '10' },
          offset: { kind: 'number', text: '5' },
          ties: false,
        },
      },
    ],
  ]
  for (const [sql, want] of cases) expect(parse(sql)).toEqual({ ...want, show: true } as never)
})

test('print and parse are each other’s inverse', () => {
  const all = [...EXPRESSIONS.map(([sql]) => `SELECT ${sql}`), ...QUERIES.map(([sql]) => sql)]
  for (const sql of all) expect(printed(printed(sql))).toBe(printed(sql))
})

test('parse answers noise with a sentence, whatever it is', () => {
  const words = EXPRESSIONS.flatMap(([sql]) => sql.split(/(\s+|\b)/)).concat("'", '`', '/*', '\\')
  const noise = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc
      .array(fc.constantFrom(...words), { maxLength: 40 })
      .map((parts) => `SELECT ${parts.join(' ')}`),
  )
  const property = fc.property(noise, (sql) => {
    try {
      const statement = parse(sql)
      if ('show' in statement) return
      const text = printQuery(statement)
      expect(printed(text)).toBe(text)
    } catch (thrown) {
      if (!(thrown instanceof MetaflowError)) throw thrown
    }
  })
  fc.assert(property, { numRuns: 3000 })
})
