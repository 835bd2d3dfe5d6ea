import { describe, expect, test } from 'bun:test'
import { MORE, type Sender, SWITCH, WRONG } from '../../../src/agent/protocols/protocol.ts'
import { redis } from '../../../src/agent/protocols/redis.ts'
import { bytesOf, TestLink, textOf } from './link.ts'

function show({ message: m }: TestLink, size: number): string {
  if (size <= 0) return `${m.next}${size}`
  const words: (string | number)[] = [m.kind === 'none' ? '-' : m.kind]
  if (m.operation.end) words.push(textOf(m.operation))
  if (m.resource.end) words.push(textOf(m.resource))
  if (m.status) words.push(`status=${m.status}`)
  if (m.error.end) words.push(`"${textOf(m.error)}"`)
  if (!m.last) words.push('…')
  if (m.truncated) words.push('cut')
  return `${words.join(' ')} ${size}`
}

/** A command as clients send it. */
const command = (...words: readonly string[]): string =>
  `*${words.length}\r\n${words.map(bulk).join('')}`
const bulk = (text: string): string => `$${text.length}\r\n${text}\r\n`

const CASES: readonly (readonly [string, Sender, string, string])[] = [
  ['a command', 'client', command('GET', 'k'), 'request GET k 20'],
  ['no argument', 'client', command('ping'), 'request PING 14'],
  ['all arguments', 'client', command('set', 'k', 'v w'), 'request SET k v w 29'],
  ['no password', 'client', command('AUTH', 'user', 'pw'), 'request AUTH 32'],
  [
    'no password in HELLO',
    'client',
    command('hello', '3', 'AUTH', 'u', 'pw'),
    'request HELLO 3 47',
  ],
  [
    'no password in CONFIG SET',
    'client',
    command('CONFIG', 'SET', 'requirepass', 'pw'),
    'request CONFIG SET requirepass 51',
  ],
  ['no value of ECHO', 'client', command('ECHO', 'v'), 'request ECHO 21'],
  ['the first of two', 'client', `${command('PING')}*1\r\n`, 'request PING 14'],
  [
    'a big value at its size, without its bytes',
    'client',
    `*3\r\n${bulk('SET')}${bulk('k')}$3000000\r\n${'v'.repeat(1200)}`,
    `request SET k ${'v'.repeat(1022)} cut ${3_000_032}`,
  ],
  [
    'a big value where only the name is told',
    'client',
    `*2\r\n${bulk('ECHO')}$99999\r\n`,
    'request ECHO 100023',
  ],
  ['an empty command as nothing', 'client', '*0\r\n', '- 4'],
  ['an inline command', 'client', 'set  k v\r\n', 'request SET k v 10'],
  ['an inline command that ends in LF alone', 'client', 'PING\n', 'request PING 5'],
  ['an inline command between blanks', 'client', ' \tset\tk  v \r\n', 'request SET k v 13'],
  ['blanks as nothing', 'client', '  \n', '- 3'],
  ['an empty key before its value', 'client', command('SET', '', 'v'), 'request SET  v 26'],
  ['no password inline', 'client', 'AUTH pw\r\n', 'request AUTH 9'],
  ['an empty line as nothing', 'client', '\r\n', '- 2'],
  ['a name and a colon as nothing of ours', 'client', 'Host: a\r\n', '-1'],
  ['a client that answers', 'client', '+OK\r\n', '-1'],
  ['more arguments than there can be', 'client', '*2147483648\r\n', '-1'],
  ['2^31 - 1 arguments that do not come', 'client', '*2147483647\r\n', `${MORE}`],
  ['an argument that is none', 'client', '*1\r\n:1\r\n', '-1'],
  ['a size that is none', 'client', '*1\r\n$x\r\n', '-1'],
  ['a count that is none', 'client', '*1x\r\n', '-1'],
  ['a command that is null', 'client', '*1\r\n$-1\r\n', '-1'],
  ['a simple string', 'server', '+OK\r\n', 'response 5'],
  ['an error', 'server', '-WRONGTYPE no\r\n', 'response status=3 "WRONGTYPE no" 15'],
  ['a blob error', 'server', '!10\r\nSYNTAX bad\r\n', 'response status=3 "SYNTAX bad" 17'],
  ['a number', 'server', ':-12\r\n', 'response 6'],
  ['what is no number', 'server', ':12a\r\n', '-1'],
  ['null', 'server', '$-1\r\n', 'response 5'],
  ['the null of RESP3', 'server', '_\r\n', 'response 3'],
  ['a null array', 'server', '*-1\r\n', 'response 5'],
  ['an empty array', 'server', '*0\r\n', 'response 4'],
  ['true', 'server', '#t\r\n', 'response 4'],
  ['what is no boolean', 'server', '#x\r\n', '-1'],
  ['a double', 'server', ',1.5e3\r\n', 'response 8'],
  ['a big number', 'server', '(3492890328409238509324850943850943825024385\r\n', 'response 46'],
  ['a verbatim text', 'server', '=7\r\ntxt:abc\r\n', 'response 13'],
  ['a text at its size, without its bytes', 'server', '$5000000\r\nabc', 'response 5000012'],
  ['a text that does not end its line', 'server', '$2\r\nabcd', '-1'],
  ['a nested array', 'server', '*2\r\n*2\r\n:1\r\n*0\r\n$1\r\na\r\n', 'response 23'],
  ['a map', 'server', '%1\r\n+k\r\n:1\r\n', 'response 12'],
  ['a set', 'server', '~1\r\n+k\r\n', 'response 8'],
  ['an attribute as nothing, then its value', 'server', '|1\r\n+k\r\n,0.1\r\n', '- 14'],
  ['an attribute inside', 'server', '*2\r\n|1\r\n+k\r\n:1\r\n+a\r\n+b\r\n', 'response 24'],
  ['a streamed text', 'server', '$?\r\n;4\r\nHell\r\n;1\r\no\r\n;0\r\n', 'response 25'],
  ['a streamed array', 'server', '*2\r\n*?\r\n:1\r\n.\r\n:2\r\n', 'response 19'],
  ['the end of no stream', 'server', '.\r\n', '-1'],
  ['a RESP3 push', 'server', '>2\r\n+message\r\n+x\r\n', '- 18'],
  ['a RESP2 push', 'server', `*3\r\n${bulk('message')}${bulk('c')}${bulk('x')}`, '- 31'],
  ['an array of any other word', 'server', `*1\r\n${bulk('massage')}`, 'response 17'],
  ['the beginning of an array', 'server', `*1\r\n$7\r\nmess`, `${MORE}`],
  ['what MONITOR shows', 'server', '+1339518083.107412 [0 lua] "get" "k"\r\n', '- 38'],
  ['zeros as nothing of ours', 'server', '\0\0\0\0', '-1'],
]

