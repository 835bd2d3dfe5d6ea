import { expect, test } from 'bun:test'
import { hint, nearest } from '../../src/lib/nearest.ts'

const WORDS = ['dataDir', 'logLevel', 'server.listen', 'server.token', 'query']

test.each([
  ['datadir', 'dataDir'],
  ['logLvel', 'logLevel'],
  ['sever.listen', 'server.listen'],
  ['server.tokne', 'server.token'],
  ['qeury', 'query'],
  ['quiet', undefined],
  ['x', undefined],
  ['completely-different', undefined],
])('nearest of %s is %s', (word, want) => {
  expect(nearest(word, WORDS)).toBe(want as string)
})

test('hint ends a sentence, or says nothing', () => {
  expect(hint('qeury', WORDS)).toBe('; did you mean query?')
  expect(hint('zzzzzzzz', WORDS)).toBe('')
})
