import { expect, test } from 'bun:test'
import { join } from 'node:path'
import { tableText } from '../../src/cli/query-table.ts'
import { runProgram } from '../../src/lib/process.ts'

const MAIN = join(import.meta.dir, 'query-main.ts')

type Asked = { readonly body: unknown; readonly authorization: string | null }

/** What a server says that an answer is, by the format that was asked for. */
const TYPES: Readonly<Record<string, string>> = {
  '': 'application/json',
  JSONEachRow: 'application/x-ndjson',
  CSVWithNames: 'text/csv; charset=utf-8; header=present',
}

/** A server that answers `answer` to each question and remembers what was asked. */
function serve(answer: (format: string | undefined) => Response): {
  readonly url: string
  readonly asked: Asked[]
  stop(): void
} {
  const asked: Asked[] = []
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    development: false,
    async fetch(request) {
      const body = (await request.json()) as { format?: string }
      asked.push({ body, authorization: request.headers.get('authorization') })
      const response = answer(body.format)
      const type = response.headers.get('content-type') ?? TYPES[body.format ?? '']!
      response.headers.set('content-type', type)
      return response
    },
  })
  return { url: server.url.origin, asked, stop: () => void server.stop(true) }
}

const ROWS =
  '{"OPT_STATUS":"SUCCESS","DESCRIPTION":"","result":{"columns":["name","n","list"],"schemas":[],' +
  '"values":[["a\\u001b[2Jb",18446744073709551615,[1,null]],["请求",5,[]],[null,0.10,{"a":1}]]},' +
  '"truncated":true,"sql":"SELECT","elapsed_ms":1.5}'

const query = (args: readonly string[], environment: Record<string, string> = {}) =>
  runProgram([process.execPath, MAIN, ...args], { environment })

test('metaflow query prints a table with every digit and no control characters', async () => {
  const server = serve(() => new Response(ROWS))
  const run = await query(['SELECT 1', '--server', server.url, '--db=flow_log'], {
    METAFLOW_AGENT_TOKEN: 'secret',
  })
  server.stop()
  expect(run.stdout.split('\n')).toEqual([
    'name                       n  list',
    '──────  ────────────────────  ─────────',
    'a·[2Jb  18446744073709551615  [1, NULL]',
    '请求                       5  []',
    'NULL                    0.10  {a: 1}',
    '',
  ])
  expect(run.stderr).toBe('The answer is cut: only its first 3 rows were sent; use LIMIT\n')
  expect(run.code).toBe(0)
  expect(server.asked).toEqual([
    { body: { sql: 'SELECT 1', db: 'flow_log' }, authorization: 'Bearer secret' },
  ])
})

test('metaflow query prints JSON and CSV as they stream', async () => {
  const server = serve(
    (format) => new Response(format === 'CSVWithNames' ? '"a"\n1\n' : '{"a":1}\n{"a":2}\n'),
  )
  const json = await query(['SELECT 1', '--server', server.url, '--output=json'])
  const csv = await query(['SELECT 1', '--server', server.url, '--output', 'csv'])
  server.stop()
  expect(JSON.parse(json.stdout)).toEqual([{ a: 1 }, { a: 2 }])
  expect(csv.stdout).toBe('"a"\n1\n')
  const none = serve(() => new Response(''))
  expect((await query(['SELECT 1', '--server', none.url, '--output=json'])).stdout).toBe('[]\n')
  none.stop()
})

const TOTALS =
  '{"OPT_STATUS":"SUCCESS","DESCRIPTION":"","result":{"columns":["k","n"],"schemas":[],' +
  '"values":[["a",18446744073709551615],["b",0.10]],"totals":["",7]},"truncated":false,"elapsed_ms":1}'
const WITH_TOTALS = 'SELECT k, sum(n) AS n FROM t GROUP BY k with  totals'