test.each(CASES)('redis reads %s', (_, sender, input, want) => {
  const link = new TestLink(redis)
  expect(show(link, link.feed(sender, bytesOf(input)))).toBe(want)
})

type Step = readonly [sender: Sender, input: string, want: readonly string[]]
const MESSAGE = `*3\r\n${bulk('message')}${bulk('c')}${bulk('x')}`
const subscribed = (word: string, channel: string, count: number): string =>
  `*3\r\n${bulk(word)}${bulk(channel)}:${count}\r\n`
const ZEROS = '\0'.repeat(200)

const TALKS: Record<string, readonly Step[]> = {
  'a pipeline, answered in pieces': [
    ['client', command('PING') + command('GET', 'k'), ['request PING 14', 'request GET k 20']],
    ['server', '+PONG\r\n$1\r\nv\r\n', ['response 7', 'response 7']],
  ],
  'an array that comes in pieces: told at its beginning': [
    ['client', command('LRANGE', 'l', '0', '9'), ['request LRANGE l 0 9 37']],
    ['server', '*3\r\n:1\r\n', ['response … 8']],
    ['server', ':2\r\n', ['- 4']],
    ['server', '$5\r\nhe', ['response 11']],
  ],
  'MULTI and EXEC': [
    ['client', command('MULTI'), ['request MULTI 15']],
    ['server', '+OK\r\n', ['response 5']],
    ['client', command('INCR', 'k'), ['request INCR k 21']],
    ['server', '+QUEUED\r\n', ['response 9']],
    ['client', command('EXEC'), ['request EXEC 14']],
    ['server', '*2\r\n:1\r\n-ERR in it\r\n', ['response 20']],
  ],
  'RESP2 pushes while nothing but PING may wait': [
    ['client', command('SUBSCRIBE', 'c', 'd'), ['request SUBSCRIBE c d 33']],
    ['server', subscribed('subscribe', 'c', 1), ['response 30']],
    ['server', MESSAGE, ['- 31']],
    ['server', subscribed('subscribe', 'd', 2), ['- 30']],
    ['client', command('PING'), ['request PING 14']],
    ['server', MESSAGE, ['- 31']],
    ['server', `*2\r\n${bulk('pong')}${bulk('')}`, ['response 20']],
    ['client', command('UNSUBSCRIBE'), ['request UNSUBSCRIBE 22']],
    ['server', subscribed('unsubscribe', 'c', 1), ['response 33']],
    ['server', subscribed('unsubscribe', 'd', 0), ['- 33']],
  ],
  'two subscriptions in one write: each its own first confirmation': [
    [
      'client',
      command('SUBSCRIBE', 'a', 'b') + command('SUBSCRIBE', 'c'),
      ['request SUBSCRIBE a b 33', 'request SUBSCRIBE c 26'],
    ],
    ['server', subscribed('subscribe', 'a', 1), ['response 30']],
    ['server', subscribed('subscribe', 'b', 2), ['- 30']],
    ['server', subscribed('subscribe', 'c', 3), ['response 30']],
  ],
  'the end of several subscriptions, and a command in the same write': [
    ['client', command('SUBSCRIBE', 'c', 'd'), ['request SUBSCRIBE c d 33']],
    [
      'server',
      subscribed('subscribe', 'c', 1) + subscribed('subscribe', 'd', 2),
      ['response 30', '- 30'],
    ],
    [
      'client',
      command('UNSUBSCRIBE') + command('INCR', 'k'),
      ['request UNSUBSCRIBE 22', 'request INCR k 21'],
    ],
    ['server', subscribed('unsubscribe', 'c', 1), ['response 33']],
    ['server', subscribed('unsubscribe', 'd', 0), ['- 33']],
    ['server', '-ERR no\r\n', ['response status=3 "ERR no" 9']],
    ['client', command('LRANGE', 'l', '0', '9'), ['request LRANGE l 0 9 37']],
    ['server', MESSAGE, ['response 31']],
  ],
  'a confirmation whose count is still to come': [
    ['client', command('UNSUBSCRIBE', 'c'), ['request UNSUBSCRIBE c 29']],
    ['server', subscribed('unsubscribe', 'c', 1).slice(0, -3), [`${MORE}`]],
    ['server', subscribed('unsubscribe', 'c', 1), ['response 33']],
    ['client', command('UNSUBSCRIBE'), ['request UNSUBSCRIBE 22']],
    ['server', `*3\r\n${bulk('unsubscribe')}$-1\r\n:0\r\n`, ['response 31']],
  ],
  'what is published before the answer to QUIT': [
    ['client', command('SUBSCRIBE', 'c', 'd'), ['request SUBSCRIBE c d 33']],
    [
      'server',
      subscribed('subscribe', 'c', 1) + subscribed('subscribe', 'd', 2),
      ['response 30', '- 30'],
    ],
    ['client', command('UNSUBSCRIBE', 'd'), ['request UNSUBSCRIBE d 29']],
    ['server', subscribed('unsubscribe', 'd', 1), ['response 33']],
    ['client', command('QUIT'), ['request QUIT 14']],
    ['server', `${MESSAGE}+OK\r\n`, ['- 31', 'response 5']],
  ],
  'a list that begins with "message" for what it is where a command waits': [
    ['client', command('LRANGE', 'l', '0', '9'), ['request LRANGE l 0 9 37']],
    ['server', MESSAGE, ['response 31']],
  ],
  'RESP3 pushes between responses': [
    ['client', command('GET', 'k'), ['request GET k 20']],
    ['server', `>2\r\n${bulk('invalidate')}*1\r\n${bulk('k')}`, ['- 32']],
    ['server', '$1\r\nv\r\n', ['response 7']],
    ['client', command('SUBSCRIBE', 'c'), ['request SUBSCRIBE c 26']],
    ['server', `>3\r\n${bulk('subscribe')}${bulk('c')}:1\r\n`, ['response 30']],
    ['client', command('LRANGE', 'l', '0', '9'), ['request LRANGE l 0 9 37']],
    ['server', MESSAGE, ['response 31']],
  ],
  'CLIENT REPLY': [
    ['client', command('CLIENT', 'REPLY', 'SKIP'), ['oneway CLIENT REPLY SKIP 37']],
    ['client', command('GET', 'a'), ['oneway GET a 20']],
    ['client', command('GET', 'b'), ['request GET b 20']],
    ['server', '$-1\r\n', ['response 5']],
    ['client', command('CLIENT', 'reply', 'off'), ['oneway CLIENT reply off 36']],
    ['client', command('GET', 'c'), ['oneway GET c 20']],
    ['client', command('CLIENT', 'LIST'), ['oneway CLIENT LIST 26']],
    ['client', command('CLIENT', 'REPLY', 'ON'), ['request CLIENT REPLY ON 35']],
    ['server', '+OK\r\n', ['response 5']],
  ],
  MONITOR: [
    ['client', command('MONITOR'), ['request MONITOR 17']],
    ['server', '+OK\r\n', ['response 5']],
    ['server', '+1339518083.107412 [0 127.0.0.1:60866] "keys" "*"\r\n', ['- 51']],
    ['client', command('PING'), ['request PING 14']],
    [
      'server',
      '+1339518083.107412 [0 127.0.0.1:60866] "keys" "*"\r\n+PONG\r\n',
      ['- 51', 'response 7'],
    ],
    ['client', command('RESET'), ['request RESET 15']],
    ['server', '+1339518083.1 [0 lua] "get"\r\n+RESET\r\n', ['- 29', 'response 8']],
    ['client', command('EVAL', 'x', '0'), ['request EVAL x 0 28']],
    ['server', '+1.5\r\n', ['response 6']],
  ],
  'RESET, which ends CLIENT REPLY': [
    ['client', command('CLIENT', 'REPLY', 'OFF'), ['oneway CLIENT REPLY OFF 36']],
    ['client', command('GET', 'a'), ['oneway GET a 20']],
    ['client', command('RESET'), ['request RESET 15']],
    ['server', '+RESET\r\n', ['response 8']],
    ['client', command('CLIENT', 'REPLY', 'SKIP'), ['oneway CLIENT REPLY SKIP 37']],
    ['client', command('RESET'), ['oneway RESET 15']],
    ['client', command('GET', 'a'), ['request GET a 20']],
  ],
  'CLIENT REPLY that says nothing': [
    ['client', command('CLIENT', 'REPLY', 'OFFER'), ['request CLIENT REPLY OFFER 38']],
    ['server', '-ERR syntax error\r\n', ['response status=3 "ERR syntax error" 19']],
    ['client', command('CLIENT', 'REPLY'), ['request CLIENT REPLY 27']],
  ],
  'a replica: the stream after the answer is another protocol': [
    ['client', command('PSYNC', '?', '-1'), ['request PSYNC ? -1 30']],
    ['server', '+FULLRESYNC abc 0\r\n$5\r\nREDIS', ['response 19', `Redis replication${SWITCH}`]],
    ['client', command('REPLCONF', 'ACK', '0'), [`Redis replication${SWITCH}`]],
  ],
  'a hole in a request, and the next one after it': [
    ['client', `*4\r\n${bulk('SET')}${bulk('k')}${ZEROS}`, ['request SET k cut 220']],
    ['server', '+OK\r\n', ['response 5']],
    ['client', command('GET', 'k'), ['request GET k 20']],
  ],
  'a hole in what may be CLIENT REPLY as lost framing': [
    ['client', `*3\r\n${bulk('CLIENT')}${bulk('REPLY')}${ZEROS}`, [`${WRONG}`]],
  ],
  'a hole in a name as lost framing': [['client', `*1\r\n$11\r\nUNSUB${ZEROS}`, [`${WRONG}`]]],
  'a hole behind a big value': [
    [
      'client',
      `*5\r\n${bulk('SET')}${bulk('k')}$2000\r\n${'v'.repeat(1100)}`,
      [`request SET k ${'v'.repeat(1022)} … cut 2029`],
    ],
    ['client', '\0'.repeat(18), ['request cut 18']],
    ['server', '+OK\r\n', ['response 5']],
    ['client', command('GET', 'k'), ['request GET k 20']],
  ],
  'a hole in a response, and the next one after it': [
    ['client', command('KEYS', '*'), ['request KEYS * 21']],
    ['server', `*100\r\n${bulk('a')}${ZEROS}`, ['response … 13', 'response cut 200']],
    ['server', '$1\r\nb\r\n', ['- 7']],
    ['client', command('GET', 'k'), ['request GET k 20']],
    ['server', '$1\r\nv\r\n', ['response 7']],
  ],
  'a hole in a pipeline as lost framing': [
    ['client', command('KEYS', '*') + command('PING'), ['request KEYS * 21', 'request PING 14']],
    ['server', `*100\r\n${bulk('a')}${ZEROS}`, ['response … 13', 'response cut 200']],
    ['server', '+PONG\r\n', [`${WRONG}`]],
  ],
}

