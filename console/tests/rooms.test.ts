import { describe, expect, it } from 'vitest'

import { cameraOf, camerasOf } from '@/map/cameras'
import { troubleOf } from '@/rooms/devices'
import { figuresOf, readStats } from '@/rooms/figures'
import { findInvitees } from '@/rooms/invitees'
import { layerFor, stageOf, tilesOf, tileWidth } from '@/rooms/layout'
import { inOurOrder } from '@/rooms/publishing'
import {
  add,
  choicesOf,
  clear,
  PRESETS,
  put,
  reshape,
  shownBy,
  step,
  type Wall,
} from '@/rooms/wall'
import { watermark } from '@/rooms/watermark'
import { MicrophoneError } from '@/voice/microphone'

import { camera, person, room, source } from './room-things'

const nobody = { pinned: null, spotlight: null, speaker: null }

describe('a meeting', () => {
  const meeting = room({
    participants: [
      person('me'),
      person('phone', { kind: 'phone' }),
      person('li'),
      person('gone', { state: 'left' }),
      person('late', { state: 'waiting' }),
    ],
    sources: [
      source('s-me', 'me'),
      source('s-li', 'li'),
      source('screen', 'li', { kind: 'screen' }),
      source('s-idle', 'phone', { state: 'starting' }),
    ],
  })

  it('shows who is there: screens, pictures, oneself, then those who are only heard', () => {
    const tiles = tilesOf(meeting, 'me')
    expect(tiles.map((tile) => tile.id)).toEqual(['screen', 's-li', 's-me', 'phone'])
    expect(tiles.map((tile) => tile.isMine)).toEqual([false, false, true, false])
  })

  it('shows the name of somebody whose picture the host has hidden', () => {
    const hidden = room({
      participants: [person('li')],
      sources: [source('s-li', 'li', { muted: true })],
    })
    expect(tilesOf(hidden, null)).toMatchObject([{ id: 'li', source: null }])
  })

  it('shows large what was pinned, else the spotlight, a screen, whoever speaks; never oneself for that', () => {
    const tiles = tilesOf(meeting, 'me')
    const all = { pinned: 's-me', spotlight: 's-li', speaker: 'me' }
    expect(stageOf(tiles, all)?.id).toBe('s-me')
    expect(stageOf(tiles, { ...all, pinned: 'of yesterday' })?.id).toBe('s-li')
    expect(stageOf(tiles, nobody)?.id).toBe('screen')
    const plain = tiles.filter((tile) => tile.id !== 'screen')
    expect(stageOf(plain, { ...nobody, speaker: 'me' })?.id).toBe('s-li')
    expect(stageOf(plain, { ...nobody, speaker: 'phone' })?.id).toBe('phone')
    expect(stageOf([], nobody)).toBeNull()
  })

  it('fits 16:9 tiles into any page, and asks for the main stream only where it is seen', () => {
    expect(tileWidth(1, { width: 1600, height: 900 }, 8)).toBe(1600)
    expect(tileWidth(4, { width: 1608, height: 908 }, 8)).toBe(800)
    expect(tileWidth(2, { width: 360, height: 800 }, 8)).toBe(360)
    expect(tileWidth(0, { width: 160, height: 90 }, 8)).toBe(160)
    expect([1, 2, 3, 9].map(layerFor)).toEqual(['main', 'main', 'sub', 'sub'])
  })

  it('offers what room systems understand first', () => {
    const h264 = (profile: string, mode: number) => ({
      mimeType: 'video/H264',
      sdpFmtpLine: `packetization-mode=${mode};profile-level-id=${profile}`,
    })
    const ordered = inOurOrder<{ mimeType: string; sdpFmtpLine?: string }>([
      { mimeType: 'video/VP8' },
      { mimeType: 'video/rtx' },
      h264('640c1f', 1),
      { mimeType: 'video/AV1' },
      h264('42e01f', 0),
      h264('42e01f', 1),
    ])
    expect(ordered.map((one) => one.sdpFmtpLine ?? one.mimeType)).toEqual([
      'packetization-mode=1;profile-level-id=42e01f',
      'packetization-mode=0;profile-level-id=42e01f',
      'packetization-mode=1;profile-level-id=640c1f',
      'video/VP8',
      'video/AV1',
      'video/rtx',
    ])
  })

  it('says why there is no camera', () => {
    expect(troubleOf(new DOMException('', 'NotAllowedError'))).toBe('denied')
    expect(troubleOf(new DOMException('', 'NotReadableError'))).toBe('busy')
    expect(troubleOf(new DOMException('', 'NotFoundError'))).toBe('missing')
    expect(troubleOf(new MicrophoneError('insecure'))).toBe('insecure')
  })

  it('finds people, phones, radios and cameras to invite, each address once', () => {
    const known = {
      responders: [
        {
          id: 'wang',
          name: '王强',
          unit_id: 'east',
          endpoints: ['sip:1003', 'wecom:wangqiang', 'room:x'],
        },
      ],
      phones: [{ name: '1003', display_name: '东街岗亭' }],
      devices: [camera('b7'), camera('s1', { kind: 'sensor' }), camera('b8', { revoked: true })],
      groups: ['patrol'],
      unitName: () => '东街巡防队',
      nameOf: (endpoint: string) => endpoint.slice(6),
    } as unknown as Parameters<typeof findInvitees>[1]
    const addresses = (typed: string): string[] => findInvitees(typed, known).map((one) => one.to)
    expect(addresses('')).toEqual(['sip:1003', 'wecom:wangqiang', 'cam:b7', 'radio:patrol'])
    expect(addresses('东街 1003')).toEqual(['sip:1003'])
    expect(addresses('nobody')).toEqual([])
  })
})

