import type { Context, MiddlewareHandler } from 'hono'
import { MetaflowError } from '../../lib/errors.ts'
import { isAuthorized } from '../../lib/secrets.ts'

/** Nothing but what this server serves may run, be loaded or be framed. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "font-src 'self'",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')
const HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': POLICY,
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
}

export type GuardOptions = {
  /** Without a token everybody may ask; then the server is bound to loopback. */
  readonly token: string | undefined
  /** Names besides those of loopback that a browser may reach this server by, without port. */
  readonly hosts: readonly string[]
}

/** Headers that keep a browser from being turned against its user. */
export function secureHeaders(): MiddlewareHandler {
  return async (c, next) => {
    await next()
    for (const name in HEADERS)
      if (!c.res.headers.has(name)) c.res.headers.set(name, HEADERS[name]!)
    if (!c.res.headers.has('cache-control')) c.res.headers.set('cache-control', 'no-store')
  }
}

/**
 * Without a token, whoever reaches loopback may ask, and a page of another site reaches it through
 * its visitor's browser: by a name of its own that it points at 127.0.0.1 (then Host is that
 * name), or by a request across sites (then Origin or Sec-Fetch-Site says so).
 */
export function sameSite({ token, hosts }: GuardOptions): MiddlewareHandler {
  const known = new Set(['localhost', '::1', ...hosts.map((host) => host.toLowerCase())])
  return async (c, next) => {
    const host = hostOf(c)
    const name = nameOf(host)
    if (token === undefined && !known.has(name) && !/^127(?:\.\d{1,3}){3}$/.test(name))
      throw new MetaflowError(
        'forbidden',
        `Cannot answer: ${JSON.stringify(host)} is no name of this server`,
      )
    const origin = c.req.header('origin')
    const site = c.req.header('sec-fetch-site')
    const isForeign = origin !== undefined && hostOfOrigin(origin) !== host
    const isCrossSite = site === 'cross-site' || site === 'same-site'
    if (isForeign || (isCrossSite && !isNavigation(c)))
      throw new MetaflowError('forbidden', 'Cannot answer: the request comes from another site')
    await next()
  }
}

/** A link that was followed shows a page; it reads and changes nothing. */
function isNavigation(c: Context): boolean {
  return c.req.header('sec-fetch-mode') === 'navigate' && c.req.method === 'GET'
}

function hostOf(c: Context): string {
  return (c.req.header('host') ?? new URL(c.req.url).host).toLowerCase()
}

function nameOf(host: string): string {
  return host.replace(/:\d*$/, '').replace(/^\[(.*)\]$/, '$1')
}

function hostOfOrigin(origin: string): string {
  try {
    return new URL(origin).host.toLowerCase()
  } catch {
    return ''
  }
}

/** Lets through who bears the token, if there is one. */
export function bearer({ token }: GuardOptions): MiddlewareHandler {
  return async (c, next) => {
    if (!isAuthorized(c.req.header('authorization'), token)) {
      c.header('www-authenticate', 'Bearer realm="metaflow"')
      throw new MetaflowError('unauthorized', 'Cannot answer: the token is missing or wrong')
    }
    await next()
  }
}
