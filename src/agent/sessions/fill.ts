import {
  type Call,
  ENDPOINT,
  PROXY_CLIENT,
  REQUEST_DOMAIN,
  REQUEST_RESOURCE,
  REQUEST_TYPE,
  RESPONSE_EXCEPTION,
  RESPONSE_RESULT,
  SIGNAL_SOURCE,
  SPAN_ID,
  type Texts,
  TRACE_ID,
  VERSION,
  X_REQUEST_ID_0,
  X_REQUEST_ID_1,
} from '../../model/call.ts'
import type { Connection, Mark } from '../../model/connection.ts'
import {
  type Message,
  NO_COUNT,
  NO_ID,
  Text as Range,
  STATUS,
  type Text,
} from '../../model/message.ts'
import type { Direction } from '../../model/segment.ts'
import {
  isUnknownCommand,
  redactArguments,
  redactCopy,
  redactError,
  redactQuery,
  redactSql,
  redactSqlError,
} from './redact.ts'

/** What a protocol's resource is, by its number in `l7_protocol` (HTTP 20 … FastCGI 44, …). */
export function isPath(l7Protocol: number): boolean {
  return l7Protocol === 20 || l7Protocol === 21 || l7Protocol === 44
}
function isSql(l7Protocol: number): boolean {
  return l7Protocol >= 60 && l7Protocol <= 63
}
export function isName(l7Protocol: number): boolean {
  return l7Protocol === 120
}
const REDIS = 80

/** Sets who spoke to whom. `requested`: which way the request travels, or would have. */
export function fillEnds(call: Call, connection: Connection, requested: Direction): void {
  const { addresses, isIpv4, localPort, remotePort, localName, remoteName } = connection
  const isClient = connection.isDatagram ? requested === 'send' : connection.role === 'client'
  call.observationPoint = isClient && connection.source === 'socket' ? 'c-p' : 's-p'
  call.signalSource = connection.source === 'socket' ? SIGNAL_SOURCE.ebpf : SIGNAL_SOURCE.packet
  call.protocol = connection.protocol
  call.isTls = connection.isTls
  call.isIpv4 = isIpv4
  call.flowId = connection.flowId
  const size = isIpv4 ? 4 : 16
  const client = isClient ? 0 : 16
  for (let i = 0; i < size; i++) {
    call.addresses[i] = addresses[client + i]!
    call.addresses[16 + i] = addresses[16 - client + i]!
  }
  call.clientPort = isClient ? localPort : remotePort
  call.serverPort = isClient ? remotePort : localPort
  call.clientName = isClient ? localName : remoteName
  call.serverName = isClient ? remoteName : localName
  call.clientProcessId = isClient ? connection.processId : connection.remoteProcessId
  call.serverProcessId = isClient ? connection.remoteProcessId : connection.processId
}

/**
 * The remote end once more, when the answer comes: a peer on this host is known only after it has
 * taken the request in, which the first call of a connection is asked before.
 */
export function fillPeer(call: Call, connection: Connection): void {
  const { remotePort, remoteName, remoteProcessId } = connection
  if (call.observationPoint === 'c-p') {
    if (call.serverPort !== remotePort) return
    call.serverName = remoteName
    call.serverProcessId = remoteProcessId
  } else if (call.clientPort === remotePort) {
    call.clientName = remoteName
    call.clientProcessId = remoteProcessId
  }
}

/** The local process of a call is the one that moved this message. */
export function fillProcess(call: Call, mark: Mark): void {
  if (mark.processId === 0) return
  if (call.observationPoint === 'c-p') call.clientProcessId = mark.processId
  else call.serverProcessId = mark.processId
}

/** Adds what a request, or a part of one, says of itself. */
export function fillRequest(call: Call, message: Message, redact: boolean): void {
  const { texts } = call
  keepTogether(texts, message)
  let cut = put(texts, REQUEST_TYPE, message.operation)
  cut = put(texts, REQUEST_DOMAIN, message.domain) || cut
  if (message.resource.end > message.resource.start) cut = putResource(call, message, redact) || cut
  cut = put(texts, VERSION, message.version) || cut
  cut = put(texts, TRACE_ID, message.traceId) || cut
  cut = put(texts, SPAN_ID, message.spanId) || cut
  cut = put(texts, X_REQUEST_ID_0, message.xRequestId) || cut
  cut = put(texts, PROXY_CLIENT, message.proxyClient) || cut
  if (message.requestId !== NO_ID) call.requestId = message.requestId
  if (message.length !== NO_COUNT)
    call.requestLength = Math.max(call.requestLength, 0) + message.length
  if (cut || message.truncated) call.isTruncated = true
}

/** Texts further apart are copied one by one. */
const STRETCH_MAX = 1024
const NOTHING = new Uint8Array(0)
/** The bytes that the texts of the request being filled lie in, and where they were kept. */
let stretch: Uint8Array = NOTHING
let stretchStart = 0
let stretchEnd = 0
let stretchAt = 0

