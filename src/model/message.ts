/** What a message is to the call it belongs to. */
export type Kind = 'none' | 'request' | 'response' | 'oneway'

/** A message whose protocol has no number to pair by: it is paired by order. */
export const NO_ID = -1
/** Nothing remembered with a request, or no request to remember it with. */
export const NO_TAG = -1
/** The message states no response code: codes themselves may be negative. */
export const NO_CODE: number = Number.NaN
/** The message states no length, or no number of affected rows. */
export const NO_COUNT = -1

/** How a response went; the numbers are those of `response_status` in `flow_log.l7_flow_log`. */
export const STATUS = {
  ok: 0,
  timeout: 2,
  serverError: 3,
  clientError: 4,
  unknown: 5,
} as const

const NOTHING = new Uint8Array(0)

/** A stretch of bytes, so that no string is built for what nobody keeps. */
export class Text {
  /** The bytes that were fed, or a protocol's own scratch where text must be put together first. */
  bytes: Uint8Array = NOTHING
  start = 0
  end = 0

  set(bytes: Uint8Array, start: number, size: number): void {
    this.bytes = bytes
    this.start = start
    this.end = start + size
  }

  /** Leaves nothing; what it lay in is not let go of before the next `set`. */
  clear(): void {
    this.start = 0
    this.end = 0
  }
}

/**
 * One message as a protocol read it. It is filled again by the next `feed`: keep what you need.
 *
 * Parts of one message (`last` false) add to it: a text or code that is set replaces, lengths and
 * rows sum up.
 */
export class Message {
  kind: Kind = 'none'
  /** Pairs a response with its request, a safe integer; NO_ID where order pairs them. */
  id: number = NO_ID
  /** The number a user knows the request by (DNS id, statement id); NO_ID: there is none. */
  requestId: number = NO_ID
  /** What the protocol wants to know of a request when its response comes: see `Link.pending`. */
  tag: number = NO_TAG
  /** False: more parts of this message follow (same sender, same id) and add to it. */
  last = true
  /** Which protocol goes on after SWITCH; empty: whichever claims the bytes. */
  next = ''
  /** A STATUS of a response. */
  status: number = STATUS.ok
  /** Response code as the protocol numbers it, or NO_CODE. */
  code: number = NO_CODE
  /** Length the message states of itself, else body bytes counted in this part; NO_COUNT: none. */
  length: number = NO_COUNT
  /** Rows an SQL response says it changed, or NO_COUNT. */
  rows: number = NO_COUNT
  /** A field was cut because its bytes were not captured. */
  truncated = false
  /** Its end was not captured: other messages may lie where it was. */
  isEndLost = false
  /** The same as `truncated`, of `values`, which most rows do not show. */
  valuesTruncated = false
  /** The command, verb or question type: `request_type`. */
  readonly operation: Text = new Text()
  /** What it is done to (a path, a key, a statement): `request_resource`. */
  readonly resource: Text = new Text()
  /** What is bound to the resource's places: it stands in its place where nothing is redacted. */
  readonly values: Text = new Text()
  /** Host, topic's cluster, question's name: `request_domain`. */
  readonly domain: Text = new Text()
  /** Set only where the protocol has a better endpoint than sessions derive from `resource`. */
  readonly endpoint: Text = new Text()
  /** Protocol version as text: `version`. */
  readonly version: Text = new Text()
  /** The error a response reports, empty when it reports none: `response_exception`. */
  readonly error: Text = new Text()
  /** What a response answers, where that is worth a column (DNS addresses): `response_result`. */
  readonly result: Text = new Text()
  readonly traceId: Text = new Text()
  readonly spanId: Text = new Text()
  /** X-Request-ID: column `x_request_id_0` of a request, `_1` of a response. */
  readonly xRequestId: Text = new Text()
  /** X-Forwarded-For: `http_proxy_client`. */
  readonly proxyClient: Text = new Text()

  clear(): void {
    this.kind = 'none'
    this.id = NO_ID
    this.requestId = NO_ID
    this.tag = NO_TAG
    this.last = true
    this.next = ''
    this.status = STATUS.ok
    this.code = NO_CODE
    this.length = NO_COUNT
    this.rows = NO_COUNT
    this.truncated = false
    this.isEndLost = false
    this.valuesTruncated = false
    this.operation.clear()
    this.resource.clear()
    this.values.clear()
    this.domain.clear()
    this.endpoint.clear()
    this.version.clear()
    this.error.clear()
    this.result.clear()
    this.traceId.clear()
    this.spanId.clear()
    this.xRequestId.clear()
    this.proxyClient.clear()
  }
}
