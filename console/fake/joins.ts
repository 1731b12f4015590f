/** The fake hub's meetings with neighbours, and what of them is sent to platforms. */

import type {
  CascadeView,
  NewUplink,
  PeeringView,
  RoomTiersView,
  StartedView,
  UplinkView,
} from '../src/api/tiers.ts'

import { gone, made, ok, type Route } from './answers.ts'
import { isoNow, newId, type FakeHub } from './hub.ts'
import { Refusal } from './refusal.ts'
import type { FakeRooms } from './rooms.ts'
import { DISTRICT, platforms } from './tier-town.ts'

const TAKEN_MS = 900

export class FakeJoins {
  private readonly hub: FakeHub
  private readonly rooms: FakeRooms
  private readonly peering: (peer: string) => PeeringView
  private readonly joins: Record<string, RoomTiersView> = {}

  constructor(hub: FakeHub, rooms: FakeRooms, peering: (peer: string) => PeeringView) {
    this.hub = hub
    this.rooms = rooms
    this.peering = peering
    rooms.borrow = (room, camera) => this.borrow(room, camera)
  }

  table(): [string, RegExp, Route][] {
    return [
      ['GET', /^\/rooms\/([^/]+)\/cascades$/, (_, id = '') => ok(this.joined(id))],
      [
        'POST',
        /^\/rooms\/([^/]+)\/cascades$/,
        ({ body }, id = '') => made(this.join(id, (body as { peer: string }).peer)),
      ],
      [
        'POST',
        /^\/rooms\/([^/]+)\/uplinks$/,
        ({ body }, id = '') => made(this.send(id, body as NewUplink)),
      ],
      [
        'DELETE',
        /^\/rooms\/([^/]+)\/uplinks\/([^/]+)$/,
        (_, id = '', uplink = '') => {
          const joined = this.joined(id)
          joined.uplinks = joined.uplinks.filter((one) => one.id !== uplink)
          return gone
        },
      ],
    ]
  }

  /** A neighbour's camera comes with its hub; answers who that is in the room. */
  private borrow(room: string, camera: string): string {
    const peer = camera.split('@')[1] ?? ''
    if (!this.peering(peer).up) {
      throw new Refusal(
        503,
        'unavailable',
        `the link to ${peer} is down; ask again when it is back`,
      )
    }
    const known = this.joined(room).cascades.find((one) => one.peer === peer)
    return (known ?? this.join(room, peer)).participant_id ?? ''
  }

  /** The meeting is joined with the district's and has two of its pictures. */
  join(room: string, peer: string): CascadeView {
    const hub = this.peering(peer)
    const person = this.rooms.add(this.rooms.room(room), 'tier', hub.name)
    const cascade: CascadeView = {
      room_id: room,
      peer,
      relation: hub.relation,
      state: hub.up ? 'joined' : 'asked',
      created_at: isoNow(),
      created_by: 'user:chen',
      their_room: newId(),
      participant_id: person.id,
      hubs: peer === DISTRICT ? [peer, 'city'] : [peer],
      reason: hub.up ? null : 'the link is down; it joins when that is back',
    }
    const joined = this.joined(room)
    joined.cascades.push(cascade)
    if (hub.up) {
      const show = (label: string, via: string[], error: string | null): void => {
        const more = { label, state: error === null ? ('live' as const) : ('idle' as const) }
        const source = this.rooms.show(this.rooms.room(room), person, 'tier', more)
        const origin = `${via[0] ?? peer}/${source.id}`
        const wanted = error === null ? 'sub' : null
        joined.sources.push({ source_id: source.id, peer, origin, via, wanted, error })
      }
      show('排涝泵车记录仪', [peer], null)
      show('市防汛大屏', ['city', peer], null)
      show('河道监控 4', [peer], 'the way to street-1 has room for 20 Mbit/s, which are taken')
    }
    this.hub.tell('cascade', { room_id: room, peer, state: cascade.state })
    return cascade
  }

  private joined(room: string): RoomTiersView {
    return (this.joins[room] ??= {
      cascades: [],
      sources: [],
      uplinks: [],
      platforms: platforms(),
    })
  }

  /** The picture is on its way for a moment; the MCU is rung like anybody. */
  private send(room: string, { platform, source }: NewUplink): StartedView {
    const { platforms, uplinks } = this.joined(room)
    const dial = platforms.find((one) => one.name === platform)?.dial
    if (dial) {
      const { participant } = this.rooms.invite(room, { to: dial, name: platform })
      return { uplink: null, participant }
    }
    const uplink: UplinkView = {
      id: newId(),
      source_id: source,
      to: `platform:${platform}`,
      layer: 'main',
      sent: null,
      kbps: 4200,
      asked_at: isoNow(),
      error: null,
    }
    uplinks.push(uplink)
    setTimeout(() => (uplink.sent = 'main'), TAKEN_MS)
    return { uplink, participant: null }
  }
}
