/**
 * One WHIP or WHEP session of a room, which comes back by itself: first by a restart of ICE on the same connection, then by a
 * new connection that takes the session's place, then as a new session; with a growing pause between the tries. A hub that
 * does not know the connection any more gets a new one at once.
 *
 * A connection without any sign of life for some seconds is lost. A picture that stands still on a living connection is
 * not: its sender has paused, and offering again would not bring it back.
 */

import { ApiError } from '@/api/client'
import { endSession, postOffer, type Session } from '@/voice/offer'

import { figuresOf, readStats, type Figures, type Reading } from './figures'

/** `waiting` in the waiting room, `asking` for a picture that is not there yet, `still`: connected, and nothing moves. */
export type Phase = 'opening' | 'waiting' | 'asking' | 'live' | 'still' | 'returning' | 'over'

export interface Wish {
  /** `/whip/ROOM?…` or `/whep/ROOM/SOURCE?…`; of a view that was switched, where it would begin anew. */
  address: string
  /** Of a guest's link; empty for whoever is signed in. */
  token: string
  /** Adds what is sent and what is wanted to a new connection. */
  prepare: (peer: RTCPeerConnection) => void
  /** Whether its phase is told by pictures that arrive; else by the connection alone. */
  watches: boolean
}

export interface Listener {
  phase: (phase: Phase, error?: unknown) => void
  track?: (event: RTCTrackEvent) => void
  figures?: (figures: Figures) => void
}

/** What a session needs of the browser, so that tests bring their own. */
export interface World {
  peer: () => RTCPeerConnection
  send: typeof postOffer
  end: typeof endSession
  later: (work: () => void, ms: number) => () => void
  now: () => number
}

let iceServers: RTCIceServer[] = []

/** The TURN servers of this hub, for all connections from now on. */
export function useIceServers(servers: RTCIceServer[]): void {
  iceServers = servers
}

export const browser: World = {
  peer: () => new RTCPeerConnection({ iceServers, bundlePolicy: 'max-bundle' }),
  send: postOffer,
  end: endSession,
  later(work, ms) {
    const timer = setTimeout(work, ms)
    return () => clearTimeout(timer)
  },
  now: () => performance.now(),
}

const LOOK_MS = 500
const STILL_MS = 3000
/** Connectivity checks of a browser are 2.5 s apart. */
const DEAD_MS = 6000
const CONNECT_MS = 5000
const WAIT_MS = 2500
const FIRST_PAUSE_MS = 400
const MAX_PAUSE_MS = 8000

/** Whose certificate an answer names (RFC 8122): another one is another far end. */
function farEndOf(session: Session | null): string {
  return /^a=fingerprint:(.+)$/m.exec(session?.answer ?? '')?.[1]?.trim() ?? ''
}

/** Refusals that no later try changes; others are answered by trying again. */
const FINAL = [400, 401, 403, 404, 415, 422]

export class RoomConnection {
  /** Milliseconds from the first offer to the first picture; null until it came. */
  firstPictureMs: number | null = null
  private peer: RTCPeerConnection | null = null
  private session: Session | null = null
  private phase: Phase = 'opening'
  private reading: Reading | null = null
  private startedAt = 0
  private dialledAt = 0
  private aliveAt = 0
  private movedAt = 0
  private wasConnected = false
  private tries = 0
  private isOver = false
  private stopTimer = (): void => undefined

  constructor(
    private readonly wish: Wish,
    private readonly listener: Listener,
    private readonly world: World = browser,
  ) {}

  /** Begin; whatever becomes of it is told to the listener. */
  open(): void {
    this.startedAt = this.world.now()
    this.listener.phase('opening')
    void this.dial()
  }

  /** Change what is sent, on the connection there is. */
  get connection(): RTCPeerConnection | null {
    return this.peer
  }

  /** Its name at the hub; empty as long as there is none. */
  get id(): string {
    return this.session?.location.split('/').pop() ?? ''
  }

  /** The hub shows something else on this connection from now on: it begins there when it has to begin anew. */
  switched(address: string): void {
    this.wish.address = address
  }

  /** End it here and at the hub. */
  async close(): Promise<void> {
    const location = this.session?.location ?? ''
    this.finish()
    await this.world.end(location, this.wish.token)
  }

