/**
 * The browser's end of one leg. It watches what arrives: the hub sends 50 packets a second, so a second or two
 * without one means that the media worker or the way to it is gone, and a new offer brings the sound back.
 */

import { ApiError } from '@/api/client'

import { endSession, sendOffer, type Mode, type Session } from './offer'

export type Phase = 'joining' | 'talking' | 'returning' | 'over'

/** From 0 (silence) to 1 (as loud as can be). */
export interface Levels {
  mine: number
  theirs: number
}

export interface Listener {
  phase: (phase: Phase, error?: unknown) => void
  levels: (levels: Levels) => void
  sound: (stream: MediaStream) => void
}

/** What a connection needs of the browser, so that tests bring their own. */
export interface World {
  peer: () => RTCPeerConnection
  send: typeof sendOffer
  end: typeof endSession
  later: (work: () => void, ms: number) => () => void
  now: () => number
}

export const browser: World = {
  peer: () => new RTCPeerConnection({ iceServers: [], bundlePolicy: 'max-bundle' }),
  send: sendOffer,
  end: endSession,
  later(work, ms) {
    const timer = setTimeout(work, ms)
    return () => clearTimeout(timer)
  },
  now: () => performance.now(),
}

const LOOK_MS = 250
const SILENT_MS = 2000
const FIRST_SOUND_MS = 4000
const AGAIN_MS = 600
/** The hub gives a browser 15 s to come back. */
const PATIENCE_MS = 20_000

/** A refusal that no second try changes: the leg is over, or is somebody else's. */
function isFinal(error: unknown): boolean {
  return error instanceof ApiError && error.status >= 400 && error.status < 500
}

export class VoiceConnection {
  readonly leg: string
  readonly mode: Mode
  private readonly microphone: MediaStream | null
  private readonly listener: Listener
  private readonly world: World
  private peer: RTCPeerConnection | null = null
  private session: Session | null = null
  private packets = 0
  private heardAt = 0
  private lostAt: number | null = null
  /** The last offer was not answered: the next look offers again, whatever it hears. */
  private isRefused = false
  private isOver = false
  private stopTimer = (): void => undefined

  constructor(
    leg: string,
    mode: Mode,
    microphone: MediaStream | null,
    listener: Listener,
    world: World = browser,
  ) {
    this.leg = leg
    this.mode = mode
    this.microphone = microphone
    this.listener = listener
    this.world = world
  }

  /** Offer for the first time. Throws what the hub refuses. */
  async open(): Promise<void> {
    this.listener.phase('joining')
    try {
      await this.dial()
    } catch (error) {
      this.finish(error)
      throw error
    }
    this.look()
  }

  /** Hang up. */
  async hangUp(): Promise<void> {
    const location = this.session?.location ?? ''
    this.finish()
    await this.world.end(location)
  }

  /** The leg ended at the hub: nothing is left to be said. */
  close(): void {
    this.finish()
  }

  private async dial(): Promise<void> {
    const peer = this.world.peer()
    this.drop()
    this.peer = peer
    this.packets = 0
    this.heardAt = this.world.now()
    peer.ontrack = ({ streams, track }) => {
      this.listener.sound(streams[0] ?? new MediaStream([track]))
    }
    if (this.mode === 'talk' && this.microphone !== null) {
      for (const track of this.microphone.getAudioTracks()) peer.addTrack(track, this.microphone)
    } else {
      peer.addTransceiver('audio', { direction: 'recvonly' })
    }
    await peer.setLocalDescription(await peer.createOffer())
    const session = await this.world.send(this.leg, this.mode, peer.localDescription?.sdp ?? '')
    if (this.isOver || this.peer !== peer) {
      peer.close()
      return
    }
    this.session = session
    await peer.setRemoteDescription({ type: 'answer', sdp: session.answer })
  }

  private look(): void {
    this.stopTimer()
    if (!this.isOver) this.stopTimer = this.world.later(() => void this.inspect(), LOOK_MS)
  }

  private async inspect(): Promise<void> {
    const peer = this.peer
    if (peer === null || this.isOver) return
    const now = this.world.now()
    const report = await peer.getStats().catch(() => null)
    if (this.isOver) return
    if (report !== null) this.read(report, now)
    const limit = this.packets > 0 ? SILENT_MS : FIRST_SOUND_MS
    const isSilent = now - this.heardAt > limit || peer.connectionState === 'failed'
    if (isSilent || this.isRefused) await this.comeBack(now)
    this.look()
  }

  private read(report: RTCStatsReport, now: number): void {
    const levels: Levels = { mine: 0, theirs: 0 }
    for (const one of report.values() as Iterable<Record<string, unknown>>) {
      if (one.type === 'media-source') levels.mine = Number(one.audioLevel ?? 0)
      if (one.type !== 'inbound-rtp') continue
      levels.theirs = Number(one.audioLevel ?? 0)
      const packets = Number(one.packetsReceived ?? 0)
      if (packets === this.packets) continue
      this.packets = packets
      this.heardAt = now
      if (packets > 0) {
        this.lostAt = null
        this.listener.phase('talking')
      }
    }
    this.listener.levels(levels)
  }

  private async comeBack(now: number): Promise<void> {
    this.lostAt ??= now
    this.listener.phase('returning')
    if (now - this.lostAt > PATIENCE_MS) {
      this.finish(new Error('the sound did not come back'))
      return
    }
    try {
      await this.dial()
      this.isRefused = false
    } catch (error) {
      this.isRefused = true
      if (isFinal(error)) this.finish(error)
      else await new Promise<void>((resolve) => this.world.later(resolve, AGAIN_MS))
    }
  }

  private drop(): void {
    if (this.peer !== null) {
      this.peer.ontrack = null
      this.peer.close()
      this.peer = null
    }
  }

  private finish(error?: unknown): void {
    if (this.isOver) return
    this.isOver = true
    this.stopTimer()
    this.drop()
    this.listener.phase('over', error)
  }
}
