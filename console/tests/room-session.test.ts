import { describe, expect, it } from 'vitest'

import { ApiError } from '@/api/client'
import type { Figures } from '@/rooms/figures'
import { RoomConnection, type Phase, type World } from '@/rooms/session'

class FakePeer {
  state: RTCPeerConnectionState = 'connected'
  alive = 0
  frames = 0
  closed = false
  restarts: boolean[] = []
  answer = ''
  ontrack: unknown = null
  localDescription = { sdp: 'v=0 offer' }

  get connectionState(): string {
    return this.state
  }

  createOffer({ iceRestart }: { iceRestart: boolean }): Promise<unknown> {
    this.restarts.push(iceRestart)
    return Promise.resolve({})
  }

  setLocalDescription(): Promise<void> {
    return Promise.resolve()
  }

  setRemoteDescription({ sdp }: { sdp: string }): Promise<void> {
    this.answer = sdp
    return Promise.resolve()
  }

  getStats(): Promise<Map<string, unknown>> {
    return Promise.resolve(
      new Map<string, unknown>([
        ['pair', { type: 'candidate-pair', nominated: true, bytesReceived: this.alive }],
        [
          'in',
          {
            type: 'inbound-rtp',
            kind: 'video',
            framesDecoded: this.frames,
            bytesReceived: this.frames * 1000,
            frameHeight: 540,
            frameWidth: 960,
          },
        ],
      ]),
    )
  }

  close(): void {
    this.closed = true
  }
}

const refusal = (status: number, code: string): ApiError =>
  new ApiError({ type: 'about:blank', title: code, status, detail: '', code })

/** A world whose time passes when the test says so. */
class Script {
  peers: FakePeer[] = []
  offers: string[] = []
  ended: string[] = []
  refusals: ApiError[] = []
  phases: Phase[] = []
  errors: unknown[] = []
  figures: Figures[] = []
  time = 0
  /** Whose certificate the hub's answers name. */
  farEnd = 'AA:01'
  /** What a living hub does to the peer that is there, each 100 ms. */
  flow: (peer: FakePeer) => void = (peer) => {
    peer.alive += 1
    peer.frames += 3
  }
  private timers: { at: number; work: () => void }[] = []

  readonly world: World = {
    peer: () => {
      const peer = new FakePeer()
      this.peers.push(peer)
      return peer as unknown as RTCPeerConnection
    },
    send: (address, _, token) => {
      this.offers.push(`${address} ${token ?? ''}`.trim())
      const refused = this.refusals.shift()
      if (refused) return Promise.reject(refused)
      const answer = `v=0\r\na=fingerprint:sha-256 ${this.farEnd}\r\n`
      return Promise.resolve({ answer, location: '/whep/r/s/1' })
    },
    end: (location) => {
      this.ended.push(location)
      return Promise.resolve()
    },
    later: (work, ms) => {
      const timer = { at: this.time + ms, work }
      this.timers.push(timer)
      return () => {
        this.timers = this.timers.filter((one) => one !== timer)
      }
    },
    now: () => this.time,
  }

  get peer(): FakePeer {
    const last = this.peers.at(-1)
    if (last === undefined) throw new Error('nobody has dialled yet')
    return last
  }

  open(watches = true, token = ''): RoomConnection {
    const connection = new RoomConnection(
      { address: '/whep/r/s?layer=sub', token, watches, prepare: () => undefined },
      {
        phase: (phase, error) => {
          this.phases.push(phase)
          if (error !== undefined) this.errors.push(error)
        },
        figures: (figures) => this.figures.push(figures),
      },
      this.world,
    )
    connection.open()
    return connection
  }

  async pass(ms: number): Promise<void> {
    const until = this.time + ms
    while (this.time < until) {
      this.time += 100
      if (this.peers.length > 0) this.flow(this.peer)
      const due = this.timers.filter((timer) => timer.at <= this.time)
      this.timers = this.timers.filter((timer) => timer.at > this.time)
      for (const timer of due) timer.work()
      for (let i = 0; i < 20; i += 1) await Promise.resolve()
    }
  }
}

