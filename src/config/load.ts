/** Puts the settings together: flags over environment over file over defaults. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { type Document, parseDocument } from 'yaml'
import { MetaflowError, sentenceOf } from '../lib/errors.ts'
import { type FlagSpec, parseFlags } from '../lib/flags.ts'
import { hint } from '../lib/nearest.ts'
import { FILE_FLAG, FILE_VARIABLE, type Setting, settingsOf, VARIABLE_PREFIX } from './catalog.ts'
import { checkRules } from './rules.ts'
import { type ConfigOf, parseSettings, SIDES, type Side } from './settings.ts'

export type Environment = Readonly<Record<string, string | undefined>>

export type Loaded<S extends Side> = {
  readonly config: ConfigOf[S]
  /** Where each setting that was given came from, in words; absent: its default. */
  readonly sources: ReadonlyMap<string, string>
  /** Values of the flags that were asked for in `extra`. */
  readonly flags: ReadonlyMap<string, string>
  /** The arguments that are no flags; only a client takes any. */
  readonly rest: readonly string[]
}

type Given = { readonly value: unknown; readonly source: string }

/**
 * Reads the settings of `side` from `args`, which may also hold the flags of `extra`. Throws misuse
 * with a sentence that names the setting and where it was given.
 */
export function loadConfig<S extends Side>(
  side: S,
  args: readonly string[],
  extra: FlagSpec = {},
  // biome-ignore lint/style/noProcessEnv: this room is where the environment is read
  environment: Environment = process.env,
): Loaded<S> {
  const settings = settingsOf(side)
  const spec: Record<string, boolean> = { [FILE_FLAG]: true, ...extra }
  for (const setting of settings) spec[setting.flag] = setting.kind !== 'boolean'
  const { values, rest } = parseFlags(args, spec)
  if (side !== 'client' && rest[0] !== undefined)
    throw new MetaflowError('misuse', `Cannot use ${rest[0]}: only flags are taken here`)

  const given = new Map<string, Given>()
  const file = values.get(FILE_FLAG) ?? environment[FILE_VARIABLE]
  if (file !== undefined) readFile(file, given)
  readEnvironment(environment, given)
  for (const setting of settings) {
    const text = values.get(setting.flag)
    if (text !== undefined)
      given.set(setting.key, { value: fromText(setting, text), source: `--${setting.flag}` })
  }
  const flags = new Map([...values].filter(([name]) => Object.hasOwn(extra, name)))
  return { ...build(side, given), flags, rest }
}

function build<S extends Side>(
  side: S,
  given: ReadonlyMap<string, Given>,
): Pick<Loaded<S>, 'config' | 'sources'> {
  const input = {}
  const sources = new Map<string, string>()
  // What is given for another side (one file may serve all) is not this side's to judge.
  for (const { key } of settingsOf(side)) {
    const one = given.get(key)
    if (one === undefined) continue
    put(input, key, one.value)
    sources.set(key, one.source)
  }
  const parsed = parseSettings(side, input)
  if ('faults' in parsed) {
    const { key, expected } = parsed.faults[0]!
    const setting = settingsOf(side).find((one) => one.key === key)!
    const not = setting.secret ? '' : `, not ${JSON.stringify(given.get(key)?.value)}`
    throw new MetaflowError(
      'misuse',
      `Cannot use ${key} from ${sources.get(key)}: expected ${expected ?? setting.values}${not}`,
    )
  }
  const config = { ...parsed.config } as ConfigOf[S] & { dataDir?: string }
  if (config.dataDir !== undefined) config.dataDir = resolve(config.dataDir)
  checkRules(config)
  return { config: withOrigin(config), sources }
}

/** Paths are put behind the server's address: a slash at its end would be one too many. */
function withOrigin<T extends object>(config: T): T {
  if (!('agent' in config)) return config
  const agent = config.agent as { readonly server: string }
  return { ...config, agent: { ...agent, server: new URL(agent.server).origin } }
}

function put(target: object, key: string, value: unknown): void {
  const names = key.split('.')
  const last = names.pop()!
  let at = target as Record<string, unknown>
  for (const name of names) {
    at[name] ??= {}
    at = at[name] as Record<string, unknown>
  }
  at[last] = value
}

function fromText(setting: Setting, text: string): unknown {
  if (setting.kind === 'boolean') return text === 'true' ? true : text === 'false' ? false : text
  // What is no number stays text and is refused as such; Number('') would be 0.
  const isNumber = setting.kind === 'number' && text.trim() !== '' && !Number.isNaN(Number(text))
  return isNumber ? Number(text) : text
}

