import type { Env } from '../../lib/env.ts'

/**
 * The agent's own id, 32 hex digits: random, and kept in `directory`, since what a machine calls
 * itself is cloned with it.
 */
export async function agentIdOf(env: Env, directory: string): Promise<string> {
  const path = `${directory}/agent-id`
  env.files.makeDirectory(directory)
  if (env.files.list(directory).includes('agent-id')) {
    const known = new TextDecoder().decode(env.files.read(path)).trim()
    if (/^[0-9a-f]{32}$/.test(known)) return known
  }
  const id = env.random.bytes(16).toHex()
  await env.files.replace(path, new TextEncoder().encode(`${id}\n`))
  return id
}
