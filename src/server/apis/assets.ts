import { Hono } from 'hono'

/** A file of the page: its bytes as they are and, where that is smaller, gzipped. */
export type Asset = {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly type: string
  readonly gzip?: Uint8Array<ArrayBuffer>
}

/** Serves the page's files by path. `/` and every path without a dot is the page itself. */
export function assetRoutes(assets: ReadonlyMap<string, Asset>): Hono {
  const tags = new Map<string, string>()
  for (const [path, { bytes }] of assets) tags.set(path, `"${Bun.hash(bytes).toString(16)}"`)
  const app = new Hono()
  app.get('*', (c) => {
    const path = assets.has(c.req.path) ? c.req.path : pageOf(c.req.path)
    const asset = path && assets.get(path)
    if (!asset) return c.notFound()
    const etag = tags.get(path)!
    const headers = { etag, 'cache-control': 'no-cache', vary: 'accept-encoding' }
    if (c.req.header('if-none-match')?.includes(etag)) return c.body(null, 304, headers)
    const isGzip = asset.gzip && /\bgzip\b/.test(c.req.header('accept-encoding') ?? '')
    return c.body(isGzip ? asset.gzip! : asset.bytes, 200, {
      ...headers,
      'content-type': asset.type,
      ...(isGzip && { 'content-encoding': 'gzip' }),
    })
  })
  return app
}

function pageOf(path: string): string | undefined {
  return path.startsWith('/v1/') || path.slice(1).includes('.') ? undefined : '/index.html'
}