describe('the figures of a picture', () => {
  it('are rates between two readings, with the delay of network and buffer', () => {
    const stats = (frames: number, waited: number) => [
      { type: 'candidate-pair', state: 'succeeded', currentRoundTripTime: 0.02, bytesReceived: 1 },
      { type: 'candidate-pair', state: 'failed', currentRoundTripTime: 9, bytesReceived: 9 },
      { type: 'codec', id: 'c', mimeType: 'video/H264' },
      {
        type: 'inbound-rtp',
        kind: 'video',
        codecId: 'c',
        framesDecoded: frames,
        bytesReceived: frames * 10_000,
        frameWidth: 1920,
        frameHeight: 1080,
        packetsLost: 2,
        jitterBufferDelay: waited,
        jitterBufferEmittedCount: frames,
      },
      { type: 'inbound-rtp', kind: 'audio', bytesReceived: 99_999 },
    ]
    const before = readStats(stats(30, 1), 1000)
    const now = readStats(stats(60, 2.5), 2000)
    expect(figuresOf(before, now)).toEqual({
      width: 1920,
      height: 1080,
      fps: 30,
      kbps: 2400,
      lost: 2,
      dropped: 0,
      delayMs: 60,
      codec: 'H264',
    })
  })

  it('bear a report that says nothing, and two readings at once', () => {
    const empty = readStats([], 5)
    expect(figuresOf(empty, empty)).toMatchObject({ fps: 0, kbps: 0, delayMs: null })
  })

  it('of what is sent count all layers, and the tallest is its size', () => {
    const layer = (height: number) => ({
      type: 'outbound-rtp',
      kind: 'video',
      frameHeight: height,
      frameWidth: (height * 16) / 9,
      bytesSent: 1000,
    })
    expect(readStats([layer(540), layer(1080)], 0)).toMatchObject({ height: 1080, bytes: 2000 })
  })
})

