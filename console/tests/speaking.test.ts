import { createPinia, setActivePinia } from 'pinia'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { effectScope, nextTick, ref, type EffectScope } from 'vue'

import type { RoomView, SpeakerView } from '@/api/rooms'
import type { Listener, Wish } from '@/rooms/session'
import { HOLD_MS, personOf, useSpeaker, type SpeakerState } from '@/rooms/speaker'
import { useHearing } from '@/stores/hearing'
import { useLive } from '@/stores/live'
import { useMeeting } from '@/stores/meeting'

import { person, room, source } from './room-things'

interface Made {
  wish: Wish
  listener: Listener
  closed: boolean
}

const hub = vi.hoisted(() => ({ made: [] as Made[] }))

vi.mock('@/rooms/session', () => ({
  useIceServers: () => undefined,
  RoomConnection: class {
    private readonly made: Made
    constructor(wish: Wish, listener: Listener) {
      this.made = { wish, listener, closed: false }
      hub.made.push(this.made)
    }
    open(): void {
      this.made.listener.phase('opening')
    }
    close(): Promise<void> {
      this.made.closed = true
      return Promise.resolve()
    }
  },
}))

const meeting = room({
  participants: [person('li'), person('wang'), person('phone', { kind: 'phone' })],
  sources: [source('s-li', 'li'), source('s-wang', 'wang')],
})
const by = (participant_id: string | null, source_id: string | null = null): SpeakerView => ({
  source_id,
  participant_id,
})

beforeEach(() => {
  setActivePinia(createPinia())
  hub.made.length = 0
})

describe('who speaks', () => {
  let scope: EffectScope
  let state: SpeakerState
  const told = ref<SpeakerView | null>(null)

  beforeEach(() => {
    vi.useFakeTimers()
    told.value = null
    scope = effectScope()
    state = scope.run(() =>
      useSpeaker(
        () => meeting,
        () => told.value,
      ),
    ) as SpeakerState
  })
  afterEach(() => {
    scope.stop()
    vi.useRealTimers()
  })

  async function speaks(who: SpeakerView): Promise<void> {
    told.value = who
    await nextTick()
  }

  it('is a participant, named by a picture or, for phones and radios, by themselves', () => {
    expect(personOf(meeting, by(null, 's-li'))?.id).toBe('li')
    expect(personOf(meeting, by('phone'))?.id).toBe('phone')
    expect(personOf(meeting, by('of yesterday'))).toBeNull()
    expect(personOf(meeting, by(null))).toBeNull()
  })

  it('is marked at once, and shown large for two seconds at least', async () => {
    await speaks(by(null, 's-li'))
    expect(state.shown.value).toBe('li')
    await speaks(by('phone'))
    expect([state.speaking.value, state.shown.value]).toEqual(['phone', 'li'])
    vi.advanceTimersByTime(HOLD_MS - 1)
    expect(state.shown.value).toBe('li')
    vi.advanceTimersByTime(1)
    expect(state.shown.value).toBe('phone')
  })

  it('changes to whoever speaks when the time is over, and not to who interrupted', async () => {
    await speaks(by('li'))
    await speaks(by('wang'))
    vi.advanceTimersByTime(HOLD_MS / 2)
    await speaks(by('li'))
    vi.advanceTimersByTime(HOLD_MS * 2)
    expect(state.shown.value).toBe('li')
    await speaks(by('wang'))
    expect(state.shown.value).toBe('wang')
  })

  it('stays shown in silence, without a mark', async () => {
    await speaks(by('li'))
    await speaks(by(null))
    vi.advanceTimersByTime(HOLD_MS * 2)
    expect([state.speaking.value, state.shown.value]).toEqual([null, 'li'])
  })

  it('is told by the live socket as state, and is no line of a timeline', () => {
    const live = useLive()
    const heard = vi.fn()
    live.onTimeline(heard)
    live.takeOps([
      { event: 'speaker', value: { room_id: 'r1', source_id: null, participant_id: 'phone' } },
    ])
    expect(live.speakers.r1).toEqual(by('phone'))
    expect(heard).not.toHaveBeenCalled()
    live.movePhase('idle')
    expect(live.speakers).toEqual({})
  })
})

describe('the one picture that is heard', () => {
  const tile = (key: string, roomId = 'r1') => ({ key, roomId, sourceId: `s-${key}`, name: key })
  const rooms = (...all: RoomView[]): void => {
    Object.assign(useLive().state, { rooms: Object.fromEntries(all.map((one) => [one.id, one])) })
  }

  it('is one: another takes its place, and the same one again is silence', () => {
    const hearing = useHearing()
    hearing.toggle(tile('a'))
    hearing.toggle(tile('b', 'r2'))
    expect(hearing.key).toBe('b')
    expect(hub.made.map((one) => one.closed)).toEqual([true, false])
    expect(hub.made[1]?.wish.address).toBe('/whep/r2/speaker?layer=low')
    hearing.toggle(tile('b', 'r2'))
    expect(hearing.key).toBeNull()
    expect(hub.made.every((one) => one.closed)).toBe(true)
  })

  it('goes on unbroken from one picture of a meeting to the next', () => {
    const hearing = useHearing()
    hearing.toggle(tile('a'))
    hearing.toggle(tile('b'))
    expect(hearing.key).toBe('b')
    expect(hub.made).toHaveLength(1)
  })

  it('ends with its tile, and not with another', () => {
    const hearing = useHearing()
    hearing.toggle(tile('a'))
    hearing.stop('b')
    expect(hearing.key).toBe('a')
    hearing.stop('a')
    expect(hearing.key).toBeNull()
    hearing.toggle(tile('a'))
    hub.made[1]?.listener.phase('over')
    expect(hearing.key).toBeNull()
  })

  it('is the sound of a camera alone where nobody meets', () => {
    const hearing = useHearing()
    rooms(room({ id: 'live', mode: 'live' }))
    hearing.toggle(tile('cam:b7', 'live'))
    expect(hub.made[0]?.wish.address).toBe('/whep/live/s-cam%3Ab7?layer=low')
  })

  it('is not of the meeting this page is in: there it is heard already', () => {
    const hearing = useHearing()
    rooms(room({ id: 'r1' }), room({ id: 'live', mode: 'live' }))
    expect(['r1', 'live', 'gone', null].map(hearing.canHear)).toEqual([true, true, false, false])
    useMeeting().entrance = { roomId: 'r1' } as never
    expect(hearing.canHear('r1')).toBe(false)
  })
})
