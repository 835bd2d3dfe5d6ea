/*
 * Commands that a reader of the stream must know: all others are a request, a response and
 * arguments that may be shown.
 * https://redis.io/docs/latest/commands/
 */

/** Tags of requests: what their response looks like, and what may come before it. */
export const COMMAND = 0
/** In a subscribed connection of RESP2 pushes may come before its response: PING, QUIT. */
export const PING = 1
/** A replication stream follows its response. */
export const SYNC = 2
/** Its response ends what SUBSCRIBE, HELLO and CLIENT REPLY began. */
export const RESET_ALL = 3
/** SUBSCRIPTION + its place in CONFIRMATIONS, and SUBSCRIPTION_STEP × the channels it names. */
export const SUBSCRIPTION = 4
export const SUBSCRIPTION_STEP = 16

export type Command = {
  readonly word: Uint8Array
  readonly tag: number
  /** How many of its arguments are no secret and no mere value. */
  readonly shown: number
}

const encoder = new TextEncoder()
const command = (word: string, tag: number, shown: number): Command => ({
  word: encoder.encode(word),
  tag,
  shown,
})
const ALL = Number.POSITIVE_INFINITY

/** Words with which a server confirms a subscription or its end. */
export const CONFIRMATIONS: readonly Uint8Array[] = [
  'subscribe',
  'psubscribe',
  'ssubscribe',
  'unsubscribe',
  'punsubscribe',
  'sunsubscribe',
].map((word) => encoder.encode(word))
/** Words with which a server pushes what was published. */
export const PUSHES: readonly Uint8Array[] = ['message', 'pmessage', 'smessage'].map((word) =>
  encoder.encode(word),
)

/** CLIENT REPLY says whether responses come at all. */
export const CLIENT: Command = command('client', COMMAND, ALL)
export const RESET: Command = command('reset', RESET_ALL, ALL)

const COMMANDS: readonly Command[] = [
  CLIENT,
  RESET,
  command('auth', COMMAND, 0),
  // HELLO version [AUTH user password] [SETNAME name]
  command('hello', COMMAND, 1),
  // CONFIG SET requirepass …, ACL SETUSER user >password …
  command('config', COMMAND, 2),
  command('acl', COMMAND, 2),
  // MIGRATE host port key db timeout [AUTH password] …
  command('migrate', COMMAND, 3),
  // SENTINEL SET master auth-pass password
  command('sentinel', COMMAND, 2),
  command('ping', PING, 0),
  command('quit', PING, ALL),
  command('echo', COMMAND, 0),
  command('sync', SYNC, ALL),
  command('psync', SYNC, ALL),
  ...CONFIRMATIONS.map((word, i) => ({ word, tag: SUBSCRIPTION + i, shown: ALL })),
]
export const OTHER: Command = command('', COMMAND, ALL)

/** What is known of the command whose name is [start, end). */
export function commandOf(bytes: Uint8Array, start: number, end: number): Command {
  const size = end - start
  if (size > SIZE_MAX || ((SIZES[bytes[start]!]! >> size) & 1) === 0) return OTHER
  for (const known of BY_SIZE[size]!) if (isWord(bytes, start, known.word)) return known
  return OTHER
}

/** Which of `words` the bytes at `at` are up to their line's end, or -1. */
export function indexOfWord(words: readonly Uint8Array[], bytes: Uint8Array, at: number): number {
  for (let i = 0; i < words.length; i++)
    if (bytes[at + words[i]!.length] === CR && isWord(bytes, at, words[i]!)) return i
  return -1
}
const CR = 0x0d

/** Whether the bytes at `at` are `word`, in either case; `word` is in lower case. */
export function isWord(bytes: Uint8Array, at: number, word: Uint8Array): boolean {
  for (let i = 0; i < word.length; i++) if ((bytes[at + i]! | 0x20) !== word[i]) return false
  return true
}

/** A bit for each size of the commands that begin with a byte. */
const SIZES = new Uint32Array(256)
const SIZE_MAX = 31
const BY_SIZE: Command[][] = Array.from({ length: SIZE_MAX + 1 }, () => [])
for (const known of COMMANDS) {
  const { word } = known
  BY_SIZE[word.length]!.push(known)
  for (const first of [word[0]!, word[0]! & ~0x20]) SIZES[first]! |= 1 << word.length
}
