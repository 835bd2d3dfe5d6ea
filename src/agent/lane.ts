import type { Sample } from '../lib/counters.ts'
import type { Level } from '../lib/log.ts'
import type { CaptureHandle } from './capture/ring.ts'

/** What a lane needs to begin: plain values, posted to its Worker. */
export type LaneOptions = {
  readonly handle: CaptureHandle
  readonly hostId: string
  readonly redact: boolean
  /** Segments of paths that make their endpoints. */
  readonly endpoints: string
  readonly rowsPerSecond: number
  /** False: every socket is ignored; only the hooks' own cost remains. */
  readonly observe: boolean
  readonly logLevel: Level
}

export type ToLane = { readonly start: LaneOptions } | { readonly stop: true }

export type FromLane =
  | { readonly block: Uint8Array; readonly rows: number }
  | { readonly samples: readonly Sample[] }
  /** A process of MetaFlow's own that the kernel shall mute. */
  | { readonly own: number }
  | { readonly stopped: true }
  | { readonly failed: string }
