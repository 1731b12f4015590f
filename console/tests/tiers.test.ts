import { createPinia, setActivePinia } from 'pinia'
import { beforeEach, describe, expect, it } from 'vitest'

import { byHub } from '@/rooms/rollCall'
import { tilesOf } from '@/rooms/layout'
import { useDirectory } from '@/stores/directory'
import { useLive } from '@/stores/live'
import { useTiers } from '@/stores/tiers'
import { rightsFor, exportable } from '@/tiers/exports'
import { brokenOf, fingerprint, ordered, outageOf, spanOf, standOf } from '@/tiers/links'
import {
  clocksOf,
  deedsOf,
  inOrder,
  mayAnswer,
  mayCheckIn,
  NOTHING_SHARED,
  type Standing,
} from '@/tiers/sharing'
import { readTicket } from '@/tiers/ticket'
import { interleaved } from '@/timeline/hubs'

import { person, room, source } from './room-things'
import { entry } from './things'
import { checkIn, peering, share, shared, supervision } from './tier-things'

const down = { up: false, went_down_at: '2026-11-20T20:00:00Z' }

describe('the link to a neighbour', () => {
  it('is up, catching up, off by its clock, down, never there or revoked', () => {
    expect(standOf(peering())).toBe('up')
    expect(standOf(peering({ waiting: 400 }))).toBe('catching')
    expect(standOf(peering({ skew_s: -31 }))).toBe('skewed')
    expect(standOf(peering(down))).toBe('down')
    expect(standOf(peering({ up: false, came_up_at: null }))).toBe('never')
    expect(standOf(peering({ ...down, state: 'revoked' }))).toBe('revoked')
  })

  it('whose clock is too far off waits for somebody to set it, also where there never was a link', () => {
    const off = peering({ up: false, came_up_at: null, code: 'clock-off' })
    expect(standOf(off)).toBe('clock')
    expect(brokenOf([off])).toEqual([off])
    expect(standOf({ ...off, state: 'revoked' })).toBe('revoked')
  })

  it('that was never up, or is revoked, is no outage', () => {
    const all = [
      peering({ peer: 'a', ...down }),
      peering({ peer: 'b', up: false, came_up_at: null }),
      peering({ peer: 'c', ...down, state: 'revoked' }),
    ]
    expect(brokenOf(all).map((one) => one.peer)).toEqual(['a'])
  })

  it('that goes down again is another outage, whose line was not put away', () => {
    const again = { up: false, went_down_at: '2026-11-20T22:00:00Z' }
    expect(outageOf(peering(down))).not.toBe(outageOf(peering(again)))
    expect(outageOf(peering(down))).toBe(outageOf(peering({ ...down, waiting: 12 })))
  })

  it('stands with those above first and revoked ones last', () => {
    const all = [
      peering({ peer: 'old', state: 'revoked' }),
      peering({ peer: 's2', name: '乙', tier: 'street', relation: 'lower' }),
      peering({ peer: 's1', name: '甲', tier: 'street', relation: 'lower' }),
      peering({ peer: 'city', tier: 'city' }),
    ]
    expect(ordered(all).map((one) => one.peer)).toEqual(['city', 's1', 's2', 'old'])
  })

  it('tells spans in the largest unit that still says something', () => {
    expect(spanOf(-3)).toEqual({ unit: 'seconds', n: 0 })
    expect(spanOf(59.9)).toEqual({ unit: 'seconds', n: 59 })
    expect(spanOf(185)).toEqual({ unit: 'minutes', n: 3 })
    expect(spanOf(90_000)).toEqual({ unit: 'hours', n: 25 })
    expect(spanOf(200_000)).toEqual({ unit: 'days', n: 2 })
  })

  it('shows of a key what people compare aloud', () => {
    expect(fingerprint('abcdefghijklmnopqrstuvwxyz')).toBe('abcd efgh ijkl mnop')
    expect(fingerprint('')).toBe('')
  })
})

