/** The pages in a real browser: what a person sees of loading, nothing, errors, and figures. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { type Browser, chromium, type Page } from 'playwright-core'
import { missing, peer } from '../peers/peers.ts'
import { until } from '../until.ts'
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
    await until(async () => (await page.locator('.u-wrap').count()) === 1, 5)
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
    // 150 in the 15 s that have points of anybody.
    expect(await page.textContent('tr:has-text("/cart/*")')).toContain('10.0')
    await until(async () => (await page.locator('.u-wrap').count()) === 2, 5)
    expect(await page.textContent('section:has(h2:has-text("Called by"))')).toContain('web')
    expect(await page.textContent('section:has(h2:text-is("Calls"))')).toContain('store')
    await page.goBack()
    await page.waitForSelector('text=Requests and errors')
  })

  test('of one that nobody calls, and of one that is not observed, a service page tells what is known', async () => {
    await open('/service/1', shop)
    await page.waitForSelector('h1:has-text("web")')
    expect(await page.locator('.u-wrap').count()).toBe(0)
    expect(await page.textContent('section:has(h2:text-is("Calls"))')).toContain('shop')
    await page.click('a:has-text("shop")')
    await page.waitForSelector('h1:has-text("shop")')
    await page.click('a:has-text("store")')
    await page.waitForSelector('h1:has-text("store")')
    // Charts are drawn once the page is.
    await until(async () => (await page.locator('.u-wrap').count()) === 2, 5)
    expect(await page.textContent('section:has(h2:has-text("Called by"))')).toContain('shop')
    expect(complaints).toEqual([])
  })

  test('rates are over the time that has points, however long the range and its bins', async () => {
    await open('/?range=604800', (sql) => {
      const now = 1_795_500_604
      const t = Math.floor((now - 604) / 7200) * 7200
      if (!sql.includes('AS t,') || sql.includes('groupArray')) return shop(sql)
      return {
        columns: ['t', 'requests', 'errors', 'first', 'now'],
        values: [[t, 225, 15, now - 604, now]],
      }
    })
    await page.waitForSelector('text=store')
    // 225 requests in 10 minutes, which are a small part of the range, and of its one bin.
    expect(await page.textContent('.tile:has-text("Requests / s")')).toContain('0.38')
    expect(await page.getAttribute('.chart [role=img]', 'aria-label')).toContain('requests 0.38')
  })

  test('each view has a title, and a new one begins at its top', async () => {
    await open('/', (sql) => {
      const { columns, values } = shop(sql)
      if (!columns.includes('protocols')) return { columns, values }
      const many = Array.from({ length: 60 }, (_, id) => [id + 9, `s-${id}`, [20], 1, 0, {}])
      return { columns, values: [...values, ...many] }
    })
    await page.waitForSelector('text=s-59')
    expect(await page.title()).toBe('Services – MetaFlow')
    await page.click('a:has-text("s-59")')
    await page.goBack()
    await page.click('a:has-text("store")')
    await page.waitForSelector('h1:has-text("store")')
    expect(await page.title()).toBe('store – MetaFlow')
    expect(await page.evaluate('scrollY')).toBe(0)
    expect(await page.evaluate('document.activeElement.localName')).toBe('main')
  })

  test('names are shown as they are, and run nothing', async () => {
    const name = `"><img src=x onerror="document.title='broken'">${'long'.repeat(40)}`
    for (const path of ['/', '/map', '/service/2', '/calls']) {
      await open(path, (sql) => {
        const { columns, values } = shop(sql)
        const rename = (cell: unknown): unknown => (cell === 'shop' ? name : cell)
        return { columns, values: values.map((row) => row.map(rename)) }
      })
      await page.waitForSelector(path === '/map' ? '.node' : 'text=onerror')
      expect(await page.locator('main img').count()).toBe(0)
      expect(await page.title()).not.toContain('broken –')
      if (path === '/') {
        // A long one leaves the figures in sight, and shows whole over itself.
        const { x, width } = (await page.locator('.scroll th:last-child').boundingBox())!
        expect(x + width).toBeLessThan(1280)
        expect(await page.getAttribute('.scroll tbody td', 'title')).toBe(name)
      }
      expect(complaints).toEqual([])
    }
  })

  test('the map tells in its box what a service asks of itself', async () => {
    await open('/map', (sql) => {
      const { columns, values } = shop(sql)
      if (!columns.includes('from_id')) return { columns, values }
      const itself = [2, 'shop', 2, 'shop', 20, 's-p', 500, 5, ...values[0]!.slice(8)]
      return { columns, values: [...values, itself] }
    })
    await page.waitForSelector('.node')
    expect(await page.locator('.edge').count()).toBe(2)
    expect(await page.textContent('.node:has-text("shop") .failing')).toBe('itself: HTTP 5.00/s')
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
    expect(await page.textContent('.detail dl')).toContain('response_duration1234 µs')
    expect(await page.locator('.detail b').count()).toBe(0)
    await page.click('.detail [aria-label=Close]')
    await page.waitForSelector('.detail', { state: 'detached' })
  })

  test('calls that came at once are told apart, and opened by key', async () => {
    await open('/calls', (sql) => {
      const { columns, values } = shop(sql)
      const at = columns.indexOf('req_tcp_seq')
      if (at < 0) return { columns, values }
      return { columns, values: [100, 124, 148].map((seq) => values[0]!.with(at, seq)) }
    })
    await page.waitForSelector('tbody tr')
    expect(await page.locator('tbody tr').count()).toBe(3)
    await page.locator('tbody tr:nth-child(2) a').focus()
    await page.keyboard.press('Enter')
    await page.waitForSelector('.detail dd')
    expect(await page.locator('tr.selected').count()).toBe(1)
    expect(site.asked.filter((sql) => sql.endsWith('LIMIT 1')).at(-1)).toContain(
      'request_id IS NULL\n    AND req_tcp_seq = 124 AND resp_tcp_seq = 900',
    )
    await page.goBack()
    await page.waitForSelector('.detail', { state: 'detached' })
  })

  test('a filter applies by Enter, and is gone by a click on its cross', async () => {
    await open('/calls', shop)
    const input = page.locator('input[aria-label="request contains"]')
    await input.fill("o'clock")
    await input.press('Enter')
    await page.waitForURL(/resource=o%27clock/)
    const { x, y, width, height } = (await input.boundingBox())!
    await page.mouse.click(x + width - 18, y + height / 2)
    await page.waitForURL((url) => !url.searchParams.has('resource'))
  })

  test('says where filters leave nothing, and leads back to all calls', async () => {
    await open('/calls?service=nobody&slower=1e999', () => ({ columns: [], values: [] }))
    await page.waitForSelector('text=No call like this in this time')
    expect(site.asked.at(-1)).not.toContain('Infinity')
    await page.click('a:has-text("at all calls")')
    await page.waitForSelector('text=No calls in this time')
  })

  test("MetaFlow's own page tells agents, costs and losses", async () => {
    await open('/metaflow', shop)
    await page.waitForSelector('text=No agent has reported yet')
    const report = (id: string, host: string, lost: number) => ({
      method: 'POST',
      body: JSON.stringify({
        agent: id.repeat(32),
        host,
        family: 'socket',
        version: '1',
        startedAt: Date.now() - 10_000,
        cpuSeconds: 1,
        memoryBytes: 1e8,
        samples: [
          { name: 'capture_dropped_total', help: 'h', labels: { why: 'ring_full' }, value: lost },
          { name: 'flow_dropped_total', help: 'h', labels: { why: 'muted' }, value: 5 },
          { name: 'protocols_tls_connections_total', help: 'h', labels: {}, value: 3 },
        ],
      }),
    })
    await fetch(`${site.url}/v1/agents/status`, report('0', 'north', 12))
    await fetch(`${site.url}/v1/agents/status`, report('1', 'south', 30))
    await page.waitForSelector('text=south')
    expect(await page.textContent('.tile:has-text("Dropped")')).toContain('42')
    expect(await page.textContent('.tile:has-text("TLS")')).toContain('6')
    // All agents count the same things: one row for each, with their sum.
    expect(await page.textContent('section:has(h2:has-text("Losses")) tbody')).toBe(
      'capture_dropped_totalwhy ring_full42',
    )
  })

  test('asks for the token of a server that wants one', async () => {
    await open('/', shop, 'secret')
    await page.fill('input[name=token]', 'wrong 密')
    await page.click('button:has-text("Go on")')
    await page.waitForSelector('text=It does not take this one')
    await page.fill('input[name=token]', 'secret')
    await page.click('button:has-text("Go on")')
    await page.waitForSelector('text=store')
  })

  test('is readable in the dark and on a telephone', async () => {
    await open('/', shop)
    await page.emulateMedia({ colorScheme: 'dark' })
    await page.setViewportSize({ width: 390, height: 800 })
    await page.waitForSelector('text=store')
    for (const path of ['/', '/map', '/calls', '/service/2', '/metaflow']) {
      await page.goto(site.url + path)
      await page.waitForSelector('.card')
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(390)
    }
    await page.goto(`${site.url}/calls`)
    await page.click('tbody tr:first-child td:nth-child(2)')
    await page.waitForSelector('.detail dd')
    const { y, height } = (await page.locator('.detail').boundingBox())!
    expect(y + height).toBeLessThanOrEqual(800)
  })

  test('charts follow when light turns dark', async () => {
    await open('/', shop)
    await page.emulateMedia({ colorScheme: 'light' })
    await page.waitForSelector('.u-wrap canvas')
    // The chart's own words: their colour is given once, when it is made.
    const marker = (): Promise<unknown> =>
      page.evaluate("document.querySelector('.u-series:nth-child(2) .u-marker').style.borderColor")
    const light = await marker()
    await page.emulateMedia({ colorScheme: 'dark' })
    await until(async () => (await marker()) !== light, 5)
  })
})
