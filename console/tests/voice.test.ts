import { createPinia, setActivePinia } from 'pinia'
import { beforeEach, describe, expect, it, vi } from 'vitest'

import { ApiError } from '@/api/client'
import { useLive } from '@/stores/live'
import { useSession } from '@/stores/session'
import {
  VoiceConnection,
  type Levels,
  type Listener,
  type Phase,
  type World,
} from '@/voice/connection'
import { MicrophoneError, openMicrophone } from '@/voice/microphone'
import { useVoice } from '@/voice/useVoice'

import { call, leg } from './things'

class FakePeer {
  packets = 0
  state = 'connected'
  closed = false
  sending: string[] = []
  ontrack: unknown = null
  localDescription = { sdp: 'v=0 offer' }
  answer = ''

  get connectionState(): string {
    return this.state
  }

  addTrack(): void {
    this.sending.push('track')
  }

  addTransceiver(_: string, init: { direction: string }): void {
    this.sending.push(init.direction)
  }

  createOffer(): Promise<unknown> {
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
        ['a', { type: 'media-source', audioLevel: 0.5 }],
        ['b', { type: 'inbound-rtp', audioLevel: 0.25, packetsReceived: this.packets }],
      ]),
    )
  }

  close(): void {
    this.closed = true
  }
}

/** A world whose time passes when the test says so. */
class Script {
  peers: FakePeer[] = []
  offers: string[] = []
  ended: string[] = []
  refusals: ApiError[] = []
  time = 0
  private timers: { at: number; work: () => void }[] = []

