/** The fake hub's HTTP of rooms, and where WHIP and WHEP come in. */

import type {
  NewInvitation,
  NewLayout,
  NewRoom,
  NewSource,
  ParticipantChange,
  ParticipantView,
  RoomChange,
} from '../src/api/rooms.ts'
import type { PrincipalView } from '../src/api/types.ts'

import { isoNow, type FakeHub } from './hub.ts'
import { Refusal } from './refusal.ts'
import { gone, made, ok, page, type Answer, type Asked, type Route } from './answers.ts'
import type { FakeRooms } from './rooms.ts'
import type { FakeWires } from './wire.ts'

const WAIT_S = '2'

interface Shown {
  room: string
  source: string
}

export class FakeRoomRoutes {
  private readonly hub: FakeHub
  private readonly rooms: FakeRooms
  private readonly wires: FakeWires
  private readonly who: (asked: Asked) => PrincipalView | undefined
  private readonly shown = new Map<string, Shown>()

  constructor(
    hub: FakeHub,
    rooms: FakeRooms,
    wires: FakeWires,
    who: (asked: Asked) => PrincipalView | undefined,
  ) {
    this.hub = hub
    this.rooms = rooms
    this.wires = wires
    this.who = who
  }

  /** Whether a guest's link opens this route. */
  static isForGuests(path: string): boolean {
    return /^\/(rooms\/[^/]+($|\/)|webrtc\/)/.test(path)
  }

  private actor(asked: Asked): string {
    return `user:${this.who(asked)?.name ?? ''}`
  }

  private me(asked: Asked, id: string): ParticipantView {
    const guest = asked.bearer?.replace(/^room\./, '') ?? null
    const name = this.who(asked)?.display_name ?? ''
    return this.rooms.me(id, this.actor(asked), guest, name)
  }

  table(): [string, RegExp, Route][] {
    const { hub, rooms } = this
    return [
      ['GET', /^\/webrtc\/ice-servers$/, () => ok({ servers: [], ttl_s: 3600 })],
      ['GET', /^\/rooms$/, () => page(Object.values(hub.state.rooms))],
      [
        'POST',
        /^\/rooms$/,
        (asked) => {
          const name = this.who(asked)?.display_name ?? ''
          return made(rooms.open(asked.body as NewRoom, this.actor(asked), name))
        },
      ],
      [
        'POST',
        /^\/rooms\/live$/,
        (asked) => made(rooms.live((asked.body as { camera: string }).camera, this.actor(asked))),
      ],
      ['GET', /^\/rooms\/wall$/, () => ok(rooms.layouts)],
      ['PUT', /^\/rooms\/wall$/, (asked) => ok(this.keep(asked))],
      [
        'DELETE',
        /^\/rooms\/wall$/,
        ({ query }) => {
          const at = rooms.layouts.findIndex((one) => one.name === query.get('name'))
          if (at >= 0) rooms.layouts.splice(at, 1)
          return gone
        },
      ],
      ['GET', /^\/rooms\/([^/]+)$/, (_, id = '') => ok(rooms.room(id))],
      [
        'PATCH',
        /^\/rooms\/([^/]+)$/,
        ({ body }, id = '') => ok(rooms.alter(id, body as RoomChange)),
      ],
      [
        'DELETE',
        /^\/rooms\/([^/]+)$/,
        (_, id = '') => {
          rooms.end(id)
          return gone
        },
      ],
      [
        'GET',
        /^\/rooms\/([^/]+)\/me$/,
        (asked, id = '') => {
          const participant = this.me(asked, id)
          return ok({ participant, waiting: participant.state === 'waiting' })
        },
      ],
      [
        'POST',
        /^\/rooms\/([^/]+)\/enter$/,
        (asked, id = '') => {
          const participant = this.me(asked, id)
          return ok({ waiting: rooms.enter(id, participant), participant })
        },
      ],
      [
        'POST',
        /^\/rooms\/([^/]+)\/leave$/,
        (asked, id = '') => {
          rooms.leave(id, this.me(asked, id))
          return gone
        },
      ],
      ['GET', /^\/rooms\/([^/]+)\/meters$/, (_, id = '') => ok(rooms.meters(id))],
      [
        'POST',
        /^\/rooms\/([^/]+)\/invitations$/,
        ({ body, origin }, id = '') => {
          const invited = rooms.invite(id, body as NewInvitation)
          return made({ ...invited, link: invited.link && `${origin}${invited.link}` })
        },
      ],
      [
        'POST',
        /^\/rooms\/([^/]+)\/recordings$/,
        ({ body }, id = '') => {
          const { on } = body as { on: boolean }
          rooms.change(id, (room) => (room.recording = on))
          return ok({ on })
        },
      ],
      ['POST', /^\/rooms\/([^/]+)\/roll-calls$/, (_, id = '') => made(rooms.roll(id))],
      [
        'GET',
        /^\/rooms\/([^/]+)\/roll-calls\/(\d+)$/,
        (_, id = '', n = '') => ok(rooms.rollOf(id, Number(n))),
      ],
      [
        'PATCH',
        /^\/rooms\/([^/]+)\/participants\/([^/]+)$/,
        ({ body }, id = '', one = '') => ok(rooms.alterPerson(id, one, body as ParticipantChange)),
      ],
      [
        'DELETE',
        /^\/rooms\/([^/]+)\/participants\/([^/]+)$/,
        (_, id = '', one = '') => ok(rooms.remove(id, one)),
      ],
      [
        'POST',
        /^\/rooms\/([^/]+)\/participants\/([^/]+)\/admit$/,
        (_, id = '', one = '') => ok(rooms.admit(id, one)),
      ],
      [
        'POST',
        /^\/rooms\/([^/]+)\/sources$/,
        ({ body }, id = '') => made(rooms.pull(id, body as NewSource)),
      ],
      [
        'DELETE',
        /^\/rooms\/([^/]+)\/sources\/([^/]+)$/,
        (_, id = '', source = '') => {
          rooms.takeDown(id, source)
          return gone
        },
      ],
      [
        'PATCH',
        /^\/rooms\/([^/]+)\/views\/([^/]+)$/,
        ({ body }, _room, session = '') => {
          // Another picture is another connection here; a layer more or less looks the same.
          const { source, layer } = body as { source?: string; layer?: string }
          const shown = this.shown.get(session)
          if (!shown || (source !== undefined && source !== shown.source)) {
            throw new Refusal(404, 'not-found', 'this session is over')
          }
          return ok({ source_id: shown.source, layer: layer ?? 'main' })
        },
      ],
    ]
  }

