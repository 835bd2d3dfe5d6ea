import type { Call } from '../../model/call.ts'
import type { Message } from '../../model/message.ts'
import { type Endpoints, type Group, pathEndpoint } from './endpoint.ts'
import { fillEndpoint, isName, isPath } from './fill.ts'

/** Sets the endpoints of one connection's calls: it remembers whose they are counted as. */
export class EndpointOf {
  readonly #endpoints: Endpoints
  #group: Group | undefined
  #name = -1
  #port = -1

  constructor(endpoints: Endpoints) {
    this.#endpoints = endpoints
  }

  /** What the protocol says, else what its resource is: a path's beginning, a name. Else none. */
  set(call: Call, message: Message): void {
    let text = message.endpoint
    if (text.end === text.start) {
      if (isPath(call.l7Protocol)) text = pathEndpoint(message.resource, this.#endpoints.rules)
      else if (isName(call.l7Protocol)) text = message.resource
    }
    if (text.end === text.start) return
    const { serverName, serverPort } = call
    if (this.#group === undefined || serverName !== this.#name || serverPort !== this.#port) {
      this.#group = this.#endpoints.group(serverName, serverPort)
      this.#name = serverName
      this.#port = serverPort
    }
    fillEndpoint(call, this.#endpoints.bound(this.#group, text))
  }
}
