/**
 * Every setting of MetaFlow, once: type, bounds, default and meaning. Flags, environment, file,
 * help, `config print` and docs/settings.md all come from here. At most 60 in all.
 */
import { z } from 'zod'
import { LEVELS, type Level } from '../lib/log.ts'

// The executable refuses code made from strings, which zod's faster way would be.
z.config({ jitless: true })

export const SIDES = ['agent', 'server', 'demo', 'client'] as const
export type Side = (typeof SIDES)[number]
export const CAPTURE_FAMILIES = ['auto', 'socket', 'syscall'] as const

type Common = {
  /** Absolute. */
  readonly dataDir: string
  readonly logLevel: Level
}

export type AgentConfig = Common & {
  readonly agent: {
    readonly server: string
    readonly token?: string | undefined
    readonly capture: {
      readonly family: (typeof CAPTURE_FAMILIES)[number]
      readonly ringBytes: number
      readonly observe: boolean
    }
    readonly redact: boolean
    readonly endpoints: string
    readonly rowsPerSecond: number
    readonly spoolBytes: number
  }
}

export type ServerConfig = Common & {
  readonly server: {
    readonly listen: string
    readonly token?: string | undefined
    readonly retention: {
      readonly rowsHours: number
      readonly secondsHours: number
      readonly minutesHours: number
    }
    readonly diskShare: number
  }
  readonly clickhouse: {
    readonly binary?: string | undefined
    readonly url?: string | undefined
    readonly cluster?: string | undefined
    readonly user: string
    readonly password: string
  }
  readonly query: {
    readonly maxSeconds: number
    readonly maxRows: number
    readonly maxMemory: number
  }
}

export type DemoConfig = AgentConfig &
  ServerConfig & { readonly demo: { readonly workload: 'auto' | 'on' | 'off' } }

/** What a command that asks a server needs. */
export type ClientConfig = {
  readonly agent: { readonly server: string; readonly token?: string | undefined }
}

const MB = 1_048_576
/** 30 years. Times are 32 bits wide: what is kept until after 2106 would be over at once. */
const HOURS_MAX = 262_800

const common = {
  dataDir: z.string().min(1).default(defaultDataDir).meta({
    description: 'Folder of everything that is kept: identity, spool, log, tables, engine.',
    flag: 'data-dir',
    default: '/var/lib/metaflow, or ./data without root',
  }),
  logLevel: z
    .enum(LEVELS)
    .default('info')
    .meta({ description: 'Least level of log lines that are printed.', flag: 'log-level' }),
}

const address = z
  .url({ protocol: /^https?$/ })
  .default('http://127.0.0.1:20416')
  .meta({ description: 'Address of the server.', flag: 'server' })
/** It travels in a header, which carries these characters alone. */
const secret = z
  .string()
  .min(1)
  .regex(/^[!-~]+$/, 'visible ASCII characters, no spaces')
const token = secret
  .optional()
  .meta({ description: 'Secret that the server asks of its clients.', flag: 'token', secret: true })

const capture = z.strictObject({
  family: z.enum(CAPTURE_FAMILIES).default('auto').meta({
    description: 'Kernel hooks: socket (Linux 6.3 and later, cheaper), syscall, or what is there.',
  }),
  ringBytes: z
    .number()
    .int()
    .min(65_536)
    .max(1024 * MB)
    .refine((bytes) => Number.isInteger(Math.log2(bytes)), 'a power of two')
    .default(32 * MB)
    .meta({ description: 'Size of the buffer between kernel and agent, a power of two.' }),
  observe: z.boolean().default(true).meta({
    description: 'False ignores every socket: what remains is the cost of the hooks alone.',
  }),
})

