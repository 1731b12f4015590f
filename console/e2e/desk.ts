/**
 * A dispatcher in a real browser at a real hub, driven step by step over standard input and output by the end-to-end
 * tests: one JSON command a line in, one JSON answer a line out.
 *
 *   node e2e/desk.ts URL
 */

import { createInterface } from 'node:readline'

import { chromium, type Page } from 'playwright-core'

const [hub = 'http://127.0.0.1:8000'] = process.argv.slice(2)
/** A busy machine with two cores runs three browsers, a hub and its simulators. */
const PATIENCE_MS = 45_000

/** A WAV file that is this browser's microphone; it plays again and again. */
const MICROPHONE = process.env.MICROPHONE

type Command = Record<string, string>

declare global {
  interface Window {
    heard: MediaStream | null
    ear: AnalyserNode | null
    peers: RTCPeerConnection[]
    frames: Map<RTCPeerConnection, number>
  }
}

/** In the page: remember what every connection hears, so that a step can listen to it, and all connections. */
function eavesdrop(): void {
  window.heard = null
  window.ear = null
  window.peers = []
  window.frames = new Map()
  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(...args: ConstructorParameters<typeof RTCPeerConnection>) {
      super(...args)
      window.peers.push(this)
      this.addEventListener('track', ({ streams, track }) => {
        if (track.kind !== 'audio') return
        window.heard = streams[0] ?? new MediaStream([track])
        window.ear = null
      })
    }
  }
}

/** In the page: whether a tone stands 20 dB out of what is heard now, measured from the median of the spectrum. */
function isHeard(tone: number): boolean {
  if (window.heard === null) return false
  if (window.ear === null) {
    const context = new AudioContext()
    const ear = context.createAnalyser()
    ear.fftSize = 32768
    ear.smoothingTimeConstant = 0
    context.createMediaStreamSource(window.heard).connect(ear)
    window.ear = ear
  }
  const bins = new Float32Array(window.ear.frequencyBinCount)
  window.ear.getFloatFrequencyData(bins)
  const width = window.ear.context.sampleRate / window.ear.fftSize
  const near = Math.round(tone / width)
  const speech = [...bins.slice(Math.round(200 / width), Math.round(3400 / width))].sort(
    (a, b) => a - b,
  )
  const floor = speech[Math.floor(speech.length / 2)] ?? 0
  return Math.max(...bins.slice(near - 3, near + 4)) >= Math.max(floor, -120) + 20
}

/** In the page: how many pictures grew by decoded frames since this was asked last, of those at least so high. */
async function growing(height: number): Promise<number> {
  let count = 0
  for (const peer of window.peers) {
    if (peer.connectionState !== 'connected') continue
    for (const stat of (await peer.getStats()).values() as Iterable<Record<string, unknown>>) {
      if (stat.type !== 'inbound-rtp' || stat.kind !== 'video') continue
      const frames = Number(stat.framesDecoded)
      const before = window.frames.get(peer)
      window.frames.set(peer, frames)
      const grew = before !== undefined && frames > before
      if (grew && Number(stat.frameHeight) >= height) count += 1
    }
  }
  return count
}

