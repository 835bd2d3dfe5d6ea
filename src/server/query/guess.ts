import { hint } from '../../lib/nearest.ts'

/** What is longer is no slip, and is compared with every known word for seconds. */
const GUESSED_CHARACTERS_MAX = 64

/** `; did you mean X?` or nothing, to end a sentence about an unknown word of a statement. */
export function guess(word: string, words: Iterable<string>): string {
  return word.length > GUESSED_CHARACTERS_MAX ? '' : hint(word, words)
}
