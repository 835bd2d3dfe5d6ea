/** The rules of the house as functions over its files, so that a planted fault can be shown them. */
import { dirname, join, normalize } from 'node:path'

export type Source = {
  readonly path: string
  readonly text: string
  /** The text without comments: what is only spoken of is not done. */
  readonly code: string
  /** Paths below the root, or package names; types count as much as values. */
  readonly imports: readonly string[]
}

const LINES_MAX = 400
const COLUMNS_MAX = 100
const FOLDERS_MAX = 3
const COMMENT = /^\s*(\/\*\*|\*|\/\/) /

const IMPORT = /(?:\bfrom\s+|\bimport\s*\(\s*|\bimport\s+)'([^']+)'/g
const WORKER = /\bstartWorker\(\s*'([^']+)'/g
/** A comment, or a string that may hold what looks like one. */
const COMMENT_OR_STRING =
  /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/g

export function sourceOf(path: string, text: string): Source {
  const code = text.replace(COMMENT_OR_STRING, (found) =>
    found.startsWith('/*') || found.startsWith('//') ? '' : found,
  )
  const imports = [...code.matchAll(IMPORT)].map(([, to = '']) =>
    to.startsWith('.') ? normalize(join(dirname(path), to)) : to,
  )
  for (const [, to = ''] of code.matchAll(WORKER)) imports.push(`src/${to}`)
  return { path, text, code, imports }
}

export async function readSources(root: string): Promise<Source[]> {
  const sources: Source[] = []
  for await (const path of new Bun.Glob('src/**/*.{ts,tsx}').scan(root))
    sources.push(sourceOf(path, await Bun.file(join(root, path)).text()))
  return sources.sort((a, b) => (a.path < b.path ? -1 : 1))
}

type Visit = { readonly from: RegExp; readonly to: readonly string[] }

/**
 * `from` may import only what one of `to` matches; `$1`, `$2` are groups of `from`; the first rule
 * that matches counts. Rooms never import rooms: the page above hands each its next station.
 */
