import { createPinia, setActivePinia } from 'pinia'
import { beforeEach, describe, expect, it, vi } from 'vitest'

import { i18n } from '@/i18n'
import { useLive } from '@/stores/live'
import { useNotices } from '@/stores/notices'
import { nameOfActor, type Names } from '@/timeline/names'

function alarm(word: string) {
  return {
    event: 'alarm' as const,
    value: {
      alarm: word,
      text: 'what the hub says',
      at: '2026-03-02T08:00:00Z',
      call_id: null,
      incident_id: null,
    },
  }
}

describe('alarms of the outside lines', () => {
  beforeEach(() => {
    setActivePinia(createPinia())
    i18n.global.locale.value = 'zh-CN'
    vi.useFakeTimers()
  })

  it('are said in the language of the desk, with the words of the hub behind', () => {
    useLive().takeOps([alarm('line_down')])
    expect(useNotices().notices.map((notice) => notice.text)).toEqual([
      '外线中断：what the hub says',
    ])
  })

  it('go by themselves, but those of emergency calls stay', () => {
    useLive().takeOps([alarm('call_burst'), alarm('emergency_call')])
    vi.advanceTimersByTime(60_000)
    const texts = useNotices().notices.map((notice) => notice.text)
    expect(texts).toEqual(['有人拨打紧急电话：what the hub says'])
  })

  it('of a kind this console does not know are said all the same', () => {
    useLive().takeOps([alarm('something_new')])
    expect(useNotices().notices[0]?.text).toBe('外线告警：what the hub says')
  })

  it('are no entry of a timeline', () => {
    const heard: unknown[] = []
    const live = useLive()
    live.onTimeline((entry) => heard.push(entry))
    live.takeOps([alarm('line_down')])
    expect(heard).toEqual([])
  })
})

it('a card by telephone acts under a name people understand', () => {
  expect(
    nameOfActor('alert:0193', { me: { actor: 'user:li', name: 'Li' } } as Names, 'zh-CN'),
  ).toBe('电话派单')
})
