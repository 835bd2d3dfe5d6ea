import type { HttpAnswer, HttpRequest, Network } from '../../src/lib/env.ts'
import type { Life, World } from './world.ts'

export type NetworkFaults = {
  /** A request or an answer is lost. */
  loses: number
  /** A request arrives once more, some time later. */
  repeats: number
  /** A request or an answer takes up to 40 s. */
  delays: number
}

/** Who answers requests now; undefined while the server is down. */
export type Server = {
  readonly life: Life
  answer(request: HttpRequest): Promise<HttpAnswer>
}

const LATENCY_US = 3000
const DELAY_US = 40_000_000

/** The way between agent and server: what is sent may be lost, come late, or come twice. */
export class SimulatedNetwork {
  readonly faults: NetworkFaults = { loses: 0, repeats: 0, delays: 0 }
  server: Server | undefined
  /** Sees each answer that a living server gave, whether it arrives or not. */
  onAnswer: (request: HttpRequest, answer: HttpAnswer) => void = () => undefined
  readonly #world: World

  constructor(world: World) {
    this.#world = world
  }

  of(life: Life): Network {
    return { send: (request) => this.#send(request, life) }
  }

  #send(request: HttpRequest, life: Life): Promise<HttpAnswer> {
    life.check()
    const { chance } = this.#world
    const copy = { ...request, body: request.body?.slice() } as HttpRequest
    if (chance.is(this.faults.repeats))
      this.#world.after(chance.between(0, DELAY_US), () => this.#deliver(copy, () => undefined))
    return new Promise((resolve, reject) => {
      const fail = (code: string): void => {
        if (life.isAlive) reject(Object.assign(new Error(`Cannot reach it: ${code}`), { code }))
      }
      life.timers.after(request.timeoutMs, () => fail('ETIMEDOUT'))
      if (chance.is(this.faults.loses)) return
      this.#world.after(this.#latency(), () =>
        this.#deliver(copy, (answer) => {
          if (!answer) fail('ECONNREFUSED')
          else if (!chance.is(this.faults.loses))
            this.#world.after(this.#latency(), () => life.isAlive && resolve(answer))
        }),
      )
    })
  }

  #deliver(request: HttpRequest, back: (answer: HttpAnswer | undefined) => void): void {
    const { server } = this
    if (!server) {
      back(undefined)
      return
    }
    server.answer(request).then(
      (answer) => {
        if (server.life.isAlive) this.onAnswer(request, answer)
        back(server.life.isAlive ? answer : undefined)
      },
      () => back(undefined),
    )
  }

  #latency(): number {
    const { chance } = this.#world
    return chance.between(1, chance.is(this.faults.delays) ? DELAY_US : LATENCY_US)
  }
}