test('metaflow query prints totals: behind a rule, as a field, and as CSV has them', async () => {
  const csv = '"k","n"\n"a",1\n\n"",7\n'
  const server = serve((format) => new Response(format === 'CSVWithNames' ? csv : TOTALS))
  const printed = async (output: string): Promise<string> =>
    (await query([WITH_TOTALS, '--server', server.url, '--output', output])).stdout
  expect((await printed('table')).split('\n')).toEqual([
    'k                     n',
    '─  ────────────────────',
    'a  18446744073709551615',
    'b                  0.10',
    '─  ────────────────────',
    '                      7',
    '',
  ])
  expect(await printed('json')).toBe(
    '{"data":[\n  {"k":"a","n":18446744073709551615},\n  {"k":"b","n":0.10}\n],"totals":{"k":"","n":7}}\n',
  )
  expect(await printed('csv')).toBe(csv)
  server.stop()
  const cut = serve(() => new Response(TOTALS.replace('false', 'true')))
  const run = await query([WITH_TOTALS, '--server', cut.url, '--output=json'])
  cut.stop()
  expect([run.code, run.stdout]).toEqual([1, ''])
  expect(run.stderr).toStartWith('Cannot print the answer: it has more than the 2 rows')
})

test('metaflow query says that an answer was broken off, and exits with 1', async () => {
  const server = serve(() => {
    const body = new ReadableStream({
      async pull(controller): Promise<void> {
        controller.enqueue(new TextEncoder().encode('"a"\n1\n'))
        await Bun.sleep(50)
        controller.error(new Error('the limit'))
      },
    })
    return new Response(body)
  })
  const run = await query(['SELECT 1', '--server', server.url, '--output=csv'])
  server.stop()
  expect([run.code, run.stdout]).toEqual([1, '"a"\n1\n'])
  expect(run.stderr).toStartWith('Cannot print all of the answer: the server broke it off')
})

test('metaflow query says what the server said, and exits with 1', async () => {
  const body = {
    OPT_STATUS: 'INVALID_PARAMETERS',
    DESCRIPTION: 'Cannot read it: no',
    code: 'refused',
  }
  const server = serve(() => Response.json(body, { status: 400 }))
  const run = await query(['SELEC', '--server', server.url])
  server.stop()
  expect([run.code, run.stdout, run.stderr]).toEqual([1, '', 'Cannot read it: no\n'])
  const wants = { error: 'Cannot answer: the token is missing or wrong', code: 'unauthorized' }
  const guarded = serve(() => Response.json(wants, { status: 401 }))
  const stranger = await query(['SELECT 1', '--server', guarded.url])
  guarded.stop()
  expect(stranger.stderr).toBe(`${wants.error}; give it by --token or METAFLOW_AGENT_TOKEN\n`)
  const away = await query(['SELECT 1', '--server', server.url])
  expect(away.code).toBe(1)
  expect(away.stderr).toContain(`Cannot ask ${server.url}: it is not reached`)
  const other = serve(() => new Response('<html>', { status: 404 }))
  const foreign = await query(['SELECT 1', '--server', other.url])
  other.stop()
  expect(foreign.stderr).toContain("it answered 404, not MetaFlow's")
})

test.each(['table', 'json', 'csv'])(
  'metaflow query --output %s takes no stranger for a server',
  async (output) => {
    const html = { headers: { 'content-type': 'text/html' } }
    const server = serve(() => new Response('<html>hello</html>\n', html))
    const run = await query(['SELECT 1', '--server', server.url, '--output', output])
    server.stop()
    expect([run.code, run.stdout, run.stderr]).toEqual([
      1,
      '',
      `Cannot ask ${server.url}: it answered 200, not MetaFlow's\n`,
    ])
  },
)

test('metaflow query reaches this machine past a proxy', async () => {
  const server = serve(() => new Response(ROWS))
  const proxy = { HTTP_PROXY: 'http://127.0.0.1:1', http_proxy: 'http://127.0.0.1:1' }
  const run = await query(['SELECT 1', '--server', server.url], proxy)
  server.stop()
  expect([run.code, run.stdout.split('\n').length]).toEqual([0, 6])
})

test.each([
  [[], 'no SQL was given'],
  [['SELECT', '1'], 'put the statement into quotes'],
  [['SELECT 1', '--output', 'xml'], 'expected table or json or csv'],
  [['SELECT 1', '--outptu', 'csv'], 'did you mean --output?'],
])('metaflow query %j is misuse', async (args, sentence) => {
  const run = await query(args)
  expect(run.code).toBe(2)
  expect(run.stderr).toContain(sentence)
})

test('tableText cuts what is too wide and colours the head for a terminal', () => {
  const text = tableText({ columns: ['a'], values: [['x'.repeat(100)]] }, true)
  expect(text).toStartWith('\u001b[1ma\u001b[0m\n\u001b[2m')
  expect(text).toEndWith(`${'x'.repeat(59)}…\n`)
})
