import { type ObservationPoint, SIGNAL_SOURCE } from './call.ts'
import { Text } from './message.ts'

/**
 * RED metrics of one end (`application`) or one edge (`application_map`) over one second or minute.
 * One object is filled again and again: who gets it keeps nothing of it. The end that
 * `application` counts is the client where `observationPoint` is c-p, else the server.
 */
export class Point {
  table: 'application' | 'application_map' = 'application'
  /** Length of the time it stands for: 1 s or 60 s. */
  seconds: 1 | 60 = 1
  /** Its beginning, UTC seconds. */
  time = 0
  observationPoint: ObservationPoint = 's-p'
  signalSource: number = SIGNAL_SOURCE.ebpf
  l7Protocol = 0
  protocol = 6
  isIpv4 = true
  serverPort = 0
  /** Client and server address, 16 bytes each (IPv4 in the first 4). */
  readonly addresses: Uint8Array = new Uint8Array(32)
  /** Index of each end's name in the agent's `NameTable`. */
  clientName = 0
  serverName = 0
  readonly endpoint: Text = new Text()
  request = 0
  response = 0
  /** Response times, µs. */
  rrtSum = 0
  rrtCount = 0
  rrtMax = 0
  clientError = 0
  serverError = 0
  timeout = 0
  requestLength = 0
  responseLength = 0
  /** Buckets of the response times in rising order: the first `buckets` of keys and counts. */
  buckets = 0
  keys: Int16Array = new Int16Array(64)
  counts: Uint32Array = new Uint32Array(64)
}

/** Takes one point; it must copy what it keeps. */
export type PointSink = (point: Point) => void
