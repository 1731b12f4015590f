import { describe, expect, it } from 'vitest'

import type { RoomTiersView, UplinkView } from '@/api/tiers'
import { meetingFor, remotePicture } from '@/rooms/useRemoteCamera'
import { goesOut, sendingsOf } from '@/tiers/platforms'

import { person, room, source } from './room-things'

const VIDEO = { name: 'city-video', dial: null }
const MCU = { name: 'city-mcu', dial: 'sip:9001' }

function uplink(more: Partial<UplinkView> = {}): UplinkView {
  return {
    id: 'u1',
    source_id: 'speaker',
    to: 'platform:city-video',
    layer: 'main',
    sent: 'main',
    kbps: 4200,
    asked_at: '2026-03-02T08:00:00Z',
    error: null,
    ...more,
  }
}

const joined = (...uplinks: UplinkView[]): RoomTiersView => ({
  cascades: [],
  sources: [],
  uplinks,
  platforms: [VIDEO, MCU],
})

describe('what goes to platforms', () => {
  it('is on its way, flows, or fails with the words of why', () => {
    const states = [uplink({ sent: null }), uplink(), uplink({ error: '503 from the ingest' })].map(
      (one) => sendingsOf(VIDEO, joined(one), room())[0],
    )
    expect(states.map((one) => one?.state)).toEqual(['starting', 'sending', 'failing'])
    expect(states[2]?.reason).toBe('503 from the ingest')
  })

  it('is neither what goes to a hub nor to another platform', () => {
    const others = joined(uplink({ to: 'district-1' }), uplink({ to: 'platform:other' }))
    expect(sendingsOf(VIDEO, others, room())).toEqual([])
    expect(goesOut(others, room())).toBe(false)
    expect(goesOut(joined(uplink()), room())).toBe(true)
  })

  it('is of one that is rung the participant at its address, as long as they are there or rung', () => {
    const at = (state: 'invited' | 'joined' | 'left') =>
      sendingsOf(
        MCU,
        joined(),
        room({ participants: [person('mcu', { endpoint: MCU.dial, state })] }),
      ).map((one) => one.state)
    expect([at('invited'), at('joined'), at('left')]).toEqual([['starting'], ['sending'], []])
  })
})

describe('a camera of another hub', () => {
  it('has the meeting of its name that goes on, and the first picture that came from there', () => {
    const rooms = [
      room({ id: 'old', name: 'pump', state: 'ended' }),
      room({ id: 'now', name: 'pump' }),
      room({ id: 'other', name: 'gate' }),
    ]
    expect(meetingFor('pump', rooms)?.id).toBe('now')
    expect(meetingFor('none', rooms)).toBeUndefined()
    const sources = [
      source('own', 'wang'),
      source('over', 'district', { kind: 'tier', state: 'ended' }),
      source('there', 'district', { kind: 'tier', state: 'idle' }),
    ]
    expect(remotePicture(room({ sources }))?.id).toBe('there')
    expect(remotePicture(undefined)).toBeUndefined()
  })
})
