import { Scratch } from '../lib/scratch.ts'
import { CALL_TEXTS, CALL_TYPE, type Call } from '../model/call.ts'
import type { Point } from '../model/point.ts'
import { TCP } from '../model/segment.ts'
import { ENUMS } from '../model/tables/enums.ts'

/** One row as JSON prints it, under the table's column names; what is not known is absent. */
export type Row = Record<string, string | number | Readonly<Record<string, number>>>

const SECOND = 1_000_000
const decoder = new TextDecoder()

/** A message or call as a row of `flow_log.l7_flow_log`. Times are UTC. */
export function callRow(call: Call): Row {
  const isResponse = call.type === CALL_TYPE.response
  const row: Row = { time: seconds(call.endTime / SECOND) }
  if (!isResponse) row['start_time'] = microseconds(call.startTime)
  if (call.type !== CALL_TYPE.request) row['end_time'] = microseconds(call.endTime)
  if (call.hasDuration) row['response_duration'] = call.duration
  row['type'] = word('type', call.type)
  row['observation_point'] = call.observationPoint
  row['signal_source'] = word('signal_source', call.signalSource)
  row['l7_protocol'] = word('l7_protocol', call.l7Protocol)
  row['protocol'] = word('protocol', call.protocol)
  row['is_tls'] = call.isTls ? 1 : 0
  setEnds(row, call)
  row['flow_id'] = call.flowId
  setTexts(row, call)
  setNumbers(row, call)
  row['is_truncated'] = call.isTruncated ? 1 : 0
  return row
}

/** A message: of a request nobody knows yet how it will be answered. */
export function messageRow(call: Call): Row {
  const row = callRow(call)
  if (call.type === CALL_TYPE.request) delete row['response_status']
  return row
}

/** A point as a row of `flow_metrics.application` or `application_map`; `table` says which. */
export function pointRow(point: Point): Row {
  const isEdge = point.table === 'application_map'
  const isClient = point.observationPoint === 'c-p'
  const row: Row = {
    table: `${point.table}.${point.seconds === 1 ? '1s' : '1m'}`,
    time: seconds(point.time),
  }
  if (isEdge) row['observation_point'] = point.observationPoint
  else row['role'] = word('role', isClient ? 0 : 1)
  row['signal_source'] = word('signal_source', point.signalSource)
  row['l7_protocol'] = word('l7_protocol', point.l7Protocol)
  row['protocol'] = word('protocol', point.protocol)
  row['is_ipv4'] = point.isIpv4 ? 1 : 0
  const ip = point.isIpv4 ? 'ip4' : 'ip6'
  if (isEdge) {
    row[`${ip}_0`] = address(point.addresses, 0, point.isIpv4)
    row[`${ip}_1`] = address(point.addresses, 16, point.isIpv4)
  } else row[ip] = address(point.addresses, isClient ? 0 : 16, point.isIpv4)
  row['server_port'] = point.serverPort
  const { bytes, start, end } = point.endpoint
  if (end > start) row['endpoint'] = decoder.decode(bytes.subarray(start, end))
  setSums(row, point)
  return row
}

function setSums(row: Row, point: Point): void {
  row['request'] = point.request
  row['response'] = point.response
  if (point.rrtCount > 0) {
    row['rrt_sum'] = point.rrtSum
    row['rrt_count'] = point.rrtCount
    row['rrt_max'] = point.rrtMax
  }
  row['client_error'] = point.clientError
  row['server_error'] = point.serverError
  row['timeout'] = point.timeout
  row['error'] = point.clientError + point.serverError + point.timeout
  row['request_length'] = point.requestLength
  row['response_length'] = point.responseLength
  if (point.buckets === 0) return
  const histogram: Record<string, number> = {}
  for (let i = 0; i < point.buckets; i++) histogram[point.keys[i]!] = point.counts[i]!
  row['rrt_histogram'] = histogram
}

function setEnds(row: Row, call: Call): void {
  const { addresses, isIpv4 } = call
  const ip = isIpv4 ? 'ip4' : 'ip6'
  row['is_ipv4'] = isIpv4 ? 1 : 0
  row[`${ip}_0`] = address(addresses, 0, isIpv4)
  row[`${ip}_1`] = address(addresses, 16, isIpv4)
  row['client_port'] = call.clientPort
  row['server_port'] = call.serverPort
}

function setTexts(row: Row, call: Call): void {
  const { bytes, starts, ends } = call.texts
  for (const [field, name] of CALL_TEXTS.entries()) {
    const start = starts[field]!
    const end = ends[field]!
    if (end > start) row[name] = decoder.decode(bytes.subarray(start, end))
  }
}

function setNumbers(row: Row, call: Call): void {
  const { type } = call
  const isTcp = call.protocol === TCP
  row['response_status'] = word('response_status', call.status)
  if (!Number.isNaN(call.code)) row['response_code'] = call.code
  if (call.requestId >= 0) row['request_id'] = call.requestId
  if (call.requestLength >= 0) row['request_length'] = call.requestLength
  if (call.responseLength >= 0) row['response_length'] = call.responseLength
  if (call.affectedRows >= 0) row['sql_affected_rows'] = call.affectedRows
  if (type !== CALL_TYPE.response) {
    row['captured_request_byte'] = call.capturedRequestBytes
    if (isTcp) row['req_tcp_seq'] = call.requestSequence
  }
  if (type === CALL_TYPE.request || call.capturedResponseBytes === 0) return
  row['captured_response_byte'] = call.capturedResponseBytes
  if (isTcp) row['resp_tcp_seq'] = call.responseSequence
}

function word(column: string, value: number): string | number {
  return ENUMS[column]?.[value] ?? value
}

/** As ClickHouse prints a DateTime. */
function seconds(utc: number): string {
  return new Date(Math.floor(utc) * 1000).toISOString().slice(0, 19).replace('T', ' ')
}

/** As ClickHouse prints a DateTime64(6). */
function microseconds(utc: number): string {
  const whole = Math.floor(utc)
  return `${seconds(whole / SECOND)}.${String(whole % SECOND).padStart(6, '0')}`
}

const scratch = new Scratch(40)

function address(bytes: Uint8Array, at: number, isIpv4: boolean): string {
  scratch.clear()
  if (isIpv4) scratch.ip4(bytes, at)
  else scratch.ip6(bytes, at)
  return decoder.decode(scratch.bytes.subarray(0, scratch.end))
}
