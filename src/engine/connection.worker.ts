/** One Worker, one connection to the engine: takes orders one at a time, blocks while it works. */
import { Chdb, type Connection, NOTHING, READ_ONLY, type Stream, type Summary } from './chdb.ts'
import type { Order, Reply, Role } from './messages.ts'

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
let connection: Connection | undefined
let role: Role = 'reader'
/** Settings the connection was opened with: what a statement's own settings give way to again. */
const base = new Map<string, string>()
let database = 'default'
let stream: Stream | undefined
let read: Summary = NOTHING
const EMPTY = new Uint8Array(0)
/** Settings that the statement under way changed. */
let changed: string[] = []
const RECOVER_MAX = 5

declare const self: Worker
type Run = Extract<Order, { kind: 'run' }>

self.onmessage = (event: MessageEvent<Order>): void => {
  let answer: Reply
  try {
    answer = obey(event.data)
  } catch (error) {
    answer = { kind: 'failed', sentence: error instanceof Error ? error.message : String(error) }
    recover()
  }
  if (answer.kind === 'part') self.postMessage(answer, [answer.bytes.buffer])
  else self.postMessage(answer)
}

function obey(order: Order): Reply {
  if (order.kind === 'open') return open(order.library, order.args, order.role)
  if (connection === undefined) throw new Error('there is no connection')
  if (order.kind === 'run') return run(connection, order)
  if (order.kind === 'more') return more()
  if (order.kind === 'cancel') return finish(EMPTY, read)
  stream?.close()
  connection.close()
  return { kind: 'closed', clean: order.shutdown ? chdb.shutdown() : true }
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

function run(to: Connection, { statement, mark, rows }: Run): Reply {
  const { kind, sql, format, settings } = statement
  const analysis = kind === 'insert' ? undefined : to.analyse(sql)
  if (role === 'reader') {
    if (analysis?.statements === 0) return unreadable(to, sql)
    if (analysis?.queryClass !== READ_ONLY) return refused('only statements that read are allowed')
    if (analysis.statements !== 1) return refused('only one statement at a time is allowed')
  }
  use(statement.database)
  changed = Object.keys(settings)
  if (changed.length > 0) set(changed.map((name) => `${name} = ${literal(settings[name]!)}`))
  if (kind === 'insert') return finish(EMPTY, to.insert(sql, format, rows ?? EMPTY))
  if (analysis?.queryClass === READ_ONLY && STREAMED.has(format)) {
    stream = to.stream(mark + sql, format)
    read = NOTHING
    return more()
  }
  const { bytes, summary } = to.query(mark + sql, format)
  return finish(bytes, summary)
}

function more(): Reply {
  const next = stream?.next()
  if (next === undefined) return finish(EMPTY, read)
  const { bytes, summary } = next
  read = {
    ...summary,
    resultRows: read.resultRows + summary.resultRows,
    readRows: Math.max(read.readRows, summary.readRows),
    readBytes: Math.max(read.readBytes, summary.readBytes),
  }
  return { kind: 'part', bytes, last: false, summary: read }
}

/** The last of a result; the connection is then as it was opened. */
function finish(bytes: Uint8Array<ArrayBuffer>, summary: Summary): Reply {
  stream?.close()
  stream = undefined
  if (changed.length > 0) set(changed.map(restored))
  changed = []
  // EMPTY is ours to keep: what is handed over is gone here.
  return { kind: 'part', bytes: bytes === EMPTY ? new Uint8Array(0) : bytes, last: true, summary }
}

/**
 * After an error: what a failed statement had already answered is still in the connection, and
 * would come as the beginning of the next answer (26.7.3). So it is asked until it answers right.
 */
function recover(): void {
  if (connection === undefined) return
  stream?.close()
  stream = undefined
  for (const name of changed) attempt(() => set([restored(name)]))
  changed = []
  for (let i = 0; i < RECOVER_MAX; i++)
    if (attempt(() => connection?.query('SELECT 1', 'TabSeparated').bytes.length === 2)) return
  throw new Error('a connection does not recover from an error')
}

/** What `run` answers, or undefined: a kill meant for the statement before may still arrive. */
function attempt<T>(run: () => T): T | undefined {
  try {
    return run()
  } catch {
    return undefined
  }
}

/** In ClickHouse's words, so that a client shows it like any other of its errors. */
function refused(why: string): Reply {
  const sentence = `Code: 164. DB::Exception: Cannot run this statement: ${why}. (READONLY)`
  return { kind: 'failed', sentence }
}

/** Why `sql` cannot be parsed, by a function that parses and does nothing else. */
function unreadable(to: Connection, sql: string): Reply {
  to.query(`SELECT formatQuery(${text(sql)})`, 'Null')
  return refused('it cannot be read')
}

function use(wanted: string): void {
  if (wanted === database) return
  connection?.query(`USE ${identifier(wanted)}`, 'Null')
  database = wanted
}

function set(assignments: readonly string[]): void {
  connection?.query(`SET ${assignments.join(', ')}`, 'Null')
}

function restored(name: string): string {
  const value = base.get(name)
  return value === undefined ? `${name} = DEFAULT` : `${name} = ${literal(value)}`
}

function literal(value: string): string {
  return /^-?\d+(\.\d+)?$/.test(value) ? value : text(value)
}

function text(value: string): string {
  return `'${value.replace(/[\\']/g, '\\$&')}'`
}

function identifier(name: string): string {
  return `\`${name.replace(/[\\`]/g, '\\$&')}\``
}
