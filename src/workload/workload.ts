/** `metaflow --mode=workload --part=NAME`: one part of the demo's sample workload. */
import { type Command, whenStopped } from '../lib/command.ts'
import type { Env } from '../lib/env.ts'
import { realEnv } from '../lib/env-real.ts'
import { MetaflowError } from '../lib/errors.ts'
import { parseFlags } from '../lib/flags.ts'
import { log, setLog } from '../lib/log.ts'
import { hint } from '../lib/nearest.ts'
import { runApi } from './api.ts'
import { runDatabase } from './db.ts'
import { runNames } from './names.ts'
import { addressOf, PARTS, type Part, type PartName } from './parts.ts'
import { runStore } from './store.ts'
import { runVisitors } from './visitors.ts'
import { runWeb } from './web.ts'

const RUN: Readonly<Record<PartName, Part>> = {
  'shop-dns': runNames,
  'shop-store': runStore,
  'shop-db': runDatabase,
  'shop-api': runApi,
  'shop-web': runWeb,
  'shop-visitors': runVisitors,
}

/** A visit is about four calls, so that these make about fifty a second. */
const VISITS_PER_SECOND = 12
const PARENT_MS = 1000

export type WorkloadOptions = {
  readonly env: Env
  /** Ends the part when it is aborted. */
  readonly stop: AbortSignal
  /** Address that the parts of one workload share; by default it is the parent process' own. */
  readonly address?: string
  readonly visitsPerSecond?: number
}

/** Runs one part until it is stopped, or its parent process is gone. */
export async function runWorkload(part: PartName, options: WorkloadOptions): Promise<void> {
  const { env, stop, visitsPerSecond = VISITS_PER_SECOND } = options
  const parent = process.ppid
  const address = options.address ?? addressOf(parent)
  const running = await RUN[part]({ env, address, visitsPerSecond })
  log('info', 'running', { part, address })
  await whenOver(env, parent, stop)
  running.stop()
}

/** Resolves when `stop` is aborted, or another process has become our parent: ours is gone. */
async function whenOver({ timers }: Env, parent: number, stop: AbortSignal): Promise<void> {
  let cancel: () => void = () => undefined
  const orphaned = new Promise<void>((resolve) => {
    const look = (): void => {
      if (process.ppid !== parent) resolve()
      else cancel = timers.after(PARENT_MS, look)
    }
    look()
  })
  await Promise.race([whenStopped(stop), orphaned])
  cancel()
}

export const workloadCommand: Command = async (args, stop) => {
  const { values } = parseFlags(args, { part: true, address: true, visits: true })
  const part = values.get('part') ?? ''
  if (!isPart(part))
    throw new MetaflowError(
      'misuse',
      `Cannot run part ${part || '(none)'} of the workload: ` +
        `there is no such part${hint(part, PARTS)}`,
    )
  const address = values.get('address')
  const visits = Number(values.get('visits') ?? VISITS_PER_SECOND)
  if (!(visits > 0 && visits <= 1000))
    throw new MetaflowError('misuse', 'Cannot read --visits: it is no number from 1 to 1000')
  setLog('info', part)
  await runWorkload(part, {
    env: realEnv(),
    stop,
    visitsPerSecond: visits,
    ...(address === undefined ? {} : { address }),
  })
  return 0
}

function isPart(name: string): name is PartName {
  return PARTS.some((part) => part === name)
}
