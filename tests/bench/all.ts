/** Runs every bench one after another, and prints what each says and a table beside the aims. */
import { cpus } from 'node:os'

type Figures = Readonly<Record<string, unknown>>
type Line = {
  readonly what: string
  readonly aim: string
  /** The measured figure, from the benches' answers. */
  readonly value: (of: Readonly<Record<string, Figures>>) => string
}

const isQuick = process.argv.includes('--quick')
const BENCHES: readonly (readonly [string, ...string[]])[] = [
  [
    'live',
    ...(isQuick ? ['--rounds', '2', '--seconds', '2'] : ['--rounds', '7', '--seconds', '5']),
  ],
  ['agent', ...(isQuick ? ['--windows', '4'] : ['--windows', '20'])],
  ['replay', ...(isQuick ? ['64', '3'] : ['1024', '3'])],
  ['insert', ...(isQuick ? ['64', '3'] : ['256', '7'])],
]

const number = (figures: Figures | undefined, name: string): number => Number(figures?.[name])
const ratio = (figures: Figures | undefined, name: string): string =>
  number(figures, name).toFixed(2)
const micro = (figures: Figures | undefined, name: string): string =>
  `${number(figures, name).toFixed(2)} µs`
const mega = (figures: Figures | undefined, name: string): string =>
  `${(number(figures, name) / 1e6).toFixed(0)} MB`

const LINES: readonly Line[] = [
  {
    what: 'nginx requests/s, on ÷ off',
    aim: '≥ 0.75',
    value: ({ live }) =>
      ratio(live, 'nginx_on_to_off') + (live?.['counts'] === true ? '' : ' (too much was lost)'),
  },
  {
    what: 'nginx requests/s, muted ÷ off',
    aim: '≥ 0.95',
    value: ({ live }) => ratio(live, 'nginx_muted_to_off'),
  },
  {
    what: 'nginx CPU a request: off, muted, on',
    aim: '',
    value: ({ live }) =>
      ['off', 'muted', 'on'].map((mode) => micro(live, `nginx_cpu_us_${mode}`)).join(', '),
  },
  {
    what: 'calls counted ÷ requests',
    aim: '≥ 0.999',
    value: ({ live }) => number(live, 'calls_counted_to_requests').toFixed(4),
  },
  {
    what: 'events lost ÷ events',
    aim: '≤ 0.001',
    value: ({ live }) => number(live, 'lost_to_events').toFixed(4),
  },
  {
    what: 'Node server: CPU added a request',
    aim: '≤ 2.5 µs',
    value: ({ live }) => micro(live, 'node_cpu_us_added'),
  },
  {
    what: 'agent CPU an event (lowest twentieth)',
    aim: '≤ 0.6 µs',
    value: ({ agent }) =>
      `${(number(agent, 'cpu_ns_per_event') / 1000).toFixed(2)} (${(number(agent, 'cpu_ns_per_event_lowest_twentieth') / 1000).toFixed(2)}) µs`,
  },
  {
    what: 'agent CPU a call (lowest twentieth)',
    aim: '',
    value: ({ agent }) =>
      `${(number(agent, 'cpu_ns_per_call') / 1000).toFixed(2)} (${(number(agent, 'cpu_ns_per_call_lowest_twentieth') / 1000).toFixed(2)}) µs`,
  },
  {
    what: 'replay: calls/s on one core',
    aim: '≥ 400,000',
    value: ({ replay }) => number(replay, 'callsPerSecond').toLocaleString('en'),
  },
  {
    what: 'insert ÷ raw Native insert',
    aim: '≥ 0.6',
    value: ({ insert }) => ratio(insert, 'ratioOfCpu'),
  },
  { what: 'agent memory', aim: '≤ 150 MB', value: ({ live }) => mega(live, 'agent_memory_bytes') },
  { what: 'engine memory', aim: '', value: ({ live }) => mega(live, 'engine_memory_bytes') },
  {
    what: 'server memory, without its engine',
    aim: '',
    value: ({ live }) => mega(live, 'server_memory_bytes'),
  },
  {
    what: 'start to first row',
    aim: '≤ 10 s',
    value: ({ live }) => `${number(live, 'first_row_seconds').toFixed(1)} s`,
  },
]

const answers: Record<string, Figures> = {}
for (const [name, ...flags] of BENCHES) {
  const child = Bun.spawn([process.execPath, `tests/bench/${name}.ts`, ...flags], {
    stdout: 'pipe',
    stderr: 'inherit',
  })
  const text = await new Response(child.stdout).text()
  process.stdout.write(text)
  const last = text
    .trim()
    .split('\n')
    .findLast((line) => line.startsWith('{'))
  if (last !== undefined) answers[name] = JSON.parse(last) as Figures
}
const date = new Date().toISOString().slice(0, 10)
process.stdout.write(
  `\nMeasured ${date} on ${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}\n\n`,
)
process.stdout.write('| what | aim | measured |\n|---|--:|--:|\n')
for (const { what, aim, value } of LINES)
  process.stdout.write(`| ${what} | ${aim} | ${value(answers)} |\n`)
