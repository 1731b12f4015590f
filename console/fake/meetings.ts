/** What goes on in rooms before the desk was opened, and while it is: a meeting about a flood, its voices, and a wall. */

import type { FakeRooms } from './rooms.ts'
import type { FakeHub } from './hub.ts'
import { isoNow } from './hub.ts'

const HOST = 'user:sun'
const TURN_MS = 4500

/** A meeting in which everything is that can be in one; answers what stops its voices. */
export function meet(hub: FakeHub, rooms: FakeRooms): () => void {
  const flood = Object.values(hub.state.incidents).find((one) => one.category === 'flood')
  const room = rooms.open(
    { name: '汛情会商', incident: flood?.id, lobby: true, record: true },
    HOST,
    '孙磊',
  )
  room.created_at = isoNow(-1200)
  const [host] = room.participants
  if (host) rooms.admit(room.id, host.id)
  const mcu = rooms.add(room, 'tier', '区应急指挥中心', { endpoint: 'sip:district' })
  const zhao = rooms.add(room, 'camera', '执法记录仪 7', {
    endpoint: 'cam:b7',
    unit_id: 'patrol-1',
  })
  const phone = rooms.add(room, 'phone', '王强', { endpoint: 'sip:1003', unit_id: 'patrol-1' })
  const radio = rooms.add(room, 'radio', '巡防一组', { endpoint: 'radio:patrol-1' })
  const guest = rooms.add(room, 'guest', '李静（水务局）', { hand_raised: true })
  rooms.add(room, 'guest', '周工', { state: 'waiting', admitted: false })
  rooms.add(room, 'phone', '吴静', { endpoint: 'sip:1005', state: 'left' })
  if (host) rooms.show(room, host, 'camera')
  rooms.show(room, mcu, 'sip')
  rooms.show(room, zhao, 'bodycam', { device: 'b7' })
  rooms.show(room, guest, 'camera')

  const wallRoom = rooms.open({ name: '重点部位', mode: 'wall' }, HOST, '孙磊')
  for (const label of ['北闸', '东桥', '河口泵站', '下穿通道']) {
    rooms.pull(wallRoom.id, { label, rtsp: 'rtsp://camera.invalid/main' })
  }
  rooms.layouts.push({
    name: '汛期八路',
    owner: '',
    columns: 4,
    tiles: [...room.sources, ...rooms.room(wallRoom.id).sources].map((one) => one.id).slice(0, 8),
    updated_at: isoNow(),
    updated_by: HOST,
  })

  const talk = [host, phone, guest, radio, mcu, null]
  let turn = 0
  const timer = setInterval(() => {
    turn = (turn + 1) % talk.length
    rooms.speak(room.id, talk[turn] ?? null)
  }, TURN_MS)
  return () => clearInterval(timer)
}
