import type { VNode } from 'preact'
import { ENUMS } from '../../model/tables/enums.ts'
import { l7FlowLog } from '../../model/tables/l7-flow-log.ts'
import { literal, query, type Row, usePolled } from '../api.ts'
import { duration, moment } from '../figures.ts'
import { hrefOf, place, set } from '../location.ts'
import { Show } from '../parts/states.tsx'
import { type Field, Table } from '../parts/table.tsx'
import { currentRange } from '../range.ts'
import { NoCalls } from './services.tsx'

const LIMIT = 200
/** A greater number in a filter is none. */
const NUMBER_MAX = 1e12

/** Recent calls: which requests failed or were slow? Filter and selection stand in the address. */
export function Calls(): VNode {
  const condition = conditionOf(place.value.params)
  const range = currentRange()
  const data = usePolled(`calls ${condition} ${range.seconds}`, 3000, (stop) =>
    query(sqlOf(condition, range.seconds), stop),
  )
  const selected = place.value.params.get('call') ?? ''
  return (
    <>
      <Filters />
      <div class={selected ? 'with-detail' : ''}>
        <section class="card">
          <Show
            data={data}
            isEmpty={(rows) => rows.length === 0}
            empty={condition ? <NoMatch /> : <NoCalls />}
          >
            {(rows) => (
              <Table
                rows={rows}
                fields={FIELDS}
                keyOf={keyOf}
                selected={selected}
                onRow={(row) => set({ call: keyOf(row) === selected ? null : keyOf(row) })}
              />
            )}
          </Show>
        </section>
        {selected && <Detail call={selected} />}
      </div>
    </>
  )
}

function NoMatch(): VNode {
  return (
    <>
      <h2>No call like this in this time</h2>
      <p>
        Look further back, or <a href={hrefOf('/calls')}>at all calls</a>.
      </p>
    </>
  )
}

/**
 * A call's place: its connection, its start in µs, the end that saw it; and, since requests that
 * came at once have all that in common, its own number and where it lies in the stream.
 */
function keyOf(row: Row): string {
  const { flow_id: flow, at_us: at, observation_point: end, request_id: id } = row
  return `${flow}-${at}-${end}-${id ?? ''}-${row['req_tcp_seq']}-${row['resp_tcp_seq']}`
}

/** A call's first byte; of an answer without a request, the answer's. */
const AT = 'if(type = 1, end_time, start_time)'

const FIELDS: readonly Field<Row>[] = [
  {
    title: 'Time',
    cell: (row) => (
      <a
        class="plain"
        href={hrefOf('/calls', { ...Object.fromEntries(place.value.params), call: keyOf(row) })}
        title={`${row['at']} UTC`}
      >
        {moment(Number(row['at_us']))}
      </a>
    ),
  },
  { title: 'Client', cell: (row) => String(row['client']) || String(row['client_ip']) },
  { title: 'Server', cell: (row) => String(row['server']) || String(row['server_ip']) },
  {
    title: 'Seen at',
    cell: (row) => (row['observation_point'] === 'c-p' ? 'client' : 'server'),
  },
  { title: 'Protocol', cell: (row) => ENUMS['l7_protocol']?.[Number(row['l7_protocol'])] ?? '?' },
  { title: 'Request', cell: (row) => <Request row={row} /> },
  { title: 'Status', cell: (row) => <Status row={row} /> },
  {
    title: 'Duration',
    numeric: true,
    by: (row) => Number(row['response_duration']),
    cell: (row) => (Number(row['type']) === 2 ? duration(Number(row['response_duration'])) : '–'),
  },
]

function Request({ row }: { readonly row: Row }): VNode {
  const what = String(row['request_resource'] || row['request_domain'])
  return (
    <span class="request" title={what}>
      <b>{String(row['request_type'])}</b> {what}
    </span>
  )
}

function Status({ row }: { readonly row: Row }): VNode {
  const status = Number(row['response_status'])
  const word = ENUMS['response_status']?.[status] ?? '?'
  const kind = status === 0 ? 'good' : status === 4 ? 'warn' : status === 5 ? 'faint' : 'bad'
  return <span class={kind}>{row['response_code'] == null ? word : `${row['response_code']}`}</span>
}

function Filters(): VNode {
  const { params } = place.value
  const pick = (name: string, any: string, words: Readonly<Record<number, string>>): VNode => (
    <select
      aria-label={name}
      value={params.get(name) ?? ''}
      onChange={(event) => set({ [name]: event.currentTarget.value, call: null })}
    >
      <option value="">{any}</option>
      {Object.entries(words).map(([number, word]) => (
        <option key={number} value={number}>
          {word}
        </option>
      ))}
    </select>
  )
  const type = (name: string, hint: string): VNode => (
    <input
      type="search"
      aria-label={hint}
      placeholder={hint}
      value={params.get(name) ?? ''}
      onChange={(event) => set({ [name]: event.currentTarget.value, call: null })}
      // A click on its cross is no change yet.
      onSearch={(event) => set({ [name]: event.currentTarget.value, call: null })}
    />
  )
  return (
    <form class="filters" onSubmit={(event) => event.preventDefault()}>
      {pick('protocol', 'any protocol', ENUMS['l7_protocol']!)}
      {pick('status', 'any status', ENUMS['response_status']!)}
      {type('service', 'client or server')}
      {type('resource', 'request contains')}
      {type('slower', 'slower than, ms')}
    </form>
  )
}

