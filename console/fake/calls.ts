/** Calls of the fake hub: legs ring, answer or fail by themselves, radios take the floor now and then. */

import type { FloorCommand, LegChange, NewCall, NewLeg } from '../src/api/bodies.ts'
import type { CallView, Cause, LegState, LegView, RecordingView } from '../src/api/types.ts'

import { FakeHub, isoNow, newId } from './hub.ts'
import { Refusal } from './refusal.ts'

/** How a leg to an endpoint goes: after how many ms it rings and answers, or why it fails. */
const MANNERS: Record<string, { rings: number; answers?: number; fails?: Cause }> = {
  'sip:1001': { rings: 500, answers: 1900 },
  'sip:1002': { rings: 700, answers: 3200 },
  'sip:1003': { rings: 600, fails: 'busy' },
  'sip:1009': { rings: 900, fails: 'unreachable' },
}
const USUAL = { rings: 600, answers: 2600 }

export class FakeCalls {
  private readonly hub: FakeHub

  constructor(hub: FakeHub) {
    this.hub = hub
  }

  place(body: NewCall, actor: string): CallView {
    const call: CallView = {
      id: newId(),
      created_at: isoNow(),
      created_by: actor,
      incident_id: body.incident ?? null,
      title: body.title ?? null,
      line: null,
      room_id: null,
      recording: body.record ?? false,
      recording_legs: false,
      ended_at: null,
      legs: [],
    }
    this.hub.put('calls', call.id, call)
    this.tell(call, 'call_started', actor, { call_id: call.id, legs: body.legs })
    for (const endpoint of body.legs) this.addLeg(call.id, endpoint)
    return call
  }

  addLeg(id: string, endpoint: string, entry: Omit<NewLeg, 'endpoint'> = {}): LegView {
    const call = this.live(id)
    if (!/^(sip|radio|tel|cam|wecom|room|desk):\S+$/.test(endpoint)) {
      throw new Refusal(
        422,
        'invalid',
        `«${endpoint}» is no endpoint; write scheme:name, for example sip:1001`,
      )
    }
    const leg: LegView = {
      id: newId(),
      call_id: id,
      endpoint,
      created_at: isoNow(),
      direction: 'outbound',
      state: 'requested',
      name: null,
      codec: null,
      muted: false,
      held: false,
      listen_only: false,
      whispers_to: [],
      gain_db: 0,
      auto_gain: false,
      connected_at: null,
      ended_at: null,
      cause: null,
      detail: null,
      score: null,
    }
    leg.listen_only = entry.mode === 'listen'
    leg.whispers_to = entry.whispers_to ?? []
    call.legs.push(leg)
    this.hub.put('calls', id, call)
    this.ring(leg)
    return leg
  }

  /** A leg goes to another call; an emptied one ends. */
  transfer(id: string, legId: string, to: string): LegView {
    const leg = this.leg(id, legId)
    const [from, target] = [this.live(id), this.live(to)]
    from.legs = from.legs.filter((one) => one !== leg)
    Object.assign(leg, { call_id: to, held: false, listen_only: false, whispers_to: [] })
    target.legs.push(leg)
    this.hub.put('calls', to, target)
    if (from.legs.some((one) => one.state !== 'ended')) this.hub.put('calls', id, from)
    else this.end(id, 'system')
    return leg
  }

  merge(id: string, into: string): CallView {
    for (const leg of this.live(id).legs.filter((one) => one.state !== 'ended')) {
      this.transfer(id, leg.id, into)
    }
    return this.live(into)
  }

  command(group: string, body: FloorCommand): void {
    const isGrant = body.action === 'grant'
    const talker = isGrant ? (body.participant ?? null) : null
    this.hub.floor({ group, event: isGrant ? 'taken' : 'idle', talker, call_id: null })
  }

  change(id: string, legId: string, { key, ...shape }: LegChange, actor: string): LegView {
    const leg = this.leg(id, legId)
    Object.assign(leg, shape)
    if (key !== undefined) {
      const group = this.groupOf(leg.endpoint)
      const talker = key ? `call:${id}` : null
      this.hub.floor({ group, event: key ? 'taken' : 'idle', talker, call_id: id })
      this.tell(this.live(id), 'floor_moved', actor, {
        group,
        event: key ? 'taken' : 'idle',
        talker,
        call_id: id,
      })
    }
    this.hub.put('calls', id, this.live(id))
    return leg
  }

  hangUp(id: string, legId: string, cause: Cause = 'desk'): void {
    const leg = this.leg(id, legId)
    if (leg.state === 'ended') return
    this.move(leg, 'ended', cause)
    const call = this.hub.state.calls[id]
    const people = call?.legs.filter(
      (one) => one.state !== 'ended' && !one.endpoint.startsWith('radio:'),
    )
    if (call && people?.length === 0) this.end(id, 'system')
  }