const VISITS: readonly Visit[] = [
  { from: /^src\/lib\//, to: ['^src/lib/'] },
  { from: /^src\/model\//, to: ['^src/(model|lib)/'] },
  { from: /^src\/wire\//, to: ['^src/(wire|model|lib)/'] },
  { from: /^src\/config\//, to: ['^src/(config|lib)/'] },
  {
    // What serves every protocol: the contract, the list of them, the driver.
    from: /^src\/agent\/protocols\/(registry|protocol|dialogue)[./-]/,
    to: ['^src/(model|lib)/', '^src/agent/protocols/'],
  },
  {
    // One protocol never imports another: `http.ts`, `http-body.ts` and `http/` are one.
    from: /^src\/agent\/protocols\/([a-z0-9]+)[./-]/,
    to: [
      '^src/(model|lib)/',
      '^src/agent/protocols/protocol\\.ts$',
      '^src/agent/protocols/$1[./-]',
    ],
  },
  { from: /^src\/(agent|server)\/([^/]+)\//, to: ['^src/(wire|model|lib)/', '^src/$1/$2/'] },
  // The server hands the engine, a program of its own, its library.
  {
    from: /^src\/server\/server\.ts$/,
    to: ['^src/(config|wire|model|lib|server)/', '^src/engine/extract\\.ts$'],
  },
  { from: /^src\/(agent|server)\/[^/]+$/, to: ['^src/(config|wire|model|lib)/', '^src/$1/'] },
  { from: /^src\/(engine|workload)\//, to: ['^src/(lib|model)/', '^src/$1/'] },
  { from: /^src\/web\//, to: ['^src/(web|model|lib)/'] },
  {
    from: /^src\/cli\//,
    to: [
      '^src/(cli|config|wire|model|lib)/',
      '^src/(agent|server|engine|workload)/[^/]+$',
      // What a machine permits, doctor asks those who need it.
      '^src/agent/(capture/permits|identity/(proc|networks|identity))\\.ts$',
    ],
  },
  {
    from: /^src\/main\.ts$/,
    to: ['^src/(lib|cli)/', '^src/(agent|server|engine|workload)/[^/]+\\.ts$'],
  },
]

type Keeper = { readonly word: RegExp; readonly only: RegExp; readonly say: string }

/** One keeper per power. */
const KEEPERS: readonly Keeper[] = [
  {
    word: /'bun:ffi'/,
    only: /^src\/lib\/ffi\.ts$/,
    say: 'native code is spoken to in lib/ffi.ts',
  },
  {
    word: /\bconsole\.|\bprocess\.(stdout|stderr)\b/,
    only: /^src\/lib\/log\.ts$|^src\/web\//,
    say: 'printing goes through lib/log.ts',
  },
  {
    word: /\bprocess\.env\b|\bBun\.env\b|\bimport\.meta\.env\b/,
    only: /^src\/config\/|^src\/lib\/process\.ts$/,
    say: 'settings come from config/',
  },
  {
    word: /\bDate\.now\(|\bperformance\.now\(|\bnew Date\(\)|\bBun\.nanoseconds\(|\bhrtime\b/,
    only: /^src\/lib\/(env-real|log)\.ts$|^src\/web\//,
    say: 'time comes from lib/env.ts',
  },
  {
    word: /\bBun\.(spawn|spawnSync|\$)|\bchild_process\b/,
    only: /^src\/lib\/process\.ts$/,
    say: 'programs are started in lib/process.ts',
  },
  {
    word: /\bnew Worker\(/,
    only: /^src\/lib\/worker\.ts$/,
    say: 'workers are started by lib/worker.ts, so that the build finds them',
  },
  {
    word: /\bprocess\.exit\(/,
    only: /^src\/(main|engine\/engine)\.ts$/,
    say: 'only main.ts ends the program; a command answers its exit code',
  },
]

export function foreignVisits(sources: readonly Source[]): string[] {
  const found: string[] = []
  for (const { path, imports } of sources) {
    const allowed = visitsOf(path)
    if (allowed === undefined) found.push(`${path}: no rule for this room`)
    else
      for (const to of imports)
        if (to.startsWith('src/') && !allowed.some((rule) => rule.test(to)))
          found.push(`${path}: imports ${to}`)
  }
  return found
}

function visitsOf(path: string): RegExp[] | undefined {
  for (const { from, to } of VISITS) {
    const groups = from.exec(path)
    if (groups !== null)
      return to.map(
        (rule) => new RegExp(rule.replace(/\$(\d)/g, (_, n) => groups[Number(n)] ?? '')),
      )
  }
  return undefined
}

export function strayPowers(sources: readonly Source[]): string[] {
  return sources.flatMap(({ path, code }) =>
    KEEPERS.filter(({ word, only }) => word.test(code) && !only.test(path)).map(
      ({ say }) => `${path}: ${say}`,
    ),
  )
}

/** Pages too long, too wide or too deep, or with notes to oneself. Tables of data may be long. */
export function untidyPages(sources: readonly Source[]): string[] {
  const found: string[] = []
  for (const { path, text } of sources) {
    const lines = text.trimEnd().split('\n')
    if (path.split('/').length - 2 > FOLDERS_MAX) found.push(`${path}: too deep`)
    if (lines.length > LINES_MAX && !path.startsWith('src/model/tables/'))
      found.push(`${path}: ${lines.length} lines`)
    for (const [i, line] of lines.entries()) {
      // The formatter keeps code within them, but never breaks a comment.
      if (COMMENT.test(line) && line.length > COLUMNS_MAX && !line.includes('https://'))
        found.push(`${path}:${i + 1}: wider than ${COLUMNS_MAX}`)
      if (/\b(TODO|FIXME|XXX|HACK)\b/.test(line)) found.push(`${path}:${i + 1}: a leftover note`)
    }
    if (/\bexport \* from\b/.test(text)) found.push(`${path}: re-exports another page`)
  }
  return found
}

/** Pages that nothing reaches from `entries`. */
export function deadPages(sources: readonly Source[], entries: readonly string[]): string[] {
  const byPath = new Map(sources.map((source) => [source.path, source]))
  const seen = new Set<string>()
  const waiting = [...entries]
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (seen.has(path)) continue
    seen.add(path)
    waiting.push(...(byPath.get(path)?.imports ?? []))
  }
  // What only declares types is imported by nobody.
  return sources
    .filter(({ path }) => !seen.has(path) && !path.endsWith('.d.ts'))
    .map(({ path }) => `${path}: never imported`)
}

/** Protocols without a test of their own; `exists` looks for a path below the root. */
export function untestedProtocols(
  sources: readonly Source[],
  exists: (path: string) => boolean,
): string[] {
  const names = new Set<string>()
  for (const { path } of sources) {
    const name =
      /^src\/agent\/protocols\/(?!(?:registry|protocol|dialogue)[./-])([a-z0-9]+)[./-]/.exec(
        path,
      )?.[1]
    if (name !== undefined) names.add(name)
  }
  return [...names]
    .map((name) => `tests/agent/protocols/${name}.test.ts`)
    .filter((twin) => !exists(twin))
    .map((twin) => `${twin}: missing`)
}
