/** Half of a word may be wrong at most, and never more than this many letters. */
const DISTANCE_MAX = 4

/** The one of `words` that `word` was most likely meant to be, if any is close. */
export function nearest(word: string, words: Iterable<string>): string | undefined {
  let best: string | undefined
  let least = Math.min(DISTANCE_MAX, Math.max(1, word.length >> 1)) + 1
  for (const candidate of words) {
    const distance = distanceOf(word.toLowerCase(), candidate.toLowerCase())
    if (distance < least) [best, least] = [candidate, distance]
  }
  return best
}

/** Letters to add, drop, change or swap with their neighbour (optimal string alignment). */
function distanceOf(a: string, b: string): number {
  let before: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const changed = last[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      row[j] = Math.min(changed, last[j]! + 1, row[j - 1]! + 1)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        row[j] = Math.min(row[j]!, before[j - 2]! + 1)
    }
    before = last
    last = row
  }
  return last[b.length]!
}

/** `; did you mean X?` or nothing, to end a sentence about an unknown word. */
export function hint(word: string, words: Iterable<string>): string {
  const near = nearest(word, words)
  return near === undefined ? '' : `; did you mean ${near}?`
}
