/** Cells of a table on a terminal, where a character may be two columns wide, or none. */

/** Bytes of a stranger must not steer the terminal. */
export function safe(text: string): string {
  return text.replace(/\p{C}/gu, '·')
}

/** `cell` as wide as `width` columns: cut with an ellipsis, or filled up with spaces. */
export function fitted(cell: string, width: number, right = false): string {
  const own = Bun.stringWidth(cell)
  if (own > width) return `${cut(cell, width - 1)}…`
  const space = ' '.repeat(width - own)
  return right ? space + cell : cell + space
}

function cut(cell: string, width: number): string {
  let text = ''
  let taken = 0
  for (const character of cell) {
    taken += Bun.stringWidth(character)
    if (taken > width) break
    text += character
  }
  return text + ' '.repeat(Math.max(0, width - Bun.stringWidth(text)))
}