const steps: Record<string, (page: Page, command: Command) => Promise<unknown>> = {
  async signIn(page, { name, password }) {
    await page.goto(`${hub}/login`)
    await page.locator('input[name=username]').fill(name)
    await page.locator('input[name=password]').fill(password)
    await page.locator('button[type=submit]').click()
    await page.waitForURL('**/desk')
  },

  /** The row of an incident in the queue, by its number or title. */
  async open(page, { text }) {
    await page.locator('.row', { hasText: text }).first().click()
    await page.keyboard.press('o')
    await page.locator('.item').first().waitFor()
  },

  async sees(page, { text }) {
    await page.getByText(text).first().waitFor()
  },

  /** Choose endpoints in the address book and press the key for a group call. */
  async call(page, { endpoints }) {
    for (const endpoint of endpoints.split(',')) {
      await page.locator(`.chips button[title$="${endpoint}"]`).first().click()
    }
    await page.keyboard.press('g')
  },

  async legsConnected(page, { count }) {
    await page
      .locator('.leg .tone-green')
      .nth(Number(count) - 1)
      .waitFor()
  },

  /** The tone is heard in what arrives by WebRTC: at least 20 dB over the floor. */
  async hears(page, { tone }) {
    await page.waitForFunction(isHeard, Number(tone), { polling: 100 })
  },

  /** At least so many pictures are decoded now, each at least so high; answers how many. */
  async decodes(page, { count, height }) {
    const until = Date.now() + PATIENCE_MS
    for (;;) {
      const found = await page.evaluate(growing, Number(height))
      if (found >= Number(count)) return found
      if (Date.now() > until) throw new Error(`${found} of ${count} pictures move`)
      await page.waitForTimeout(500)
    }
  },

  async go(page, { path }) {
    await page.goto(new URL(path, hub).href)
  },

  async fill(page, { selector, text }) {
    await page.locator(selector).first().fill(text)
  },

  /** Drag one thing onto another, with a real mouse. */
  async drag(page, { from, to }) {
    await page.locator(from).first().dragTo(page.locator(to).first())
  },

  /** One of the things in an open menu. */
  async choose(page, { text }) {
    await page.locator('.el-dropdown-menu__item:visible', { hasText: text }).first().click()
  },

  /** The values of an attribute, in the order of the page. */
  async attributes(page, { selector, name }) {
    return page
      .locator(selector)
      .evaluateAll((all, of) => all.map((one) => one.getAttribute(of)), name)
  },

  /** So many of these can be seen, neither more nor fewer. */
  async shows(page, { selector, count }) {
    const nth = Number(count)
    if (nth > 0)
      await page
        .locator(selector)
        .nth(nth - 1)
        .waitFor()
    await page.locator(selector).nth(nth).waitFor({ state: 'hidden' })
  },

  async attribute(page, { selector, name }) {
    return page.locator(selector).first().getAttribute(name)
  },

  async value(page, { selector }) {
    return page.locator(selector).first().inputValue()
  },

  async where(page) {
    return page.url()
  },

  async picture(page, { file }) {
    await page.screenshot({ path: file })
  },

  async text(page, { selector }) {
    return page.locator(selector).first().innerText()
  },

  async reload(page) {
    await page.reload()
  },

  async press(page, { key }) {
    await page.keyboard.press(key)
  },

  /** 强拆: by the menu of a leg. */
  async release(page, { endpoint }) {
    await page.locator('.call .leg', { hasText: endpoint }).first().locator('.leg-more').click()
    await page.locator('.leg-menu:visible li', { hasText: '强拆' }).click()
  },

  async type(page, { text }) {
    await page.keyboard.type(text)
  },

  async click(page, { selector }) {
    await page.locator(selector).first().click()
  },
}

async function main(): Promise<void> {
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
      ...(MICROPHONE
        ? [
            '--use-fake-device-for-media-stream',
            '--use-fake-ui-for-media-stream',
            `--use-file-for-fake-audio-capture=${MICROPHONE}`,
          ]
        : []),
    ],
  })
  const page = await browser.newPage({
    viewport: { width: 1920, height: 1080 },
    locale: 'zh-CN',
    timezoneId: 'Asia/Shanghai',
  })
  page.setDefaultTimeout(PATIENCE_MS)
  if (MICROPHONE) await page.addInitScript(eavesdrop)
  const errors: string[] = []
  page.on('pageerror', (error) => errors.push(error.message))
  for await (const line of createInterface({ input: process.stdin })) {
    const command = JSON.parse(line) as Command
    const step = steps[command.do]
    let answer: unknown
    try {
      answer = step
        ? { ok: (await step(page, command)) ?? null, errors }
        : { failed: `no step ${command.do}` }
    } catch (error) {
      answer = { failed: String(error), errors, at: page.url() }
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`)
  }
  await browser.close()
}

await main()
