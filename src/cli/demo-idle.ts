/** What the demo reads of a server's `/v1/status`. */
export type Status = {
  readonly agents: readonly {
    readonly samples: readonly { readonly name: string; readonly value: number }[]
  }[]
}

/** The host is idle where fewer calls than this are seen while it is looked at. */
const IDLE_CALLS = 20
/** Agents report every 2 s. */
const IDLE_MS = 4000

export type Look = {
  /** What the server knows now; undefined where it does not answer. */
  status(): Promise<Status | undefined>
  /** Resolves after so many ms, or when nobody waits for the demo any more. */
  wait(ms: number): Promise<void>
}

/** Whether hardly any call is made on this host. It is not where nobody knows. */
export async function isIdle({ status, wait }: Look): Promise<boolean> {
  const before = callsOf(await status())
  await wait(IDLE_MS)
  const after = callsOf(await status())
  return before !== undefined && after !== undefined && after - before < IDLE_CALLS
}

/** The calls that agents saw since they were started. */
function callsOf(status: Status | undefined): number | undefined {
  return status?.agents
    .flatMap(({ samples }) => samples)
    .filter(({ name }) => name === 'sessions_out_total')
    .reduce((sum, { value }) => sum + value, 0)
}
