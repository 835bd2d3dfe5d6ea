import type { Utc } from '../../lib/utc.ts'
import { viewOf } from '../../lib/wide.ts'
import { CALL_TEXTS, type Call } from '../../model/call.ts'
import { l7FlowLog } from '../../model/tables/l7-flow-log.ts'
import { ip4 } from './address.ts'
import { BlockBuilder, type BuilderOptions } from './builder.ts'
import type { Ip6Column, NumberColumn, TextColumn, WideColumn } from './columns.ts'
import { Throttle } from './throttle.ts'

/** With a byte more than it is long: a word can be read of it. */
const C_P = viewOf(new TextEncoder().encode('c-p '))
const POINT_SIZE = 3
const S_P = viewOf(new TextEncoder().encode('s-p '))
/** What stands for NULL in `response_code`: see its declaration. */
const NO_CODE_WIRE = -2_147_483_648
const SECOND = 1_000_000

export type CallRowsOptions = Omit<BuilderOptions, 'table'> & {
  readonly utc: Utc
  /** Rows a second; more are dropped, errors and slow calls last. */
  readonly rowsPerSecond: number
}

/** Calls as rows of `flow_log.l7_flow_log`. */
export class CallRows {
  readonly throttle: Throttle
  readonly #builder: BlockBuilder
  readonly #utc: Utc
  readonly #columns: Columns

  constructor(options: CallRowsOptions) {
    const { utc, rowsPerSecond, emit, ...rest } = options
    this.#utc = utc
    this.throttle = new Throttle(rowsPerSecond, () => this.#builder.flush())
    this.#builder = new BlockBuilder({
      ...rest,
      table: l7FlowLog,
      // A server that knows X-Request-ID mostly gives back what it was given.
      unique: ['x_request_id_0', 'trace_id', 'span_id'],
      sharing: { x_request_id_1: 'x_request_id_0' },
      emit: (block, rows) => {
        this.throttle.forget()
        emit(block, rows)
      },
    })
    this.#columns = columnsOf(this.#builder)
  }

  /** Adds the first `size` of `calls`. */
  take(calls: readonly Call[], size: number): void {
    for (let i = 0; i < size; i++) this.add(calls[i]!)
  }

  /** Keeps the call's row, or drops it, or drops a lesser one for it: see Throttle. */
  add(call: Call): void {
    // First, for a row of a block that is finished cannot be written again.
    this.#builder.makeRoom()
    const row = this.throttle.place(call)
    if (row === Throttle.DROP) return
    if (row !== Throttle.APPEND) {
      this.#builder.rewrite()
      this.#write(row, call)
    } else {
      const at = this.#builder.row()
      this.throttle.placed(at)
      this.#write(at, call)
    }
  }

  /** Emits the rows there are. */
  flush(): void {
    this.#builder.flush()
  }

  /**
   * Emits them but for those of the second that goes on at `now`, monotonic µs: once emitted they
   * could give way to none, and would be its beginning instead of an even sample of it.
   */
  flushEnded(now: number): void {
    if (!this.throttle.isFilling(now)) this.#builder.flush()
  }

  #write(row: number, call: Call): void {
    const { numbers, wides } = this.#columns
    const offset = this.#utc.offset(call.endTime)
    const end = call.endTime + offset
    numbers.time.values[row] = end / SECOND
    wides.startTime.values[row] = call.startTime + offset
    wides.endTime.values[row] = end
    wides.duration.values[row] = call.duration
    numbers.type.values[row] = call.type
    numbers.signalSource.values[row] = call.signalSource
    numbers.l7Protocol.values[row] = call.l7Protocol
    numbers.protocol.values[row] = call.protocol
    numbers.isTls.values[row] = call.isTls ? 1 : 0
    numbers.clientPort.values[row] = call.clientPort
    numbers.serverPort.values[row] = call.serverPort
    wides.flowId.values[row] = call.flowId
    wides.requestId.values[row] = call.requestId
    numbers.status.values[row] = call.status
    numbers.code.values[row] = Number.isNaN(call.code) ? NO_CODE_WIRE : call.code
    wides.requestLength.values[row] = call.requestLength
    wides.responseLength.values[row] = call.responseLength
    wides.affectedRows.values[row] = call.affectedRows
    numbers.capturedRequest.values[row] = call.capturedRequestBytes
    numbers.capturedResponse.values[row] = call.capturedResponseBytes
    numbers.isTruncated.values[row] = call.isTruncated ? 1 : 0
    numbers.requestSequence.values[row] = call.requestSequence
    numbers.responseSequence.values[row] = call.responseSequence
    numbers.processId0.values[row] = call.clientProcessId
    numbers.processId1.values[row] = call.serverProcessId
    numbers.thread0.values[row] = call.requestThreadId
    numbers.thread1.values[row] = call.responseThreadId
    wides.traceIdRequest.values[row] = call.requestTraceId
    wides.traceIdResponse.values[row] = call.responseTraceId
    numbers.name0.values[row] = this.#builder.name(call.clientName)
    numbers.name1.values[row] = this.#builder.name(call.serverName)
    this.#writeAddresses(row, call)
    this.#writeTexts(row, call)
  }

  #writeAddresses(row: number, call: Call): void {
    const { numbers, ip6Client, ip6Server } = this.#columns
    const { addresses, isIpv4 } = call
    numbers.isIpv4.values[row] = isIpv4 ? 1 : 0
    numbers.ip4Client.values[row] = isIpv4 ? ip4(addresses, 0) : 0
    numbers.ip4Server.values[row] = isIpv4 ? ip4(addresses, 16) : 0
    if (isIpv4) {
      if (ip6Client.isUsed) ip6Client.unset(row)
      if (ip6Server.isUsed) ip6Server.unset(row)
    } else {
      ip6Client.set(row, addresses, 0)
      ip6Server.set(row, addresses, 16)
    }
  }

  #writeTexts(row: number, call: Call): void {
    const { observationPoint, texts } = this.#columns
    const point = call.observationPoint === 'c-p' ? C_P : S_P
    observationPoint.set(row, point, 0, POINT_SIZE)
    const { view, starts, ends } = call.texts
    for (let field = 0; field < texts.length; field++) {
      const start = starts[field]!
      const end = ends[field]!
      if (end > start) texts[field]!.set(row, view, start, end)
      else texts[field]!.unset(row)
    }
  }
}

