/** `shop-visitors`: who comes to the shop, at a steady rate with some chance in it. */
import type { Env } from '../lib/env.ts'
import type { Part, Running } from './parts.ts'
import { urlOf } from './parts.ts'

/** Visits at once; past them a visit is left out. */
const OPEN_MAX = 32
const TIMEOUT_MS = 5000
const IDS = 950

type Visit = { readonly path: string; readonly method: 'GET' | 'HEAD' | 'POST' }

export const runVisitors: Part = ({ env, address, visitsPerSecond }): Running => {
  const url = urlOf(address, 'shop-web')
  let open = 0
  let cancel: () => void = () => undefined
  const next = (): void => {
    const ms = (1000 / visitsPerSecond) * (0.5 + env.random.fraction())
    cancel = env.timers.after(ms, () => {
      next()
      if (open >= OPEN_MAX) return
      open++
      void visit(env, url).finally(() => {
        open--
      })
    })
  }
  next()
  return { stop: () => cancel() }
}

/** One visit; a shop that is not open yet, or no more, is no reason to stay away. */
async function visit(env: Env, url: string): Promise<void> {
  const { path, method } = choose(env)
  const hex = (size: number): string => env.random.bytes(size).toHex()
  try {
    const answer = await fetch(`${url}${path}`, {
      method,
      headers: { traceparent: `00-${hex(16)}-${hex(8)}-01`, 'x-request-id': hex(8) },
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...(method === 'POST' ? { body: JSON.stringify({ product: idOf(env) }) } : {}),
    })
    await answer.arrayBuffer()
  } catch {
    // Refused, reset or too slow: whoever watches sees it, the visitor goes away.
  }
}

/** What a visitor does, by how often. */
function choose(env: Env): Visit {
  const chance = env.random.fraction()
  if (chance < 0.15) return { path: '/', method: 'GET' }
  if (chance < 0.7) return { path: `/products/${idOf(env)}`, method: 'GET' }
  if (chance < 0.82) return { path: '/basket', method: 'GET' }
  if (chance < 0.94) return { path: '/checkout', method: 'POST' }
  if (chance < 0.97) return { path: '/health', method: 'HEAD' }
  return { path: '/sale', method: 'GET' }
}

function idOf({ random }: Env): number {
  return 1 + Math.floor(random.fraction() * IDS)
}
