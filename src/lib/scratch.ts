/** Text put together byte by byte, bounded: what does not fit is left out and `isFull` raised. */
export class Scratch {
  readonly bytes: Uint8Array
  end = 0
  isFull = false

  constructor(size: number) {
    this.bytes = new Uint8Array(size)
  }

  clear(): void {
    this.end = 0
    this.isFull = false
  }

  get room(): number {
    return this.bytes.length - this.end
  }

  byte(value: number): void {
    if (this.end < this.bytes.length) this.bytes[this.end++] = value
    else this.isFull = true
  }

  text(text: Uint8Array): void {
    for (let i = 0; i < text.length; i++) this.byte(text[i]!)
  }

  /** Adds `bytes[start, end)`, as much of it as fits. */
  range(bytes: Uint8Array, start: number, end: number): void {
    const size = Math.min(end - start, this.room)
    if (size < end - start) this.isFull = true
    const to = this.bytes
    const at = this.end
    if (size > 64) to.set(bytes.subarray(start, start + size), at)
    else for (let i = 0; i < size; i++) to[at + i] = bytes[start + i]!
    this.end = at + size
  }

  decimal(value: number): void {
    if (value >= 10) this.decimal(Math.floor(value / 10))
    this.byte(ZERO + (value % 10))
  }

  hex(value: number): void {
    if (value >= 16) this.hex(value >>> 4)
    this.byte(HEX[value & 15]!)
  }

  /** A dotted address from 4 bytes. */
  ip4(bytes: Uint8Array, at: number): void {
    for (let i = 0; i < 4; i++) {
      if (i > 0) this.byte(DOT)
      this.decimal(bytes[at + i]!)
    }
  }

  /** An address from 16 bytes, its first longest run of zero groups as `::` (RFC 5952 §4). */
  ip6(bytes: Uint8Array, at: number): void {
    let gap = 8
    let gapSize = 1
    let run = 0
    for (let group = 0; group < 8; group++) {
      run = (bytes[at + 2 * group]! | bytes[at + 2 * group + 1]!) === 0 ? run + 1 : 0
      if (run <= gapSize) continue
      gapSize = run
      gap = group + 1 - run
    }
    for (let group = 0; group < 8; group++) {
      if (group === gap) {
        this.byte(COLON)
        this.byte(COLON)
        group += gapSize - 1
        continue
      }
      if (group > 0 && group !== gap + gapSize) this.byte(COLON)
      this.hex((bytes[at + 2 * group]! << 8) | bytes[at + 2 * group + 1]!)
    }
  }
}

const DOT = 0x2e
const ZERO = 0x30
const COLON = 0x3a
const HEX = new TextEncoder().encode('0123456789abcdef')