type Columns = {
  readonly numbers: Readonly<Record<NumberName, NumberColumn>>
  readonly wides: Readonly<Record<WideName, WideColumn>>
  readonly ip6Client: Ip6Column
  readonly ip6Server: Ip6Column
  readonly observationPoint: TextColumn
  /** In the order of CALL_TEXTS. */
  readonly texts: readonly TextColumn[]
}

const NUMBERS = {
  time: 'time',
  type: 'type',
  signalSource: 'signal_source',
  l7Protocol: 'l7_protocol',
  protocol: 'protocol',
  isTls: 'is_tls',
  isIpv4: 'is_ipv4',
  ip4Client: 'ip4_0',
  ip4Server: 'ip4_1',
  clientPort: 'client_port',
  serverPort: 'server_port',
  status: 'response_status',
  code: 'response_code',
  capturedRequest: 'captured_request_byte',
  capturedResponse: 'captured_response_byte',
  isTruncated: 'is_truncated',
  requestSequence: 'req_tcp_seq',
  responseSequence: 'resp_tcp_seq',
  processId0: 'process_id_0',
  processId1: 'process_id_1',
  thread0: 'syscall_thread_0',
  thread1: 'syscall_thread_1',
  name0: 'name_0',
  name1: 'name_1',
} as const
type NumberName = keyof typeof NUMBERS

const WIDES = {
  startTime: 'start_time',
  endTime: 'end_time',
  duration: 'response_duration',
  flowId: 'flow_id',
  requestId: 'request_id',
  requestLength: 'request_length',
  responseLength: 'response_length',
  affectedRows: 'sql_affected_rows',
  traceIdRequest: 'syscall_trace_id_request',
  traceIdResponse: 'syscall_trace_id_response',
} as const
type WideName = keyof typeof WIDES

function columnsOf(builder: BlockBuilder): Columns {
  return {
    numbers: mapped(NUMBERS, (name) => builder.number(name)),
    wides: mapped(WIDES, (name) => builder.wide(name)),
    ip6Client: builder.ip6('ip6_0'),
    ip6Server: builder.ip6('ip6_1'),
    observationPoint: builder.text('observation_point'),
    texts: CALL_TEXTS.map((name) => builder.text(name)),
  }
}

function mapped<Key extends string, Value>(
  names: Readonly<Record<Key, string>>,
  make: (name: string) => Value,
): Record<Key, Value> {
  const entries = Object.entries<string>(names).map(([key, name]) => [key, make(name)])
  return Object.fromEntries(entries) as Record<Key, Value>
}
