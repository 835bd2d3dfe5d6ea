import { type Extent, NO_NAME, nameEnd, RECORD_HEAD_SIZE, SOA, u16 } from './records.ts'

/*
 * A zone is answered with as many messages as it takes, each with the question's id:
 *
 *   whole         = new SOA, record*, new SOA                       AXFR; IXFR where that is less
 *   differences   = new SOA, step+, new SOA                         IXFR
 *   step          = SOA, deleted*, next SOA, added*                 the last step's next is the new
 *   nothing new   = new SOA                                         IXFR
 *
 * https://www.rfc-editor.org/rfc/rfc5936#section-2.2 https://www.rfc-editor.org/rfc/rfc1995#section-4
 */

/** Question types whose answer is a transfer. */
export const IXFR = 251
export const AXFR = 252

/** Follows the records of one transfer to its end. */
export class Transfer {
  #records = 0
  /** The zone's new serial number, and how often its SOA is still to come. */
  #serial = 0
  #left = 1

  /** Takes a message's `answers`, which begin at `start`; answers whether they are the last. */
  isOver(bytes: Uint8Array, start: number, message: Extent, answers: number): boolean {
    let at = start
    for (let i = 0; i < answers && at >= 0; i++) at = this.#record(bytes, at, message.end)
    return this.#left === 0 || (this.#records === 0 && at >= 0)
  }

  /** The new SOA alone: who asked for differences has them all. */
  get isAlone(): boolean {
    return this.#records === 1
  }

  #record(bytes: Uint8Array, at: number, end: number): number {
    const head = nameEnd(bytes, at, end)
    const data = head + RECORD_HEAD_SIZE
    if (head < 0 || data > end) return NO_NAME
    const next = data + u16(bytes, head + 8)
    if (next > end) return NO_NAME
    if (u16(bytes, head) === SOA) this.#follow(serialAt(bytes, data, next))
    this.#records++
    return next
  }

  #follow(serial: number): void {
    if (this.#records === 0) this.#serial = serial
    else if (serial === this.#serial) this.#left--
    else if (this.#records === 1) this.#left = 2
  }
}

/** The serial number of a SOA record's data (RFC 1035 §3.3.13), or -1. */
function serialAt(bytes: Uint8Array, start: number, end: number): number {
  const mailbox = nameEnd(bytes, start, end)
  const serial = mailbox < 0 ? NO_NAME : nameEnd(bytes, mailbox, end)
  if (serial < 0 || serial + 4 > end) return -1
  return u16(bytes, serial) * 65_536 + u16(bytes, serial + 2)
}