describe('a ticket', () => {
  const made = (said: unknown): string =>
    `commhub-tier:${btoa(JSON.stringify(said)).replaceAll('=', '')}`

  it('says whose it is before it is shown', () => {
    const text = made({ url: 'https://d.example', hub: 'district-1', key: 'k', secret: 's' })
    const wrapped = `  ${text.slice(0, 30)}\n${text.slice(30)} `
    expect(readTicket(wrapped)).toEqual({ hub: 'district-1', url: 'https://d.example' })
  })

  it.each(['', 'commhub-tier:', 'commhub-tier:@@@', made(null), made([1]), made({ hub: 1 }), 'x'])(
    'that is none is not taken for one: %s',
    (text) => {
      expect(readTicket(text)).toBeNull()
    },
  )
})

describe('what may be done with an incident', () => {
  const above = peering()
  const below = peering({ peer: 'street-a', tier: 'street', relation: 'lower' })
  const standing = (more: Partial<Standing> = {}): Standing => ({
    peerings: [above, below],
    tiers: NOTHING_SHARED,
    open: true,
    acts: true,
    leads: false,
    ...more,
  })

  it('is reporting up and whistling above, assigning below', () => {
    expect(deedsOf(standing())).toEqual({
      reportUp: ['district-1'],
      assignDown: ['street-a'],
      whistle: ['district-1'],
    })
  })

  it('is nothing when it is over, or for who may only look', () => {
    expect(deedsOf(standing({ open: false }))).toEqual({})
    expect(deedsOf(standing({ acts: false }))).toEqual({})
  })

  it('is not what was done already, and again once it came back', () => {
    const given = (state: 'held' | 'offered' | 'returned'): Standing =>
      standing({ tiers: { ...NOTHING_SHARED, shares: [share({ state })] } })
    expect(deedsOf(given('held')).reportUp).toBeUndefined()
    expect(deedsOf(given('offered')).reportUp).toBeUndefined()
    expect(deedsOf(given('returned')).reportUp).toEqual(['district-1'])
  })

  it('is giving back only what was given to us', () => {
    const got = share({ given: false, kind: 'assigned_down' })
    const tiers = { ...NOTHING_SHARED, shares: [got, share({ peer: 'street-a' })] }
    expect(deedsOf(standing({ tiers })).giveBack).toEqual(['district-1'])
  })

  it('is supervising only for who leads, and only whom has it below', () => {
    const tiers = { ...NOTHING_SHARED, shares: [share({ peer: 'street-a' })] }
    expect(deedsOf(standing({ tiers })).supervise).toBeUndefined()
    expect(deedsOf(standing({ tiers, leads: true })).supervise).toEqual(['street-a'])
    expect(deedsOf(standing({ leads: true })).supervise).toBeUndefined()
  })

  it('is nothing with a neighbour that is revoked', () => {
    expect(deedsOf(standing({ peerings: [peering({ state: 'revoked' })] }))).toEqual({})
  })
})

describe('deadlines between hubs', () => {
  it('are entered by whose department it is, also after the time', () => {
    expect(mayCheckIn(checkIn({ given: false }))).toBe(true)
    expect(mayCheckIn(checkIn({ given: false, state: 'no_show' }))).toBe(true)
    expect(mayCheckIn(checkIn({ given: false, state: 'checked_in' }))).toBe(false)
    expect(mayCheckIn(checkIn())).toBe(false)
    expect(mayAnswer(supervision({ state: 'overdue' }))).toBe(true)
    expect(mayAnswer(supervision({ given: true }))).toBe(false)
  })

  it('stand with those awaited first, the nearest before', () => {
    const all = [
      checkIn({ id: 'here', state: 'checked_in' }),
      checkIn({ id: 'later', due_at: '2026-11-20T20:00:00Z' }),
      checkIn({ id: 'missed', state: 'no_show' }),
      checkIn({ id: 'soon' }),
    ]
    expect(inOrder(all).map((one) => one.id)).toEqual(['soon', 'later', 'missed', 'here'])
  })

  it('of the other hub are shown where they are moments', () => {
    const their_clocks = {
      close: '2026-11-21T00:00:00Z',
      accept: '2026-11-20T20:00:00Z',
      odd: 7,
      bad: 'x',
    }
    expect(clocksOf(share({ their_clocks })).map(([name]) => name)).toEqual(['accept', 'close'])
  })
})

