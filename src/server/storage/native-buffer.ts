/** Bytes of a Native block as they are put one after the other; grows, never shrinks. */
export class NativeBuffer {
  bytes: Uint8Array<ArrayBuffer>
  at = 0

  constructor(size: number) {
    this.bytes = new Uint8Array(size)
  }

  /** What was written, in memory of its own. */
  get written(): Uint8Array<ArrayBuffer> {
    return this.bytes.subarray(0, this.at)
  }

  /** Makes room for `size` bytes, answers where they go, and counts them as written. */
  take(size: number): number {
    const start = this.at
    const end = start + size
    if (end > this.bytes.length) {
      const grown = new Uint8Array(Math.max(end, this.bytes.length * 2))
      grown.set(this.bytes.subarray(0, start))
      this.bytes = grown
    }
    this.at = end
    return start
  }

  put(bytes: Uint8Array): void {
    const at = this.take(bytes.length)
    this.bytes.set(bytes, at)
  }

  /** The bytes of a typed array, little-endian as this machine is. */
  putArray(values: ArrayBufferView): void {
    this.put(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
  }

  putVarint(value: number): void {
    let rest = value
    while (rest >= 0x80) {
      this.bytes[this.take(1)] = (rest & 0x7f) | 0x80
      rest = Math.floor(rest / 128)
    }
    const at = this.take(1)
    this.bytes[at] = rest
  }

  putText(text: string): void {
    const bytes = new TextEncoder().encode(text)
    this.putVarint(bytes.length)
    this.put(bytes)
  }

  putU64(value: number): void {
    const view = new DataView(this.bytes.buffer, this.take(8), 8)
    view.setBigUint64(0, BigInt(value), true)
  }
}
