/** Who the fake hub's neighbours are, and what they share with it. */

import type { ExportView, PeeringView, PlatformView, SharedView } from '../src/api/tiers.ts'

import { isoNow, newId } from './hub.ts'

export const DISTRICT = 'district-1'

export const key = (seed: string): string => seed.repeat(43).slice(0, 43)

export function neighbour(
  peer: string,
  name: string,
  more: Partial<PeeringView> = {},
): PeeringView {
  return {
    peer,
    name,
    tier: 'street',
    relation: 'lower',
    state: 'active',
    key: key(`${peer}Qx7Zp`.replaceAll('-', '_')),
    url: null,
    uplink_kbps: 0,
    paired_at: isoNow(-86_400 * 20),
    up: true,
    reason: null,
    code: null,
    waiting: 0,
    rtt_ms: 11.2,
    skew_s: 0.04,
    came_up_at: isoNow(-7200),
    went_down_at: null,
    ...more,
  }
}

function sharedBy(peer: string, subject: string, label: string, online = true): SharedView {
  const isUnit = subject.startsWith('unit:')
  return {
    address: `${subject}@${peer}`,
    peer,
    subject,
    label,
    rights: isUnit ? ['call'] : subject.startsWith('cam:') ? ['see', 'call'] : ['call'],
    endpoint: isUnit ? null : `${subject}@${peer}`,
    unit: null,
    online,
    reachable: online,
    reason: online ? null : 'it is not online there',
    lat: null,
    lon: null,
    positioned_at: null,
    updated_at: isoNow(),
  }
}

export const neighbours = (): PeeringView[] => [
  neighbour(DISTRICT, '区应急指挥中心', {
    tier: 'district',
    relation: 'upper',
    url: 'https://district.example:8443',
    uplink_kbps: 20_000,
  }),
  neighbour('east-port', '东港街道分中心', { skew_s: 34.2, rtt_ms: 48 }),
  neighbour('north-hill', '北山街道', {
    came_up_at: null,
    up: false,
    reason: 'not dialled in yet',
  }),
]

export const directory = (): SharedView[] => [
  sharedBy(DISTRICT, 'unit:water', '区水务局'),
  sharedBy(DISTRICT, 'unit:traffic', '区交警支队'),
  sharedBy(DISTRICT, 'unit:power', '区供电公司'),
  sharedBy(DISTRICT, 'sip:8001', '区值班室'),
  sharedBy(DISTRICT, 'cam:d3', '排涝泵车记录仪'),
  sharedBy('east-port', 'radio:r12', '东港巡防对讲'),
  sharedBy('east-port', 'cam:b9', '东港执法记录仪', false),
]

export const platforms = (): PlatformView[] => [
  { name: 'city-video', dial: null },
  { name: 'city-mcu', dial: 'sip:9001' },
]

export const exported = (): ExportView => ({
  id: newId(),
  peer: DISTRICT,
  subject: 'radio:r12',
  label: '对讲机 12',
  rights: ['call', 'see', 'command'],
  created_at: isoNow(-86_400),
  created_by: 'user:chen',
})
