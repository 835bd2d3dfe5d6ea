import { createHash, timingSafeEqual } from 'node:crypto'

/** Whether two secrets are equal, in a time that tells nothing of where they differ. */
export function equalSecrets(one: string, other: string): boolean {
  return timingSafeEqual(digest(one), digest(other))
}

/** Whether an `Authorization` header carries `token`; without a token everybody may. */
export function isAuthorized(header: string | undefined, token: string | undefined): boolean {
  if (token === undefined) return true
  const match = /^Bearer +(\S+)$/i.exec(header ?? '')
  return match !== null && equalSecrets(match[1]!, token)
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
