/** MySQL's wire in strings, a character a byte. */

/** A number of `size` bytes, the lowest first. */
export const little = (value: number | bigint, size: number): string =>
  Array.from({ length: size }, (_, i) =>
    String.fromCharCode(Number((BigInt(value) >> BigInt(8 * i)) & 255n)),
  ).join('')

/** A packet: its size, its number, its payload. */
export const packet = (number: number, payload: string): string =>
  little(payload.length, 3) + String.fromCharCode(number) + payload
