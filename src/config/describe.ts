/** The settings in words: for a terminal, for docs/settings.md, and as they are in effect. */
import { FILE_FLAG, FILE_VARIABLE, type Setting, settingsOf } from './catalog.ts'
import type { Loaded } from './load.ts'
import { SIDES, type Side } from './settings.ts'

const MASK = '********'

/** The flags of a side, two lines each. */
export function flagsHelp(side: Side): string {
  let text = `  --${FILE_FLAG} FILE\n      Settings as YAML; also ${FILE_VARIABLE}.\n`
  for (const setting of settingsOf(side)) {
    const value = setting.kind === 'boolean' ? '[=false]' : ' VALUE'
    text += `  --${setting.flag}${value}\n`
    text += `      ${setting.description} ${valuesAndDefault(setting)}\n`
  }
  return text
}

/** docs/settings.md: every setting of every side, once. */
export function settingsPage(): string {
  let text = `# Settings

Flags win over environment, environment over the file named by \`--${FILE_FLAG}\` or
\`${FILE_VARIABLE}\`, the file over the defaults. \`metaflow config print\` shows what is in effect
and where it came from. This page is written by \`bun scripts/write-docs.ts\`.

| setting | flag | environment | values | default | meaning |
|---|---|---|---|---|---|
`
  const seen = new Set<string>()
  for (const setting of SIDES.flatMap(settingsOf)) {
    if (seen.has(setting.key)) continue
    seen.add(setting.key)
    const standard = setting.standard === undefined ? '' : `\`${setting.standard}\``
    const cells = [`\`${setting.key}\``, `\`--${setting.flag}\``, `\`${setting.variable}\``]
    text += `| ${[...cells, setting.values, standard, setting.description].join(' | ')} |\n`
  }
  return text
}

export type Effective = {
  readonly key: string
  readonly value: string | number | boolean | undefined
  readonly source: string
  readonly default: string | number | boolean | undefined
  readonly values: string
  readonly meaning: string
}

/** Each setting as it is in effect, secrets masked. */
export function effective<S extends Side>(side: S, loaded: Loaded<S>): Effective[] {
  return settingsOf(side).map((setting) => {
    const value = valueAt(loaded.config, setting.key)
    return {
      key: setting.key,
      value: setting.secret && value !== undefined && value !== '' ? MASK : value,
      source: loaded.sources.get(setting.key) ?? 'default',
      default: setting.standard,
      values: setting.values,
      meaning: setting.description,
    }
  })
}

/**
 * The settings in effect as a file that could be read back: meaning, source, then the value. A
 * secret stands in a comment: read back, its mask would be one that anybody knows.
 */
export function effectiveYaml(settings: readonly Effective[]): string {
  let text = ''
  let open: readonly string[] = []
  for (const { key, value, source, default: standard, values, meaning } of settings) {
    const words = key.split('.')
    const sections = words.slice(0, -1)
    let shared = 0
    while (shared < sections.length && sections[shared] === open[shared]) shared++
    for (let i = shared; i < sections.length; i++) text += `${'  '.repeat(i)}${sections[i]}:\n`
    open = sections
    const indent = '  '.repeat(sections.length)
    const wasDefault = standard === undefined ? 'none' : standard
    text += `${indent}# ${meaning}\n${indent}# ${values}; default ${wasDefault}; from ${source}\n`
    const isShown = value !== undefined && value !== MASK
    const shown = value === undefined ? '' : ` ${JSON.stringify(value)}`
    text += `${indent}${isShown ? '' : '# '}${words.at(-1)}:${shown}\n`
  }
  return text
}

function valuesAndDefault({ values, standard }: Setting): string {
  return standard === undefined || standard === '' ? `(${values})` : `(${values}; ${standard})`
}

function valueAt(config: object, key: string): Effective['value'] {
  let at: unknown = config
  for (const word of key.split('.')) at = (at as Record<string, unknown> | undefined)?.[word]
  return at as Effective['value']
}
