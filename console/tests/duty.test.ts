import { createPinia, setActivePinia } from 'pinia'
import { beforeEach, describe, expect, it, vi } from 'vitest'

import type { DutyCallView } from '@/api/types'
import { lampsOf } from '@/calls/lamps'
import { canDial, useDial } from '@/calls/useDial'
import { useAlerts } from '@/stores/alerts'
import { useDuty } from '@/stores/duty'
import { useLive } from '@/stores/live'
import { usePreferences } from '@/stores/preferences'
import { lookOfLamp } from '@/status'

import { call, leg } from './things'

function caller(more: Partial<DutyCallView> = {}): DutyCallView {
  return {
    id: 'c1',
    line: '值班电话',
    dialled: '8000',
    caller: 'sip:1001',
    caller_name: null,
    offered_at: '2026-11-20T19:00:00Z',
    responder_id: null,
    point: null,
    state: 'waiting',
    step: 0,
    incident_id: null,
    taken_by: null,
    taken_at: null,
    ended_at: null,
    call_back: null,
    settled_by: null,
    ...more,
  }
}

beforeEach(() => {
  localStorage.clear()
  setActivePinia(createPinia())
})

describe('the duty number', () => {
  it('is a queue: who waited longest comes first, who was taken is not in it', () => {
    const live = useLive()
    live.state.duty.b = caller({ id: 'b', offered_at: '2026-11-20T19:01:00Z' })
    live.state.duty.a = caller({ id: 'a' })
    live.state.duty.t = caller({ id: 't', state: 'taken' })
    expect(useDuty().waiting.map((one) => one.id)).toEqual(['a', 'b'])
  })

  it('shows missed callers, the latest first', () => {
    const live = useLive()
    live.state.duty.a = caller({ id: 'a', state: 'missed' })
    live.state.duty.b = caller({ id: 'b', state: 'missed', offered_at: '2026-11-20T19:01:00Z' })
    expect(useDuty().missed.map((one) => one.id)).toEqual(['b', 'a'])
  })

  it('has a strip of its own, so its callers are no alert beside', () => {
    const live = useLive()
    const ringing = leg({ direction: 'inbound', state: 'ringing' })
    live.state.calls.c1 = call({ line: '值班电话', legs: [ringing] })
    expect(useAlerts().alerts).toEqual([])
  })

  it('is answered by the phone beside the desk, where one is chosen', async () => {
    usePreferences().deskPhone = 'sip:1009'
    const asked: [string, unknown][] = []
    const fetched = vi.spyOn(globalThis, 'fetch').mockImplementation(async (input) => {
      const request = input as Request
      asked.push([new URL(request.url).pathname, await request.json()])
      return Response.json(leg(), { status: 201 })
    })
    await useDial().answer(caller())
    expect(asked).toEqual([['/api/v1/calls/duty/c1/answer', { endpoint: 'sip:1009' }]])
    fetched.mockRestore()
  })
})

describe('dialling', () => {
  it('does not guess whose number it is before the first snapshot', () => {
    const { endpointOf } = useDial()
    expect([endpointOf('1001'), endpointOf('sip:1001')]).toEqual([null, 'sip:1001'])
  })

  it('reads what somebody types', () => {
    useLive().ready = true
    useLive().state.phones['1001'] = {
      name: '1001',
      display_name: 'a',
      responder_id: null,
      online: true,
      agent: null,
    }
    const { endpointOf } = useDial()
    expect(endpointOf('1001')).toBe('sip:1001')
    expect(endpointOf('138 0000-0005')).toBe('tel:13800000005')
    expect(endpointOf('+86 21 5555 0110')).toBe('tel:+862155550110')
    expect(endpointOf('radio:r12')).toBe('radio:r12')
    expect([endpointOf(''), endpointOf('张伟'), endpointOf('12')]).toEqual([null, null, null])
  })

  it('is offered for what a voice can reach', () => {
    expect(['sip:1', 'tel:+86', 'radio:r12', 'desk:li'].every(canDial)).toBe(true)
    expect(['wecom:li', 'cam:b7', 'device:b7', '1001'].some(canDial)).toBe(false)
  })
})

describe('busy lamps', () => {
  it('tell who rings and who talks, and let go of both', () => {
    const calls = [
      call({ legs: [leg({ endpoint: 'sip:1', state: 'ringing' }), leg({ endpoint: 'sip:2' })] }),
      call({ legs: [leg({ endpoint: 'sip:2', state: 'ringing' })] }),
      call({ legs: [leg({ endpoint: 'sip:3', state: 'ended' })] }),
    ]
    expect(Object.fromEntries(lampsOf(calls))).toEqual({ 'sip:1': 'ringing', 'sip:2': 'busy' })
  })

  it('look like presence while nobody calls', () => {
    expect(lookOfLamp(undefined, true)).toEqual({ tone: 'green', shape: 'dot' })
    expect(lookOfLamp('busy', true).tone).toBe('vermillion')
    expect(lookOfLamp('ringing', false).shape).toBe('triangle')
  })
})
