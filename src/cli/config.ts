/** `metaflow config print`: what is in effect, what it means, and where it came from. */
import { effective, effectiveYaml } from '../config/describe.ts'
import { loadConfig } from '../config/load.ts'
import { SIDES, type Side } from '../config/settings.ts'
import { MetaflowError } from '../lib/errors.ts'
import { parseFlags } from '../lib/flags.ts'
import { print } from '../lib/log.ts'
import { hint } from '../lib/nearest.ts'

const OUTPUTS = ['yaml', 'json'] as const

export async function configCommand(args: readonly string[]): Promise<number> {
  const [verb, ...rest] = args
  if (verb !== 'print')
    throw new MetaflowError(
      'misuse',
      `Cannot do ${['config', verb].join(' ').trimEnd()}: the one thing is print`,
    )
  // The side decides which flags there are, so it is looked for first.
  const at = rest.findIndex((arg) => arg === '--side' || arg.startsWith('--side='))
  const taken = at < 0 ? [] : rest.slice(at, rest[at] === '--side' ? at + 2 : at + 1)
  const given = parseFlags(taken, { side: true }).values.get('side')
  const side = oneOf(SIDES, given ?? 'demo', '--side')
  const loaded = loadConfig(side, at < 0 ? rest : rest.toSpliced(at, taken.length), {
    output: true,
  })
  const settings = effective<Side>(side, loaded)
  const output = oneOf(OUTPUTS, loaded.flags.get('output') ?? 'yaml', '--output')
  print(output === 'json' ? `${JSON.stringify(settings, null, 2)}\n` : effectiveYaml(settings))
  return 0
}

function oneOf<T extends string>(choices: readonly T[], word: string, flag: string): T {
  const choice = choices.find((one) => one === word)
  if (choice !== undefined) return choice
  throw new MetaflowError(
    'misuse',
    `Cannot use ${flag} ${word}: expected ${choices.join(' or ')}${hint(word, choices)}`,
  )
}
