/** `shop-store`: a small Redis of its own, RESP2 and RESP3, in memory. */
import type { Socket } from 'bun'
import type { Part } from './parts.ts'
import { PORTS } from './parts.ts'
import {
  bulk,
  error,
  integer,
  list,
  map,
  NOTHING,
  type Request,
  readRequest,
  simple,
} from './resp.ts'

/** Keys kept; the oldest gives way. */
const KEYS_MAX = 10_000
const LIST_MAX = 1000
/** A client that sends more without a whole request in it is let go. */
const INPUT_BYTES_MAX = 65_536

type Value = string | string[]
type Peer = { input: Uint8Array; isResp3: boolean }
type Answer = (store: Map<string, Value>, args: readonly string[], peer: Peer) => string

const WRONG_TYPE = error('WRONGTYPE Operation against a key holding the wrong kind of value')
const NO_NUMBER = error('ERR value is not an integer or out of range')

export const runStore: Part = ({ address }) => {
  const store = new Map<string, Value>()
  const server = Bun.listen<Peer>({
    hostname: address,
    port: PORTS['shop-store'],
    socket: {
      open(socket) {
        socket.data = { input: new Uint8Array(0), isResp3: false }
      },
      data: (socket, bytes) => take(store, socket, bytes),
    },
  })
  return { stop: () => server.stop(true) }
}

/** Answers all requests that are whole, in order, in one write. */
function take(store: Map<string, Value>, socket: Socket<Peer>, bytes: Uint8Array): void {
  const peer = socket.data
  let input = Buffer.concat([peer.input, bytes])
  let output = ''
  let isOver = false
  for (;;) {
    const request: Request | undefined = isOver ? undefined : readRequest(input)
    if (request === undefined) break
    input = input.subarray(request.size)
    if (request.words.length === 0) continue
    output += answer(store, request.words, peer)
    isOver = request.words[0]!.toUpperCase() === 'QUIT'
  }
  peer.input = input
  isOver ||= input.length > INPUT_BYTES_MAX
  // Who does not read what it asked for is let go, too: nothing is kept for it.
  if (socket.write(Buffer.from(output)) < Buffer.byteLength(output)) socket.terminate()
  else if (isOver) socket.end()
}

function answer(store: Map<string, Value>, words: readonly string[], peer: Peer): string {
  const [name = '', ...args] = words
  const command = COMMANDS[name.toUpperCase()]
  if (command === undefined)
    return error(`ERR unknown command '${name}', with args beginning with: ${args.slice(0, 2)}`)
  const [least, run] = command
  if (args.length < least)
    return error(`ERR wrong number of arguments for '${name.toLowerCase()}' command`)
  return run(store, args, peer)
}

function set(store: Map<string, Value>, key: string, value: Value): void {
  store.delete(key)
  store.set(key, value)
  if (store.size > KEYS_MAX) store.delete(store.keys().next().value!)
}

/** Commands by name: the least number of arguments, and what they do. */
const COMMANDS: Readonly<Record<string, readonly [least: number, run: Answer]>> = {
  PING: [0, (_, [text]) => (text === undefined ? simple('PONG') : bulk(text))],
  ECHO: [1, (_, [text]) => bulk(text!)],
  QUIT: [0, () => simple('OK')],
  SELECT: [1, () => simple('OK')],
  CLIENT: [1, () => simple('OK')],
  COMMAND: [0, () => list([])],
  HELLO: [
    0,
    (_, [version], peer) => {
      peer.isResp3 = version === '3'
      const facts = ['server', 'redis', 'version', '7.0.0', 'role', 'master', 'mode', 'standalone']
      return map(facts.map(bulk), peer.isResp3)
    },
  ],
  GET: [
    1,
    (store, [key], peer) => {
      const value = store.get(key!)
      if (value === undefined) return NOTHING[peer.isResp3 ? 1 : 0]
      return typeof value === 'string' ? bulk(value) : WRONG_TYPE
    },
  ],
  SET: [
    2,
    (store, [key, value]) => {
      set(store, key!, value!)
      return simple('OK')
    },
  ],
  DEL: [1, (store, keys) => integer(keys.filter((key) => store.delete(key)).length)],
  EXISTS: [1, (store, keys) => integer(keys.filter((key) => store.has(key)).length)],
  EXPIRE: [2, (store, [key]) => integer(store.has(key!) ? 1 : 0)],
  INCR: [
    1,
    (store, [key]) => {
      const value = store.get(key!) ?? '0'
      if (typeof value !== 'string') return WRONG_TYPE
      if (!/^-?\d{1,15}$/.test(value)) return NO_NUMBER
      set(store, key!, String(Number(value) + 1))
      return integer(Number(value) + 1)
    },
  ],
  LPUSH: [
    2,
    (store, [key, ...values]) => {
      const value = store.get(key!) ?? []
      if (typeof value === 'string') return WRONG_TYPE
      value.unshift(...values.toReversed())
      value.length = Math.min(value.length, LIST_MAX)
      set(store, key!, value)
      return integer(value.length)
    },
  ],
  LRANGE: [
    3,
    (store, [key, from, to]) => {
      const value = store.get(key!) ?? []
      if (typeof value === 'string') return WRONG_TYPE
      const end = Number(to) < 0 ? value.length + Number(to) + 1 : Number(to) + 1
      return list(value.slice(Number(from), end).map(bulk))
    },
  ],
}
