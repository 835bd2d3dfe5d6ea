import { render, type VNode } from 'preact'
import { setToken, tokenWanted } from './api.ts'
import { follow, hrefOf, place, set, useTitle } from './location.ts'
import { Problem } from './parts/states.tsx'
import { currentRange, RANGES } from './range.ts'
import { Calls } from './views/calls.tsx'
import { ServiceMap } from './views/map.tsx'
import { MetaFlow } from './views/metaflow.tsx'
import { Service } from './views/service.tsx'
import { Services } from './views/services.tsx'

const VIEWS: readonly {
  readonly path: string
  readonly title: string
  readonly view: () => VNode
}[] = [
  { path: '/', title: 'Services', view: Services },
  { path: '/map', title: 'Map', view: ServiceMap },
  { path: '/calls', title: 'Calls', view: Calls },
  { path: '/metaflow', title: 'MetaFlow', view: MetaFlow },
]

function App(): VNode {
  const { path } = place.value
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: links inside are reached and followed by key
    // biome-ignore lint/a11y/noStaticElementInteractions: it only hears the clicks of its links
    <div class="page" onClick={follow}>
      <header>
        <a class="brand" href={hrefOf('/')}>
          <img src="/icon.svg" alt="" width="24" height="24" /> MetaFlow
        </a>
        <nav>
          {VIEWS.map(({ path: to, title }) => (
            <a key={to} href={hrefOf(to)} aria-current={to === path ? 'page' : undefined}>
              {title}
            </a>
          ))}
        </nav>
        <select
          aria-label="Time range"
          value={String(currentRange().seconds)}
          onChange={(event) => set({ range: event.currentTarget.value })}
        >
          {RANGES.map(({ label, seconds }) => (
            <option key={seconds} value={String(seconds)}>
              last {label}
            </option>
          ))}
        </select>
      </header>
      <main tabIndex={-1}>{tokenWanted.value ? <TokenForm /> : <View path={path} />}</main>
    </div>
  )
}

function View({ path }: { readonly path: string }): VNode {
  const service = /^\/service\/(\d{1,10})$/.exec(path)
  const found = VIEWS.find((view) => view.path === path)
  // A service's own name is known later.
  useTitle(found?.title ?? (service ? 'Service' : 'No such page'))
  const Found = found?.view
  if (service) return <Service key={path} id={Number(service[1])} />
  if (Found) return <Found key={path} />
  return (
    <div class="empty">
      <h2>There is no page {path}</h2>
      <a href={hrefOf('/')}>To the services</a>
    </div>
  )
}

function TokenForm(): VNode {
  return (
    <form
      class="empty"
      onSubmit={(event) => {
        event.preventDefault()
        setToken(String(new FormData(event.currentTarget).get('token')))
      }}
    >
      <h2>This server wants a token</h2>
      {tokenWanted.value === 'another' && <Problem sentence="It does not take this one" />}
      <p>It is the value of the server's setting token. It is kept until this tab is closed.</p>
      <input name="token" type="password" aria-label="Token" autocomplete="off" />
      <button type="submit">Go on</button>
    </form>
  )
}

render(<App />, document.body)