const agent = z.strictObject({
  server: address,
  token,
  capture: capture.prefault({}),
  redact: z.boolean().default(true).meta({
    description:
      'Keep no values: "?" for those of SQL and query strings, nothing for those of Redis.',
  }),
  endpoints: z
    .string()
    .regex(/^(\s*\/[^=?#\s,]*=\d{1,2}\s*(,|$))*$/, 'PREFIX=SEGMENTS, …')
    .default('')
    .meta({
      description:
        'Segments of paths that make their endpoints, by prefix, such as /api/v2=4; else two.',
    }),
  rowsPerSecond: z.number().int().min(0).default(10_000).meta({
    description: 'Calls sent as rows a second at most; metrics count all. 0: metrics alone.',
  }),
  spoolBytes: z
    .number()
    .int()
    .min(MB)
    .default(256 * MB)
    .meta({
      description:
        'Most that waits on disk while the server is away, up to a tenth of it; oldest out first.',
    }),
})

const hours = z.number().int().min(1).max(HOURS_MAX)
const retention = z.strictObject({
  rowsHours: hours.default(72).meta({ description: 'How long calls stay.' }),
  secondsHours: hours.default(24).meta({ description: 'How long 1 s points stay.' }),
  minutesHours: hours.default(720).meta({ description: 'How long 1 m points stay.' }),
})

const server = z.strictObject({
  listen: z
    .string()
    .regex(/^(\[[0-9a-fA-F:.]+\]|[^:\s]+):\d{1,5}$/, 'HOST:PORT')
    .default('127.0.0.1:20416')
    .meta({
      description: 'Where page, queries and agents are served; wider than loopback wants a token.',
      flag: 'listen',
    }),
  token: secret.optional().meta({
    description: 'Secret that agents and readers must bear; without one only loopback is served.',
    secret: true,
  }),
  retention: retention.prefault({}),
  diskShare: z.number().gt(0).max(0.95).default(0.2).meta({
    description: 'Share of its file system that log, spool and tables may fill together.',
  }),
})

const clickhouse = z.strictObject({
  binary: z.string().min(1).optional().meta({
    description: 'A clickhouse program to run in place of the engine inside (path or name).',
  }),
  url: z
    .url({ protocol: /^https?$/ })
    .optional()
    .meta({
      description:
        'A ClickHouse server to use in place of the engine inside; for one MetaFlow server alone.',
    }),
  cluster: z.string().min(1).optional().meta({
    description: 'Name of a cluster at clickhouse.url. Not served yet: a value is refused.',
  }),
  user: z.string().default('default').meta({ description: 'User at clickhouse.url.' }),
  password: z
    .string()
    .default('')
    .meta({ description: 'Password at clickhouse.url.', secret: true }),
})

const query = z.strictObject({
  maxSeconds: z.number().min(1).default(30).meta({ description: 'Longest a query may run.' }),
  maxRows: z.number().int().min(1).default(100_000).meta({
    description:
      'Most rows an answer has, in 64 MB: JSON is cut there and says so, a format fails.',
  }),
  maxMemory: z
    .number()
    .int()
    .min(16 * MB)
    .default(1024 * MB)
    .meta({ description: 'Most bytes of memory a query may take.' }),
})

const serverSections = {
  server: server.prefault({}),
  clickhouse: clickhouse.prefault({}),
  query: query.prefault({}),
}
const demo = z.strictObject({
  workload: z.enum(['auto', 'on', 'off']).default('auto').meta({
    description: 'Whether the demo runs a sample workload; auto: where the host is idle.',
    flag: 'workload',
  }),
})

const SCHEMAS = {
  agent: z.strictObject({ ...common, agent: agent.prefault({}) }),
  server: z.strictObject({ ...common, ...serverSections }),
  demo: z.strictObject({
    ...common,
    agent: agent.prefault({}),
    ...serverSections,
    demo: demo.prefault({}),
  }),
  client: z.strictObject({ agent: z.strictObject({ server: address, token }).prefault({}) }),
}

export type ConfigOf = {
  readonly agent: AgentConfig
  readonly server: ServerConfig
  readonly demo: DemoConfig
  readonly client: ClientConfig
}

/** A setting that cannot be used; `expected` where its bounds do not say it all. */
export type Fault = { readonly key: string; readonly expected: string | undefined }

const OWN_WORDS = /^([A-Z]+[:=]|[a-z])/

/** The configuration made of `input` (nested values), or what is wrong with it. */
export function parseSettings<S extends Side>(
  side: S,
  input: unknown,
): { readonly config: ConfigOf[S] } | { readonly faults: readonly Fault[] } {
  const parsed = SCHEMAS[side].safeParse(input)
  if (parsed.success) return { config: parsed.data as ConfigOf[S] }
  return {
    faults: parsed.error.issues.map(({ path, code, message }) => ({
      key: path.join('.'),
      // Our own words; zod's begin with a capital.
      expected: code === 'custom' || OWN_WORDS.test(message) ? message : undefined,
    })),
  }
}

/** The schema of a side, to be walked. */
export function schemaOf(side: Side): z.ZodObject {
  return SCHEMAS[side]
}

function defaultDataDir(): string {
  return process.getuid?.() === 0 ? '/var/lib/metaflow' : './data'
}