describe('a session of a room', () => {
  it('is live with its first picture, and says how long that took and what arrives', async () => {
    const script = new Script()
    const connection = script.open(true, 'room.x')
    await script.pass(2000)
    expect(script.offers).toEqual(['/whep/r/s?layer=sub room.x'])
    expect(script.phases).toEqual(['opening', 'live'])
    expect(connection.firstPictureMs).toBeLessThanOrEqual(1000)
    expect(script.figures.at(-1)).toMatchObject({ height: 540, fps: 30, kbps: 240 })
  })

  it('waits in the waiting room, and goes in by itself', async () => {
    const script = new Script()
    script.refusals = [refusal(403, 'waiting'), refusal(403, 'waiting')]
    script.open(false)
    await script.pass(4000)
    expect(script.phases).toEqual(['opening', 'waiting'])
    await script.pass(3000)
    expect(script.phases.at(-1)).toBe('live')
  })

  it('asks again for a camera that is being started, without calling that a fault', async () => {
    const script = new Script()
    script.refusals = [refusal(503, 'unavailable'), refusal(503, 'unavailable')]
    script.open()
    await script.pass(1000)
    expect(script.phases).toEqual(['opening', 'asking'])
    await script.pass(3000)
    expect(script.phases).toEqual(['opening', 'asking', 'live'])
  })

  it('says that a sender has paused, and does not offer again for that', async () => {
    const script = new Script()
    script.open()
    await script.pass(2000)
    script.flow = (peer) => (peer.alive += 1)
    await script.pass(5000)
    expect(script.phases.at(-1)).toBe('still')
    expect(script.offers).toHaveLength(1)
    script.flow = (peer) => {
      peer.alive += 1
      peer.frames += 3
    }
    await script.pass(1000)
    expect(script.phases.at(-1)).toBe('live')
  })

  it('restarts ICE when nothing at all comes, then replaces the connection in its place', async () => {
    const script = new Script()
    script.open()
    await script.pass(2000)
    script.flow = () => undefined
    await script.pass(7000)
    expect(script.phases.at(-1)).toBe('returning')
    expect(script.peers).toHaveLength(1)
    expect(script.peer.restarts).toEqual([false, true])
    expect(script.offers.at(-1)).toBe('/whep/r/s/1')
    await script.pass(9000)
    expect(script.peers.length).toBeGreaterThan(1)
    expect(script.peers[0]?.closed).toBe(true)
    expect(script.offers.at(-1)).toBe('/whep/r/s/1')
    script.flow = (peer) => {
      peer.alive += 1
      peer.frames += 3
    }
    await script.pass(3000)
    expect(script.phases.at(-1)).toBe('live')
  })

  it('begins anew, on a new connection, when the hub has ended the session meanwhile', async () => {
    const script = new Script()
    script.open()
    await script.pass(1500)
    script.refusals = [refusal(404, 'not-found')]
    script.peer.state = 'failed'
    await script.pass(1500)
    expect(script.offers.slice(-2)).toEqual(['/whep/r/s/1', '/whep/r/s?layer=sub'])
    expect(script.peers.map((peer) => peer.closed)).toEqual([true, false])
    expect(script.peer.restarts).toEqual([false])
  })

  it('makes a new connection at once when another worker answers its restart of ICE', async () => {
    const script = new Script()
    script.open(false)
    await script.pass(1500)
    script.farEnd = 'BB:02'
    script.peer.state = 'failed'
    await script.pass(1500)
    expect(script.offers).toEqual(['/whep/r/s?layer=sub', '/whep/r/s/1', '/whep/r/s/1'])
    expect(script.peers.map((peer) => peer.closed)).toEqual([true, false])
    expect(script.peer.restarts).toEqual([false])
    expect(script.phases.at(-1)).toBe('live')
  })

  it('stays on its connection when the worker that knows it answers the restart', async () => {
    const script = new Script()
    script.open()
    await script.pass(1500)
    script.peer.state = 'disconnected'
    script.flow = () => undefined
    await script.pass(6000)
    script.peer.state = 'connected'
    await script.pass(300)
    expect(script.peers).toHaveLength(1)
    expect(script.peer.restarts).toEqual([false, true])
  })

  it('tries less and less often while nobody answers, and for ever', async () => {
    const script = new Script()
    script.open()
    await script.pass(1500)
    script.refusals = Array.from({ length: 60 }, () => refusal(0, 'offline'))
    script.peer.state = 'failed'
    await script.pass(60_000)
    const tries = script.offers.length
    expect(tries).toBeGreaterThan(6)
    expect(tries).toBeLessThan(16)
    expect(script.phases.at(-1)).toBe('returning')
    script.refusals = []
    await script.pass(10_000)
    expect(script.phases.at(-1)).toBe('live')
  })

  it('is over when it was refused for good', async () => {
    const script = new Script()
    script.refusals = [refusal(403, 'not-allowed')]
    script.open()
    await script.pass(3000)
    expect(script.phases).toEqual(['opening', 'over'])
    expect(script.errors).toHaveLength(1)
    expect(script.offers).toHaveLength(1)
  })

  it('ends at the hub what it opened, also when it was closed before the answer came', async () => {
    const script = new Script()
    await script.pass(100)
    const connection = script.open()
    const closing = connection.close()
    await script.pass(500)
    await closing
    expect(script.ended.filter(Boolean)).toEqual(['/whep/r/s/1'])
    expect(script.peer.closed).toBe(true)
    expect(script.phases).toEqual(['opening', 'over'])
  })
})
