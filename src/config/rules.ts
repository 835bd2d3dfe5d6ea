/** What no single setting can say. */
import { MetaflowError } from '../lib/errors.ts'
import type { AgentConfig, ClientConfig, DemoConfig, ServerConfig } from './settings.ts'

/** Throws misuse where settings contradict each other. */
export function checkRules(config: AgentConfig | ServerConfig | DemoConfig | ClientConfig): void {
  if ('agent' in config && !isBare(config.agent.server))
    refuse(
      'use agent.server',
      'it is to be http(s)://HOST:PORT; agent.token is a setting of its own',
    )
  if (!('server' in config)) return
  const { server, clickhouse } = config
  const { host, port } = splitListen(server.listen)
  if (port > 65_535) refuse(`listen on ${server.listen}`, 'ports end at 65535')
  if (!isLoopback(host) && server.token === undefined)
    refuse(`listen on ${server.listen}`, 'a server.token is needed beyond loopback')
  if (clickhouse.binary !== undefined && clickhouse.url !== undefined)
    refuse('use clickhouse.binary', 'clickhouse.url is given too')
  if (clickhouse.url !== undefined && !isBare(clickhouse.url))
    refuse(
      'use clickhouse.url',
      'it is to be http(s)://HOST:PORT; clickhouse.user and clickhouse.password are settings of their own',
    )
  if (clickhouse.cluster !== undefined && clickhouse.url === undefined)
    refuse('use clickhouse.cluster', 'clickhouse.url is not given')
}

/** `HOST:PORT` as its parts; the brackets of an IPv6 address are taken off. */
export function splitListen(listen: string): { readonly host: string; readonly port: number } {
  const colon = listen.lastIndexOf(':')
  const host = listen.slice(0, colon).replace(/^\[(.*)\]$/, '$1')
  return { host, port: Number(listen.slice(colon + 1)) }
}

/** Whether only this machine can reach `host`. A name other than localhost may be anybody's. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
}

/** Whether `url` says where a server is and nothing else: it is shown, and a secret must not be. */
function isBare(url: string): boolean {
  const { username, password, pathname, search, hash } = new URL(url)
  return username + password + search + hash === '' && /^\/?$/.test(pathname)
}

function refuse(what: string, state: string): never {
  throw new MetaflowError('misuse', `Cannot ${what}: ${state}`)
}