/** One copy of a head costs less than one of each text: 66 against 160 ns for eight. */
function keepTogether(texts: Texts, message: Message): void {
  stretch = message.operation.bytes
  stretchStart = message.operation.start
  stretchEnd = message.operation.end
  widen(message.resource)
  widen(message.domain)
  widen(message.traceId)
  widen(message.spanId)
  widen(message.xRequestId)
  const size = stretchEnd - stretchStart
  if (size <= 0 || size > STRETCH_MAX) stretch = NOTHING
  else stretchAt = texts.keep(stretch, stretchStart, stretchEnd)
}

function widen({ bytes, start, end }: Text): void {
  if (bytes !== stretch) return
  if (start < stretchStart) stretchStart = start
  if (end > stretchEnd) stretchEnd = end
}

/** Sets a text: it lies in what was kept, or is copied. Answers whether it was cut. */
function put(texts: Texts, field: number, text: Text): boolean {
  const { bytes, start, end } = text
  if (end <= start) return false
  if (!isKept(text)) return texts.set(field, bytes, start, end)
  texts.point(field, stretchAt + start - stretchStart, stretchAt + end - stretchStart)
  return false
}

function isKept({ bytes, start, end }: Text): boolean {
  return bytes === stretch && start >= stretchStart && end <= stretchEnd
}

/** What is bound takes its statement's place. A path that was kept is redacted where it lies. */
function putResource(call: Call, message: Message, redact: boolean): boolean {
  const { texts, l7Protocol } = call
  const { resource, values } = message
  if (!redact && values.end > values.start)
    return put(texts, REQUEST_RESOURCE, values) || message.valuesTruncated
  if (redact && isPath(l7Protocol) && isKept(resource)) {
    const at = stretchAt + resource.start - stretchStart
    const end = redactCopy(resource, texts.bytes, at)
    if (end >= 0) {
      texts.point(REQUEST_RESOURCE, at, end)
      return false
    }
  }
  return put(texts, REQUEST_RESOURCE, resourceOf(l7Protocol, message, redact))
}

/** Adds what a response, or a part of one, says; of the request only what it did not say itself. */
export function fillResponse(call: Call, message: Message, redact: boolean): void {
  const { texts } = call
  let cut = message.truncated
  if (message.error.end > message.error.start) {
    cut = texts.copy(RESPONSE_EXCEPTION, errorOf(call, message, redact)) || cut
  }
  cut = texts.copy(RESPONSE_RESULT, message.result) || cut
  cut = texts.copy(X_REQUEST_ID_1, message.xRequestId) || cut
  cut = fillUnsaid(call, message, redact) || cut
  if (!Number.isNaN(message.code)) call.code = message.code
  if (message.status !== STATUS.ok) call.status = message.status
  if (message.requestId !== NO_ID && call.requestId === NO_ID) call.requestId = message.requestId
  if (message.length !== NO_COUNT)
    call.responseLength = Math.max(call.responseLength, 0) + message.length
  if (message.rows !== NO_COUNT) call.affectedRows = Math.max(call.affectedRows, 0) + message.rows
  if (cut) call.isTruncated = true
}

/** What the request did not say itself; answers whether a text was cut. */
function fillUnsaid({ texts, l7Protocol }: Call, message: Message, redact: boolean): boolean {
  let cut = false
  if (texts.size(VERSION) === 0) texts.copy(VERSION, message.version)
  if (texts.size(TRACE_ID) === 0) {
    cut = texts.copy(TRACE_ID, message.traceId)
    cut = texts.copy(SPAN_ID, message.spanId) || cut
  }
  if (texts.size(REQUEST_TYPE) === 0) cut = texts.copy(REQUEST_TYPE, message.operation) || cut
  if (texts.size(REQUEST_DOMAIN) === 0) cut = texts.copy(REQUEST_DOMAIN, message.domain) || cut
  if (message.resource.end > message.resource.start && texts.size(REQUEST_RESOURCE) === 0)
    cut = texts.copy(REQUEST_RESOURCE, resourceOf(l7Protocol, message, redact)) || cut
  return cut
}

/** The command that an error answers. */
const asked = new Range()

/** What is kept of an error. A command Redis does not know takes who knows what: nothing stays. */
function errorOf({ l7Protocol, texts }: Call, message: Message, redact: boolean): Text {
  const { error, code, result } = message
  if (!redact) return error
  if (isSql(l7Protocol)) return redactSqlError(error, code, result)
  if (l7Protocol !== REDIS) return error
  if (isUnknownCommand(error)) texts.point(REQUEST_RESOURCE, 0, 0)
  asked.set(texts.bytes, texts.starts[REQUEST_TYPE]!, texts.size(REQUEST_TYPE))
  return redactError(error, asked)
}

/** What is kept of a message's resource. */
function resourceOf(l7Protocol: number, message: Message, redact: boolean): Text {
  const { resource } = message
  if (!redact) return resource
  if (isPath(l7Protocol)) return redactQuery(resource)
  if (isSql(l7Protocol)) return redactSql(resource)
  if (l7Protocol === REDIS) return redactArguments(message.operation, resource)
  return resource
}

/** Sets the endpoint to `text`, unless there is none. */
export function fillEndpoint(call: Call, text: Text): void {
  put(call.texts, ENDPOINT, text)
}
