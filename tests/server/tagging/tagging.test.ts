import { afterEach, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { realEnv } from '../../../src/lib/env-real.ts'
import { NAME_TYPE, type Name, type NumberedName, OTHER } from '../../../src/model/name.ts'
import { type NameStore, Tagging } from '../../../src/server/tagging/tagging.ts'
import { nameOf } from '../../simulation/blocks.ts'

const env = realEnv()
const cleanups: (() => unknown)[] = []
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup()
})

function newDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), 'metaflow-'))
  cleanups.push(() => rmSync(path, { recursive: true }))
  return path
}

/** `flow_tag.names`, which may be away. */
class Names implements NameStore {
  readonly rows = new Map<number, NumberedName>()
  isAway = false
  inserts = 0

  async insertNames(names: readonly NumberedName[]): Promise<void> {
    if (this.isAway) throw new Error('away')
    this.inserts++
    for (const name of names) this.rows.set(name.id, name)
  }
  countNames = (): Promise<number> => Promise.resolve(this.rows.size)
  readNames = (): Promise<NumberedName[]> => Promise.resolve([...this.rows.values()])
}

const NOBODY = nameOf(NAME_TYPE.ip, '')
const nginx = nameOf(NAME_TYPE.process, 'nginx')
const redis = nameOf(NAME_TYPE.process, 'redis')
const address = nameOf(NAME_TYPE.ip, '10.0.0.1')
const host = { ...nameOf(NAME_TYPE.host, 'host'), hostKey: 'host', hostName: 'host' }
const AGENT = 'a'.repeat(32)

async function instances(tagging: Tagging, ...names: Name[]): Promise<number[]> {
  return [...(await tagging.resolve(AGENT, [NOBODY, ...names])).ids.instance]
}

test('Tagging.resolve gives dense ids: of the process, its host, an address, the agent', async () => {
  const store = new Names()
  const tagging = await Tagging.open({ env, directory: newDirectory(), store })
  const { agentId, ids } = await tagging.resolve(AGENT, [NOBODY, nginx, host, address])
  expect([...ids.instance]).toEqual([0, 2, 1, 3])
  expect([...ids.gprocess]).toEqual([0, 2, 0, 0])
  expect([...ids.host]).toEqual([0, 1, 1, 0])
  expect([...ids.instanceType]).toEqual([0, NAME_TYPE.process, NAME_TYPE.host, NAME_TYPE.ip])
  expect(agentId).toBe(4)
  expect(store.rows.get(2)).toMatchObject({ name: 'nginx', hostId: 1, hostName: 'host' })
})

test('Tagging.resolve gives a renamed thing a new id, and the old name its old one', async () => {
  const tagging = await Tagging.open({ env, directory: newDirectory(), store: new Names() })
  const renamed = { ...nginx, name: 'nginx 2' }
  const [, first, second, again] = await instances(tagging, nginx, renamed, nginx)
  expect(second).not.toBe(first)
  expect(again).toBe(first)
})

test('Tagging keeps ids over restarts, and writes each name once', async () => {
  const directory = newDirectory()
  const store = new Names()
  const first = await Tagging.open({ env, directory, store })
  const before = await instances(first, nginx, address)
  first.close()
  for (let restart = 0; restart < 3; restart++) {
    const next = await Tagging.open({ env, directory, store })
    expect(await instances(next, nginx, address)).toEqual(before)
    next.close()
  }
  expect(store.inserts).toBe(1)
})

test('Tagging takes ids from flow_tag where its own log is lost or old', async () => {
  const store = new Names()
  const first = await Tagging.open({ env, directory: newDirectory(), store })
  const before = await instances(first, nginx, address)
  const second = await Tagging.open({ env, directory: newDirectory(), store })
  const [, other] = await instances(second, redis)
  expect(before).not.toContain(other!)
  expect(await instances(second, nginx, address)).toEqual(before)
})

test('Tagging writes to flow_tag what is missing there', async () => {
  const directory = newDirectory()
  const first = await Tagging.open({ env, directory, store: new Names() })
  await instances(first, nginx, address)
  first.close()
  const empty = new Names()
  await instances(await Tagging.open({ env, directory, store: empty }), nginx)
  expect([...empty.rows.values()].map(({ name }) => name)).toEqual([
    'host',
    'nginx',
    '10.0.0.1',
    AGENT,
  ])
})

test('Tagging.resolve rejects while names cannot be written, and gives the same ids then', async () => {
  const store = new Names()
  const tagging = await Tagging.open({ env, directory: newDirectory(), store })
  store.isAway = true
  await expect(instances(tagging, nginx)).rejects.toThrow('away')
  await expect(instances(tagging, nginx)).rejects.toThrow('away')
  store.isAway = false
  expect(await instances(tagging, nginx)).toEqual([0, 2])
  expect(store.rows.get(2)!.name).toBe('nginx')
})

test('Tagging.resolve gives names beyond its bound one id a type, and counts them', async () => {
  const store = new Names()
  const tagging = await Tagging.open({ env, directory: newDirectory(), store, namesMax: 3 })
  const [, first] = await instances(tagging, nginx)
  const many = Array.from({ length: 100 }, (_, i) => nameOf(NAME_TYPE.process, `process ${i}`))
  const ids = new Set((await instances(tagging, ...many)).slice(1))
  expect(ids.size).toBe(1)
  expect(store.rows.get([...ids][0]!)!.name).toBe(OTHER)
  expect(tagging.counters.dropped.full).toBe(100)
  expect(await instances(tagging, nginx)).toEqual([0, first!])
})

test('Tagging.resolve leaves room for processes and hosts, however many addresses there are', async () => {
  const store = new Names()
  const directory = newDirectory()
  const first = await Tagging.open({ env, directory, store, namesMax: 20 })
  const addresses = Array.from({ length: 50 }, (_, i) => nameOf(NAME_TYPE.ip, `10.0.1.${i}`))
  expect(new Set((await instances(first, ...addresses)).slice(1)).size).toBe(11)
  first.close()
  const tagging = await Tagging.open({ env, directory, store, namesMax: 20 })
  const [, one, two, other] = await instances(tagging, nginx, redis, address)
  expect([one, two].map((id) => store.rows.get(id!)!.name)).toEqual(['nginx', 'redis'])
  expect(store.rows.get(other!)!.name).toBe(OTHER)
})
