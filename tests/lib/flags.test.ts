import { expect, test } from 'bun:test'
import { parseFlags } from '../../src/lib/flags.ts'

const SPEC = { table: true, output: true, raw: false }

test.each([
  [['a.pcap'], {}, ['a.pcap']],
  [['--table', 'calls', 'a.pcap', '--raw'], { table: 'calls', raw: 'true' }, ['a.pcap']],
  [['--table=calls', '--table=messages'], { table: 'messages' }, []],
  [['--output=', '-'], { output: '' }, ['-']],
  [['--table=a=b'], { table: 'a=b' }, []],
  [['--table', '-1'], { table: '-1' }, []],
  [['--', '--table', 'x'], {}, ['--table', 'x']],
  [[], {}, []],
])('parseFlags reads %j', (args, values, rest) => {
  const flags = parseFlags(args, SPEC)
  expect(Object.fromEntries(flags.values)).toEqual(values)
  expect(flags.rest).toEqual(rest)
})

test.each([
  [['--tabel', 'x'], 'Cannot read --tabel: there is no such flag; did you mean --table?'],
  [['--outptu=json'], 'Cannot read --outptu: there is no such flag; did you mean --output?'],
  [['--constructor=1'], 'Cannot read --constructor: there is no such flag'],
  [['-x'], 'Cannot read -x: there is no such flag'],
  [['--table'], 'Cannot read --table: its value is missing'],
  [['--table', '--', 'x'], 'Cannot read --table: its value is missing'],
])('parseFlags refuses %j', (args, sentence) => {
  expect(() => parseFlags(args, SPEC)).toThrow(sentence)
})
