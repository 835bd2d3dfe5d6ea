/** Addresses as text, IPv6 by https://www.rfc-editor.org/rfc/rfc5952. */

/** The address in `bytes` at `at`: 4 bytes of IPv4, else 16. */
export function addressText(bytes: Uint8Array, at: number, isIpv4: boolean): string {
  return isIpv4 ? bytes.subarray(at, at + 4).join('.') : ipv6Text(bytes, at)
}

function ipv6Text(bytes: Uint8Array, at: number): string {
  const groups: number[] = []
  for (let i = at; i < at + 16; i += 2) groups.push((bytes[i]! << 8) | bytes[i + 1]!)
  const [start, length] = longestZeros(groups)
  const hex = (from: number, to: number) =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(':')
  return length < 2 ? hex(0, 8) : `${hex(0, start)}::${hex(start + length, 8)}`
}

/** The longest run of zeros, the first of equals. */
function longestZeros(groups: readonly number[]): [start: number, length: number] {
  let best: [number, number] = [0, 0]
  let length = 0
  for (const [i, group] of groups.entries()) {
    length = group === 0 ? length + 1 : 0
    if (length > best[1]) best = [i - length + 1, length]
  }
  return best
}
