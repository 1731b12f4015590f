/** Things of neighbouring hubs for tests, plausible in every field. */

import type { CheckInView, PeeringView, SharedView, ShareView, SupervisionView } from '@/api/tiers'

const AT = '2026-11-20T19:00:00Z'

export function peering(more: Partial<PeeringView> = {}): PeeringView {
  return {
    peer: 'district-1',
    name: '区指挥中心',
    tier: 'district',
    relation: 'upper',
    state: 'active',
    key: 'abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG',
    url: 'https://district.example',
    uplink_kbps: 0,
    paired_at: AT,
    up: true,
    reason: null,
    code: null,
    waiting: 0,
    rtt_ms: 8.4,
    skew_s: 0.1,
    came_up_at: AT,
    went_down_at: null,
    ...more,
  }
}

export function share(more: Partial<ShareView> = {}): ShareView {
  return {
    incident_id: 'i1',
    peer: 'district-1',
    kind: 'reported_up',
    given: true,
    state: 'held',
    created_at: AT,
    updated_at: AT,
    by: 'user:chen',
    note: null,
    their_number: '20261120-0003',
    their_stage: 'dispatched',
    their_unit: null,
    their_person: null,
    their_clocks: {},
    ...more,
  }
}

export function checkIn(more: Partial<CheckInView> = {}): CheckInView {
  return {
    id: 'c1',
    incident_id: 'i1',
    peer: 'district-1',
    given: true,
    unit_id: 'water',
    unit: '区水务局',
    called_at: AT,
    called_by: 'user:chen',
    due_at: '2026-11-20T19:30:00Z',
    state: 'called',
    came_at: null,
    by: null,
    note: null,
    ...more,
  }
}

export function supervision(more: Partial<SupervisionView> = {}): SupervisionView {
  return {
    id: 's1',
    incident_id: 'i1',
    peer: 'district-1',
    given: false,
    text: '今日办结',
    ordered_at: AT,
    ordered_by: 'user:lin',
    due_at: '2026-11-20T21:00:00Z',
    state: 'open',
    answered_at: null,
    answered_by: null,
    answer: null,
    ...more,
  }
}

export function shared(more: Partial<SharedView> = {}): SharedView {
  return {
    address: 'radio:r7@street-a',
    peer: 'street-a',
    subject: 'radio:r7',
    label: '对讲机 7',
    rights: ['call'],
    endpoint: 'radio:r7@street-a',
    unit: null,
    online: true,
    reachable: true,
    reason: null,
    lat: null,
    lon: null,
    positioned_at: null,
    updated_at: AT,
    ...more,
  }
}
