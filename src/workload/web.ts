/** `shop-web`: the shop's front end, which asks the shop's API for what it shows. */
import type { Part } from './parts.ts'
import { PORTS, urlOf } from './parts.ts'

/** Headers that go on to whom we ask, so that a request can be followed. */
const HANDED_ON = ['traceparent', 'x-request-id'] as const
const TIMEOUT_MS = 5000

export const runWeb: Part = ({ address }) => {
  const api = urlOf(address, 'shop-api')
  const server = Bun.serve({
    hostname: address,
    port: PORTS['shop-web'],
    development: false,
    routes: {
      '/': async (request) => page(await ask(`${api}/v1/products`, request)),
      '/products/:id': async (request) =>
        page(await ask(`${api}/v1/products/${request.params.id}`, request)),
      '/basket': async (request) => page(await ask(`${api}/v1/recent`, request)),
      '/checkout': { POST: async (request) => page(await ask(`${api}/v1/orders`, request)) },
      '/health': new Response('ok'),
    },
    fetch: () => new Response('There is no such page.', { status: 404 }),
    error: () => new Response('The shop is closed.', { status: 502 }),
  })
  return { stop: () => void server.stop(true) }
}

async function ask(url: string, request: Request): Promise<Response> {
  const headers = new Headers()
  for (const name of HANDED_ON) {
    const value = request.headers.get(name)
    if (value !== null) headers.set(name, value)
  }
  const body = request.method === 'POST' ? await request.text() : undefined
  if (body !== undefined) headers.set('content-type', 'application/json')
  return fetch(url, {
    method: request.method,
    headers,
    signal: AbortSignal.timeout(TIMEOUT_MS),
    ...(body === undefined ? {} : { body }),
  })
}

async function page(answer: Response): Promise<Response> {
  const text = await answer.text()
  const id = answer.headers.get('x-request-id')
  return new Response(`<!doctype html><title>Shop</title><pre>${Bun.escapeHTML(text)}</pre>`, {
    status: answer.status,
    headers: { 'content-type': 'text/html', ...(id === null ? {} : { 'x-request-id': id }) },
  })
}