function conditionOf(params: URLSearchParams): string {
  const parts: string[] = []
  const number = (name: string): number => {
    const value = Number.parseFloat(params.get(name) ?? '')
    return Math.abs(value) <= NUMBER_MAX ? value : 0
  }
  if (params.get('protocol')) parts.push(`l7_protocol = ${number('protocol') || 0}`)
  if (params.get('status')) parts.push(`response_status = ${number('status') || 0}`)
  if (number('slower') > 0)
    parts.push(`response_duration >= ${Math.round(number('slower') * 1000)}`)
  const service = params.get('service')
  if (service)
    parts.push(`(auto_instance_0 = ${literal(service)} OR auto_instance_1 = ${literal(service)})`)
  const resource = params.get('resource')
  if (resource) parts.push(`position(request_resource, ${literal(resource)}) > 0`)
  return parts.map((part) => ` AND ${part}`).join('')
}

function sqlOf(condition: string, seconds: number): string {
  return `SELECT ${AT} AS at, toUnixTimestamp64Micro(${AT}) AS at_us, flow_id, request_id,
    req_tcp_seq, resp_tcp_seq, observation_point, type, auto_instance_0 AS client, auto_instance_1 AS server,
    if(is_ipv4 = 1, toString(ip4_0), toString(ip6_0)) AS client_ip,
    if(is_ipv4 = 1, toString(ip4_1), toString(ip6_1)) AS server_ip,
    l7_protocol, request_type, request_domain, request_resource, response_status, response_code,
    response_duration
    FROM flow_log.l7_flow_log WHERE time >= now() - ${seconds}${condition}
    ORDER BY time DESC, at DESC LIMIT ${LIMIT}`
}

/** Every field of one call that says something. */
function Detail({ call }: { readonly call: string }): VNode {
  const data = usePolled(`call ${call}`, 0, (stop) => query(detailSql(call), stop))
  return (
    <aside class="card detail">
      <button type="button" aria-label="Close" onClick={() => set({ call: null })}>
        ×
      </button>
      <h2>Call</h2>
      <Show data={data} isEmpty={(rows) => rows.length === 0} empty="This call is no longer kept.">
        {([row]) => (
          <dl>
            {Object.entries(row!)
              .filter(([, value]) => value !== '' && value !== null && value !== '::')
              .map(([name, value]) => (
                <div key={name} title={ABOUT.get(name) ?? ''}>
                  <dt>{name}</dt>
                  <dd>{worded(name, value as string | number)}</dd>
                </div>
              ))}
          </dl>
        )}
      </Show>
    </aside>
  )
}

const ABOUT = new Map(l7FlowLog.columns.map(({ name, about }) => [name, about]))
const UNITS = new Map(l7FlowLog.columns.map(({ name, unit }) => [name, unit]))

function worded(name: string, value: string | number): string {
  if (/^(start_|end_)?time$/.test(name)) return `${value} UTC`
  const word = ENUMS[name.replace(/_[01]$/, '')]?.[Number(value)]
  if (word && word !== String(value)) return `${word} (${value})`
  return `${value} ${UNITS.get(name) ?? ''}`
}

function detailSql(call: string): string {
  const [flow = '', at = '', end = '', way = '', id = '', asked = '', answered = ''] =
    call.split('-')
  const columns = l7FlowLog.columns.flatMap(({ name, stored, meaning }) =>
    stored === false || 'internal' in meaning ? [] : [name],
  )
  return `SELECT auto_instance_0, auto_instance_1, host_0, host_1, ${columns.join(', ')}
    FROM flow_log.l7_flow_log
    WHERE time >= toDateTime(${Math.floor(integer(at) / 1e6)}) - 1
    AND flow_id = ${integer(flow)} AND ${AT} = fromUnixTimestamp64Micro(${integer(at)})
    AND observation_point = ${literal(`${end}-${way}`)}
    AND request_id ${id ? `= ${integer(id)}` : 'IS NULL'}
    AND req_tcp_seq = ${integer(asked)} AND resp_tcp_seq = ${integer(answered)} LIMIT 1`
}

function integer(text: string): number {
  const value = Math.floor(Number(text))
  return Number.isSafeInteger(value) && value >= 0 ? value : 0
}
