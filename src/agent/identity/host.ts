/** Who this host is: a random id kept on disk, since machine ids are cloned with their images. */
import type { Env } from '../../lib/env.ts'
import { NAME_TYPE, type Name } from '../../model/name.ts'
import type { Proc } from './proc.ts'

const ID_PATTERN = /^[0-9a-f]{32}$/
const ID_BYTES = 16

/** Reads the id kept in `directory`, or makes one and keeps it. */
export async function hostId(env: Env, directory: string): Promise<string> {
  const path = `${directory}/host-id`
  try {
    const kept = new TextDecoder().decode(env.files.read(path)).trim()
    if (ID_PATTERN.test(kept)) return kept
  } catch {
    // Not there yet.
  }
  const id = env.random.bytes(ID_BYTES).toHex()
  env.files.makeDirectory(directory)
  await env.files.replace(path, new TextEncoder().encode(`${id}\n`))
  return id
}

/** The host as a name of its own: its key is its id, its name what it calls itself. */
export function hostName(proc: Proc, id: string): Name {
  const name = proc.text('sys/kernel/hostname')?.trim() || id
  return { type: NAME_TYPE.host, key: id, name, processName: '', hostKey: id, hostName: name }
}
