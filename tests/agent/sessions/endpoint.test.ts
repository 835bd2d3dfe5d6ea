import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { ENDPOINTS_MAX, Endpoints, pathEndpoint } from '../../../src/agent/sessions/endpoint.ts'
import { EndpointRules } from '../../../src/agent/sessions/endpoint-rules.ts'
import { Text } from '../../../src/model/message.ts'

function textOf(text: string): Text {
  const range = new Text()
  range.set(new TextEncoder().encode(`/x${text}/y/z`), 2, new TextEncoder().encode(text).length)
  return range
}

function read({ bytes, start, end }: Text): string {
  return new TextDecoder().decode(bytes.subarray(start, end))
}

test.each([
  ['/', '/'],
  ['/a', '/a'],
  ['/a/', '/a'],
  ['/a/b', '/a/b'],
  ['/a/b/c?d=e', '/a/b'],
  ['/a?b=/c', '/a'],
  ['/a#b', '/a'],
  ['/orders/17', '/orders/*'],
  ['/17/18/19', '/*/*'],
  ['/v1/items', '/v1/items'],
  ['/u/123e4567-e89b-12d3-a456-426614174000/x', '/u/*'],
  ['/u/123e4567-e89b-12d3-a456-42661417400', '/u/123e4567-e89b-12d3-a456-42661417400'],
  ['/o/0123456789abcdef', '/o/*'],
  ['/o/0123456789abcde', '/o/0123456789abcde'],
  ['/o/cafe', '/o/cafe'],
  ['/login;jsessionid=4F', '/login'],
  ['/o/12ab', '/o/12ab'],
  ['http://shop:80/a/7?b', '/a/*'],
  ['http://shop', ''],
  ['*', ''],
  ['shop:443', ''],
  ['', ''],
])('pathEndpoint of %s is %s', (path, want) => {
  expect(read(pathEndpoint(textOf(path)))).toBe(want)
})

test.each([
  ['', '/api/v2/orders/7', '/api/v2'],
  ['/api=3', '/api/v2/orders/7', '/api/v2/orders'],
  ['/api=3, /api/v2=4', '/api/v2/orders/7', '/api/v2/orders/*'],
  ['/api/v2=4,/api=3', '/api/v1/orders/7', '/api/v1/orders'],
  ['/api=3', '/apis/v2/orders', '/apis/v2'],
  ['/static=1', '/static?x=1', '/static'],
  ['/static/=1', '/static/a/b', '/static'],
  ['/=9', '/1/2/3/4/5/6/7/8/9/a', '/*/*/*/*/*/*/*/*/*'],
])('EndpointRules of "%s" make %s %s', (rules, path, want) => {
  expect(read(pathEndpoint(textOf(path), new EndpointRules(rules)))).toBe(want)
})

test.each(['/a', 'a=1', '/a=x', '/a=1;/b=2', '/a?=1'])('EndpointRules refuse "%s"', (rules) => {
  expect(() => new EndpointRules(rules)).toThrow('agent.endpoints')
})

test('pathEndpoint stays within its bounds on a path without an end', () => {
  expect(read(pathEndpoint(textOf(`/${'a'.repeat(5000)}/7`))).length).toBeLessThan(256)
})

test('Endpoints keeps so many of each server and port, and calls the rest (other)', () => {
  const endpoints = new Endpoints()
  const group = endpoints.group(3, 80)
  const bound = (i: number): string => read(endpoints.bound(group, textOf(`/e${i}`)))
  for (let i = 0; i < ENDPOINTS_MAX; i++) expect(bound(i)).toBe(`/e${i}`)
  expect(bound(ENDPOINTS_MAX)).toBe('(other)')
  expect(bound(7)).toBe('/e7')
  expect(endpoints.overflowed).toBe(1)
  expect(endpoints.group(3, 80)).toBe(group)
  expect(endpoints.group(3, 81)).not.toBe(group)
  expect(read(endpoints.bound(endpoints.group(4, 80), textOf('/new')))).toBe('/new')
})

/** What the endpoint of a path is, by another way. */
function expected(path: string): string {
  const [first = '', ...rest] = path
    .replace(/[?#].*$/s, '')
    .split('/')
    .slice(1, 3)
  const isId = (word: string): boolean =>
    /^\d+$|^[\da-f]{16,}$|^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i.test(word)
  const words = [first, ...rest.filter((word) => word !== '')]
  return words.map((word) => (isId(word) ? '/*' : `/${word}`)).join('')
}

test('pathEndpoint is what it is by another way, for any path', () => {
  const uuid = '123e4567-e89b-12d3-a456-426614174000'
  const words = ['', 'a', '7', 'cafe', '0123456789abcdef', '0123456789ABCDEF0', uuid, `${uuid}0`]
  const more = ['?a=/b', '#x', '1-2', '-', 'z9', '0123456789abcde']
  const paths = fc.array(fc.constantFrom(...words, ...more), { minLength: 1, maxLength: 5 })
  fc.assert(
    fc.property(paths, (parts) => {
      const path = `/${parts.join('/')}`
      expect(read(pathEndpoint(textOf(path)))).toBe(expected(path))
    }),
    { numRuns: 5000 },
  )
})
