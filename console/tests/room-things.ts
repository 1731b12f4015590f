/** Rooms, people, pictures and cameras for tests. */

import type { ParticipantView, RoomView, SourceView } from '@/api/rooms'
import type { DeviceView } from '@/api/types'

const AT = '2026-11-20T19:00:00Z'

export function person(id: string, more: Partial<ParticipantView> = {}): ParticipantView {
  return {
    id,
    room_id: 'r1',
    kind: 'user',
    name: id,
    created_at: AT,
    role: 'presenter',
    state: 'joined',
    account: null,
    endpoint: null,
    unit_id: null,
    admitted: true,
    hand_raised: false,
    sound_muted: false,
    picture_muted: false,
    leg_id: null,
    first_joined_at: AT,
    joined_at: AT,
    left_at: null,
    present_s: 0,
    ...more,
  }
}

export function source(id: string, of: string, more: Partial<SourceView> = {}): SourceView {
  return {
    id,
    room_id: 'r1',
    participant_id: of,
    kind: 'camera',
    label: of,
    created_at: AT,
    state: 'live',
    codec: 'H264',
    layers: ['main', 'sub'],
    muted: false,
    device: null,
    unit_id: null,
    started_at: AT,
    ended_at: null,
    ...more,
  }
}

export function room(more: Partial<RoomView> = {}): RoomView {
  return {
    id: 'r1',
    number: '4711',
    dial: '84711',
    name: '防汛会商',
    created_at: AT,
    created_by: 'user:li',
    mode: 'meeting',
    state: 'open',
    incident_id: null,
    call_id: 'c1',
    device: null,
    locked: false,
    lobby: false,
    drill: false,
    recording: false,
    spotlight: null,
    end_proposed_at: null,
    ended_at: null,
    participants: [],
    sources: [],
    ...more,
  }
}

export function camera(id: string, more: Partial<DeviceView> = {}): DeviceView {
  return {
    id,
    kind: 'bodycam',
    name: `执法记录仪 ${id}`,
    responder_id: null,
    groups: [],
    model: null,
    gb_id: null,
    capabilities: [],
    online: true,
    seen_at: null,
    position: null,
    battery: null,
    revoked: false,
    ...more,
  }
}
