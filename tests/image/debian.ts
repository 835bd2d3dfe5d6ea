/** A bare Debian 12 in a folder, from the mirror this machine's own packages come from. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { runProgram } from '../../src/lib/process.ts'
import { peer } from '../peers/peers.ts'

export const MINUTES = 60_000
const CACHE = join(import.meta.dir, '../../.cache/peers')
/** Programs that were unpacked come last: some are for want of better. */
export const PATH: string = `/usr/sbin:/usr/bin:/sbin:/bin:${CACHE}/bin`
const SCRIPTS = join(CACHE, 'usr/share/debootstrap')

function mirror(): string {
  for (const path of ['/etc/apt/sources.list.d/debian.sources', '/etc/apt/sources.list']) {
    const text = existsSync(path) ? readFileSync(path, 'utf8') : ''
    const found = /^(?:URIs:|deb)\s+(?:\[[^\]]*\]\s+)?(https?:\S+)/m.exec(text)?.[1]
    if (found !== undefined) return found
  }
  throw new Error('Cannot make a Debian: this machine names no mirror of its packages')
}

/** Makes `folder` the root of a minimal Debian with `packages` besides. */
export async function makeDebian(folder: string, ...packages: readonly string[]): Promise<void> {
  const include = packages.length > 0 ? [`--include=${packages.join(',')}`] : []
  const made = await runProgram(
    [peer('debootstrap')!, '--variant=minbase', ...include, 'bookworm', folder, mirror()],
    {
      timeoutMs: 5 * MINUTES,
      environment: { PATH, ...(existsSync(SCRIPTS) ? { DEBOOTSTRAP_DIR: SCRIPTS } : {}) },
    },
  )
  if (made.code !== 0) throw new Error(`Cannot make a Debian: ${made.stdout.slice(-500)}`)
}
