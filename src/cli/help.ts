/** `metaflow --help`, and `--help` after a mode or command. */
import { flagsHelp } from '../config/describe.ts'
import { MetaflowError } from '../lib/errors.ts'
import { print } from '../lib/log.ts'
import { hint } from '../lib/nearest.ts'
import { PARTS } from '../workload/parts.ts'

const OVERVIEW = `metaflow: see every call between the programs of a machine, without touching them

  metaflow --mode=demo                observe this machine and open a page on it
  metaflow --mode=server              take what agents send, keep it, answer questions
  metaflow --mode=agent --server URL  observe this machine and send to a server

  metaflow query SQL                  ask a server
  metaflow replay FILE                read a capture file as the agent would
  metaflow doctor                     what this machine permits, and what is done without it
  metaflow config print               every setting, its meaning, and where it came from
  metaflow uninstall                  undo what was written outside the data folder

  metaflow --mode=MODE --help, metaflow COMMAND --help: the flags of each
  metaflow --version

Exit codes: 0 done, 1 failed, 2 misuse. Settings: docs/settings.md.
`

const TOPICS: Readonly<Record<string, () => string>> = {
  agent: () =>
    `metaflow --mode=agent: observe this machine and send to a server\n\n${flagsHelp('agent')}`,
  server: () => `metaflow --mode=server: take, keep, answer\n\n${flagsHelp('server')}`,
  demo: () => `metaflow --mode=demo: server and agent on this machine\n\n${flagsHelp('demo')}`,
  query: () => `metaflow query SQL: ask a server; - reads the statement from the standard input

  --output table|json|csv
      How the answer is printed: as a table (the default), one JSON array, or CSV.
  --db NAME
      Database of unqualified tables.
${flagsHelp('client')}`,
  engine: () =>
    'metaflow --mode=engine: ClickHouse, as a child of the server; nobody else starts it\n',
  workload: () => `metaflow --mode=workload: a part of the demo's sample workload, which starts it

  --part ${PARTS.join('|')}
      Which one.
  --address IP
      Address that the parts share; by default one of 127.64.0.0/10, by the parent's process.
  --visits NUMBER
      Visits a second, of the visitors.
`,
  replay: () => `metaflow replay FILE: read a capture file (pcap, pcapng) as the agent would; - is
the standard input

  --table messages|calls|metrics
      What is printed: each message, requests with their responses (the default), or points.
  --output jsonl|table
      How it is printed: a JSON object a line (the default), or columns for a reader.
`,
  doctor: () => `metaflow doctor: what this machine permits, capability by capability

  --output text|json
      How it is printed.
${flagsHelp('demo')}`,
  config: () => `metaflow config print: the settings in effect

  --side agent|server|demo|client
      Whose settings; demo has all of them.
  --output yaml|json
      How they are printed.
${flagsHelp('demo')}`,
  uninstall: () => `metaflow uninstall: undo what was written outside the data folder

  --dry-run
      Say what would be undone, and leave it.
  --data
      Remove the data folder too.
${flagsHelp('demo')}`,
}

/** Prints the help of a mode or command, or of the whole. */
export async function helpCommand(topics: readonly string[]): Promise<number> {
  const topic = topics.find((word) => Object.hasOwn(TOPICS, word))
  const first = topics[0]
  if (topic === undefined && first !== undefined && !first.startsWith('-'))
    throw new MetaflowError(
      'misuse',
      `Cannot explain ${first}: there is no help on it${hint(first, Object.keys(TOPICS))}`,
    )
  print(topic === undefined ? OVERVIEW : TOPICS[topic]!())
  return 0
}
