/** What can go wrong, as a closed set: each code has one exit code and one HTTP status. */
export const ERRORS = {
  misuse: { exit: 2, status: 400 },
  refused: { exit: 1, status: 400 },
  unauthorized: { exit: 1, status: 401 },
  forbidden: { exit: 1, status: 403 },
  absent: { exit: 1, status: 404 },
  conflict: { exit: 1, status: 409 },
  tooLarge: { exit: 1, status: 413 },
  tooMany: { exit: 1, status: 429 },
  unsupported: { exit: 1, status: 501 },
  unavailable: { exit: 1, status: 503 },
  timeout: { exit: 1, status: 504 },
  failed: { exit: 1, status: 500 },
} as const
export type ErrorCode = keyof typeof ERRORS

/** An error whose message is a sentence for its reader: "Cannot <verb> <what>: <state>". */
export class MetaflowError extends Error {
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'MetaflowError'
    this.code = code
  }
}

/** The sentence of any thrown value. */
export function sentenceOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}
