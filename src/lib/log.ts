/** The one place that prints. Logs go to standard error, answers to standard output. */
import { writeSync } from 'node:fs'

export const LEVELS = ['debug', 'info', 'warn', 'error'] as const
export type Level = (typeof LEVELS)[number]
export type Fields = Readonly<Record<string, string | number | boolean>>

let threshold = LEVELS.indexOf('info')
let part = ''
let isGuarded = false

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
  if (!isGuarded) {
    isGuarded = true
    // Who read the log went away: that ends no server.
    process.stderr.on('error', () => undefined)
  }
  process.stderr.write(`${line}\n`)
}

/**
 * Prints an answer: text to standard output, as it is, whole when it returns (a stream's writes are
 * cut off at 64 KB by the end of the program). Throws what the system says: EPIPE, ENOSPC.
 */
export function print(text: string): void {
  writeWhole(1, text)
}

/** Prints a sentence for the person at the terminal to standard error, as it is. */
export function say(text: string): void {
  writeWhole(2, text)
}

function writeWhole(file: number, text: string): void {
  const bytes = new TextEncoder().encode(text)
  for (let at = 0; at < bytes.length; )
    try {
      at += writeSync(file, bytes, at)
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code !== 'EAGAIN') throw thrown
      // Somebody made the terminal or pipe we share non-blocking, and its reader is slow.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5)
    }
}

function quoted(value: string | number | boolean): string {
  const text = String(value)
  return /^[^\s"=]+$/.test(text) ? text : JSON.stringify(text)
}

/** Whether a person looks at what `print` and `say` write. */
export function isTerminal(): { readonly answers: boolean; readonly sentences: boolean } {
  return { answers: process.stdout.isTTY === true, sentences: process.stderr.isTTY === true }
}
