/** `shop-api`: answers the shop's front end out of its store and its database. */
import { Resolver } from 'node:dns/promises'
import { type RedisClient, SQL } from 'bun'
import type { Env } from '../lib/env.ts'
import type { Part } from './parts.ts'
import { PORTS } from './parts.ts'

const CONNECTIONS = 2
const KNOWN_IDS = 900
const TIMEOUT_MS = 2000
/** Requests in whose midst something is wrong, and questions for names that are not there. */
const WRONG_SHARE = 0.02
const NAME_SHARE = 0.5
const LOST_NAME_SHARE = 0.1
/** Parts whose addresses are asked for. */
const HOSTS = ['store', 'db', 'web', 'cdn'] as const

type Shop = {
  readonly env: Env
  readonly store: RedisClient
  readonly db: SQL
  readonly names: Resolver
}

export const runApi: Part = ({ env, address }) => {
  const store = new Bun.RedisClient(`redis://${address}:${PORTS['shop-store']}`, {
    connectionTimeout: TIMEOUT_MS,
    maxRetries: 1_000_000,
  })
  const db = new SQL({
    adapter: 'mysql',
    hostname: address,
    port: PORTS['shop-db'],
    username: 'shop',
    password: '',
    database: 'shop',
    max: CONNECTIONS,
  })
  const names = new Resolver({ timeout: TIMEOUT_MS, tries: 1 })
  names.setServers([`${address}:${PORTS['shop-dns']}`])
  const shop = { env, store, db, names }
  const server = Bun.serve({
    hostname: address,
    port: PORTS['shop-api'],
    development: false,
    routes: {
      '/v1/products': () => products(shop),
      '/v1/products/:id': (request) => product(shop, Number(request.params.id)),
      '/v1/orders': { POST: (request) => order(shop, request) },
      '/v1/recent': () => recent(shop),
    },
    fetch: () => Response.json({ error: 'no such thing' }, { status: 404 }),
    error: () => Response.json({ error: 'something went wrong' }, { status: 500 }),
  })
  return {
    stop: () => {
      void server.stop(true)
      store.close()
      void db.close({ timeout: 0 }).catch(() => undefined)
    },
  }
}

/** All products, in pieces as they come. */
async function products({ db }: Shop): Promise<Response> {
  const rows: unknown[] = await db`SELECT id, name, price FROM products LIMIT 20`
  const pieces = rows.map((row) => `${JSON.stringify(row)}\n`)
  return new Response(
    new ReadableStream({
      start(controller) {
        for (const piece of pieces) controller.enqueue(piece)
        controller.close()
      },
    }),
    { headers: { 'content-type': 'application/x-ndjson' } },
  )
}

async function product(shop: Shop, id: number): Promise<Response> {
  await lookUp(shop)
  if (!(id > 0 && id <= KNOWN_IDS))
    return Response.json({ error: 'no such product' }, { status: 404 })
  const key = `product:${id}`
  const known = await shop.store.get(key)
  if (known !== null)
    return new Response(known, { headers: { 'content-type': 'application/json' } })
  const rows: unknown[] = await shop.db`SELECT * FROM products WHERE id = ${id}`
  const text = JSON.stringify(rows[0])
  await shop.store.set(key, text)
  return new Response(text, { headers: { 'content-type': 'application/json' } })
}

async function order({ env, db, store }: Shop, request: Request): Promise<Response> {
  const { product: id = 1 } = (await request.json()) as { product?: number }
  if (env.random.fraction() < WRONG_SHARE * 3) await db.unsafe('SELEC 1 FORM orders')
  await db.unsafe(
    `INSERT INTO orders (product_id, amount, state) VALUES (${Number(id)}, 1, 'open')`,
  )
  await store.send('LPUSH', ['recent', String(id)])
  return Response.json({ product: id }, { status: 201 })
}

async function recent({ env, store }: Shop): Promise<Response> {
  if (env.random.fraction() < WRONG_SHARE * 3) {
    await store.set('visits', '0')
    await store.send('LPUSH', ['visits', '1']).catch(() => undefined)
  }
  return Response.json(await store.send('LRANGE', ['recent', '0', '9']))
}

/** Asks for the address of a part, now and then for one that is not there. */
async function lookUp({ env, names }: Shop): Promise<void> {
  const chance = env.random.fraction()
  if (chance >= NAME_SHARE) return
  const known = HOSTS[Math.floor(env.random.fraction() * HOSTS.length)]!
  const host = chance < NAME_SHARE * LOST_NAME_SHARE ? 'legacy' : known
  await names.resolve4(`${host}.shop.internal`).catch(() => undefined)
}
