import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { readProcStat } from '../../src/lib/proc-stat.ts'

test('readProcStat takes the command as it is, brackets and all', () => {
  expect(readProcStat('7 (a) (b c) S 1 2\n')).toEqual({
    command: 'a) (b c',
    fields: ['S', '1', '2\n'],
  })
  expect(readProcStat('')).toBe(undefined)
  const own = readProcStat(readFileSync('/proc/self/stat', 'utf8'))
  expect(own?.fields[1]).toBe(String(process.ppid))
})
