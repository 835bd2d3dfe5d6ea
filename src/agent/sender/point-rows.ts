import { viewOf } from '../../lib/wide.ts'
import type { Point } from '../../model/point.ts'
import { application1m, application1s } from '../../model/tables/application.ts'
import { applicationMap1m, applicationMap1s } from '../../model/tables/application-map.ts'
import type { Table } from '../../model/tables/table.ts'
import { ip4 } from './address.ts'
import { BlockBuilder, type BuilderOptions } from './builder.ts'
import type { HistogramColumn, Ip6Column, NumberColumn, TextColumn, WideColumn } from './columns.ts'

/** With a byte more than it is long: a word can be read of it. */
const C_P = viewOf(new TextEncoder().encode('c-p '))
const POINT_SIZE = 3
const S_P = viewOf(new TextEncoder().encode('s-p '))
const NOTHING = new Uint8Array(0)
const CLIENT_AT = 0
const SERVER_AT = 16
const ROLE_CLIENT = 0
const ROLE_SERVER = 1

/** Points as rows of the four tables of `flow_metrics`. */
export class PointRows {
  readonly #ends: Readonly<Record<1 | 60, EndRows>>
  readonly #edges: Readonly<Record<1 | 60, EdgeRows>>

  constructor(options: Omit<BuilderOptions, 'table'>) {
    this.#ends = {
      1: new EndRows({ ...options, table: application1s }),
      60: new EndRows({ ...options, table: application1m }),
    }
    this.#edges = {
      1: new EdgeRows({ ...options, table: applicationMap1s }),
      60: new EdgeRows({ ...options, table: applicationMap1m }),
    }
  }

  add(point: Point): void {
    if (point.table === 'application') this.#ends[point.seconds].add(point)
    else this.#edges[point.seconds].add(point)
  }

  /** Emits the rows there are. */
  flush(): void {
    for (const seconds of [1, 60] as const) {
      this.#ends[seconds].builder.flush()
      this.#edges[seconds].builder.flush()
    }
  }
}

/** The columns that `application` and `application_map` share. */
class PointColumns {
  readonly #time: NumberColumn
  readonly #signalSource: NumberColumn
  readonly #l7Protocol: NumberColumn
  readonly #protocol: NumberColumn
  readonly #isIpv4: NumberColumn
  readonly #serverPort: NumberColumn
  readonly #endpoint: TextColumn
  /** Where the last point's endpoint lies. */
  #bytes: Uint8Array = NOTHING
  #view: DataView = viewOf(NOTHING)
  readonly #request: WideColumn
  readonly #response: WideColumn
  readonly #rrtSum: WideColumn
  readonly #rrtCount: WideColumn
  readonly #rrtMax: WideColumn
  readonly #clientError: WideColumn
  readonly #serverError: WideColumn
  readonly #timeout: WideColumn
  readonly #error: WideColumn
  readonly #requestLength: WideColumn
  readonly #responseLength: WideColumn
  readonly #histogram: HistogramColumn

  constructor(builder: BlockBuilder) {
    this.#time = builder.number('time')
    this.#signalSource = builder.number('signal_source')
    this.#l7Protocol = builder.number('l7_protocol')
    this.#protocol = builder.number('protocol')
    this.#isIpv4 = builder.number('is_ipv4')
    this.#serverPort = builder.number('server_port')
    this.#endpoint = builder.text('endpoint')
    this.#request = builder.wide('request')
    this.#response = builder.wide('response')
    this.#rrtSum = builder.wide('rrt_sum')
    this.#rrtCount = builder.wide('rrt_count')
    this.#rrtMax = builder.wide('rrt_max')
    this.#clientError = builder.wide('client_error')
    this.#serverError = builder.wide('server_error')
    this.#timeout = builder.wide('timeout')
    this.#error = builder.wide('error')
    this.#requestLength = builder.wide('request_length')
    this.#responseLength = builder.wide('response_length')
    this.#histogram = builder.histogram('rrt_histogram')
  }

