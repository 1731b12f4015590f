/** Who is in the invented town: the units, people, phones and devices that the hub's own demo has, and some more. */

import type {
  DeviceView,
  MoveView,
  PhoneView,
  ResponderView,
  Role,
  Stage,
  UnitView,
} from '../src/api/types.ts'

export const HUB = { id: 'street-1', name: '东街街道指挥中心', tier: 'street', mode: 'normal' }

export const UNITS: UnitView[] = [
  { id: 'patrol-1', name: '东街巡防队', team: 'patrol', loop: 'street' },
  { id: 'fire-1', name: '微型消防站', team: 'fire', loop: 'street' },
  { id: 'gas-1', name: '燃气抢修班', team: 'gas', loop: 'district' },
  { id: 'medical-1', name: '社区卫生服务站', team: 'medical', loop: 'street' },
  { id: 'grid-1', name: '东街社区网格', team: 'grid-officer', loop: 'community' },
  { id: 'desk', name: '街道指挥中心', team: 'desk', loop: 'street' },
]

function person(
  id: string,
  name: string,
  unit_id: string,
  endpoints: string[],
  more: Partial<ResponderView> = {},
): ResponderView {
  return {
    id,
    name,
    unit_id,
    endpoints,
    skills: [],
    grids: [],
    on_duty: true,
    leads: false,
    capacity: 3,
    position: null,
    ...more,
  }
}

const at = (lat: number, lon: number): ResponderView['position'] => ({
  point: { lat, lon },
  at: new Date().toISOString(),
})

export const RESPONDERS: ResponderView[] = [
  person('wang', '王强', 'patrol-1', ['sip:1003', 'wecom:wangqiang'], {
    leads: true,
    position: at(31.2362, 121.4748),
  }),
  person('zhang', '张伟', 'patrol-1', ['radio:r12', 'wecom:zhangwei'], { skills: ['first-aid'] }),
  person('li', '李娜', 'patrol-1', ['radio:r13', 'wecom:lina']),
  person('zhao', '赵敏', 'patrol-1', ['cam:b7', 'wecom:zhaomin']),
  person('sun', '孙磊', 'fire-1', ['sip:1002', 'wecom:sunlei'], {
    skills: ['fire'],
    position: at(31.2352, 121.4632),
  }),
  person('qian', '钱勇', 'fire-1', ['radio:r21', 'wecom:qianyong'], { skills: ['fire', 'hazmat'] }),
  person('zhou', '周杰', 'gas-1', ['wecom:zhoujie', 'tel:+8613800000021'], {
    skills: ['hazmat'],
    position: at(31.2268, 121.4835),
  }),
  person('wu', '吴静', 'medical-1', ['wecom:wujing', 'sip:1005'], {
    skills: ['first-aid'],
    position: at(31.2351, 121.4787),
  }),
  person('zheng', '郑洁', 'grid-1', ['wecom:zhengjie'], {
    grids: ['g-01', 'g-02'],
    capacity: 5,
    position: at(31.2291, 121.4662),
  }),
  person('he', '何芳', 'grid-1', ['wecom:hefang', 'cam:b9'], { grids: ['g-05'], on_duty: false }),
  person('chen', '陈晨', 'desk', ['sip:1001', 'wecom:chenchen'], { leads: true }),
]

function phone(
  name: string,
  display_name: string,
  responder_id: string | null,
  online = true,
): PhoneView {
  const agent = online ? 'Yealink SIP-T54W 96.86' : null
  return { name, display_name, responder_id, online, agent }
}

export const PHONES: PhoneView[] = [
  phone('1001', '指挥中心 值班台', 'chen'),
  phone('1002', '微型消防站', 'sun'),
  phone('1003', '巡防队 队长室', 'wang'),
  phone('1005', '卫生服务站 前台', 'wu'),
  phone('1009', '社区警务室', null, false),
]

