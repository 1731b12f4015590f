/** The duty number of the fake hub: callers wait, are answered by whoever asks, or were missed before. */

import type { CallView, DutyCallView, LegView } from '../src/api/types.ts'

import type { FakeCalls } from './calls.ts'
import { type FakeHub, isoNow } from './hub.ts'
import { Refusal } from './refusal.ts'

const LINE = '值班电话'

export class FakeDuty {
  private readonly hub: FakeHub
  private readonly calls: FakeCalls

  constructor(hub: FakeHub, calls: FakeCalls) {
    this.hub = hub
    this.calls = calls
  }

  /** Somebody dials the duty number. */
  ring(caller: string, name: string, more: Partial<DutyCallView> = {}): DutyCallView {
    const call = this.calls.offer(caller, name, LINE)
    return this.put({ ...this.callOf(call.id, caller, name), ...more })
  }

  /** Somebody gave up a while ago. */
  miss(caller: string, name: string, agoS: number): DutyCallView {
    const id = `missed-${caller}`
    const call = this.callOf(id, caller, name)
    const times = { offered_at: isoNow(-agoS), ended_at: isoNow(25 - agoS) }
    return this.put({ ...call, ...times, state: 'missed' })
  }

  answer(id: string, endpoint: string): LegView {
    const known = this.hub.state.duty[id]
    if (known?.state !== 'waiting') {
      throw new Refusal(409, 'conflict', 'nobody waits here any more')
    }
    const leg = this.calls.addLeg(id, endpoint === 'desk:me' ? 'desk:chen' : endpoint)
    this.put({ ...known, state: 'taken', taken_by: leg.endpoint, taken_at: isoNow() })
    return leg
  }

  callBack(id: string, endpoint: string, actor: string): CallView {
    const known = this.hub.state.duty[id]
    if (known?.state !== 'missed') throw new Refusal(409, 'conflict', 'not missed any more')
    const own = endpoint === 'desk:me' ? 'desk:chen' : endpoint
    const call = this.calls.place({ legs: [own, known.caller] }, actor)
    this.put({ ...known, call_back: call.id })
    return call
  }

  dismiss(id: string): DutyCallView {
    const known = this.hub.state.duty[id]
    if (!known) throw new Refusal(404, 'not-found', 'there is no such call')
    this.hub.drop('duty', id)
    return { ...known, state: 'closed' }
  }

  private put(call: DutyCallView): DutyCallView {
    this.hub.put('duty', call.id, call)
    return call
  }

  private callOf(id: string, caller: string, name: string): DutyCallView {
    return {
      id,
      line: LINE,
      dialled: '8000',
      caller,
      caller_name: name,
      offered_at: isoNow(),
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
    }
  }
}
