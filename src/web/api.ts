import { type Signal, signal } from '@preact/signals'
import { useEffect, useMemo } from 'preact/hooks'

export type Cell =
  | string
  | number
  | null
  | Readonly<Record<string, number | string>>
  | readonly Cell[]
export type Row = Readonly<Record<string, Cell>>

/** What a view has of its data: nothing yet, an answer, or an answer grown old beside an error. */
export type Loaded<T> = {
  readonly value: T | undefined
  readonly error: string
  /** When the answer came, ms. */
  readonly at: number
}

const TOKEN_KEY = 'metaflow.token'
/** Set when the server wants a token, or another than it was given: the page asks for it. */
export const tokenWanted: Signal<'' | 'one' | 'another'> = signal('')

export function setToken(token: string): void {
  // A header carries nothing else, and no token has more.
  sessionStorage.setItem(TOKEN_KEY, token.replace(/[^!-~]/g, ''))
  tokenWanted.value = ''
}

/** Answers the rows of `sql`, or throws an Error with the server's sentence. */
export async function query(sql: string, stop: AbortSignal): Promise<Row[]> {
  const answer = (await fetchJson('/v1/query', stop, { sql })) as {
    result: { columns: string[]; values: Cell[][] }
  }
  const { columns, values } = answer.result
  return values.map((row) => Object.fromEntries(columns.map((name, at) => [name, row[at]!])))
}

export async function fetchJson(path: string, stop: AbortSignal, body?: object): Promise<unknown> {
  const token = sessionStorage.getItem(TOKEN_KEY)
  const headers: Record<string, string> = { 'content-type': 'application/json' }
  if (token) headers['authorization'] = `Bearer ${token}`
  const init: RequestInit = { headers, signal: stop }
  if (body) Object.assign(init, { method: 'POST', body: JSON.stringify(body) })
  const response = await fetch(path, init).catch((cause: Error) => {
    throw stop.aborted ? cause : new Error('Cannot reach the server: it does not answer', { cause })
  })
  if (response.status === 401) tokenWanted.value = token ? 'another' : 'one'
  const text = await response.text()
  if (!response.ok) throw new Error(sentenceOf(text, response.status))
  return JSON.parse(text)
}

function sentenceOf(text: string, status: number): string {
  try {
    const { DESCRIPTION, error } = JSON.parse(text) as { DESCRIPTION?: string; error?: string }
    return DESCRIPTION || error || text
  } catch {
    return text || `the server answered ${status}`
  }
}

/** Loads by `load` now and every `everyMs`, and anew when `key` changes; old answers stay shown. */
export function usePolled<T>(
  key: string,
  everyMs: number,
  load: (stop: AbortSignal) => Promise<T>,
): Loaded<T> {
  const state = useMemo(() => signal<Loaded<T>>({ value: undefined, error: '', at: 0 }), [])
  useEffect(() => {
    const stop = new AbortController()
    let timer = 0
    state.value = { value: undefined, error: '', at: 0 }
    const again = (): void => {
      if (stop.signal.aborted || everyMs === 0) return
      timer = window.setTimeout(() => (document.hidden ? again() : turn()), everyMs)
    }
    const turn = (): void => {
      load(stop.signal).then(
        (value) => {
          if (!stop.signal.aborted) state.value = { value, error: '', at: Date.now() }
          again()
        },
        (thrown: Error) => {
          if (!stop.signal.aborted) state.value = { ...state.value, error: thrown.message }
          again()
        },
      )
    }
    turn()
    return () => {
      stop.abort()
      clearTimeout(timer)
    }
  }, [key])
  return state.value
}

/** `text` as an SQL literal. */
export function literal(text: string): string {
  return `'${text.replace(/[\\']/g, (c) => `\\${c}`)}'`
}
