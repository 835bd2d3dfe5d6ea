export type Counts = { readonly passed: number; readonly failed: number; readonly skipped: number }

/**
 * The runner's own counts: its closing lines ` 12 pass`, ` 1 skip`, ` 1 todo`, ` 2 fail`,
 * ` 1 error`. (Its JUnit report leaves out files that failed outside any test.) An error outside
 * any test is a failed file, counted among the failures except where there was none.
 */
export function parseCounts(lines: readonly string[]): Counts {
  const counts = new Map<string, number>()
  let at = lines.length - 1
  while (at >= 0 && !/^Ran \d+ tests? across/.test(lines[at]!)) at--
  for (at--; at >= 0 && lines[at] !== ''; at--) {
    const [, count, word] = /^ (\d+) (pass|skip|todo|fail|error)s?$/.exec(lines[at]!) ?? []
    if (word !== undefined) counts.set(word, Number(count))
  }
  const of = (word: string) => counts.get(word) ?? 0
  return {
    passed: of('pass'),
    failed: Math.max(of('fail'), of('error')),
    skipped: of('skip') + of('todo'),
  }
}
