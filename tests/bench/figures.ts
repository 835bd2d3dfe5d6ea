/** What several benches need: an agent's own account, and what stands for many numbers. */

export type AgentStatus = {
  readonly cpuSeconds: number
  readonly memoryBytes: number
  readonly samples: readonly { readonly name: string; readonly value: number }[]
}

/** What the server at `url` heard last from its only agent. */
export async function agentStatus(url: string): Promise<AgentStatus> {
  const { agents } = (await (await fetch(`${url}/v1/status`)).json()) as { agents: AgentStatus[] }
  return agents[0]!
}

/** The sum of a metric's samples. */
export function sampleOf({ samples }: AgentStatus, name: string): number {
  return samples.filter((s) => s.name === name).reduce((all, s) => all + s.value, 0)
}

export function median(numbers: readonly number[]): number {
  return quantile(numbers, 0.5)
}

/** The number below which the share `q` of `numbers` lies. */
export function quantile(numbers: readonly number[], q: number): number {
  const sorted = [...numbers].sort((a, b) => a - b)
  return sorted[Math.min(Math.floor(q * sorted.length), sorted.length - 1)] ?? Number.NaN
}
