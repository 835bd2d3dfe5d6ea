/** The settings as a list, read off the schemas: what flags, help, docs and `config print` need. */
import { z } from 'zod'
import { type Side, schemaOf } from './settings.ts'

export type Setting = {
  /** Dotted, as in the file: agent.capture.family. */
  readonly key: string
  /** Without dashes. */
  readonly flag: string
  readonly variable: string
  readonly kind: 'text' | 'number' | 'boolean'
  /** What may be given, in words: a number ≥ 1, auto or socket or syscall. */
  readonly values: string
  /** Undefined where nothing is the default. */
  readonly standard: string | number | boolean | undefined
  readonly description: string
  readonly secret: boolean
}

export const VARIABLE_PREFIX = 'METAFLOW_'
/** Names the configuration file; a setting of where settings are. */
export const FILE_VARIABLE = 'METAFLOW_CONFIG'
export const FILE_FLAG = 'config'

const known = new Map<Side, readonly Setting[]>()

/** The settings of a side in the order of their schema. */
export function settingsOf(side: Side): readonly Setting[] {
  const before = known.get(side)
  if (before !== undefined) return before
  const settings = [...walk(schemaOf(side), '')]
  known.set(side, settings)
  return settings
}

function* walk(schema: z.ZodObject, prefix: string): Generator<Setting> {
  for (const name in schema.shape) {
    const field = schema.shape[name] as z.ZodType
    const inner = field instanceof z.ZodPrefault ? field.unwrap() : field
    if (inner instanceof z.ZodObject) yield* walk(inner, `${prefix}${name}.`)
    else yield settingOf(prefix + name, field)
  }
}

function settingOf(key: string, field: z.ZodType): Setting {
  const meta = field.meta() ?? {}
  const json: Json = z.toJSONSchema(field)
  const words = key.split('.').map((word) => word.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`))
  return {
    key,
    flag: (meta['flag'] as string | undefined) ?? words.join('-'),
    variable: VARIABLE_PREFIX + words.join('_').replaceAll('-', '_').toUpperCase(),
    kind: json.type === 'boolean' ? 'boolean' : json.type === 'string' ? 'text' : 'number',
    values: valuesOf(json),
    standard: (meta['default'] ?? json.default) as Setting['standard'],
    description: meta.description ?? '',
    secret: meta['secret'] === true,
  }
}

type Json = z.core.JSONSchema.BaseSchema

function valuesOf(json: Json): string {
  if (json.enum !== undefined) return json.enum.join(' or ')
  if (json.type === 'boolean') return 'true or false'
  if (json.format === 'uri') return 'http(s)://HOST:PORT'
  if (json.type === 'string') return (json.minLength ?? 0) > 0 ? 'text, not empty' : 'text'
  const least = json.minimum ?? json.exclusiveMinimum
  const most = json.maximum === Number.MAX_SAFE_INTEGER ? undefined : json.maximum
  const low = least === undefined ? '' : ` ${json.minimum === undefined ? '>' : '≥'} ${least}`
  const high = most === undefined ? '' : ` and ≤ ${most}`
  return `${json.type === 'integer' ? 'whole number' : 'number'}${low}${high}`
}
