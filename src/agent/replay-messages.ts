import { CALL_TYPE, Call, type CallSink } from '../model/call.ts'
import type { Connection, Mark } from '../model/connection.ts'
import type { Message } from '../model/message.ts'
import type { Direction } from '../model/segment.ts'
import { pathEndpoint } from './sessions/endpoint.ts'
import {
  fillEndpoint,
  fillEnds,
  fillRequest,
  fillResponse,
  isName,
  isPath,
} from './sessions/fill.ts'

/** Messages that wait for the rest of one before them; beyond it the first goes out as it is. */
const WAITING_MAX = 10_000

type Growing = {
  readonly call: Call
  readonly connection: Connection
  readonly direction: Direction
  readonly id: number
  isWhole: boolean
}

/**
 * Each message as a row of its own, filled as sessions fill calls, with nothing left out. Parts of
 * a message are put together; messages go out in the order in which their first parts came.
 */
export class Messages {
  readonly #emit: CallSink
  #waiting: Growing[] = []
  /** Those that are not whole, also where they went out. */
  #open: Growing[] = []

  constructor(emit: CallSink) {
    this.#emit = emit
  }

  take(message: Message, mark: Mark, connection: Connection, l7Protocol: number): void {
    const growing = this.#growing(message, mark, connection)
    const call = growing?.call ?? begin(message, mark, connection, l7Protocol)
    fill(call, message, mark)
    if (growing) {
      if (message.last) this.#end(growing)
    } else if (message.last && this.#waiting.length === 0) this.#emit(call)
    else {
      const { direction } = mark
      const begun = { call, connection, direction, id: message.id, isWhole: message.last }
      this.#waiting.push(begun)
      if (!message.last) this.#open.push(begun)
      if (this.#open.length > WAITING_MAX) this.#open.shift()
    }
    this.#give(WAITING_MAX)
  }

  /** The rest of what is not whole of a connection will not come. */
  lost(connection: Connection): void {
    for (const growing of this.#open) if (growing.connection === connection) growing.isWhole = true
    this.#open = this.#open.filter(({ isWhole }) => !isWhole)
    this.#give(WAITING_MAX)
  }

  /** Gives on what is not whole and will not be. */
  finish(): void {
    for (const { call } of this.#waiting) this.#emit(call)
    this.#waiting = []
  }

  #end(growing: Growing): void {
    growing.isWhole = true
    this.#open.splice(this.#open.indexOf(growing), 1)
  }

  #give(max: number): void {
    let given = 0
    while (this.#waiting[given]?.isWhole || this.#waiting.length - given > max)
      this.#emit(this.#waiting[given++]!.call)
    if (given > 0) this.#waiting.splice(0, given)
  }

  /** The message that this is a further part of. */
  #growing(message: Message, mark: Mark, connection: Connection): Growing | undefined {
    if (this.#open.length === 0) return undefined
    return this.#open.findLast(
      (other) =>
        other.connection === connection &&
        other.direction === mark.direction &&
        other.id === message.id,
    )
  }
}

function begin(message: Message, mark: Mark, connection: Connection, l7Protocol: number): Call {
  const call = new Call()
  const { kind } = message
  call.type =
    kind === 'response'
      ? CALL_TYPE.response
      : kind === 'request'
        ? CALL_TYPE.request
        : CALL_TYPE.session
  call.l7Protocol = l7Protocol
  const isFromClient = kind !== 'response'
  fillEnds(call, connection, isFromClient === (mark.direction === 'send') ? 'send' : 'receive')
  call.startTime = mark.time
  call.endTime = mark.time
  if (isFromClient) call.requestSequence = mark.sequence
  else call.responseSequence = mark.sequence
  return call
}

function fill(call: Call, message: Message, mark: Mark): void {
  if (message.kind === 'response') {
    fillResponse(call, message, false)
    call.capturedResponseBytes += mark.captured
    return
  }
  fillRequest(call, message, false)
  call.capturedRequestBytes += mark.captured
  if (message.endpoint.end > message.endpoint.start) fillEndpoint(call, message.endpoint)
  else if (isPath(call.l7Protocol)) fillEndpoint(call, pathEndpoint(message.resource))
  else if (isName(call.l7Protocol)) fillEndpoint(call, message.resource)
}
