/**
 * Chromium as a far end of WHIP and WHEP, and as an ingest the hub pushes to, without the console: its own WebRTC stack against the hub's. The tests carry
 * offers and answers; commands come as one JSON line each, and each is answered by one.
 *
 *   node e2e/far_end.ts
 */

import { createInterface } from 'node:readline'

import { chromium, type Page } from 'playwright-core'

/** What one connection is to do. `layers` are the heights of simulcast, the best first. */
interface Wish {
  id: string
  publishes: boolean
  height: number
  fps: number
  codec: string
  layers: number[]
  ice: RTCIceServer[]
  relayed: boolean
}

interface End {
  pc: RTCPeerConnection
  firstPictureMs: number | null
  begun: number
}

declare global {
  interface Window {
    ends: Map<string, End>
  }
}

/** In the page: a connection and its offer; candidates are in it only where a relay is to be used. */
async function open(wish: Wish): Promise<string> {
  const pc = new RTCPeerConnection({
    bundlePolicy: 'max-bundle',
    iceServers: wish.ice,
    iceTransportPolicy: wish.relayed ? 'relay' : 'all',
  })
  const end: End = { pc, firstPictureMs: null, begun: 0 }
  window.ends.set(wish.id, end)
  if (wish.publishes) {
    const width = (wish.height * 16) / 9
    const stream = await navigator.mediaDevices.getUserMedia({
      video: { width: { exact: width }, height: { exact: wish.height }, frameRate: wish.fps },
    })
    const [track] = stream.getVideoTracks()
    if (track === undefined) throw new Error('no camera')
    track.contentHint = 'motion'
    const sender = pc.addTransceiver(track, {
      direction: 'sendonly',
      sendEncodings:
        wish.layers.length === 0
          ? [{ maxBitrate: 5_000_000 }]
          : wish.layers.map((height, place) => ({
              rid: ['h', 'm', 'l'][place] ?? String(place),
              scaleResolutionDownBy: wish.height / height,
              maxBitrate: height > 540 ? 4_000_000 : 900_000,
            })),
    })
    const known = RTCRtpSender.getCapabilities('video')?.codecs ?? []
    sender.setCodecPreferences(
      known.filter(({ mimeType }) => [`video/${wish.codec}`, 'video/rtx'].includes(mimeType)),
    )
  } else {
    const picture = document.createElement('video')
    picture.muted = picture.autoplay = true
    picture.width = 320
    document.body.append(picture)
    picture.requestVideoFrameCallback((now) => {
      end.firstPictureMs = now - end.begun
    })
    pc.addEventListener('track', ({ track }) => {
      picture.srcObject = new MediaStream([track])
    })
    pc.addTransceiver('video', { direction: 'recvonly' })
  }
  await pc.setLocalDescription()
  if (wish.relayed) {
    await new Promise<void>((done) => {
      const look = (): void => {
        if (pc.iceGatheringState === 'complete') done()
      }
      pc.addEventListener('icegatheringstatechange', look)
      look()
    })
  }
  return pc.localDescription?.sdp ?? ''
}

/** In the page: a connection that answers an offer to publish, and shows what comes. */
async function answer({ id, sdp }: { id: string; sdp: string }): Promise<string> {
  const pc = new RTCPeerConnection({ iceServers: [] })
  window.ends.set(id, { pc, firstPictureMs: null, begun: 0 })
  const picture = document.createElement('video')
  picture.muted = picture.autoplay = true
  picture.width = 320
  document.body.append(picture)
  pc.addEventListener('track', ({ track }) => {
    picture.srcObject = new MediaStream([track])
  })
  await pc.setRemoteDescription({ type: 'offer', sdp })
  await pc.setLocalDescription()
  await new Promise<void>((done) => {
    const look = (): void => {
      if (pc.iceGatheringState === 'complete') done()
    }
    pc.addEventListener('icegatheringstatechange', look)
    look()
  })
  return pc.localDescription?.sdp ?? ''
}

async function accept({ id, sdp }: { id: string; sdp: string }): Promise<void> {
  const end = window.ends.get(id)
  if (end === undefined) throw new Error(`no connection ${id}`)
  end.begun = performance.now()
  await end.pc.setRemoteDescription({ type: 'answer', sdp })
}

/** In the page: new ICE credentials, which the far end has to take over. */
async function restart(id: string): Promise<string> {
  const pc = window.ends.get(id)?.pc
  if (pc === undefined) throw new Error(`no connection ${id}`)
  await pc.setLocalDescription(await pc.createOffer({ iceRestart: true }))
  return pc.localDescription?.sdp ?? ''
}

/** In the page: everything it says of itself. */
async function stats(id: string): Promise<unknown> {
  const end = window.ends.get(id)
  if (end === undefined) throw new Error(`no connection ${id}`)
  const all = [...(await end.pc.getStats()).values()] as Record<string, unknown>[]
  return { state: end.pc.connectionState, firstPictureMs: end.firstPictureMs, all }
}

function close(id: string): void {
  window.ends.get(id)?.pc.close()
  window.ends.delete(id)
}

type Command = { do: string; id: string; sdp: string } & Wish

async function carryOut(page: Page, command: Command): Promise<unknown> {
  switch (command.do) {
    case 'open':
      return page.evaluate(open, command)
    case 'answer':
      return page.evaluate(answer, command)
    case 'accept':
      return page.evaluate(accept, command)
    case 'restart':
      return page.evaluate(restart, command.id)
    case 'stats':
      return page.evaluate(stats, command.id)
    case 'close':
      return page.evaluate(close, command.id)
    default:
      throw new Error(`no step ${command.do}`)
  }
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
      '--autoplay-policy=no-user-gesture-required',
      '--disable-features=WebRtcHideLocalIpsWithMdns',
      `--use-fake-device-for-media-stream=fps=${process.env.CAMERA_FPS ?? '30'}`,
      '--use-fake-ui-for-media-stream',
    ],
  })
  const page = await browser.newPage()
  // A page of this machine may open a camera, and needs no server for it.
  await page.route('http://localhost/', (route) =>
    route.fulfill({ contentType: 'text/html', body: '<!doctype html>' }),
  )
  await page.goto('http://localhost/')
  await page.evaluate(() => {
    window.ends = new Map()
  })
  for await (const line of createInterface({ input: process.stdin })) {
    const command = JSON.parse(line) as Command
    let answer: unknown
    try {
      answer = { ok: (await carryOut(page, command)) ?? null }
    } catch (error) {
      answer = { failed: String(error) }
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`)
  }
  await browser.close()
}

await main()
