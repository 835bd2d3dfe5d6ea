import type { Sender } from '../../../src/agent/protocols/protocol.ts'
import { little, packet } from './mysql-bytes.ts'

/** One message, or one part that a sender may write by itself, as latin-1. */
export type Line = readonly [sender: Sender, text: string]
export type Sample = {
  /** Whole conversations by stream, a message a line. */
  readonly transcripts: readonly (readonly Line[])[]
  /** What is built to be expensive: nested, numbered or long beyond sense. */
  readonly hostile: readonly Line[]
}

const bulk = (text: string): string => `$${text.length}\r\n${text}\r\n`
const command = (...words: readonly string[]): string =>
  `*${words.length}\r\n${words.map(bulk).join('')}`

const packets = (first: number, ...payloads: readonly string[]): string =>
  payloads.map((payload, i) => packet(first + i, payload)).join('')
const column = (name: string): string =>
  `\x03def\0\0\0${String.fromCharCode(name.length)}${name}\0\x0c\x21\0\0\x04\0\0\xfd\0\0\0\0\0`
const OK = '\0\0\0\x02\0\0\0'
const EOF = '\xfe\0\0\x02\0'
const GREETING = `\n8.0.36\0${little(9, 4)}saltsalt\0\xff\xff\x08\x02\0\xff\xff\x15${'\0'.repeat(10)}saltsaltsalt\0`
const LOGIN = `${little(0x8208, 4)}${little(2 ** 24, 4)}\x21${'\0'.repeat(23)}bob\0\x04saltshop\0`

const u16 = (value: number): string => String.fromCharCode(value >> 8, value & 255)
const framed = (text: string): string => u16(text.length) + text
const QUESTION = '\x03www\x02ex\0\0\x01\0\x01'
const asked = (id: number, flags: number, answers: number): string =>
  `${u16(id)}${u16(flags)}\0\x01${u16(answers)}\0\0\0\0${QUESTION}`
const A = '\xc0\x0c\0\x01\0\x01\0\0\0\x05\0\x04\x7f\0\0\x01'

const GET = 'GET /a?b HTTP/1.1\r\nHost: h\r\nX-Request-ID: r\r\n\r\n'