describe('a timeline of several hubs', () => {
  const line = (seq: number, hub: string, at: string) =>
    entry('comment_added', {}, { seq, hub, at: `2026-11-20T19:${at}Z` })

  it('is in the order of time, whenever the lines arrived', () => {
    const lines = [line(1, 'a', '00:00'), line(2, 'a', '10:00'), line(3, 'b', '05:00')]
    expect(interleaved(lines).map((one) => one.seq)).toEqual([1, 3, 2])
  })

  it('keeps the order each hub wrote in, whatever its clock did', () => {
    const lines = [
      line(1, 'a', '00:00'),
      line(2, 'b', '08:00'),
      line(3, 'b', '07:00'),
      line(4, 'a', '09:00'),
    ]
    expect(interleaved(lines).map((one) => one.seq)).toEqual([1, 2, 3, 4])
  })

  it('of one hub stays as it is', () => {
    const lines = [line(1, 'a', '09:00'), line(2, 'a', '00:00')]
    expect(interleaved(lines).map((one) => one.seq)).toEqual([1, 2])
  })
})

describe('what is shared', () => {
  it('offers what is ours and not shared yet', () => {
    const ours = {
      units: [{ id: 'water', name: '水务局', team: 'water', loop: 'district' as const }],
      responders: [],
      devices: [],
      phones: [],
      groups: ['patrol-1'],
      nameOf: (endpoint: string) => endpoint,
    }
    expect(exportable(ours, ['radio:patrol-1']).map((one) => one.subject)).toEqual(['unit:water'])
  })

  it('is commanded only from above', () => {
    expect(rightsFor('upper')).toContain('command')
    expect(rightsFor('lower')).not.toContain('command')
  })
})

describe('the neighbours of this page', () => {
  beforeEach(() => setActivePinia(createPinia()))

  it('reach a shared terminal while the link is up, by its own name', () => {
    const tiers = useTiers()
    const directory = useDirectory()
    tiers.shared = [shared(), shared({ endpoint: 'cam:b1@street-a', reachable: false })]
    expect(directory.presence('radio:r7@street-a')).toBe(true)
    expect(directory.presence('cam:b1@street-a')).toBe(false)
    expect(directory.partyName('radio:r7@street-a')).toBe('对讲机 7')
  })

  it('are called as people call them, and our own hub by its name', () => {
    const live = useLive()
    live.takeSnapshot({
      op: 'snapshot',
      epoch: 'e',
      seq: 0,
      state: { peerings: { 'district-1': peering() } },
      hub: { id: 'street-a', name: '东街', tier: 'street', mode: 'normal' },
    })
    const tiers = useTiers()
    expect(tiers.nameOf('district-1')).toBe('区指挥中心')
    expect(tiers.nameOf('street-a')).toBe('东街')
    expect(tiers.nameOf('city')).toBe('city')
    expect(tiers.isOurs('street-a')).toBe(true)
  })
})

describe('a room over tiers', () => {
  it('shows pictures of other hubs before they flow, because looking makes them', () => {
    const hub = person('p1', { kind: 'tier', state: 'joined' })
    const tier = (id: string, state: 'idle' | 'starting' | 'live' | 'ended') =>
      source(id, 'p1', { kind: 'tier', state })
    const shown = room({
      participants: [hub],
      sources: [tier('a', 'idle'), tier('b', 'starting'), tier('c', 'live'), tier('d', 'ended')],
    })
    expect(tilesOf(shown, null).map((tile) => tile.id)).toEqual(['a', 'b', 'c'])
  })

  it('calls its roll a hub at a time, ours first', () => {
    const item = (participant_id: string, hub: string | null, verdict: 'present' | 'absent') => ({
      participant_id,
      name: participant_id,
      endpoint: null,
      called_at: '',
      rung: false,
      answered_at: null,
      answer_ms: null,
      round_trip_ms: null,
      picture: 'good' as const,
      height: 1080,
      fps: 30,
      voice: 'good' as const,
      verdict,
      peer: hub === null ? null : 'district-1',
      origin: hub === null ? null : `${hub}/${participant_id}`,
    })
    const groups = byHub([
      item('x', 'street-a', 'present'),
      item('us', null, 'present'),
      item('y', 'street-a', 'absent'),
    ])
    expect(groups.map((one) => [one.hub, one.present, one.items.length])).toEqual([
      [null, 1, 1],
      ['street-a', 1, 2],
    ])
  })
})