describe('redis follows', () => {
  test.each(Object.entries(TALKS))('%s', (_, steps) => {
    const link = new TestLink(redis)
    for (const [sender, input, want] of steps)
      expect(link.feedAll(sender, bytesOf(input), show)).toEqual([...want])
  })

  test('fresh bytes after lost framing', () => {
    const link = new TestLink(redis)
    link.feed('client', bytesOf(command('CLIENT', 'REPLY', 'OFF')))
    link.feed('server', bytesOf('*9\r\n'))
    link.conversation.lost()
    expect(link.feedAll('client', bytesOf(command('PING')), show)).toEqual(['request PING 14'])
    expect(link.feedAll('server', bytesOf('+PONG\r\n'), show)).toEqual(['response 7'])
  })
})

test.each([
  ['client', command('GET', 'k'), 95],
  ['client', '*1\r\n', 60],
  ['client', '*2\r\n:1\r\n', 0],
  ['client', '* OK [CAPABILITY IMAP4]\r\n', 0],
  ['client', 'GET / HTTP/1.1\r\n', 0],
  ['server', '+OK\r\n', 50],
  ['server', '-ERR no\r\n', 50],
  ['server', '+hello there\r\n', 0],
  ['server', '*1\r\n$1\r\na\r\n', 50],
  ['server', '\0\0\0\0', 0],
] as const)('redis claims of a %s %p: %i', (sender, input, want) => {
  expect(redis.claim(bytesOf(input), sender)).toBe(want)
})