export const samples: Readonly<Record<string, Sample>> = {
  HTTP: {
    transcripts: [
      [
        ['client', GET],
        ['server', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Request-ID: r\r\n\r\nhello'],
        ['client', 'POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc'],
        ['server', 'HTTP/1.1 100 Continue\r\n\r\n'],
        ['server', 'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n'],
        ['client', 'PUT /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n'],
        ['client', '5\r\nhello\r\n'],
        ['client', '0\r\nA: b\r\n\r\n'],
        ['server', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'],
        ['server', 'a;x=y\r\n0123456789\r\n'],
        ['server', '0\r\n\r\n'],
        ['client', 'HEAD / HTTP/1.1\r\n\r\n'],
        ['server', 'HTTP/1.1 500 x\r\nContent-Length: 10\r\n\r\n'],
        ['client', GET],
        ['server', 'HTTP/1.1 204 No Content\r\n\r\n'],
      ],
      [
        ['client', GET],
        ['client', GET],
        ['server', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx'],
        ['server', 'HTTP/1.1 301 Moved\r\nContent-Length: 0\r\n\r\n'],
      ],
    ],
    hostile: [
      ['client', `GET / HTTP/1.1\r\n${'a: b\r\n'.repeat(20_000)}`],
      ['client', `GET / HTTP/1.1\r\nHost: h\r\n${' x\r\n'.repeat(20_000)}`],
      ['client', `GET / HTTP/1.1\r\nContent-Length: ${'1,'.repeat(20_000)}\r\n\r\n`],
      ['client', `PUT / HTTP/1.1\r\nContent-Length: ${2 ** 31}\r\n\r\n`],
      ['client', `GET ${'/'.repeat(100_000)}`],
      ['client', '\r\n'.repeat(20_000)],
      ['server', `HTTP/1.1 200 ${'x'.repeat(100_000)}`],
    ],
  },
  DNS: {
    transcripts: [
      [
        ['client', framed(asked(1, 0x0100, 0))],
        ['client', framed(asked(2, 0x0100, 0))],
        ['server', framed(asked(2, 0x8183, 0))],
        ['server', framed(asked(1, 0x8180, 2) + A + A)],
      ],
    ],
    hostile: [
      // Every name points at the one before it, so that the last chain is as long as it can be.
      [
        'server',
        framed(
          `\0\x01\x81\x80\0\x01${u16(4000)}\0\0\0\0\x01a\0\0\x01\0\x01${Array.from(
            { length: 4000 },
            (_, i) =>
              `${u16(0xc000 | Math.max(12, 12 + 7 + 12 * (i - 1)))}\0\x05\0\x01\0\0\0\0\0\0`,
          ).join('')}`,
        ),
      ],
      ['client', framed(`\0\x01\x01\0${u16(32)}\0\0\0\0\0\0${QUESTION.repeat(4000)}`)],
      [
        'server',
        framed(`\0\x01\x81\x80\0\x01\xff\xff\xff\xff\xff\xff${QUESTION}${A.repeat(3000)}`),
      ],
      ['client', framed(`\0\x01\x01\0\xff\xff\0\0\0\0\0\0${'\x01a'.repeat(30_000)}`)],
    ],
  },
  Redis: {
    transcripts: [
      [
        ['client', command('SET', 'k', 'hello')],
        ['client', command('GET', 'k')],
        ['server', '+OK\r\n'],
        ['server', bulk('hello')],
        ['client', command('NOPE')],
        ['server', "-ERR unknown command 'NOPE'\r\n"],
        ['client', command('HGETALL', 'h')],
        ['server', `%2\r\n${bulk('a')}:1\r\n${bulk('b')}*2\r\n_\r\n#t\r\n`],
        ['client', command('EVAL', 'x', '0')],
        ['server', '!9\r\nERR wrong\r\n'],
      ],
      [
        ['client', command('subscribe', 'c')],
        ['server', `*3\r\n${bulk('subscribe')}${bulk('c')}:1\r\n`],
        ['server', `*3\r\n${bulk('message')}${bulk('c')}${bulk('hi')}`],
        ['client', command('PING')],
        ['server', `*2\r\n${bulk('pong')}${bulk('')}`],
      ],
    ],
    hostile: [
      ['server', '*1\r\n'.repeat(100_000)],
      ['server', '|1\r\n'.repeat(100_000)],
      ['server', '*?\r\n'.repeat(100_000)],
      ['server', '*2147483648\r\n:1\r\n'],
      ['server', `%${2 ** 40}\r\n:1\r\n`],
      ['server', '$2147483648\r\nx'],
      ['server', `+${'x'.repeat(100_000)}`],
      ['client', '*2147483647\r\n$1\r\na\r\n'],
      ['client', `*100000\r\n${bulk('').repeat(100_000)}`],
      ['client', `*100001\r\n${bulk('MSET')}${bulk('').repeat(100_000)}`],
      ['client', `PING ${'x '.repeat(100_000)}\r\n`],
    ],
  },
  MySQL: {
    transcripts: [
      [
        ['server', packet(0, GREETING)],
        ['client', packet(1, LOGIN)],
        ['server', packet(2, OK)],
        ['client', packet(0, '\x03SELECT a FROM t')],
        ['server', packets(1, '\x01', column('a'), EOF, '\x01x', '\x01y', EOF)],
        ['client', packet(0, '\x16SELECT ?')],
        [
          'server',
          packets(1, `\0${little(1, 4)}\x01\0\x01\0\0\0\0`, column('?'), EOF, column('a'), EOF),
        ],
        ['client', packet(0, `\x17${little(1, 4)}\0\x01\0\0\0`)],
        ['server', packets(1, '\x01', column('a'), EOF, '\0\0\x01x', EOF)],
        ['client', packet(0, '\x03DELETE FROM t')],
        ['server', packet(1, '\0\x05\0\x02\0\0\0')],
        ['client', packet(0, '\x03SELEC')],
        ['server', packet(1, '\xff\x28\x04#42000You have an error')],
        ['client', packet(0, '\x0e')],
        ['server', packet(1, OK)],
      ],
    ],
    hostile: [
      ['client', `\xff\xff\xff\0\x03${'x'.repeat(100_000)}`],
      ['client', packet(0, `\x03${'/*'.repeat(100_000)}`)],
      ['client', packet(0, `\x03${'*'.repeat(100_000)}`)],
      ['client', packet(0, `\x03/*${'a='.repeat(100_000)}*/`)],
      ['client', packet(0, `\x03\x40\x01${'\xff'.repeat(8)}\x01${'\0'.repeat(100_000)}`)],
      ['server', packets(0, ...Array.from({ length: 10_000 }, () => OK))],
      ['server', packet(0, `\n${'8'.repeat(100_000)}`)],
    ],
  },
}
