/**
 * `npm run screenshots [DIRECTORY] [name …]`: pictures of the main screens with the fake hub, to be looked at.
 * Needs the built console and a Chromium at CHROMIUM (default /usr/bin/chromium).
 */

import { spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import axe from 'axe-core'
import { chromium, type Browser, type Page } from 'playwright-core'

import {
  crowd,
  guest,
  HUB,
  join,
  mapPane,
  meeting,
  pictures,
  platforms,
  PORT,
  remoteCamera,
  rooms,
  signIn,
  speaker,
  strip,
  wall,
} from './room-shots.ts'

const [directory = 'screenshots', ...only] = process.argv.slice(2)

interface Shot {
  name: string
  size: [number, number]
  theme?: 'dark' | 'light'
  locale?: 'zh-CN' | 'en'
  scene: (page: Page) => Promise<void>
}

async function placeCall(page: Page): Promise<void> {
  await page.locator('.row', { hasText: '厨房冒烟' }).first().click()
  for (const endpoint of ['sip:1002', 'sip:1003', 'radio:r12']) {
    await page.locator(`.chips button[title$="${endpoint}"]`).first().click()
  }
  await page.keyboard.press('g')
  await page.locator('.leg .tone-vermillion').first().waitFor()
  await page.locator('.leg', { hasText: '孙磊' }).locator('.tone-green').first().waitFor()
}

async function desk(page: Page): Promise<void> {
  await signIn(page)
  await placeCall(page)
  await page.waitForTimeout(1200)
}

/** One leg listens, one is on hold, a radio talks while another waits; the menu of a leg is open. */
async function control(page: Page): Promise<void> {
  await desk(page)
  await page.locator('.leg').first().locator('.leg-more').click()
  await page.locator('.leg-menu:visible li').first().click()
  await page.locator('.floor .key').first().waitFor()
  await page.locator('.queue .waiting').first().waitFor()
  await page.locator('.leg').nth(1).locator('.leg-more').click()
  await page.waitForTimeout(400)
}

/** A voice menu is answered: the keypad of a leg is open, three keys were pressed. */
async function keypad(page: Page): Promise<void> {
  await desk(page)
  await page.locator('.leg', { hasText: '孙磊' }).first().locator('.dial').click()
  await page.keyboard.type('12#')
  await page.locator('.pad output', { hasText: '12#' }).waitFor()
}

async function incident(page: Page): Promise<void> {
  await desk(page)
  await page.locator('.call .number').first().click()
  await page.keyboard.press('o')
  await page.locator('.item').first().waitFor()
  await page.locator('button[title="全屏查看"], button[title="Full page"]').click()
  await page.waitForURL('**/incidents/**')
  await page.locator('.item .more').last().click()
  await page.waitForTimeout(400)
}

/** Two callers wait at the duty number, one was missed; one's phone rings elsewhere. */
async function duty(page: Page): Promise<void> {
  await desk(page)
  await page.request.get(`${HUB}/fake/duty`)
  await page.locator('.duty .answer').nth(1).waitFor()
  await page.waitForTimeout(1200)
}

/** The link to the district broke: the banner on the desk, what that makes unreachable, and the page of all neighbours. */
async function linkDown(page: Page): Promise<void> {
  await signIn(page)
  await page.request.get(`${HUB}/fake/cut`)
  await page.locator('.banner[data-peer]').waitFor()
  await page.locator('.panel .search input').last().fill('district-1')
  await page.waitForTimeout(1500)
}

async function tiers(page: Page): Promise<void> {
  await signIn(page)
  await page.request.get(`${HUB}/fake/mend`)
  await page.goto(`${HUB}/tiers/district-1`)
  await page.locator('tr[data-peer]').first().waitFor()
  await page.locator('aside .fold li').first().waitFor()
  await page.waitForTimeout(500)
}

async function tiersDown(page: Page): Promise<void> {
  await tiers(page)
  await page.request.get(`${HUB}/fake/cut`)
  await page.locator('tr[data-peer=district-1] .tone-vermillion').waitFor()
  await page.locator('.marks').click()
  await page.waitForTimeout(500)
}

/** An incident that was reported up, with departments that come and a supervision. */
async function shared(page: Page): Promise<void> {
  await signIn(page)
  await page.request.get(`${HUB}/fake/mend`)
  await page.locator('.row', { hasText: '滨河路' }).first().click()
  await page.keyboard.press('o')
  await page.locator('button[title="全屏查看"], button[title="Full page"]').click()
  await page.waitForURL('**/incidents/**')
  await page.locator('[data-supervision]').waitFor()
  await page.waitForTimeout(500)
}

async function whistle(page: Page): Promise<void> {
  await shared(page)
  await page.locator('.tier-bar .whistle').click()
  await page.locator('.unit').nth(1).click()
  await page.waitForTimeout(300)
}

/** The meeting is joined with the district's: its pictures, the way they came, one refused. */
async function joined(page: Page): Promise<void> {
  await meeting(page)
  await page.locator('.invite-key').click()
  const row = page.locator('[data-peer=district-1]')
  if (await row.locator('.join-hub').isVisible()) await row.locator('.join-hub').click()
  await row.locator('.tone-green').first().waitFor()
  await page.waitForTimeout(800)
}

async function joinedTiles(page: Page): Promise<void> {
  await joined(page)
  await page.keyboard.press('Escape')
  await page.locator('.origin').first().waitFor()
  await pictures(page, 6)
  await page.waitForTimeout(500)
}

/** In Chinese on a large screen, in English on a small one. */
function both(name: string, scene: Shot['scene']): Shot[] {
  return [
    { name, size: [1920, 1080], scene },
    { name: `${name}-en`, size: [1366, 768], theme: 'light', locale: 'en', scene },
  ]
}

const SHOTS: Shot[] = [
  ...both('rooms', rooms),
  ...both('join', join),
  ...both('meeting', meeting),
  ...both('meeting-crowd', crowd),
  ...both('platforms', platforms),
  ...both('remote-camera', remoteCamera),
  ...both('speaker', speaker),
  ...both('meeting-strip', strip),
  ...both('wall', wall),
  ...both('map-pane', mapPane),
  ...both('guest', guest),
  ...both('tier-link-down', linkDown),
  ...both('tiers', tiers),
  ...both('tiers-down', tiersDown),
  ...both('tier-incident', shared),
  ...both('tier-whistle', whistle),
  ...both('tier-join', joined),
  ...both('tier-meeting', joinedTiles),
  {
    name: 'login',
    size: [1920, 1080],
    scene: async (page) => {
      await page.goto(`${HUB}/login`)
      await page.locator('input[name=username]').fill('chen')
      await page.locator('input[name=password]').fill('wrong')
      await page.locator('button[type=submit]').click()
      await page.locator('.error').waitFor()
    },
  },
  { name: 'desk-dark-zh', size: [1920, 1080], scene: desk },
  { name: 'desk-light-en', size: [1920, 1080], theme: 'light', locale: 'en', scene: desk },
  { name: 'desk-1366', size: [1366, 768], scene: desk },
  { name: 'desk-4k', size: [3840, 2160], scene: desk },
  { name: 'incident-dark-zh', size: [1920, 1080], scene: incident },
  { name: 'incident-light-en', size: [1920, 1080], theme: 'light', locale: 'en', scene: incident },
  { name: 'duty', size: [1920, 1080], scene: duty },
  { name: 'duty-en', size: [1366, 768], theme: 'light', locale: 'en', scene: duty },
  { name: 'keypad', size: [1920, 1080], scene: keypad },
  { name: 'keypad-en', size: [1366, 768], theme: 'light', locale: 'en', scene: keypad },
  { name: 'call-control', size: [1920, 1080], scene: control },
  { name: 'call-control-en', size: [1366, 768], theme: 'light', locale: 'en', scene: control },
  {
    name: 'desk-incident-1366',
    size: [1366, 768],
    scene: async (page) => {
      await desk(page)
      await page.keyboard.press('o')
      await page.locator('.item').first().waitFor()
      await page.waitForTimeout(400)
    },
  },
  {
    name: 'dispatch',
    size: [1920, 1080],
    scene: async (page) => {
      await signIn(page)
      await page.locator('.row', { hasText: '井盖' }).first().click()
      await page.keyboard.press('o')
      await page.locator('.item').first().waitFor()
      await page.getByRole('button', { name: '派遣', exact: true }).click()
      await page.locator('.choices label').first().waitFor()
      await page.waitForTimeout(300)
    },
  },
  {
    name: 'devices',
    size: [1920, 1080],
    scene: async (page) => {
      await signIn(page)
      await page.goto(`${HUB}/devices/b7`)
      await page.locator('tbody tr').first().waitFor()
      await page.waitForTimeout(300)
    },
  },
  {
    name: 'rules',
    size: [1920, 1080],
    scene: async (page) => {
      await signIn(page)
      await page.goto(`${HUB}/rules`)
      await page.locator('.run').click()
      await page.locator('.trace').waitFor()
    },
  },
  {
    name: 'palette',
    size: [1920, 1080],
    scene: async (page) => {
      await signIn(page)
      await page.keyboard.press('Control+k')
      await page.keyboard.type('燃气')
      await page.waitForTimeout(200)
    },
  },
  {
    name: 'report',
    size: [1920, 1080],
    scene: async (page) => {
      await signIn(page)
      await page.keyboard.press('n')
      await page.waitForTimeout(400)
    },
  },
]

/** Say what axe finds: contrast, names, roles. */
async function audit(page: Page, name: string): Promise<void> {
  await page.evaluate(axe.source)
  const found = await page.evaluate(() =>
    (globalThis as unknown as { axe: typeof axe }).axe.run({ resultTypes: ['violations'] }),
  )
  for (const { id, nodes } of found.violations) {
    console.log(
      `${name}: axe ${id} (${nodes.length}): ${nodes.map((node) => node.html.slice(0, 120)).join(' ¦ ')}`,
    )
  }
}

async function take(browser: Browser, shot: Shot): Promise<void> {
  const [width, height] = shot.size
  const context = await browser.newContext({ viewport: { width, height } })
  const preferences = { locale: shot.locale ?? 'zh-CN', theme: shot.theme ?? 'dark' }
  await context.addInitScript((text) => {
    globalThis.localStorage.setItem('commhub.preferences', text)
  }, JSON.stringify(preferences))
  const page = await context.newPage()
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) console.log(shot.name, message.text())
  })
  page.on('pageerror', (error) => console.log(shot.name, error.message))
  page.setDefaultTimeout(15_000)
  try {
    await shot.scene(page)
  } catch (error) {
    console.log(shot.name, String(error).split('\n')[0])
    process.exitCode = 1
  }
  await audit(page, shot.name)
  await page.screenshot({ path: `${directory}/${shot.name}.png` })
  await context.close()
}

mkdirSync(directory, { recursive: true })
const server = spawn(
  process.execPath,
  [fileURLToPath(new URL('server.ts', import.meta.url)), String(PORT)],
  {
    stdio: ['ignore', 'pipe', 'inherit'],
  },
)
await new Promise((resolve) => server.stdout.once('data', resolve))
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--use-fake-device-for-media-stream',
    '--use-fake-ui-for-media-stream',
  ],
})
try {
  for (const shot of SHOTS) {
    if (only.length === 0 || only.includes(shot.name)) await take(browser, shot)
  }
} finally {
  await browser.close()
  server.kill()
}
