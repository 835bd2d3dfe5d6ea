import type { Sample } from '../../lib/counters.ts'

const PREFIX = 'metaflow_'

/** Samples in Prometheus' text format 0.0.4, those of one name together. */
export function metricsText(samples: readonly Sample[]): string {
  const families = new Map<string, Sample[]>()
  for (const sample of samples) {
    const family = families.get(sample.name)
    if (family) family.push(sample)
    else families.set(sample.name, [sample])
  }
  let text = ''
  for (const [name, family] of families) {
    const help = family[0]!.help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
    text += `# HELP ${PREFIX}${name} ${help}\n`
    text += `# TYPE ${PREFIX}${name} ${name.endsWith('_total') ? 'counter' : 'gauge'}\n`
    for (const { labels, value } of family)
      text += `${PREFIX}${name}${labelsText(labels)} ${value}\n`
  }
  return text
}

function labelsText(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`)
  return pairs.length > 0 ? `{${pairs.join(',')}}` : ''
}

function escaped(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}
