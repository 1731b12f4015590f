/** What of a room goes to platforms that are no commhub, and how that stands. Pure. */

import type { ParticipantView, RoomView } from '@/api/rooms'
import type { PlatformView, RoomTiersView, UplinkView } from '@/api/tiers'
import type { Look } from '@/status'

/** `starting`: asked for and not on its way yet; `failing`: the hub tries again, its words say why. */
export type SendingState = 'starting' | 'sending' | 'failing'

/** One picture that goes there, or the platform as somebody who was rung. */
export interface Sending {
  id: string
  state: SendingState
  /** Why it does not flow, as the far end or the hub said it. */
  reason: string | null
  /** Which picture: `speaker` or a source's id; null for who was rung. */
  source: string | null
  uplink: UplinkView | null
  person: ParticipantView | null
}

export const SENDING_LOOK: Record<SendingState, Look> = {
  starting: { tone: 'yellow', shape: 'half' },
  sending: { tone: 'green', shape: 'dot' },
  failing: { tone: 'vermillion', shape: 'cross' },
}

function stateOf(uplink: UplinkView): SendingState {
  if (uplink.error !== null) return 'failing'
  return uplink.sent === null ? 'starting' : 'sending'
}

function rung(platform: PlatformView, room: RoomView): Sending[] {
  const isIn = (one: ParticipantView): boolean =>
    one.endpoint === platform.dial && ['joined', 'invited', 'waiting'].includes(one.state)
  return room.participants.filter(isIn).map((person) => ({
    id: person.id,
    state: person.state === 'joined' ? 'sending' : 'starting',
    reason: null,
    source: null,
    uplink: null,
    person,
  }))
}

/** All that goes to this platform now. */
export function sendingsOf(
  platform: PlatformView,
  joined: RoomTiersView,
  room: RoomView,
): Sending[] {
  if (platform.dial !== null) return rung(platform, room)
  return joined.uplinks
    .filter((one) => one.to === `platform:${platform.name}`)
    .map((uplink) => ({
      id: uplink.id,
      state: stateOf(uplink),
      reason: uplink.error,
      source: uplink.source_id,
      uplink,
      person: null,
    }))
}

/** Whether anything of the room leaves it for a platform: people in it should know. */
export function goesOut(joined: RoomTiersView, room: RoomView): boolean {
  return joined.platforms.some((one) => sendingsOf(one, joined, room).length > 0)
}
