/** The one place that prints. Logs go to standard error, answers to standard output. */
export const LEVELS = ['debug', 'info', 'warn', 'error'] as const
export type Level = (typeof LEVELS)[number]
export type Fields = Readonly<Record<string, string | number | boolean>>

let threshold = LEVELS.indexOf('info')
let part = ''

/** Sets the least level that is printed and the part of the program that speaks. */
export function setLog(level: Level, name: string): void {
  threshold = LEVELS.indexOf(level)
  part = name
}

/** One line: time, level, part, sentence, fields as key=value. Never give it a secret. */
export function log(level: Level, sentence: string, fields: Fields = {}): void {
  if (LEVELS.indexOf(level) < threshold) return
  let line = `${new Date().toISOString()} ${level.padEnd(5)} ${part ? `${part}: ` : ''}${sentence}`
  for (const key in fields) line += ` ${key}=${quoted(fields[key]!)}`
  process.stderr.write(`${line}\n`)
}

/** Prints an answer: text to standard output, as it is. */
export function print(text: string): void {
  process.stdout.write(text)
}

/** Prints a sentence for the person at the terminal to standard error, as it is. */
export function say(text: string): void {
  process.stderr.write(text)
}

function quoted(value: string | number | boolean): string {
  const text = String(value)
  return /^[^\s"=]+$/.test(text) ? text : JSON.stringify(text)
}
