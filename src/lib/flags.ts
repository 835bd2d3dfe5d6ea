import { MetaflowError } from './errors.ts'
import { hint } from './nearest.ts'

/** What a command takes: flag names without dashes, true where a value follows. */
export type FlagSpec = Readonly<Record<string, boolean>>
export type Flags = {
  readonly values: ReadonlyMap<string, string>
  readonly rest: readonly string[]
}

/**
 * Reads `--name VALUE`, `--name=VALUE` and `--name`; after `--` everything is an argument. A flag
 * that was given twice keeps its last value. Throws misuse with the nearest flag's name.
 */
export function parseFlags(args: readonly string[], spec: FlagSpec): Flags {
  const values = new Map<string, string>()
  const rest: string[] = []
  const end = args.includes('--') ? args.indexOf('--') : args.length
  for (let i = 0; i < end; i++) {
    const arg = args[i]!
    if (!arg.startsWith('-') || arg === '-') {
      rest.push(arg)
      continue
    }
    const [name, given] = nameAndValue(arg)
    if (!(arg.startsWith('--') && Object.hasOwn(spec, name))) throw unknownFlag(arg, spec)
    const value = given ?? (spec[name] ? args[++i] : 'true')
    if (value === undefined || i >= end)
      throw new MetaflowError('misuse', `Cannot read --${name}: its value is missing`)
    values.set(name, value)
  }
  rest.push(...args.slice(end + 1))
  return { values, rest }
}

function nameAndValue(arg: string): [name: string, value: string | undefined] {
  const equals = arg.indexOf('=')
  return equals < 0 ? [arg.slice(2), undefined] : [arg.slice(2, equals), arg.slice(equals + 1)]
}

function unknownFlag(arg: string, spec: FlagSpec): MetaflowError {
  const flag = arg.split('=', 1)[0]!
  const flags = Object.keys(spec).map((name) => `--${name}`)
  return new MetaflowError(
    'misuse',
    `Cannot read ${flag}: there is no such flag${hint(flag, flags)}`,
  )
}