  end(id: string, actor: string): void {
    const call = this.hub.state.calls[id]
    if (!call) return
    for (const leg of call.legs) if (leg.state !== 'ended') this.move(leg, 'ended', 'call_ended')
    call.ended_at = isoNow()
    const seconds = (Date.parse(call.ended_at) - Date.parse(call.created_at)) / 1000
    this.tell(call, 'call_ended', actor, { call_id: id, duration_s: seconds })
    if (call.recording) {
      const recording: RecordingView = {
        id: newId(),
        call_id: id,
        incident_id: call.incident_id,
        kind: 'mixed',
        leg_id: null,
        started_at: call.created_at,
        seconds,
        rate: 8000,
        size: Math.round(seconds * 16_000) + 44,
        sha256: newId().replaceAll('-', ''),
        stored_at: isoNow(),
        retention: call.incident_id === null ? 'other' : 'incident',
        held: false,
        deleted_at: null,
      }
      this.hub.recordings[id] = [recording]
      this.tell(call, 'recording_stored', 'system', { ...recording, recording_id: recording.id })
    }
    this.hub.pastCalls[id] = call
    this.hub.drop('calls', id)
    if (id in this.hub.state.duty) this.hub.drop('duty', id)
  }

  record(id: string, wish: { on?: boolean; per_leg?: boolean }, actor: string): object {
    const call = this.hub.state.calls[id]
    if (!call) return {}
    call.recording = wish.on ?? true
    call.recording_legs = call.recording && (wish.per_leg ?? false)
    const how = { on: call.recording, per_leg: call.recording_legs }
    this.tell(call, 'recording_switched', actor, { call_id: id, ...how })
    return how
  }

  /** A phone dials the hub. */
  offer(endpoint: string, name: string, line: string | null = null): CallView {
    const id = newId()
    const leg: LegView = {
      id: newId(),
      call_id: id,
      endpoint,
      created_at: isoNow(),
      direction: 'inbound',
      state: 'ringing',
      name,
      codec: null,
      muted: false,
      held: false,
      listen_only: false,
      whispers_to: [],
      gain_db: 0,
      auto_gain: false,
      connected_at: null,
      ended_at: null,
      cause: null,
      detail: null,
      score: null,
    }
    const call: CallView = {
      id,
      created_at: isoNow(),
      created_by: endpoint,
      incident_id: null,
      room_id: null,
      title: null,
      line,
      recording: false,
      recording_legs: false,
      ended_at: null,
      legs: [leg],
    }
    this.hub.put('calls', id, call)
    return call
  }

  /** The radios of a group talk, then are quiet. */
  talk(group: string, talker: string, ms: number): void {
    const call = Object.values(this.hub.state.calls).find((one) =>
      one.legs.some(
        (leg) =>
          leg.state === 'connected' &&
          leg.endpoint.startsWith('radio:') &&
          this.groupOf(leg.endpoint) === group,
      ),
    )
    const call_id = call?.id ?? null
    this.hub.floor({ group, event: 'taken', talker, call_id })
    if (call) this.tell(call, 'floor_moved', talker, { group, event: 'taken', talker, call_id })
    const queue = Object.values(this.hub.state.fleet)
      .filter((one) => one.groups[0] === group && `radio:${one.id}` !== talker)
      .map((one) => `radio:${one.id}`)
      .slice(0, 2)
    setTimeout(() => {
      this.hub.floor({ group, event: 'queue', talker, call_id, queue })
    }, ms / 4)
    setTimeout(() => {
      this.hub.floor({ group, event: 'idle', talker: null, call_id })
    }, ms)
  }

  private groupOf(endpoint: string): string {
    const name = endpoint.slice(endpoint.indexOf(':') + 1)
    return this.hub.state.fleet[name]?.groups[0] ?? name
  }

  private ring(leg: LegView): void {
    const manner = leg.endpoint.startsWith('radio:')
      ? { rings: 150, answers: 350 }
      : (MANNERS[leg.endpoint] ?? USUAL)
    setTimeout(() => this.move(leg, 'calling'), 120)
    setTimeout(() => this.move(leg, 'ringing'), manner.rings)
    setTimeout(() => {
      if ('fails' in manner && manner.fails) this.move(leg, 'ended', manner.fails)
      else this.move(leg, 'connected')
    }, manner.answers ?? 2400)
  }

  private move(leg: LegView, state: LegState, cause: Cause | null = null): void {
    if (leg.state === 'ended') return
    leg.state = state
    leg.cause = cause
    if (state === 'connected') {
      leg.connected_at = isoNow()
      leg.codec = 'PCMA'
    }
    if (state === 'ended') leg.ended_at = isoNow()
    if (cause === 'busy') leg.detail = '486 Busy Here'
    const call = this.hub.state.calls[leg.call_id]
    if (!call) return
    this.hub.put('calls', call.id, call)
    this.tell(call, 'leg_moved', 'system', {
      call_id: call.id,
      leg_id: leg.id,
      endpoint: leg.endpoint,
      state,
      cause,
      detail: leg.detail,
    })
  }

  private tell(call: CallView, kind: string, actor: string, data: Record<string, unknown>): void {
    if (call.incident_id) this.hub.record(call.incident_id, kind, actor, data)
  }

  private live(id: string): CallView {
    const call = this.hub.state.calls[id]
    if (!call) throw new Refusal(404, 'not-found', 'there is no such call')
    return call
  }

  /** A leg that takes keys: what is pressed there nobody keeps. */
  talking(id: string, legId: string): LegView {
    const leg = this.leg(id, legId)
    if (leg.state !== 'connected' && leg.state !== 'held') {
      throw new Refusal(409, 'conflict', `the leg is ${leg.state}`)
    }
    return leg
  }

  private leg(id: string, legId: string): LegView {
    const leg = this.live(id).legs.find((one) => one.id === legId)
    if (!leg) throw new Refusal(404, 'not-found', 'this call has no such leg')
    return leg
  }
}
