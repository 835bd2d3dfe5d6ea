/** The data directory as a part of the program finds it: made, writable, and nobody else's. */
import { accessSync, constants } from 'node:fs'
import type { Env } from './env.ts'
import { lockDirectory } from './env-real.ts'
import { MetaflowError, sentenceOf } from './errors.ts'

/** Makes the data directory where it is absent. Throws a sentence where it cannot be used. */
export function makeDataDirectory({ files }: Env, path: string): void {
  attempt(path, () => {
    files.makeDirectory(path)
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK)
  })
}

/**
 * Takes the data directory for a part of the program as long as this process lives: by the lock of
 * the folder that only this part writes. Throws a sentence where another process has it.
 */
export function takeDataDirectory(
  env: Env,
  path: string,
  { part, folder }: { readonly part: string; readonly folder: string },
): void {
  makeDataDirectory(env, path)
  const isOurs = attempt(path, () => {
    env.files.makeDirectory(`${path}/${folder}`)
    return lockDirectory(`${path}/${folder}`)
  })
  if (isOurs) return
  throw new MetaflowError(
    'conflict',
    `Cannot use the data directory ${path}: another ${part} has it; only one may at a time`,
  )
}

/** At most `bytes`, and at most `share` of the file system that `path` lies on. */
export function bounded({ files }: Env, path: string, bytes: number, share: number): number {
  return Math.min(bytes, Math.floor(files.space(path).total * share))
}

function attempt<T>(path: string, run: () => T): T {
  try {
    return run()
  } catch (cause) {
    throw unusable(path, cause)
  }
}

function unusable(path: string, cause: unknown): MetaflowError {
  const state = sentenceOf(cause)
  return new MetaflowError('failed', `Cannot use the data directory ${path}: ${state}`, cause)
}
