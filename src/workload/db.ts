/** `shop-db`: a small MySQL of its own that knows two tables. */
import type { Socket } from 'bun'
import type { Env } from '../lib/env.ts'
import { failure, greeting, ok, packets, prepared, type Rows, result } from './db-packets.ts'
import type { Part } from './parts.ts'
import { PORTS } from './parts.ts'

const PACKET_BYTES_MAX = 65_536
const STATEMENTS_MAX = 1000
const ROWS_MAX = 20
/** One statement in a hundred is slow, by as much. */
const SLOW_SHARE = 0.01
const SLOW_MS_MIN = 150
const SLOW_MS_MAX = 600

const PREPARE = 0x16
const EXECUTE = 0x17
const CLOSE = 0x19
const QUERY = 0x03
const QUIT = 0x01
const FIELD_TYPES_MAX = 64

type Peer = {
  input: Uint8Array
  isLoggedIn: boolean
  readonly statements: Map<number, string>
  lastStatement: number
  /** Answers go out in order, slow or not. */
  queue: Promise<void>
  waiting: number
}
/** Commands that wait on one connection behind a slow one. */
const WAITING_MAX = 100

export const runDatabase: Part = ({ env, address }) => {
  let threads = 0
  const server = Bun.listen<Peer>({
    hostname: address,
    port: PORTS['shop-db'],
    socket: {
      open(socket) {
        socket.data = {
          input: new Uint8Array(0),
          isLoggedIn: false,
          statements: new Map(),
          lastStatement: 0,
          queue: Promise.resolve(),
          waiting: 0,
        }
        socket.write(packets(0, [greeting(++threads)]))
      },
      data: (socket, bytes) => take(env, socket, bytes),
    },
  })
  return { stop: () => server.stop(true) }
}

function take(env: Env, socket: Socket<Peer>, bytes: Uint8Array): void {
  const peer = socket.data
  let input = Buffer.concat([peer.input, bytes])
  while (input.length >= 4) {
    const size = input.readUIntLE(0, 3)
    if (size > PACKET_BYTES_MAX || peer.waiting > WAITING_MAX) {
      socket.terminate()
      return
    }
    if (input.length < 4 + size) break
    const payload = Buffer.from(input.subarray(4, 4 + size))
    const number = input[3]!
    input = input.subarray(4 + size)
    peer.waiting++
    peer.queue = peer.queue.then(async () => {
      await reply(env, socket, number, payload)
      peer.waiting--
    })
  }
  peer.input = input
}

async function reply(
  env: Env,
  socket: Socket<Peer>,
  number: number,
  payload: Buffer,
): Promise<void> {
  const peer = socket.data
  if (!peer.isLoggedIn) {
    peer.isLoggedIn = true
    socket.write(packets(number + 1, [ok()]))
    return
  }
  if (payload[0] === QUIT) {
    socket.end()
    return
  }
  if (payload[0] === QUERY || payload[0] === EXECUTE) await maybeSlow(env)
  const answer = packets(1, answerTo(payload, peer))
  if (answer.length > 0 && socket.write(answer) < answer.length) socket.terminate()
}

async function maybeSlow({ random, timers }: Env): Promise<void> {
  if (random.fraction() >= SLOW_SHARE) return
  const ms = SLOW_MS_MIN + random.fraction() * (SLOW_MS_MAX - SLOW_MS_MIN)
  await new Promise<void>((resolve) => {
    timers.after(ms, resolve)
  })
}

/** The payloads that answer a command; none where none is expected. */
function answerTo(payload: Buffer, peer: Peer): Buffer[] {
  switch (payload[0]) {
    case QUERY:
      return run(payload.toString('utf8', 1), false)
    case PREPARE:
      return prepare(payload.toString('utf8', 1), peer)
    case EXECUTE: {
      const text = peer.statements.get(payload.readUInt32LE(1))
      if (text === undefined) return [failure(1243, 'HY000', 'Unknown prepared statement handler')]
      return run(text, true)
    }
    case CLOSE:
      peer.statements.delete(payload.readUInt32LE(1))
      return []
    default:
      return [ok()]
  }
}

function prepare(text: string, peer: Peer): Buffer[] {
  const answer = evaluate(text)
  if (Buffer.isBuffer(answer)) return [answer]
  peer.lastStatement++
  peer.statements.set(peer.lastStatement, text)
  if (peer.statements.size > STATEMENTS_MAX)
    peer.statements.delete(peer.statements.keys().next().value!)
  const marks = Math.min(text.split('?').length - 1, FIELD_TYPES_MAX)
  return prepared(peer.lastStatement, typeof answer === 'number' ? [] : answer.columns, marks)
}

function run(text: string, isPrepared: boolean): Buffer[] {
  const answer = evaluate(text)
  if (Buffer.isBuffer(answer)) return [answer]
  return typeof answer === 'number' ? [ok(answer)] : result(answer, isPrepared)
}

const TABLES: Readonly<Record<string, readonly string[]>> = {
  products: ['id', 'name', 'price', 'stock'],
  orders: ['id', 'product_id', 'amount', 'state'],
}
const NAMES = ['kettle', 'teapot', 'cup', 'saucer', 'spoon', 'strainer']
const STATEMENT = /^\s*(select|insert|update|delete|replace|set|begin|start|commit|rollback)\b/i
const TABLE = /\b(?:from|into|update)\s+`?(\w+)`?/i
const CHANGES = /^\s*(insert|update|delete|replace)\b/i

/** What a statement gives: rows, a number of changed rows, or an error's payload. */
function evaluate(text: string): Rows | number | Buffer {
  if (!STATEMENT.test(text)) {
    const near = text.slice(0, 60)
    return failure(
      1064,
      '42000',
      `You have an error in your SQL syntax; check the manual near '${near}' at line 1`,
    )
  }
  const table = TABLE.exec(text)?.[1]
  if (table === undefined)
    return /^\s*select/i.test(text) ? { columns: ['value'], rows: [['1']] } : 0
  const columns = TABLES[table]
  if (columns === undefined) return failure(1146, '42S02', `Table 'shop.${table}' doesn't exist`)
  if (CHANGES.test(text)) return 1
  const limit = Number(
    /\blimit\s+(\d+)/i.exec(text)?.[1] ?? (/\bwhere\b/i.test(text) ? 1 : ROWS_MAX),
  )
  const rows = Array.from({ length: Math.min(limit, ROWS_MAX) }, (_, i) =>
    columns.map((column) => cellOf(column, i + 1)),
  )
  return { columns, rows }
}

function cellOf(column: string, row: number): string {
  if (column === 'name') return NAMES[row % NAMES.length]!
  if (column === 'state') return row % 3 === 0 ? 'sent' : 'open'
  return String(column === 'id' ? row : (row * 7) % 100)
}
