/** `metaflow replay FILE`: reads a capture file as the agent reads a wire, prints what it saw. */
import { type ReplayOptions, replay } from '../agent/replay.ts'
import { MetaflowError } from '../lib/errors.ts'
import { parseFlags } from '../lib/flags.ts'
import { say } from '../lib/log.ts'
import { hint } from '../lib/nearest.ts'
import { JsonLines, type Output, TextTable } from './replay-output.ts'
import { callRow, messageRow, pointRow } from './replay-rows.ts'

const OUTPUTS = ['jsonl', 'table'] as const

const ENDS = ['ip4_0', 'client_port', 'ip4_1', 'server_port'] as const
const REQUEST = ['request_type', 'request_domain', 'request_resource'] as const
const RESPONSE = ['response_status', 'response_code', 'response_exception'] as const
/** What is worth a column on a terminal; JSON lines have all. */
const COLUMNS = {
  messages: ['time', 'type', 'l7_protocol', ...ENDS, ...REQUEST, ...RESPONSE],
  calls: ['start_time', 'l7_protocol', ...ENDS, ...REQUEST, ...RESPONSE, 'response_duration'],
  metrics: [
    'table',
    'time',
    'l7_protocol',
    'server_port',
    'endpoint',
    'request',
    'response',
    'error',
    'timeout',
    'rrt_sum',
    'rrt_count',
    'rrt_max',
  ],
} as const
const TABLES = ['messages', 'calls', 'metrics'] as const

/** Exit codes: 0 read to its end, 1 it could not be, 2 misuse. What was read is printed anyway. */
export async function replayCommand(args: readonly string[], stop?: AbortSignal): Promise<number> {
  const { values, rest } = parseFlags(args, { table: true, output: true })
  const table = oneOf(TABLES, values.get('table') ?? 'calls', '--table')
  const format = oneOf(OUTPUTS, values.get('output') ?? 'jsonl', '--output')
  const [path, further] = rest
  if (path === undefined)
    throw new MetaflowError('misuse', 'Cannot replay: no capture file was given')
  if (further !== undefined)
    throw new MetaflowError('misuse', `Cannot replay ${further}: one file at a time`)
  const output = format === 'jsonl' ? new JsonLines() : new TextTable(COLUMNS[table])
  const { problem } = await replay({ path, ...(stop && { stop }), ...tapOf(table, output) })
  output.end()
  if (problem) say(`metaflow: ${problem}\n`)
  return problem || stop?.aborted ? 1 : 0
}

function tapOf(table: (typeof TABLES)[number], output: Output): Partial<ReplayOptions> {
  switch (table) {
    case 'messages':
      return { onMessage: (call) => output.row(messageRow(call)) }
    case 'calls':
      return { onCall: (call) => output.row(callRow(call)) }
    case 'metrics':
      return { onPoint: (point) => output.row(pointRow(point)) }
  }
}

function oneOf<T extends string>(choices: readonly T[], word: string, flag: string): T {
  const choice = choices.find((one) => one === word)
  if (choice !== undefined) return choice
  throw new MetaflowError(
    'misuse',
    `Cannot use ${flag} ${word}: expected ${choices.join(' or ')}${hint(word, choices)}`,
  )
}
