/** The pages in a real browser: what a person sees of loading, nothing, errors, and figures. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { type Browser, chromium, type Page } from 'playwright-core'
import { missing, peer } from '../peers/peers.ts'
import { type Site, shop, startSite } from './site.ts'

const reason = missing('chromium')
if (reason) process.stderr.write(`pages skipped: ${reason}\n`)

const SWITCHES =
  '--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-component-update --disable-sync --disable-background-networking'

describe.skipIf(reason !== '')('the page', () => {
  let browser: Browser
  let site: Site
  let page: Page
  let complaints: string[]

  beforeAll(async () => {
    browser = await chromium.launch({
      executablePath: peer('chromium')!,
      args: SWITCHES.split(' '),
    })
  }, 60_000)
  afterAll(async () => await browser?.close())

  /** Opens `path` of a site that answers by `answer`; complaints of the browser are gathered. */
  async function open(path: string, answer: Site['answer'], token?: string): Promise<void> {
    await site?.stop()
    site = startSite(token)
    site.answer = answer
    complaints = []
    await page?.close()
    page = await browser.newPage({ viewport: { width: 1280, height: 900 } })
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text())
    })
    page.on('pageerror', (error) => complaints.push(error.message))
    page.on('request', (request) => {
      if (!request.url().startsWith(site.url)) complaints.push(`asked ${request.url()}`)
    })
    await page.goto(site.url + path)
  }
  afterAll(async () => await site?.stop())

  test('shows that it loads, then services with their figures, and asks nobody else', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    await open('/', async (sql) => {
      await promise
      return shop(sql)
    })
    await page.waitForSelector('.skeleton[aria-busy=true]')
    resolve()
    await page.waitForSelector('text=store')
    const row = await page.textContent('.scroll tbody tr:first-child')
    expect(row).toContain('shop')
    expect(row).toContain('HTTP')
    expect(row).toContain('10.0 %')
    expect(await page.locator('.u-wrap').count()).toBe(1)
    expect(await page.locator('.skeleton').count()).toBe(0)
    expect(complaints).toEqual([])
  })

  test('live views read points, not rows', () => {
    expect(site.asked.length).toBeGreaterThan(0)
    expect(site.asked.filter((sql) => sql.includes('flow_log'))).toEqual([])
  })

  test('says what to do where there are no calls yet', async () => {
    await open('/', () => ({ columns: [], values: [] }))
    await page.waitForSelector('text=No calls in this time')
    expect(await page.getAttribute('.empty a', 'href')).toBe('/metaflow')
  })

  test('shows the sentence of an error, and keeps the last answer beside it', async () => {
    let fails = false
    await open('/', (sql) => {
      if (fails) throw new Error('boom')
      return shop(sql)
    })
    await page.waitForSelector('text=store')
    fails = true
    await page.waitForSelector('[role=alert]')
    expect(await page.textContent('.scroll tbody tr:first-child')).toContain('shop')
  })

  test('a sort stands in the address and survives a reload', async () => {
    await open('/', shop)
    await page.click('th button:has-text("Service")')
    await page.waitForURL(/sort=Service/)
    await page.reload()
    await page.waitForSelector('th[aria-sort=descending]:has-text("Service")')
    expect(await page.textContent('.scroll tbody tr:first-child')).toContain('store')
  })

  test('a service opens by its link, with charts, endpoints, callers and callees', async () => {
    await open('/?range=900', shop)
    await page.click('a:has-text("shop")')
    await page.waitForSelector('h1:has-text("shop")')
    expect(page.url()).toBe(`${site.url}/service/2?range=900`)
    await page.waitForSelector('td:has-text("/cart/*")')
    expect(await page.locator('.u-wrap').count()).toBe(2)
    expect(await page.textContent('section:has(h2:has-text("Called by"))')).toContain('web')
    expect(await page.textContent('section:has(h2:text-is("Calls"))')).toContain('store')
    await page.goBack()
    await page.waitForSelector('text=Requests and errors')
  })

  test('the map draws each edge once, as the server counts it', async () => {
    await open('/map', shop)
    await page.waitForSelector('.node')
    expect(await page.locator('.node').count()).toBe(3)
    expect(await page.locator('.edge').count()).toBe(2)
    expect(await page.locator('.edge.failing').count()).toBe(1)
    expect(await page.textContent('.edge.failing')).toContain('HTTP 10.0/s')
    await page.click('.node:has-text("shop")')
    await page.waitForSelector('h1:has-text("shop")')
    expect(complaints).toEqual([])
  })

  test('calls are filtered by the address, and one opens whole', async () => {
    await open('/calls?status=3&resource=o%27clock', shop)
    await page.waitForSelector('td:has-text("/cart/7?x=<b>")')
    const asked = site.asked.at(-1)!
    expect(asked).toContain('response_status = 3')
    expect(asked).toContain("'o\\'clock'")
    await page.click('.scroll tbody tr:first-child')
    await page.waitForSelector('.detail dd:has-text("/cart/7?x=<b>")')
    expect(page.url()).toContain('call=7-1795500000123456-s-p')
    expect(await page.locator('.detail b').count()).toBe(0)
    await page.click('.detail [aria-label=Close]')
    await page.waitForSelector('.detail', { state: 'detached' })
  })

  test("MetaFlow's own page tells agents, costs and losses", async () => {
    await open('/metaflow', shop)
    await page.waitForSelector('text=No agent has reported yet')
    await fetch(`${site.url}/v1/agents/status`, {
      method: 'POST',
      body: JSON.stringify({
        agent: '0'.repeat(32),
        host: 'north',
        family: 'socket',
        version: '1',
        startedAt: Date.now() - 10_000,
        cpuSeconds: 1,
        memoryBytes: 1e8,
        samples: [
          { name: 'capture_dropped_total', help: 'h', labels: { why: 'ring_full' }, value: 12 },
          { name: 'flow_dropped_total', help: 'h', labels: { why: 'muted' }, value: 5 },
          { name: 'protocols_tls_connections_total', help: 'h', labels: {}, value: 3 },
        ],
      }),
    })
    await page.waitForSelector('text=north')
    expect(await page.textContent('.tile:has-text("Dropped")')).toContain('12')
    expect(await page.textContent('.tile:has-text("TLS")')).toContain('3')
    expect(await page.textContent('section:has(h2:has-text("Losses"))')).toContain('ring_full')
  })

  test('asks for the token of a server that wants one', async () => {
    await open('/', shop, 'secret')
    await page.fill('input[name=token]', 'secret')
    await page.click('button:has-text("Go on")')
    await page.waitForSelector('text=store')
  })

  test('is readable in the dark and on a telephone', async () => {
    await open('/', shop)
    await page.emulateMedia({ colorScheme: 'dark' })
    await page.setViewportSize({ width: 390, height: 800 })
    await page.waitForSelector('text=store')
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(390)
  })
})