  /** An offer to `/whip/…` or `/whep/…`, another one for a session, or its end. */
  async wire(asked: Asked, offer: string): Promise<Answer> {
    const [, protocol = '', room = '', last = ''] = asked.path.split('/').map(decodeURIComponent)
    if (asked.method === 'DELETE') {
      await this.wires.close(last)
      return gone
    }
    const before = this.shown.get(last)
    if (before) await this.wires.close(last)
    const person = this.me(asked, room)
    if (this.rooms.room(room).mode === 'meeting' && this.rooms.enter(room, person)) {
      return {
        status: 403,
        headers: { 'Retry-After': WAIT_S },
        body: { status: 403, code: 'waiting', title: 'waiting', detail: 'the host lets you in' },
      }
    }
    const { id, answer } =
      protocol === 'whip'
        ? await this.publish(asked, room, person, offer)
        : await this.wires.view(before?.source ?? last, offer)
    this.shown.set(id, { room, source: before?.source ?? last })
    return {
      status: 201,
      headers: { Location: `/${protocol}/${room}/${id}`, 'Content-Type': 'application/sdp' },
      text: answer,
    }
  }

  private publish(
    asked: Asked,
    room: string,
    person: ParticipantView,
    offer: string,
  ): Promise<{ id: string; answer: string }> {
    const kind = asked.query.get('source') === 'screen' ? 'screen' : 'camera'
    const source = this.rooms.publish(room, person, kind)
    return this.wires.publish(offer, () => this.rooms.takeDown(room, source.id))
  }

  private keep(asked: Asked): unknown {
    const { shared, ...layout } = asked.body as NewLayout
    const owner = shared ? '' : this.actor(asked)
    const kept = { ...layout, owner, updated_at: isoNow(), updated_by: this.actor(asked) }
    const { layouts } = this.rooms
    const at = layouts.findIndex((one) => one.name === kept.name && one.owner === owner)
    if (at < 0) layouts.push(kept)
    else layouts[at] = kept
    return kept
  }
}
