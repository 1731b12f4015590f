/** The running story: what happened before the desk was opened, and what goes on happening. */

import type { FakeCalls } from './calls.ts'
import type { FakeDuty } from './duty.ts'
import type { FakeHub } from './hub.ts'
import { isoNow } from './hub.ts'
import { escalate, field } from './fieldwork.ts'
import { act, submit } from './incidents.ts'

const USER = 'user:chen'

/** Fill the hub with a plausible evening. */
export function begin(hub: FakeHub): void {
  const noise = submit(
    hub,
    {
      category: 'noise',
      text: '烧烤摊深夜噪声扰民，居民多次投诉',
      place: '和平街 18 号夜市',
      grid: 'g-02',
      reporter: '12345 工单 2381',
      point: { lat: 31.2278, lon: 121.4702 },
    },
    '12345',
    isoNow(-5400),
  )
  field(hub, noise.id, 'accept', null, isoNow(-5100))
  field(hub, noise.id, 'arrive', null, isoNow(-4300))
  field(hub, noise.id, 'finish', '已劝离，摊主签署承诺书', isoNow(-3000))

  const done = submit(
    hub,
    {
      category: 'parking',
      text: '货车占用消防通道',
      place: '文昌街 7 号小区东门',
      grid: 'g-05',
      reporter: 'wecom:zhengjie',
      point: { lat: 31.2339, lon: 121.4719 },
    },
    'wecom',
    isoNow(-9000),
  )
  field(hub, done.id, 'accept', null, isoNow(-8900))
  field(hub, done.id, 'finish', '车主已驶离', isoNow(-8000))
  act(hub, done.id, { action: 'verify' }, USER, isoNow(-7600))
  act(hub, done.id, { action: 'close' }, USER, isoNow(-7500))

  const fire = submit(
    hub,
    {
      category: 'fire',
      text: '居民楼三层厨房冒烟，有明火，一位老人行动不便',
      place: '中山路 126 弄 4 号楼',
      grid: 'g-05',
      reporter: 'tel:+8613800000007',
      level: 1,
      casualties: 1,
      point: { lat: 31.2331, lon: 121.4668 },
    },
    'sip',
    isoNow(-780),
  )
  field(hub, fire.id, 'accept', null, isoNow(-735))
  field(hub, fire.id, 'arrive', null, isoNow(-300))

  submit(
    hub,
    {
      category: 'gas',
      text: '燃气浓度报警 18%LEL，持续上升',
      place: '建设路 88 号地下车库',
      grid: 'g-06',
      reporter: 'sensor:g4',
      level: 2,
      point: { lat: 31.2286, lon: 121.4786 },
    },
    'sensor',
    isoNow(-95),
  )

  const flood = submit(
    hub,
    {
      category: 'flood',
      text: '滨河路下穿通道积水约 30 厘米，车辆缓行',
      place: '滨河路下穿通道',
      grid: 'g-08',
      reporter: 'responder:zheng',
      point: { lat: 31.2404, lon: 121.4741 },
    },
    'wecom',
    isoNow(-1500),
  )
  field(hub, flood.id, 'accept', null, isoNow(-1420))

  submit(
    hub,
    {
      category: 'facility',
      text: '人行道井盖缺失，已放置警示牌',
      place: '学府路实验小学门口',
      grid: 'g-01',
      reporter: 'wecom:wujing',
      point: { lat: 31.2279, lon: 121.4632 },
    },
    'wecom',
    isoNow(-410),
  )

  submit(
    hub,
    {
      category: 'dragon',
      text: '市民反映空中有不明漂浮物',
      place: '人民公园上空',
      grid: 'g-04',
      reporter: '13800000042',
      point: { lat: 31.2314, lon: 121.4678 },
    },
    'sms',
    isoNow(-160),
  )
}

/** Raise the SOS of body camera b7. */
export function raiseSos(hub: FakeHub): string {
  const b7 = hub.state.fleet.b7
  const incident = submit(
    hub,
    {
      category: 'sos',
      text: '执法记录仪 7 触发一键求助',
      place: '中山路与东街路口西侧',
      grid: 'g-05',
      reporter: 'device:b7',
      point: b7?.position?.point,
    },
    'device',
  )
  return incident.id
}

/** Let the evening go on. Answers what stops it. */
export function goOn(hub: FakeHub, calls: FakeCalls, duty: FakeDuty): () => void {
  const timers: NodeJS.Timeout[] = []
  const later = (seconds: number, work: () => void): void => {
    timers.push(setTimeout(work, seconds * 1000))
  }
  const every = (seconds: number, work: () => void): void => {
    timers.push(setInterval(work, seconds * 1000))
  }
  every(2, () => walk(hub))
  every(1, () => expire(hub))
  every(14, () => calls.talk('patrol-1', 'radio:r13', 4000))
  later(6, () => {
    const sos = raiseSos(hub)
    // Nobody takes it within the minute; the second does after a while.
    later(95, () => field(hub, sos, 'accept'))
    later(150, () => field(hub, sos, 'arrive'))
  })
  later(20, () => duty.ring('tel:+8613800000066', ''))
  later(40, () => {
    hub.put('services', 'wecom', { name: 'wecom', state: 'up', detail: null })
  })
  return () => timers.forEach((timer) => clearTimeout(timer))
}

/** Devices that are on move a few metres. */
function walk(hub: FakeHub): void {
  for (const device of Object.values(hub.state.fleet)) {
    if (!device.online || !device.position || device.kind === 'sensor') continue
    const { lat, lon } = device.position.point
    const step = (): number => (Math.random() - 0.5) * 0.00012
    const position = { point: { lat: lat + step(), lon: lon + step() }, at: isoNow() }
    hub.put('fleet', device.id, { ...device, position, seen_at: isoNow() })
  }
}

function expire(hub: FakeHub): void {
  for (const incident of Object.values(hub.state.incidents)) {
    if (
      incident.stage === 'dispatched' &&
      incident.accept_by &&
      Date.parse(incident.accept_by) < Date.now()
    ) {
      escalate(hub, incident.id)
    }
  }
}
