/** Things of the hub for tests: plausible in every field, so that a test names only what it is about. */

import type { CallView, IncidentView, LegView, TimelineEntryView } from '@/api/types'

const AT = '2026-11-20T19:00:00Z'

export function incident(more: Partial<IncidentView> = {}): IncidentView {
  return {
    id: 'i1',
    number: '20261120-0001',
    category: 'fire',
    title: '居民楼冒烟',
    level: 2,
    loop: 'street',
    stage: 'dispatched',
    opened_at: AT,
    updated_at: AT,
    team: 'fire',
    place: '中山路 1 号',
    point: null,
    grid: 'g-01',
    reporter: null,
    unit_id: null,
    responder_id: null,
    accept_by: null,
    needs_attention: null,
    merged_into: null,
    closed_at: null,
    drill: false,
    origin: '',
    ...more,
  }
}

export function leg(more: Partial<LegView> = {}): LegView {
  return {
    id: 'l1',
    call_id: 'c1',
    endpoint: 'sip:1001',
    created_at: AT,
    direction: 'outbound',
    state: 'connected',
    name: null,
    codec: null,
    muted: false,
    held: false,
    listen_only: false,
    whispers_to: [],
    gain_db: 0,
    auto_gain: false,
    connected_at: AT,
    ended_at: null,
    cause: null,
    detail: null,
    score: null,
    ...more,
  }
}

export function call(more: Partial<CallView> = {}): CallView {
  return {
    id: 'c1',
    created_at: AT,
    created_by: 'user:chen',
    incident_id: null,
    title: null,
    line: null,
    room_id: null,
    recording: false,
    recording_legs: false,
    ended_at: null,
    legs: [leg()],
    ...more,
  }
}

let seq = 0

export function entry(
  kind: string,
  data: Record<string, unknown> = {},
  more: Partial<TimelineEntryView> = {},
): TimelineEntryView {
  seq += 1
  return { seq, incident_id: 'i1', at: AT, actor: 'system', kind, data, hub: '', ...more }
}
