/** The parts of the sample workload: each a process that speaks real protocols to the others. */
import type { Env } from '../lib/env.ts'

export const PARTS = [
  'shop-dns',
  'shop-store',
  'shop-db',
  'shop-api',
  'shop-web',
  'shop-visitors',
] as const
export type PartName = (typeof PARTS)[number]

/** Ports that hardly anybody listens on; the address is the workload's own. */
export const PORTS = {
  'shop-web': 28_080,
  'shop-api': 28_081,
  'shop-store': 26_379,
  'shop-db': 23_306,
  'shop-dns': 20_053,
} as const

/** What a part is given. */
export type Surroundings = {
  readonly env: Env
  /** Address that all parts of one workload share. */
  readonly address: string
  /** Visits a second that the visitors aim at; each is about four calls. */
  readonly visitsPerSecond: number
}

/** A part that runs until it is stopped. */
export type Running = { stop(): void }
export type Part = (surroundings: Surroundings) => Running | Promise<Running>

/** Where one of the parts is reached. */
export function urlOf(address: string, part: 'shop-web' | 'shop-api'): string {
  return `http://${address}:${PORTS[part]}`
}

/**
 * A loopback address for the children of one process, so that several workloads on a host, and
 * whatever else listens there, never meet: 127.64.0.1 and on, by the parent's process id.
 */
export function addressOf(processId: number): string {
  const id = processId % 2 ** 22
  return `127.${64 + (id >>> 16)}.${(id >>> 8) & 255}.${Math.max(id & 255, 1)}`
}
