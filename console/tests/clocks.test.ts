import { describe, expect, it } from 'vitest'

import { clockFace, elapsed, longSpan, moment, remaining } from '@/live/durations'
import { hubNow, noteServerTime } from '@/live/time'

const DEADLINE = '2026-11-20T19:01:00Z'
const due = Date.parse(DEADLINE)

describe('a countdown', () => {
  it('shows a whole second until that second is over', () => {
    expect(remaining(DEADLINE, due - 60_500)).toEqual({ seconds: 61, over: false, pressing: false })
    expect(remaining(DEADLINE, due - 60_000)).toEqual({ seconds: 60, over: false, pressing: true })
    expect(remaining(DEADLINE, due - 1)).toEqual({ seconds: 1, over: false, pressing: true })
  })

  it('is over at the deadline and counts on', () => {
    expect(remaining(DEADLINE, due)).toEqual({ seconds: 0, over: true, pressing: true })
    expect(remaining(DEADLINE, due + 32_000)).toEqual({ seconds: 32, over: true, pressing: true })
  })
})

describe('spans', () => {
  it('read like a clock', () => {
    expect([0, 42, 725, 11_231, -5].map(clockFace)).toEqual([
      '0:00',
      '0:42',
      '12:05',
      '3:07:11',
      '0:00',
    ])
    expect(longSpan(190_000, 'en')).toBe('2 d 4 h')
    expect(longSpan(190_000, 'zh-CN')).toBe('2 天 4 小时')
    expect(longSpan(61, 'en')).toBe('1:01')
  })

  it('end with what ended', () => {
    expect(elapsed(DEADLINE, '2026-11-20T19:02:30Z', due + 999_000)).toBe(90)
    expect(elapsed(DEADLINE, null, due + 3000)).toBe(3)
  })

  it('name the day only when it was another', () => {
    const noon = new Date(2026, 10, 20, 12, 0, 5).getTime()
    expect(moment(noon, 'en', noon)).toBe('12:00:05')
    expect(moment(noon - 86_400_000, 'en', noon)).toBe('11/19 12:00:05')
  })
})

describe('the hub’s time', () => {
  it('corrects a desk whose clock is wrong, and nothing less than two seconds', () => {
    const now = Date.now()
    noteServerTime(new Date(now + 90_000).toUTCString(), now)
    expect(Math.round((hubNow() - Date.now()) / 1000)).toBeGreaterThanOrEqual(89)
    noteServerTime(new Date(now + 900).toUTCString(), now)
    expect(Math.abs(hubNow() - Date.now())).toBeLessThan(50)
    noteServerTime(null)
    noteServerTime('no date')
    expect(Math.abs(hubNow() - Date.now())).toBeLessThan(50)
  })
})
