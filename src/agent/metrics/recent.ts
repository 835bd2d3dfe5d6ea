import { type Call, ENDPOINT } from '../../model/call.ts'
import { TCP } from '../../model/segment.ts'
import type { Window } from './window.ts'

/** Connections that are remembered; one gives way to another of the same slot. */
const SLOTS = 1024

/**
 * The point that a connection's last call was counted in: the next one mostly belongs there too,
 * which a few comparisons tell where the whole key would be hashed and looked up.
 */
export class RecentPoints {
  readonly #rounds = new Float64Array(SLOTS)
  readonly #flows = new Float64Array(SLOTS)
  readonly #kinds = new Uint32Array(SLOTS)
  readonly #clients = new Uint32Array(SLOTS)
  readonly #servers = new Uint32Array(SLOTS)
  readonly #points = new Uint32Array(SLOTS)

  /** The point of `call` in `window`, or -1: `kind` is its key's first word. */
  find(window: Window, call: Call, kind: number): number {
    const { flowId, texts } = call
    const slot = flowId % SLOTS
    if (
      this.#rounds[slot] !== window.round ||
      this.#flows[slot] !== flowId ||
      this.#kinds[slot] !== kind ||
      this.#clients[slot] !== call.clientName ||
      this.#servers[slot] !== call.serverName
    )
      return -1
    const point = this.#points[slot]!
    const { view, starts, ends } = texts
    return window.hasEndpoint(point, view, starts[ENDPOINT]!, ends[ENDPOINT]!) ? point : -1
  }

  /** Only a stream's ends stay who they are: datagrams are not remembered. */
  note(window: Window, call: Call, kind: number, point: number): void {
    if (call.protocol !== TCP) return
    const { flowId } = call
    const slot = flowId % SLOTS
    this.#rounds[slot] = window.round
    this.#flows[slot] = flowId
    this.#kinds[slot] = kind
    this.#clients[slot] = call.clientName
    this.#servers[slot] = call.serverName
    this.#points[slot] = point
  }
}