describe('a wall', () => {
  const four: Wall = { columns: 2, tiles: ['cam:a', '', 'cam:b', ''] }

  it('takes a source at the selected empty tile, else at the first empty one, and each once', () => {
    expect(add(four, 3, 'cam:c')?.tiles).toEqual(['cam:a', '', 'cam:b', 'cam:c'])
    expect(add(four, 0, 'cam:c')?.tiles).toEqual(['cam:a', 'cam:c', 'cam:b', ''])
    expect(add(four, 1, 'cam:a')).toBe(four)
    expect(add({ columns: 1, tiles: ['cam:a'] }, 0, 'cam:c')).toBeNull()
  })

  it('trades places when a picture is dragged onto another', () => {
    expect(put(four, 2, 'cam:a').tiles).toEqual(['cam:b', '', 'cam:a', ''])
    expect(put(four, 1, 'cam:new').tiles).toEqual(['cam:a', 'cam:new', 'cam:b', ''])
    expect(clear(four, 0).tiles).toEqual(['', '', 'cam:b', ''])
  })

  it('keeps its pictures when it gets more tiles, and those that have room when fewer', () => {
    const [one, , , eight] = PRESETS
    expect(one && reshape(four, one).tiles).toEqual(['cam:a'])
    const wide = eight && reshape(four, eight)
    expect(wide?.columns).toBe(4)
    expect(wide?.tiles).toEqual(['cam:a', '', 'cam:b', '', '', '', '', ''])
    expect(Math.max(...PRESETS.map((preset) => preset.tiles.length))).toBe(16)
  })

  it('is walked by arrow keys and not over its edge', () => {
    expect(step(four, 0, 'ArrowRight')).toBe(1)
    expect(step(four, 0, 'ArrowDown')).toBe(2)
    expect(step(four, 0, 'ArrowUp')).toBe(0)
    expect(step(four, 3, 'ArrowRight')).toBe(3)
  })

  it('knows where a tile’s picture comes from, and says clearly why there is none', () => {
    const fleet = { b7: camera('b7'), b8: camera('b8', { online: false }) }
    const live = room({
      id: 'live',
      mode: 'live',
      device: 'b7',
      sources: [source('s7', 'p', { device: 'b7', state: 'idle' })],
    })
    const meeting = room({
      sources: [source('s1', 'li'), source('s2', 'x', { state: 'starting' })],
    })
    const read = (key: string) => shownBy(key, fleet, [live, meeting])
    expect(read('')).toBeNull()
    expect(read('cam:b7')).toMatchObject({ roomId: 'live', sourceId: 's7', trouble: null })
    expect(read('cam:b8')).toMatchObject({ roomId: null, trouble: 'offline' })
    expect(read('cam:sold')).toMatchObject({ name: 'sold', trouble: 'gone' })
    expect(read('s1')).toMatchObject({ roomId: 'r1', sourceId: 's1', trouble: null })
    expect(read('s2')).toMatchObject({ trouble: 'gone' })
    expect(read('s-of-yesterday')).toMatchObject({ trouble: 'gone' })
  })

  it('offers cameras, those that can be reached first, and what is live in meetings', () => {
    const fleet = {
      off: camera('off', { online: false }),
      on: camera('on', { responder_id: 'zhao' }),
      r1: camera('r1', { kind: 'radio' }),
    }
    const meeting = room({
      sources: [source('s1', 'li'), source('s2', 'wu', { state: 'starting' })],
    })
    const choices = choicesOf(fleet, [meeting, room({ mode: 'live' })], (id) => id ?? '')
    expect(choices.cameras.map((one) => one.key)).toEqual(['cam:on', 'cam:off'])
    expect(choices.cameras[0]?.more).toBe('on · zhao')
    expect(choices.rooms.map((one) => one.key)).toEqual(['s1'])
  })
})

describe('the watermark', () => {
  it('has the viewer and the time, as text and never as markup', () => {
    const image = decodeURIComponent(watermark(['<b>李雷</b> & "li"', '2026/11/22 01:38']))
    expect(image).toContain('李雷')
    expect(image).toContain('2026/11/22 01:38')
    expect(image).not.toContain('<b>')
    expect(image.match(/"/g)?.length).toBeGreaterThan(2)
    expect(watermark(['")url(x'])).not.toMatch(/"\)url/)
  })
})

describe('the map', () => {
  const fleet = {
    b7: camera('b7', { responder_id: 'zhao' }),
    b8: camera('b8', { online: false }),
    b9: camera('b9', { responder_id: 'he', revoked: true }),
    r12: camera('r12', { kind: 'radio', responder_id: 'zhao' }),
    r13: camera('r13', { kind: 'radio' }),
  }

  it('offers the camera of a mark: itself, or what its carrier has with them', () => {
    expect(cameraOf('device', 'b7', fleet)?.id).toBe('b7')
    expect(cameraOf('device', 'r12', fleet)?.id).toBe('b7')
    expect(cameraOf('responder', 'zhao', fleet)?.id).toBe('b7')
    expect(cameraOf('device', 'r13', fleet)).toBeNull()
    expect(cameraOf('responder', 'he', fleet)).toBeNull()
    expect(cameraOf('incident', 'b7', fleet)).toBeNull()
  })

  it('lists the cameras that can be asked first', () => {
    expect(camerasOf(fleet).map((one) => one.id)).toEqual(['b7', 'b8'])
  })
})