  /** `anew`: on a new connection, whatever stands. */
  private async dial(anew = false): Promise<void> {
    const restarts = !anew && this.peer !== null && this.session !== null && this.tries === 1
    const peer = restarts ? (this.peer as RTCPeerConnection) : this.renew()
    const knew = restarts ? farEndOf(this.session) : ''
    this.dialledAt = this.world.now()
    this.wasConnected = false
    try {
      await peer.setLocalDescription(await peer.createOffer({ iceRestart: restarts }))
      const offer = peer.localDescription?.sdp ?? ''
      const session = await this.send(offer, restarts)
      if (this.isOver || this.peer !== peer) {
        // Closed while the hub answered: what it opened is nobody's.
        if (this.isOver) await this.world.end(session?.location ?? '', this.wish.token)
        return
      }
      this.session = session
      if (session === null || (restarts && farEndOf(session) !== knew)) {
        // Which packet is which layer is said only when a connection begins: who was not there then cannot tell.
        void this.dial(true)
        return
      }
      await peer.setRemoteDescription({ type: 'answer', sdp: session.answer })
    } catch (error) {
      if (this.isOver) return
      this.refused(error)
      return
    }
    this.look()
  }

  /** Null when it `restarts` a session that the hub has ended. */
  private async send(offer: string, restarts: boolean): Promise<Session | null> {
    const { token, address } = this.wish
    if (this.session === null) return this.world.send(address, offer, token)
    try {
      return await this.world.send(this.session.location, offer, token)
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 404) throw error
      // The hub has ended the session meanwhile; the participant may still be welcome.
      this.session = null
      return restarts ? null : this.world.send(address, offer, token)
    }
  }

  private renew(): RTCPeerConnection {
    this.drop()
    const peer = this.world.peer()
    this.peer = peer
    this.reading = null
    peer.ontrack = (event) => this.listener.track?.(event)
    this.wish.prepare(peer)
    return peer
  }

  private refused(error: unknown): void {
    const code = error instanceof ApiError ? error.code : ''
    if (code === 'waiting') {
      this.move('waiting')
      this.again(WAIT_MS)
    } else if (error instanceof ApiError && FINAL.includes(error.status)) {
      this.finish(error)
    } else {
      this.move(code === 'unavailable' && !this.everLive ? 'asking' : 'returning', error)
      this.comeBack()
    }
  }

  private get everLive(): boolean {
    return this.firstPictureMs !== null
  }

  private comeBack(): void {
    this.tries += 1
    const pause = Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (this.tries - 1))
    this.again(this.phase === 'asking' ? Math.min(pause, WAIT_MS) : pause)
  }

  private again(ms: number): void {
    this.stopTimer()
    this.stopTimer = this.world.later(() => void this.dial(), ms)
  }

  private look(): void {
    this.stopTimer()
    if (!this.isOver) this.stopTimer = this.world.later(() => void this.inspect(), LOOK_MS)
  }

  private async inspect(): Promise<void> {
    const peer = this.peer
    if (peer === null || this.isOver) return
    const report = await peer.getStats().catch(() => null)
    if (this.isOver || this.peer !== peer) return
    const now = this.world.now()
    if (report !== null) {
      this.read(readStats(report.values() as Iterable<Record<string, unknown>>, now), now)
    }
    if (this.isLost(peer, now)) {
      this.move('returning')
      this.comeBack()
      return
    }
    if (peer.connectionState === 'connected') this.judge(now)
    this.look()
  }

  private read(reading: Reading, now: number): void {
    const before = this.reading
    if (before === null || reading.alive !== before.alive) this.aliveAt = now
    if (before === null || reading.frames !== before.frames) this.movedAt = now
    if (before !== null) this.listener.figures?.(figuresOf(before, reading))
    this.reading = reading
  }

  private isLost(peer: RTCPeerConnection, now: number): boolean {
    if (peer.connectionState === 'failed' || peer.connectionState === 'closed') return true
    if (peer.connectionState === 'connected') return now - this.aliveAt > DEAD_MS
    return now - this.dialledAt > CONNECT_MS
  }

  private judge(now: number): void {
    if (!this.wasConnected) {
      this.wasConnected = true
      this.aliveAt = this.movedAt = now
    }
    if (!this.wish.watches) {
      this.tries = 0
      this.move('live')
      return
    }
    const frames = this.reading?.frames ?? 0
    if (frames > 0 && now - this.movedAt < STILL_MS) {
      this.firstPictureMs ??= Math.round(now - this.startedAt)
      this.tries = 0
      this.move('live')
    } else if (now - this.movedAt >= STILL_MS) {
      this.move('still')
    }
  }

  private move(phase: Phase, error?: unknown): void {
    if (this.phase === phase) return
    this.phase = phase
    this.listener.phase(phase, error)
  }

  private drop(): void {
    if (this.peer === null) return
    this.peer.ontrack = null
    this.peer.close()
    this.peer = null
  }

  private finish(error?: unknown): void {
    if (this.isOver) return
    this.isOver = true
    this.stopTimer()
    this.drop()
    this.move('over', error)
  }
}
