/** One Worker, one connection to the engine: takes orders one at a time and blocks while it works. */
import { Chdb, type Connection, NOTHING, READ_ONLY, type Stream, type Summary } from './chdb.ts'
import type { Order, Reply, Role, Statement } from './messages.ts'

/**
 * Formats whose blocks may be put one after the other. The rest (JSON, Parquet, …WithNames) have a
 * beginning or an end, which the engine repeats in every block of a streamed result.
 */
const STREAMED = new Set([
  'Native',
  'RowBinary',
  'JSONEachRow',
  'JSONLines',
  'NDJSON',
  'JSONStringsEachRow',
  'JSONCompactEachRow',
  'JSONCompactStringsEachRow',
  'TabSeparated',
  'TSV',
  'TabSeparatedRaw',
  'TSVRaw',
  'CSV',
  'LineAsString',
  'MsgPack',
  'TSKV',
])

let chdb: Chdb
let connection: Connection
let role: Role = 'reader'
/** Settings the connection was opened with: what a statement's own settings give way to again. */
const base = new Map<string, string>()
let database = 'default'
let stream: Stream | undefined
let read: Summary = NOTHING
const EMPTY = new Uint8Array(0)

declare const self: Worker

self.onmessage = (event: MessageEvent<Order>): void => {
  let answer: Reply
  try {
    answer = obey(event.data)
  } catch (error) {
    answer = { kind: 'failed', sentence: error instanceof Error ? error.message : String(error) }
  }
  if (answer.kind === 'part') self.postMessage(answer, [answer.bytes.buffer])
  else self.postMessage(answer)
}

function obey(order: Order): Reply {
  switch (order.kind) {
    case 'open':
      return open(order.library, order.args, order.role)
    case 'run':
      return run(order.statement, order.mark, order.rows)
    case 'more':
      return more()
    case 'cancel':
      stream?.close()
      stream = undefined
      return whole(EMPTY, read)
    case 'close':
      stream?.close()
      connection.close()
      return { kind: 'closed', clean: order.shutdown ? chdb.shutdown() : true }
  }
}

function open(library: string, args: readonly string[], who: Role): Reply {
  chdb = new Chdb(library)
  connection = chdb.connect(args)
  role = who
  for (const arg of args) {
    const [, name, value] = /^--(\w+)=(.*)$/.exec(arg) ?? []
    if (name !== undefined && value !== undefined) base.set(name, value)
  }
  return { kind: 'open', version: chdb.version }
}

function run(statement: Statement, mark: string, rows: Uint8Array | undefined): Reply {
  const { kind, sql, format, settings } = statement
  const analysis = kind === 'insert' ? undefined : connection.analyse(sql)
  if (role === 'reader') {
    if (analysis?.queryClass !== READ_ONLY) return refused('only statements that read are allowed')
    if (analysis.statements !== 1) return refused('only one statement at a time is allowed')
  }
  use(statement.database)
  const names = Object.keys(settings)
  if (names.length > 0) set(names.map((name) => `${name} = ${literal(settings[name]!)}`))
  try {
    if (kind === 'insert') return whole(EMPTY, connection.insert(sql, format, rows ?? EMPTY))
    if (analysis?.queryClass === READ_ONLY && STREAMED.has(format)) {
      stream = connection.stream(mark + sql, format)
      read = NOTHING
      return more()
    }
    const { bytes, summary } = connection.query(mark + sql, format)
    return whole(bytes, summary)
  } finally {
    if (names.length > 0) set(names.map(restored))
  }
}

function more(): Reply {
  const next = stream?.next()
  if (next === undefined) {
    stream = undefined
    return whole(EMPTY, read)
  }
  const { bytes, summary } = next
  read = {
    ...summary,
    resultRows: read.resultRows + summary.resultRows,
    readRows: Math.max(read.readRows, summary.readRows),
    readBytes: Math.max(read.readBytes, summary.readBytes),
  }
  return { kind: 'part', bytes, last: false, summary: read }
}

function whole(bytes: Uint8Array<ArrayBuffer>, summary: Summary): Reply {
  // EMPTY is ours to keep: what is handed over is gone here.
  return { kind: 'part', bytes: bytes === EMPTY ? new Uint8Array(0) : bytes, last: true, summary }
}

/** In ClickHouse's words, so that a client shows it like any other of its errors. */
function refused(why: string): Reply {
  const sentence = `Code: 164. DB::Exception: Cannot run this statement: ${why}. (READONLY)`
  return { kind: 'failed', sentence }
}

function use(wanted: string): void {
  if (wanted === database) return
  connection.query(`USE ${identifier(wanted)}`, 'Null')
  database = wanted
}

function set(assignments: readonly string[]): void {
  connection.query(`SET ${assignments.join(', ')}`, 'Null')
}

function restored(name: string): string {
  const value = base.get(name)
  return value === undefined ? `${name} = DEFAULT` : `${name} = ${literal(value)}`
}

function literal(value: string): string {
  return /^-?\d+(\.\d+)?$/.test(value) ? value : `'${value.replace(/[\\']/g, '\\$&')}'`
}

function identifier(name: string): string {
  return `\`${name.replace(/[\\`]/g, '\\$&')}\``
}
