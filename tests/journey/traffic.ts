/** Calls made by real clients: what each sends is chosen here, what happened the servers say. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { peer } from '../peers/peers.ts'

type Ran = { readonly out: string; readonly err: string }

/** Runs a client to its end; `input` goes to its standard input. */
export async function run(command: readonly string[], input = ''): Promise<Ran> {
  const child = Bun.spawn([...command], {
    stdin: new TextEncoder().encode(input),
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ])
  await child.exited
  return { out, err }
}

/** A request as curl timed it: from just before it was sent to the first byte of the answer, µs. */
export type Timed = { readonly target: string; readonly status: number; readonly us: number }

/** `targets` one after another over one connection, with what curl says of each. */
export async function curl(
  directory: string,
  port: number,
  targets: readonly string[],
): Promise<Timed[]> {
  const config = join(directory, `curl-${crypto.randomUUID()}.txt`)
  const format = '%{url} %{http_code} %{time_starttransfer} %{time_pretransfer}\\n'
  const lines = targets.map(
    (target) => `url = "http://127.0.0.1:${port}${target}"\noutput = /dev/null`,
  )
  await writeFile(config, `silent\nwrite-out = "${format}"\n${lines.join('\n')}\n`)
  const { out } = await run([peer('curl')!, '-K', config])
  return out
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [url = '', status, start, before] = line.split(' ')
      const target = url.slice(url.indexOf('/', 'http://'.length))
      return { target, status: Number(status), us: (Number(start) - Number(before)) * 1e6 }
    })
}

/** `count` requests for `target` over ten connections at once. */
export async function hey(port: number, target: string, count: number): Promise<void> {
  await run([peer('hey')!, '-n', String(count), '-c', '10', `http://127.0.0.1:${port}${target}`])
}

/** Commands one at a time, as a person types them. */
export async function redisCli(port: number, lines: readonly string[]): Promise<string> {
  const { out } = await run([peer('redis-cli')!, '-p', String(port)], `${lines.join('\n')}\n`)
  return out
}

/** Commands all at once, pipelined over one connection. */
export async function redisPipe(
  port: number,
  commands: readonly (readonly string[])[],
): Promise<void> {
  const bulk = (word: string): string => `$${Buffer.byteLength(word)}\r\n${word}\r\n`
  const text = commands.map((words) => `*${words.length}\r\n${words.map(bulk).join('')}`).join('')
  await run([peer('redis-cli')!, '-p', String(port), '--pipe'], text)
}

/** Statements one after another over one connection; answers how many failed, by the client's word. */
export async function mariadb(port: number, statements: readonly string[]): Promise<number> {
  const { err } = await run(
    [
      peer('mariadb')!,
      '--no-defaults',
      '--force',
      '--skip-ssl',
      '-h127.0.0.1',
      `-P${port}`,
      '-uroot',
      'shop',
    ],
    `${statements.map((statement) => `${statement};`).join('\n')}\n`,
  )
  return err.split('\n').filter((line) => line.startsWith('ERROR')).length
}

/** Questions one after another; answers how often dig was told each status. */
export async function dig(
  directory: string,
  port: number,
  questions: readonly string[],
): Promise<Map<string, number>> {
  const file = join(directory, `dig-${crypto.randomUUID()}.txt`)
  await writeFile(file, `${questions.map((question) => `${question} +tries=1`).join('\n')}\n`)
  const { out } = await run([peer('dig')!, '@127.0.0.1', '-p', String(port), '-f', file])
  return tally(Array.from(out.matchAll(/status: (\w+)/g), ([, status]) => status!))
}

/** How often each of `words` stands there. */
export function tally(words: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1)
  return counts
}