  readonly world: World = {
    peer: () => {
      const peer = new FakePeer()
      this.peers.push(peer)
      return peer as unknown as RTCPeerConnection
    },
    send: (id, mode) => {
      this.offers.push(`${mode} ${id}`)
      const refusal = this.refusals.shift()
      if (refusal) return Promise.reject(refusal)
      return Promise.resolve({ answer: 'v=0 answer', location: `/whip/${id}/s` })
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

  /** Let time pass, 50 ms a step; `packets` arrive in each. */
  async pass(ms: number, packets = 0): Promise<void> {
    for (let left = ms; left > 0; left -= 50) {
      this.time += 50
      const last = this.peers.at(-1)
      if (last) last.packets += packets
      const due = this.timers.filter((timer) => timer.at <= this.time)
      this.timers = this.timers.filter((timer) => timer.at > this.time)
      for (const timer of due) timer.work()
      for (let i = 0; i < 12; i++) await Promise.resolve()
    }
  }
}

function refusal(status: number): ApiError {
  return new ApiError({ type: '', title: '', status, detail: '', code: 'x' })
}

class Ear {
  phases: Phase[] = []
  levels: Levels = { mine: 0, theirs: 0 }
  error: unknown = null

  readonly listener: Listener = {
    phase: (phase, error) => {
      if (this.phases.at(-1) !== phase) this.phases.push(phase)
      if (error !== undefined) this.error = error
    },
    levels: (levels) => (this.levels = levels),
    sound: () => undefined,
  }
}

describe('a voice connection', () => {
  let script: Script
  let ear: Ear
  let connection: VoiceConnection

  beforeEach(() => {
    script = new Script()
    ear = new Ear()
    connection = new VoiceConnection('l1', 'talk', null, ear.listener, script.world)
  })

  it('talks as soon as sound arrives, and measures it', async () => {
    await connection.open()
    await script.pass(500, 1)
    expect(ear.phases).toEqual(['joining', 'talking'])
    expect(ear.levels).toEqual({ mine: 0.5, theirs: 0.25 })
    expect(script.peers[0]?.answer).toBe('v=0 answer')
  })

  it('offers again within three seconds of the last packet, and talks on', async () => {
    await connection.open()
    await script.pass(1000, 1)
    await script.pass(3000, 0)
    expect(ear.phases).toEqual(['joining', 'talking', 'returning'])
    expect(script.offers.length).toBeGreaterThan(1)
    expect(script.peers[0]?.closed).toBe(true)
    await script.pass(1000, 1)
    expect(ear.phases.at(-1)).toBe('talking')
  })

  it('tries on while the hub is away, and comes back when it is', async () => {
    await connection.open()
    await script.pass(1000, 1)
    script.refusals = [refusal(0), refusal(503), refusal(0)]
    await script.pass(6000, 0)
    expect(script.offers.length).toBeGreaterThanOrEqual(5)
    await script.pass(1000, 1)
    expect(ear.phases.at(-1)).toBe('talking')
  })

  it('is over when the hub says that the leg is', async () => {
    await connection.open()
    await script.pass(1000, 1)
    script.refusals = [refusal(404)]
    await script.pass(3000, 0)
    expect(ear.phases.at(-1)).toBe('over')
    const offers = script.offers.length
    await script.pass(5000, 0)
    expect(script.offers.length).toBe(offers)
  })

  it('gives up after the time the hub gives it', async () => {
    await connection.open()
    await script.pass(1000, 1)
    script.refusals = Array.from({ length: 200 }, () => refusal(0))
    await script.pass(30_000, 0)
    expect(ear.phases.at(-1)).toBe('over')
    expect(ear.error).toBeInstanceOf(Error)
  })

  it('hangs up at the hub and stops looking', async () => {
    await connection.open()
    await script.pass(500, 1)
    await connection.hangUp()
    expect(script.ended).toEqual(['/whip/l1/s'])
    expect(script.peers[0]?.closed).toBe(true)
    expect(ear.phases.at(-1)).toBe('over')
  })

  it('only receives when it listens', async () => {
    const listening = new VoiceConnection('l2', 'listen', null, ear.listener, script.world)
    await listening.open()
    expect(script.peers[0]?.sending).toEqual(['recvonly'])
    expect(script.offers).toEqual(['listen l2'])
  })

  it('throws what the hub refuses at first', async () => {
    script.refusals = [refusal(422)]
    await expect(connection.open()).rejects.toBeInstanceOf(ApiError)
    expect(ear.phases.at(-1)).toBe('over')
  })
})

describe('the microphone', () => {
  function browserWith(getUserMedia: (() => Promise<MediaStream>) | null): void {
    vi.stubGlobal('navigator', {
      mediaDevices: getUserMedia === null ? undefined : { getUserMedia },
    })
  }

  it.each([
    ['NotAllowedError', 'denied'],
    ['NotFoundError', 'missing'],
    ['NotReadableError', 'busy'],
  ])('says why there is none: %s', async (name, trouble) => {
    browserWith(() => Promise.reject(new DOMException('', name)))
    await expect(openMicrophone()).rejects.toMatchObject({ trouble })
    vi.unstubAllGlobals()
  })

  it('says that the page is not secure', async () => {
    browserWith(null)
    await expect(openMicrophone()).rejects.toBeInstanceOf(MicrophoneError)
    await expect(openMicrophone()).rejects.toMatchObject({ trouble: 'insecure' })
    vi.unstubAllGlobals()
  })
})

describe('the desk', () => {
  beforeEach(() => {
    setActivePinia(createPinia())
    sessionStorage.clear()
    useSession().principal = {
      id: 'u',
      name: 'chen',
      kind: 'user',
      display_name: '',
      roles: ['dispatcher'],
    }
  })

  it('rings when its own endpoint is called, and only then', () => {
    const live = useLive()
    const voice = useVoice()
    live.state.calls.c1 = call({
      legs: [
        leg({ id: 'a', endpoint: 'desk:wang', state: 'ringing' }),
        leg({ id: 'b', endpoint: 'desk:chen', state: 'ringing' }),
      ],
    })
    expect(voice.ringing.map((one) => one.leg.id)).toEqual(['b'])
    live.state.calls.c1 = call({ legs: [leg({ endpoint: 'desk:chen', state: 'ended' })] })
    expect(voice.ringing).toEqual([])
  })

  it('says why it cannot join, and forgets it when told', async () => {
    const voice = useVoice()
    vi.stubGlobal('navigator', { mediaDevices: undefined })
    await voice.join(call())
    vi.unstubAllGlobals()
    expect(voice.trouble).toBe('insecure')
    expect(voice.isBusy).toBe(false)
    voice.forgive()
    expect(voice.trouble).toBeNull()
  })
})
