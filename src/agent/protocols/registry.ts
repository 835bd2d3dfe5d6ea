import { dns } from './dns.ts'
import { http } from './http.ts'
import { mysql } from './mysql.ts'
import type { Protocol } from './protocol.ts'
import { redis } from './redis.ts'

/** Every protocol, in the order in which equal claims are decided. */
export const protocols: readonly Protocol[] = [http, mysql, redis, dns]
