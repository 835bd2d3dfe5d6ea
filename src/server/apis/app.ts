import { type Context, Hono } from 'hono'
import type { Sample } from '../../lib/counters.ts'
import type { Clock, HttpAnswer } from '../../lib/env.ts'
import { ERRORS, MetaflowError, sentenceOf } from '../../lib/errors.ts'
import { log } from '../../lib/log.ts'
import { Agents, type Part, REPORT_BYTES_MAX } from './agents.ts'
import { type Asset, assetRoutes } from './assets.ts'
import { Bodies, readJson } from './body.ts'
import { bearer, sameSite, secureHeaders } from './guard.ts'
import { metricsText } from './metrics.ts'
import { type QueryPort, queryRoutes } from './query.ts'

/** A request of blocks: what an agent sends at once. */
const BLOCKS_BYTES_MAX = 16 * 1024 * 1024

export type EngineHealth = { readonly healthy: boolean; readonly sentence: string }

/** What the routes speak to; the page above hands it in. */
export type AppDeps = {
  readonly clock: Clock
  /** Must be set where the server is bound wider than loopback. */
  readonly token?: string | undefined
  /** Names besides those of loopback that a browser may reach the server by, without port. */
  readonly hosts?: readonly string[]
  readonly query: QueryPort
  /** Tables, tags and metrics, for pickers. */
  readonly catalog: unknown
  readonly takeBlocks: (body: Uint8Array, authorization: string | undefined) => Promise<HttpAnswer>
  readonly engine: () => EngineHealth
  readonly server: () => Part
  readonly samples: () => readonly Sample[]
  readonly bodies?: Bodies
  /** The page's files by path: `/index.html`, `/main.js`. */
  readonly assets?: ReadonlyMap<string, Asset>
}

/** Every HTTP route of the server. */
export function buildApp(deps: AppDeps): Hono {
  const app = new Hono({ strict: false })
  const bodies = deps.bodies ?? new Bodies()
  const guard = { token: deps.token, hosts: deps.hosts ?? [] }
  app.onError((thrown, c) => failed(c, thrown))
  app.notFound((c) =>
    c.json({ error: `Cannot answer: there is nothing at ${c.req.path}`, code: 'absent' }, 404),
  )
  app.use(secureHeaders(), sameSite(guard))
  app.use('/v1/*', bearer(guard))
  app.use('/metrics', bearer(guard))
  app.get('/healthz', (c) => {
    const { healthy, sentence } = deps.engine()
    return c.json({ status: healthy ? 'ok' : 'unavailable', engine: sentence }, healthy ? 200 : 503)
  })
  app.get('/metrics', (c) =>
    c.text(metricsText(deps.samples()), 200, { 'content-type': 'text/plain; version=0.0.4' }),
  )
  app.route('/v1/query', queryRoutes(deps.query))
  app.get('/v1/catalog', (c) => c.json(deps.catalog as object))
  app.post('/v1/blocks', async (c) => {
    const body = await bodies.read(c.req.raw, BLOCKS_BYTES_MAX)
    return responseOf(await deps.takeBlocks(body, c.req.header('authorization')))
  })
  addStatus(app, deps)
  if (deps.assets) app.route('/', assetRoutes(deps.assets))
  return app
}

function addStatus(app: Hono, deps: AppDeps): void {
  const agents = new Agents()
  app.post('/v1/agents/status', async (c) => {
    agents.take(await readJson(c.req.raw, REPORT_BYTES_MAX), deps.clock.wall())
    return c.body(null, 204)
  })
  app.get('/v1/status', (c) => {
    const now = deps.clock.wall()
    const { engine, server } = deps
    return c.json({
      now: now / 1000,
      server: server(),
      engine: engine(),
      agents: agents.list(now),
    })
  })
}

function responseOf({ status, headers, body }: HttpAnswer): Response {
  return new Response(body as Uint8Array<ArrayBuffer>, { status, headers })
}

function failed(c: Context, thrown: unknown): Response {
  if (thrown instanceof MetaflowError) {
    const { message, code } = thrown
    if (code === 'unavailable') c.header('retry-after', '1')
    return c.json({ error: message, code }, ERRORS[code].status)
  }
  // Who asked has hung up: nobody hears an answer, and it is no failure of ours.
  if (c.req.raw.signal.aborted) return c.body(null, 400)
  log('error', 'Cannot answer a request', { path: c.req.path, why: sentenceOf(thrown) })
  return c.json({ error: 'Cannot answer: the server failed', code: 'failed' }, 500)
}