function everySetting(): Map<string, Setting> {
  return new Map(SIDES.flatMap(settingsOf).map((setting) => [setting.key, setting]))
}

function readEnvironment(environment: Environment, given: Map<string, Given>): void {
  const byVariable = new Map([...everySetting().values()].map((s) => [s.variable, s]))
  for (const variable in environment) {
    const text = environment[variable]
    if (!variable.startsWith(VARIABLE_PREFIX) || variable === FILE_VARIABLE || text === undefined)
      continue
    const setting = byVariable.get(variable)
    if (setting === undefined)
      throw new MetaflowError(
        'misuse',
        `Cannot use ${variable}: there is no such setting${hint(variable, byVariable.keys())}`,
      )
    given.set(setting.key, { value: fromText(setting, text), source: variable })
  }
}

function readFile(path: string, given: Map<string, Given>): void {
  const document = parseDocument(textOf(path), { prettyErrors: true })
  const [fault] = document.errors
  if (fault !== undefined)
    throw new MetaflowError('misuse', `Cannot read ${path}: ${firstLine(fault.message)}`)
  const content = contentOf(path, document)
  if (content === null || content === undefined) return
  if (typeof content !== 'object' || Array.isArray(content))
    throw new MetaflowError('misuse', `Cannot read ${path}: settings are expected, as key: value`)
  const keys = everySetting()
  for (const [key, value] of leaves(content, '', keys)) {
    if (!keys.has(key)) throw unknownKey(path, key, keys)
    given.set(key, { value, source: path })
  }
}

/** Aliases are refused: nobody needs them here, and ten of them may stand for a billion words. */
function contentOf(path: string, document: Document.Parsed): unknown {
  try {
    return document.toJS({ maxAliasCount: 0 })
  } catch (thrown) {
    throw unreadable(path, thrown)
  }
}

function firstLine(text: string): string {
  return text.split('\n')[0]!.replace(/:$/, '')
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (thrown) {
    throw unreadable(path, thrown)
  }
}

function unreadable(path: string, cause: unknown): MetaflowError {
  return new MetaflowError('misuse', `Cannot read ${path}: ${sentenceOf(cause)}`, cause)
}

/** Dotted keys and values; a section may be written nested or with dots. */
function* leaves(
  content: object,
  prefix: string,
  keys: ReadonlyMap<string, Setting>,
): Generator<[key: string, value: unknown]> {
  for (const [name, value] of Object.entries(content)) {
    const key = prefix + name
    const isSection = [...keys.keys()].some((known) => known.startsWith(`${key}.`))
    if (!isSection) yield [key, value]
    else if (value !== null && typeof value === 'object') yield* leaves(value, `${key}.`, keys)
    // A section without content, `agent:` alone, says nothing.
    else if (value !== null) yield [key, value]
  }
}

function unknownKey(path: string, key: string, keys: ReadonlyMap<string, Setting>): MetaflowError {
  const sections = new Set<string>()
  for (const known of keys.keys())
    for (let at = known.indexOf('.'); at >= 0; at = known.indexOf('.', at + 1))
      sections.add(known.slice(0, at))
  const state = sections.has(key)
    ? 'it is a section, settings are expected in it'
    : `there is no such setting${hint(key, [...keys.keys(), ...sections])}`
  return new MetaflowError('misuse', `Cannot use ${key} from ${path}: ${state}`)
}

/** Takes every setting of ours out of a child's environment: its settings come from a file. */
export function withoutSettings(
  // biome-ignore lint/style/noProcessEnv: this room is where the environment is read
  environment: Environment = process.env,
): Record<string, undefined> {
  const ours = Object.keys(environment).filter((name) => name.startsWith(VARIABLE_PREFIX))
  return Object.fromEntries(ours.map((name) => [name, undefined]))
}

/**
 * The runtime sends every request through `http_proxy`, those to this very machine too, which a
 * proxy elsewhere cannot reach: they are excepted here, for us and for our children.
 */
export function reachLoopback(
  // biome-ignore lint/style/noProcessEnv: this room is where the environment is read
  environment: Record<string, string | undefined> = process.env,
): void {
  const given = [environment['NO_PROXY'], environment['no_proxy']].filter(Boolean)
  const all = [...given, 'localhost', '127.0.0.0/8', '::1'].join(',')
  environment['NO_PROXY'] = all
  environment['no_proxy'] = all
}
