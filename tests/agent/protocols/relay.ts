import { connect, createServer, type Socket } from 'node:net'
import type { Protocol, Sender } from '../../../src/agent/protocols/protocol.ts'
import { TestStream, type Told } from './link.ts'

type Piece = readonly [sender: Sender, bytes: Uint8Array]

/** Stands between a real client and a real server and reads what they say to each other. */
export class Relay {
  readonly port: number
  /** What was said on each connection, in the order in which it went by. */
  readonly connections: readonly Piece[][]
  readonly #protocol: Protocol
  readonly #stop: () => void

  private constructor(
    protocol: Protocol,
    port: number,
    connections: readonly Piece[][],
    stop: () => void,
  ) {
    this.#protocol = protocol
    this.port = port
    this.connections = connections
    this.#stop = stop
  }

  static async open(protocol: Protocol, target: number): Promise<Relay> {
    const sockets = new Set<Socket>()
    const connections: Piece[][] = []
    const server = createServer((client) => {
      const pieces: Piece[] = []
      connections.push(pieces)
      const upstream = connect(target, '127.0.0.1')
      const pass = (sender: Sender, from: Socket, to: Socket): void => {
        sockets.add(from)
        from.setNoDelay(true)
        from.on('data', (bytes: Buffer) => {
          pieces.push([sender, Uint8Array.from(bytes)])
          to.write(bytes)
        })
        from.on('end', () => to.end())
        from.on('error', () => to.destroy())
        from.on('close', () => sockets.delete(from))
      }
      pass('client', client, upstream)
      pass('server', upstream, client)
    })
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    const { port } = server.address() as { port: number }
    return new Relay(protocol, port, connections, () => {
      server.close()
      for (const socket of sockets) socket.destroy()
    })
  }

  /**
   * All that was told, connection after connection. `cut` makes other pieces of what was said.
   * Throws where a connection was not read to its end.
   */
  told(cut: (bytes: Uint8Array) => Uint8Array[] = (bytes) => [bytes]): Told[] {
    return this.connections.flatMap((pieces, i) => {
      const stream = new TestStream(this.#protocol)
      for (const [sender, bytes] of pieces)
        for (const piece of cut(bytes)) stream.push(sender, piece)
      if (stream.end !== 0) throw new Error(`Cannot read connection ${i}: it ended ${stream.end}`)
      return stream.told
    })
  }

  stop(): void {
    this.#stop()
  }
}