function device(
  id: string,
  kind: DeviceView['kind'],
  name: string,
  responder_id: string | null,
  point: [number, number] | null,
  more: Partial<DeviceView> = {},
): DeviceView {
  const now = new Date().toISOString()
  return {
    id,
    kind,
    name,
    responder_id,
    groups: [],
    model: null,
    gb_id: null,
    capabilities: [],
    online: true,
    seen_at: now,
    position: point && { point: { lat: point[0], lon: point[1] }, at: now },
    battery: null,
    revoked: false,
    ...more,
  }
}

const CAMERA = { model: 'DSJ-H8', capabilities: ['live', 'snapshot', 'sos', 'text'] }
const RADIO = { model: 'RD-900', capabilities: ['ptt', 'text', 'sos'] }

export const DEVICES: DeviceView[] = [
  device('b7', 'bodycam', '执法记录仪 7', 'zhao', [31.2304, 121.4737], {
    ...CAMERA,
    battery: 64,
    gb_id: '31010500001320000007',
  }),
  device('b9', 'bodycam', '执法记录仪 9', 'he', [31.2327, 121.4688], {
    ...CAMERA,
    battery: 12,
    online: false,
  }),
  device('r12', 'radio', '对讲机 12', 'zhang', [31.2311, 121.4752], {
    ...RADIO,
    groups: ['patrol-1'],
    battery: 81,
  }),
  device('r13', 'radio', '对讲机 13', 'li', [31.2342, 121.4701], {
    ...RADIO,
    groups: ['patrol-1'],
    battery: 47,
  }),
  device('r21', 'radio', '对讲机 21', 'qian', [31.2355, 121.4668], {
    ...RADIO,
    groups: ['fire-1'],
    battery: 92,
  }),
  device('g4', 'sensor', '燃气探测器 4', null, [31.2286, 121.4786], { capabilities: ['alarm'] }),
]

const DESK: Role[] = ['dispatcher', 'duty_leader', 'commander']
const FIELD: Role[] = [...DESK, 'responder']
const ALL: Stage[] = [
  'reported',
  'registered',
  'dispatched',
  'accepted',
  'on_scene',
  'handled',
  'verified',
  'closed',
  'scored',
  'rejected',
  'returned',
  'suspended',
  'reopened',
  'merged',
]

function move(
  action: MoveView['action'],
  sources: Stage[],
  target: Stage | null,
  roles: Role[] = DESK,
  requires: MoveView['requires'] = [],
): MoveView {
  return { action, sources, target, roles, requires }
}

/** The same table as `commhub.domain.incident.INCIDENT_MOVES`. */
export const MOVES: MoveView[] = [
  move('register', ['reported'], 'registered'),
  move('reject', ['reported', 'registered'], 'rejected', DESK, ['note', 'no_open_task']),
  move(
    'dispatch',
    ['registered', 'returned', 'reopened', 'dispatched', 'accepted', 'on_scene'],
    'dispatched',
    DESK,
    ['responder'],
  ),
  move('accept', ['dispatched'], 'accepted', FIELD),
  move('arrive', ['accepted'], 'on_scene', FIELD),
  move('handle', ['accepted', 'on_scene'], 'handled', FIELD, ['no_open_task']),
  move('verify', ['handled'], 'verified'),
  move('close', ['verified'], 'closed'),
  move('score', ['closed'], 'scored'),
  move('return', ['dispatched', 'accepted', 'on_scene'], 'returned', FIELD, ['note']),
  move('suspend', ['registered', 'returned', 'handled'], 'suspended', DESK, ['note']),
  move('resume', ['suspended'], 'registered'),
  move('reopen', ['closed', 'scored', 'rejected', 'handled', 'verified'], 'reopened', DESK, [
    'note',
  ]),
  move(
    'merge',
    ALL.filter((one) => !['closed', 'scored', 'rejected', 'merged', 'verified'].includes(one)),
    'merged',
    DESK,
    ['target'],
  ),
  move('comment', ALL, null, FIELD, ['note']),
]