  write(row: number, point: Point): void {
    const { bytes, start, end } = point.endpoint
    this.#time.values[row] = point.time
    this.#signalSource.values[row] = point.signalSource
    this.#l7Protocol.values[row] = point.l7Protocol
    this.#protocol.values[row] = point.protocol
    this.#isIpv4.values[row] = point.isIpv4 ? 1 : 0
    this.#serverPort.values[row] = point.serverPort
    // A window's points lie in one array.
    if (bytes !== this.#bytes) {
      this.#bytes = bytes
      this.#view = viewOf(bytes)
    }
    if (end > start) this.#endpoint.set(row, this.#view, start, end)
    else this.#endpoint.unset(row)
    this.#request.values[row] = point.request
    this.#response.values[row] = point.response
    this.#rrtSum.values[row] = point.rrtSum
    this.#rrtCount.values[row] = point.rrtCount
    this.#rrtMax.values[row] = point.rrtMax
    this.#clientError.values[row] = point.clientError
    this.#serverError.values[row] = point.serverError
    this.#timeout.values[row] = point.timeout
    this.#error.values[row] = point.clientError + point.serverError + point.timeout
    this.#requestLength.values[row] = point.requestLength
    this.#responseLength.values[row] = point.responseLength
    this.#histogram.set(row, point.keys, point.counts, point.buckets)
  }
}

/** One end's address: a number where it is IPv4, else 16 bytes. */
class AddressColumns {
  readonly #ip4: NumberColumn
  readonly #ip6: Ip6Column

  constructor(ip4Column: NumberColumn, ip6Column: Ip6Column) {
    this.#ip4 = ip4Column
    this.#ip6 = ip6Column
  }

  write(row: number, point: Point, at: number): void {
    this.#ip4.values[row] = point.isIpv4 ? ip4(point.addresses, at) : 0
    if (!point.isIpv4) this.#ip6.set(row, point.addresses, at)
  }
}

class EndRows {
  readonly builder: BlockBuilder
  readonly #shared: PointColumns
  readonly #role: NumberColumn
  readonly #name: NumberColumn
  readonly #address: AddressColumns

  constructor(options: BuilderOptions & { readonly table: Table }) {
    const builder = new BlockBuilder(options)
    this.builder = builder
    this.#shared = new PointColumns(builder)
    this.#role = builder.number('role')
    this.#name = builder.number('name')
    this.#address = new AddressColumns(builder.number('ip4'), builder.ip6('ip6'))
  }

  add(point: Point): void {
    const row = this.builder.row()
    const isClient = point.observationPoint === 'c-p'
    this.#shared.write(row, point)
    this.#role.values[row] = isClient ? ROLE_CLIENT : ROLE_SERVER
    this.#name.values[row] = this.builder.name(isClient ? point.clientName : point.serverName)
    this.#address.write(row, point, isClient ? CLIENT_AT : SERVER_AT)
  }
}

class EdgeRows {
  readonly builder: BlockBuilder
  readonly #shared: PointColumns
  readonly #observationPoint: TextColumn
  readonly #name0: NumberColumn
  readonly #name1: NumberColumn
  readonly #client: AddressColumns
  readonly #server: AddressColumns

  constructor(options: BuilderOptions & { readonly table: Table }) {
    const builder = new BlockBuilder(options)
    this.builder = builder
    this.#shared = new PointColumns(builder)
    this.#observationPoint = builder.text('observation_point')
    this.#name0 = builder.number('name_0')
    this.#name1 = builder.number('name_1')
    this.#client = new AddressColumns(builder.number('ip4_0'), builder.ip6('ip6_0'))
    this.#server = new AddressColumns(builder.number('ip4_1'), builder.ip6('ip6_1'))
  }

  add(point: Point): void {
    const row = this.builder.row()
    const word = point.observationPoint === 'c-p' ? C_P : S_P
    this.#shared.write(row, point)
    this.#observationPoint.set(row, word, 0, POINT_SIZE)
    this.#name0.values[row] = this.builder.name(point.clientName)
    this.#name1.values[row] = this.builder.name(point.serverName)
    this.#client.write(row, point, CLIENT_AT)
    this.#server.write(row, point, SERVER_AT)
  }
}
