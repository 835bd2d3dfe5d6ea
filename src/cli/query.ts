/** `metaflow query SQL`: asks a server and prints what it answers. */
import { loadConfig, reachLoopback } from '../config/load.ts'
import type { ClientConfig } from '../config/settings.ts'
import { ERRORS, type ErrorCode, MetaflowError, sentenceOf } from '../lib/errors.ts'
import { isTerminal, print, say } from '../lib/log.ts'
import { hint } from '../lib/nearest.ts'
import { jsonText, parseAnswer, type Result, tableText } from './query-table.ts'

const OUTPUTS = ['table', 'json', 'csv'] as const
type Output = (typeof OUTPUTS)[number]
const FORMATS = {
  json: { name: 'JSONEachRow', type: 'application/x-ndjson' },
  csv: { name: 'CSVWithNames', type: 'text/csv' },
} as const
const JSON_TYPE = 'application/json'
const TOTALS = /\bWITH\s+TOTALS\b/i
/** Frames of the spinner, and how long each stays, ms. */
const FRAMES = '⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏'
const FRAME_MS = 80

type Question = {
  readonly config: ClientConfig
  readonly sql: string
  readonly database: string | undefined
  readonly stop: AbortSignal | undefined
}

/** Exit codes: 0 answered, 1 refused or not reached, 2 misuse. */
export async function queryCommand(args: readonly string[], stop?: AbortSignal): Promise<number> {
  const { config, flags, rest } = loadConfig('client', args, { output: true, db: true })
  const output = outputOf(flags.get('output') ?? 'table')
  reachLoopback()
  const question = { config, sql: await sqlOf(rest), database: flags.get('db'), stop }
  const done = spin()
  try {
    if (output === 'table') await printTable(question, done)
    else if (output === 'json' && TOTALS.test(question.sql)) await printTotals(question, done)
    else await printStream(question, output, done)
    return 0
  } catch (thrown) {
    done()
    if (stop?.aborted) return 1
    throw thrown
  }
}

function outputOf(word: string): Output {
  const output = OUTPUTS.find((one) => one === word)
  if (output) return output
  throw new MetaflowError(
    'misuse',
    `Cannot use --output ${word}: expected ${OUTPUTS.join(' or ')}${hint(word, OUTPUTS)}`,
  )
}

/** The statement: the one argument, or standard input where that is `-`. */
async function sqlOf(rest: readonly string[]): Promise<string> {
  const [sql, further] = rest
  if (sql === undefined)
    throw new MetaflowError('misuse', 'Cannot ask: no SQL was given; "-" reads it from the input')
  if (further !== undefined)
    throw new MetaflowError('misuse', `Cannot ask ${further}: put the statement into quotes`)
  return sql === '-' ? await Bun.stdin.text() : sql
}

type Answer = {
  readonly result: Result
  readonly truncated: boolean
  readonly elapsed_ms: unknown
}

async function answerOf(question: Question): Promise<Answer> {
  const response = await ask(question, undefined, JSON_TYPE)
  return parseAnswer(await response.text()) as Answer
}

async function printTable(question: Question, done: () => void): Promise<void> {
  const { result, truncated, elapsed_ms } = await answerOf(question)
  done()
  const { values } = result
  print(tableText(result, isTerminal().answers))
  const rows = values.length === 1 ? '1 row' : `${values.length} rows`
  const ms = Math.round(Number((elapsed_ms as { text?: string }).text ?? elapsed_ms))
  if (isTerminal().sentences) say(`${rows} in ${ms} ms\n`)
  if (truncated) say(`The answer is cut: only its first ${rows} were sent; use LIMIT\n`)
}

/** Prints rows with their totals, which a stream of JSON rows has no place for. */
async function printTotals(question: Question, done: () => void): Promise<void> {
  const { result, truncated } = await answerOf(question)
  done()
  if (truncated)
    throw new MetaflowError(
      'tooLarge',
      `Cannot print the answer: it has more than the ${result.values.length} rows that were sent; use LIMIT`,
    )
  print(jsonText(result))
}

async function printStream(
  question: Question,
  output: Exclude<Output, 'table'>,
  done: () => void,
): Promise<void> {
  const { name, type } = FORMATS[output]
  const response = await ask(question, name, type)
  done()
  const decoder = new TextDecoder()
  let before = '['
  let rest = ''
  for await (const chunk of wholeOf(response)) {
    const text = decoder.decode(chunk, { stream: true })
    if (output === 'csv') {
      print(text)
      continue
    }
    const lines = (rest + text).split('\n')
    rest = lines.pop()!
    for (const line of lines) {
      print(`${before}\n  ${line}`)
      before = ','
    }
  }
  if (output === 'json') print(before === '[' ? '[]\n' : '\n]\n')
}

/** An answer's bytes. Throws a sentence where it ends before it is whole. */
async function* wholeOf(response: Response): AsyncGenerator<Uint8Array> {
  const reader = response.body!.getReader()
  for (;;) {
    const { done, value } = await reader.read().catch((cause: unknown) => {
      throw new MetaflowError(
        'failed',
        'Cannot print all of the answer: the server broke it off; it may have more rows or bytes than query.maxRows lets through',
        cause,
      )
    })
    if (done) return
    yield value
  }
}

/** The server's answer, which is to be of `type`: whoever else listens there sends another. */
async function ask(
  question: Question,
  format: string | undefined,
  type: string,
): Promise<Response> {
  const { config, sql, database, stop } = question
  const { server, token } = config.agent
  const response = await fetch(new URL('/v1/query', server), {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify({ sql, ...(database && { db: database }), ...(format && { format }) }),
    ...(stop && { signal: stop }),
  }).catch((cause: unknown) => {
    throw new MetaflowError(
      'unavailable',
      `Cannot ask ${server}: it is not reached (${sentenceOf(cause)})`,
      cause,
    )
  })
  if (!response.ok) throw refusal(server, response.status, await response.text())
  if (!response.headers.get('content-type')?.startsWith(type))
    throw stranger(server, response.status)
  return response
}

/** What the server said, or that it is no server of ours. */
function refusal(server: string, status: number, text: string): MetaflowError {
  try {
    const { DESCRIPTION, error, code } = JSON.parse(text) as Record<string, unknown>
    const sentence = DESCRIPTION ?? error
    if (typeof sentence === 'string') {
      const known = typeof code === 'string' && Object.hasOwn(ERRORS, code)
      const how = code === 'unauthorized' ? '; give it by --token or METAFLOW_AGENT_TOKEN' : ''
      return new MetaflowError(known ? (code as ErrorCode) : 'failed', sentence + how)
    }
  } catch {
    // Then it is no answer of ours.
  }
  return stranger(server, status)
}

function stranger(server: string, status: number): MetaflowError {
  return new MetaflowError('failed', `Cannot ask ${server}: it answered ${status}, not MetaFlow's`)
}

/** Turns while the server thinks, for a person alone; the answer ends it. */
function spin(): () => void {
  if (!isTerminal().sentences) return () => {}
  let at = 0
  const timer = setInterval(() => say(`\r${FRAMES[at++ % FRAMES.length]} `), FRAME_MS)
  let isTurning = true
  return () => {
    if (!isTurning) return
    isTurning = false
    clearInterval(timer)
    if (at > 0) say('\r  \r')
  }
}
