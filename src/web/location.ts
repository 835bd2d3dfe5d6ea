import { type Signal, signal } from '@preact/signals'
import { useEffect } from 'preact/hooks'

/** The address is the page's state: every view can be shared as a link. */
export type Place = { readonly path: string; readonly params: URLSearchParams }

export const place: Signal<Place> = signal(read())

window.addEventListener('popstate', () => {
  place.value = read()
})

/** Changes some parameters of the place we are at, without a new step in the history. */
export function set(params: Readonly<Record<string, string | null>>): void {
  const now = Object.fromEntries(place.value.params)
  history.replaceState(null, '', hrefOf(place.value.path, { ...now, ...params }))
  place.value = read()
}

/** The link to a view; the time range goes along. */
export function hrefOf(path: string, params: Readonly<Record<string, string | null>> = {}): string {
  const all = new URLSearchParams()
  const range = new URLSearchParams(location.search).get('range')
  if (range && !('range' in params)) all.set('range', range)
  for (const [key, value] of Object.entries(params)) if (value) all.set(key, value)
  const text = all.toString()
  return text ? `${path}?${text}` : path
}

/** A click on a link of ours (of HTML or SVG), without a reload; other clicks are the browser's. */
export function follow(event: MouseEvent): void {
  const href = (event.target as Element).closest('a')?.getAttribute('href')
  const isOther = event.ctrlKey || event.metaKey || event.shiftKey || event.altKey
  if (!href?.startsWith('/') || isOther) return
  event.preventDefault()
  const { path } = place.value
  history.pushState(null, '', href)
  place.value = read()
  if (place.value.path === path) return
  // As after a reload: at the top, and whoever listens to the page hears the new view.
  scrollTo(0, 0)
  document.querySelector('main')?.focus({ preventScroll: true })
}

/** Names the page in tabs, bookmarks and the history. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} – MetaFlow`
  }, [title])
}

function read(): Place {
  return { path: location.pathname, params: new URLSearchParams(location.search) }
}
