/**
 * Runs every test in a few groups, one runner each, and ends with the sum of the runners' own
 * counts: `N passed, N failed`. Groups that watch the kernel, the clock or both cores run
 * their files one after another; the others use what cores there are.
 */
import { availableParallelism } from 'node:os'
import { type Counts, parseCounts } from './test-counts.ts'

type Group = { readonly name: string; readonly files: RegExp; readonly parallel: boolean }

/** The first that matches a file takes it. */
const GROUPS: readonly Group[] = [
  { name: 'journey', files: /^tests\/(journey|peers|image)\//, parallel: false },
  { name: 'bench', files: /^tests\/bench\//, parallel: false },
  { name: 'page', files: /^tests\/web\//, parallel: false },
  { name: 'simulation', files: /^tests\/simulation\//, parallel: false },
  { name: 'engine', files: /^tests\/(engine|server)\//, parallel: false },
  { name: 'kernel', files: /^tests\/agent\/(capture|identity)\//, parallel: false },
  { name: 'units', files: /^tests\//, parallel: true },
]
const TEST_MS_MAX = 120_000
const GROUP_MS_MAX = 15 * 60_000
const TAIL_MAX = 4096

const say = (text: string) => process.stdout.write(`${text}\n`)

async function run(group: Group, files: readonly string[]): Promise<Counts> {
  say(`\n== ${group.name}: ${files.length} files`)
  const started = performance.now()
  const runner = Bun.spawn(
    [
      process.execPath,
      'test',
      `--timeout=${TEST_MS_MAX}`,
      ...(group.parallel ? [`--parallel=${availableParallelism()}`] : []),
      ...files.map((file) => `./${file}`),
    ],
    { stdin: 'ignore', stdout: 'inherit', stderr: 'pipe', timeout: GROUP_MS_MAX },
  )
  const counts = parseCounts(await hear(runner.stderr))
  await runner.exited
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  say(`== ${group.name}: ${counts.passed} passed, ${counts.failed} failed in ${seconds} s`)
  if (runner.exitCode === 0 || counts.failed > 0) return counts
  // A crash, a time-out, or an error outside any test: the runner's counts do not show it.
  say(`== ${group.name}: the runner itself failed (${runner.signalCode ?? runner.exitCode})`)
  return { ...counts, failed: 1 }
}

/** Shows what the runner says as it says it, and answers its last lines. */
async function hear(stream: ReadableStream<Uint8Array>): Promise<string[]> {
  const decoder = new TextDecoder()
  let tail = ''
  for await (const chunk of stream) {
    process.stdout.write(chunk)
    tail = (tail + decoder.decode(chunk, { stream: true })).slice(-TAIL_MAX)
  }
  return tail.split('\n')
}

async function main(wanted: readonly string[]): Promise<void> {
  const found = [...new Bun.Glob('tests/**/*.test.{ts,tsx}').scanSync('.')].toSorted((a, b) =>
    a < b ? -1 : 1,
  )
  const waiting = new Set(
    wanted.length === 0
      ? found
      : found.filter((file) => wanted.some((part) => file.includes(part))),
  )
  const work = GROUPS.map((group) => {
    const files = [...waiting].filter((file) => group.files.test(file))
    for (const file of files) waiting.delete(file)
    return { group, files }
  })
  const sum = { passed: 0, failed: 0, skipped: 0 }
  // The quick ones first: who broke something small shall not wait for the journey.
  for (const { group, files } of work.reverse()) {
    if (files.length === 0) continue
    const counts = await run(group, files)
    sum.passed += counts.passed
    sum.failed += counts.failed
    sum.skipped += counts.skipped
  }
  if (sum.skipped > 0) say(`\n${sum.skipped} skipped`)
  say(`\n${sum.passed} passed, ${sum.failed} failed`)
  process.exitCode = sum.failed === 0 && sum.passed > 0 ? 0 : 1
}

await main(process.argv.slice(2))
