/** What a test may need of its machine: where it is missing, the test is skipped and says why. */
import { test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import { peer } from './peers/peers.ts'

/** Why a test that needs all of `needs` cannot run here, or undefined where it can. */
export function missing(...needs: readonly string[]): string | undefined {
  for (const need of needs) {
    const reason = NEEDS[need]?.() ?? (need in NEEDS ? undefined : absentProgram(need))
    if (reason !== undefined) return reason
  }
  return undefined
}

const NEEDS: Readonly<Record<string, () => string | undefined>> = {
  root: () => (process.getuid?.() === 0 ? undefined : 'root is needed'),
  btf: () => (existsSync('/sys/kernel/btf/vmlinux') ? undefined : 'this kernel has no BTF'),
  mounts: () => (isMountPoint() ? undefined : 'the root was changed: / is no mount point'),
  executable: () => (existsSync('dist/metaflow') ? undefined : 'dist/metaflow is not built'),
  captures: () => (existsSync('../shared/pcap') ? undefined : '../shared/pcap is absent'),
}

/** Only a mount point can be kept from those outside, or be another's root. */
function isMountPoint(): boolean {
  return /^\S+ \S+ \S+ \S+ \/ /m.test(readFileSync('/proc/self/mountinfo', 'utf8'))
}

function absentProgram(name: string): string | undefined {
  return peer(name) === undefined ? `${name} is not installed` : undefined
}

/**
 * `test` where all of `needs` is there, else a skipped test that prints the reason. A need is
 * 'root', 'btf', 'mounts', 'executable', 'captures' or the name of a program.
 */
export function testWith(...needs: readonly string[]): typeof test {
  const reason = missing(...needs)
  if (reason === undefined) return test
  const skip = (name: string) => {
    process.stderr.write(`skipped, since ${reason}: ${name}\n`)
    test.skip(name, () => {})
  }
  return Object.assign(skip, { each: () => skip }) as unknown as typeof test
}
