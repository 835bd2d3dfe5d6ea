/** `shop-dns`: a small name server over UDP that knows the shop's own zone. */
import type { Part } from './parts.ts'
import { PORTS } from './parts.ts'

/*
 *   message  = id u16, flags u16, 4 counts u16, question: (size u8, label)* 0, type u16, class u16
 *
 * https://www.rfc-editor.org/rfc/rfc1035#section-4
 */
const HEADER_SIZE = 12
const A = 1
/** Nobody keeps an answer, so that each question is asked. */
const SECONDS = 0
const ANSWER = 0x8580
const FORMAT_ERROR = 0x8581
const NO_NAME = 0x8583
const NAMES = /^(api|store|db|web|cdn)\.shop\.internal$/i

export const runNames: Part = async ({ address }) => {
  const host = address.split('.').map(Number)
  const socket = await Bun.udpSocket({
    hostname: address,
    port: PORTS['shop-dns'],
    socket: {
      data(self, bytes, port, peer) {
        const reply = answer(bytes, host)
        if (reply !== undefined) self.send(reply, port, peer)
      },
    },
  })
  return { stop: () => socket.close() }
}

/** The answer to a question, or undefined where nothing can be said. */
export function answer(bytes: Buffer, host: readonly number[]): Buffer | undefined {
  if (bytes.length < HEADER_SIZE || bytes[2]! >= 0x80) return undefined
  const question = questionOf(bytes)
  const reply = Buffer.alloc(HEADER_SIZE)
  bytes.copy(reply, 0, 0, 2)
  if (question === undefined) {
    reply.writeUInt16BE(FORMAT_ERROR, 2)
    return reply
  }
  const isKnown = NAMES.test(question.name)
  const isAddress = isKnown && question.type === A
  reply.writeUInt16BE(isKnown ? ANSWER : NO_NAME, 2)
  reply.writeUInt16BE(1, 4)
  reply.writeUInt16BE(isAddress ? 1 : 0, 6)
  const asked = bytes.subarray(HEADER_SIZE, question.end)
  return Buffer.concat(isAddress ? [reply, asked, record(host)] : [reply, asked])
}

function questionOf(bytes: Buffer): { name: string; type: number; end: number } | undefined {
  const labels: string[] = []
  let at = HEADER_SIZE
  while (at < bytes.length && bytes[at]! > 0) {
    const end = at + 1 + bytes[at]!
    if (bytes[at]! > 63 || end > bytes.length) return undefined
    labels.push(bytes.toString('latin1', at + 1, end))
    at = end
  }
  if (at + 5 > bytes.length) return undefined
  return { name: labels.join('.'), type: bytes.readUInt16BE(at + 1), end: at + 5 }
}

/** An address of the name that was asked for. */
function record(host: readonly number[]): Buffer {
  return Buffer.from([0xc0, HEADER_SIZE, 0, A, 0, 1, 0, 0, 0, SECONDS, 0, 4, ...host])
}
