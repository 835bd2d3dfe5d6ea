import { z } from 'zod'
import type { Sample } from '../../lib/counters.ts'
import { MetaflowError } from '../../lib/errors.ts'

/** Agents whose latest report is kept; the one silent longest gives way. */
const AGENTS_MAX = 10_000
/** Agents that have been silent for this long are forgotten, µs. */
const SILENT_US_MAX = 24 * 3_600_000_000
const SAMPLES_MAX = 1000
/** Reports are small; a thousand samples are about 100 kB. */
export const REPORT_BYTES_MAX = 1_048_576

const text = z.string().max(256)
const sample = z.object({
  name: z.string().regex(/^[a-zA-Z_][a-zA-Z0-9_]{0,127}$/),
  help: z.string().max(1024),
  labels: z.record(z.string().regex(/^[a-zA-Z_][a-zA-Z0-9_]{0,63}$/), text),
  value: z.number(),
})
const report = z.object({
  agent: z.string().regex(/^[0-9a-f]{32}$/),
  host: text,
  family: text,
  version: text,
  startedAt: z.number(),
  cpuSeconds: z.number(),
  memoryBytes: z.number(),
  samples: z.array(sample).max(SAMPLES_MAX),
})

/** What a process of MetaFlow tells of itself. Times are ms since 1970. */
export type Part = {
  readonly version: string
  readonly startedAt: number
  readonly cpuSeconds: number
  readonly memoryBytes: number
  readonly samples: readonly Sample[]
}
export type AgentReport = Part & {
  /** Its id: 32 hex digits. */
  readonly agent: string
  readonly host: string
  /** Which of the kernel's hooks it uses. */
  readonly family: string
}
export type SeenAgent = AgentReport & { readonly seenAt: number }

/** The latest report of each agent. */
export class Agents {
  /** By agent, the one seen last at the end. */
  readonly #reports = new Map<string, SeenAgent>()

  /** Keeps a report that came at `wallUs`; throws where it is none. */
  take(body: unknown, wallUs: number): void {
    const parsed = report.safeParse(body)
    if (!parsed.success) {
      const { path, message } = parsed.error.issues[0]!
      throw new MetaflowError(
        'refused',
        `Cannot take the report: ${path.join('.') || 'it'}: ${message}`,
      )
    }
    const seen: SeenAgent = { ...parsed.data, seenAt: wallUs / 1000 }
    this.#reports.delete(seen.agent)
    this.#reports.set(seen.agent, seen)
    if (this.#reports.size <= AGENTS_MAX) return
    for (const oldest of this.#reports.keys()) {
      this.#reports.delete(oldest)
      return
    }
  }

  /** Those heard of lately, by host. */
  list(wallUs: number): SeenAgent[] {
    for (const [agent, { seenAt }] of this.#reports)
      if (wallUs - seenAt * 1000 > SILENT_US_MAX) this.#reports.delete(agent)
    return [...this.#reports.values()].sort((a, b) => (a.host < b.host ? -1 : 1))
  }
}
