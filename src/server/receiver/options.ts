import type { Env } from '../../lib/env.ts'

export type ReceiverOptions = {
  readonly env: Env
  /** Its own directory, made where it is absent. */
  readonly directory: string
  /** Numbers of the tables whose rows are stored; blocks of others are refused. */
  readonly tables: readonly number[]
  /** The greatest log segment whose rows are in the tables: numbers go on after it. */
  readonly greatestStored: number
  /** Without a token everybody may send. */
  readonly token?: string
  /** Bytes the log may take; beyond, agents are told to come back. */
  readonly maxBytes: number
  readonly limits?: Partial<ReceiverLimits>
}

/** Bounds of the receiver, and how long it gathers. */
export type ReceiverLimits = {
  /** One sync for all that came within this. */
  readonly commitMs: number
  /** How old a segment gets before it is sealed and stored. */
  readonly sealMs: number
  readonly segmentBytes: number
  readonly bodyBytes: number
  /** Bytes of requests that wait for the log. */
  readonly waitingBytes: number
  readonly streams: number
  /** Room kept for draining when the disk is full. */
  readonly reserveBytes: number
  /** How often stored segments are dropped. */
  readonly dropMs: number
}

export const LIMITS: ReceiverLimits = {
  commitMs: 100,
  sealMs: 1000,
  segmentBytes: 32 * 1024 * 1024,
  bodyBytes: 16 * 1024 * 1024,
  waitingBytes: 64 * 1024 * 1024,
  streams: 100_000,
  reserveBytes: 16 * 1024 * 1024,
  dropMs: 10_000,
}
