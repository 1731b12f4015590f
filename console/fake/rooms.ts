/** Meetings, live views and walls of the fake hub: who is there, what they do, and who speaks. */

import type {
  InvitedView,
  NewInvitation,
  NewRoom,
  NewSource,
  ParticipantChange,
  ParticipantKind,
  ParticipantView,
  RollCallView,
  RoomChange,
  RoomMetersView,
  RoomView,
  SourceKind,
  SourceView,
  SpeakerView,
  WallLayoutView,
} from '../src/api/rooms.ts'

import { isoNow, newId, type FakeHub } from './hub.ts'
import { Refusal } from './refusal.ts'
import { RESPONDERS } from './town.ts'

const LINK_DAYS_S = 86_400
const NAME = /[\p{L}\p{N}]/u

const KINDS: Record<string, ParticipantKind> = {
  sip: 'phone',
  tel: 'phone',
  radio: 'radio',
  cam: 'camera',
  user: 'user',
  desk: 'user',
}

export class FakeRooms {
  readonly layouts: WallLayoutView[] = []
  private readonly hub: FakeHub
  private readonly speakers: Record<string, SpeakerView> = {}
  private readonly rolls: Record<string, RollCallView[]> = {}
  private count = 4710
  /** Has another hub put its camera into the room; answers as whom. */
  borrow: (room: string, camera: string) => string = () => ''

  constructor(hub: FakeHub) {
    this.hub = hub
  }

  room(id: string): RoomView {
    const room = this.hub.state.rooms[id] ?? this.hub.pastRooms[id]
    if (!room) throw new Refusal(404, 'not-found', 'there is no such room')
    return room
  }

  open(body: NewRoom, actor: string, name: string): RoomView {
    this.count += 1
    const room = this.blank(body.name, body.mode ?? 'meeting', actor)
    room.incident_id = body.incident ?? null
    room.lobby = body.lobby ?? false
    room.recording = body.record ?? false
    this.hub.put('rooms', room.id, room)
    const host = this.add(room, 'user', name, { account: actor, role: 'host', state: 'invited' })
    return this.change(room.id, (one) => one.participants.includes(host))
  }

  /** The live view of a body camera, made when somebody asks for it first. */
  live(camera: string, actor: string): RoomView {
    const device = this.hub.state.fleet[camera]
    if (device?.kind !== 'bodycam') throw new Refusal(404, 'not-found', 'there is no such camera')
    const known = Object.values(this.hub.state.rooms).find((one) => one.device === camera)
    if (known) return known
    const room = this.blank(device.name, 'live', actor)
    room.device = camera
    this.hub.put('rooms', room.id, room)
    const one = this.add(room, 'camera', device.name, { endpoint: `cam:${camera}` })
    this.show(room, one, 'bodycam', { device: camera })
    return room
  }

  add(
    room: RoomView,
    kind: ParticipantKind,
    name: string,
    more: Partial<ParticipantView> = {},
  ): ParticipantView {
    const person: ParticipantView = {
      id: newId(),
      room_id: room.id,
      kind,
      name,
      created_at: isoNow(),
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
      first_joined_at: null,
      joined_at: null,
      left_at: null,
      present_s: 0,
      ...more,
    }
    this.change(room.id, (one) => one.participants.push(person))
    return person
  }

  show(
    room: RoomView,
    person: ParticipantView,
    kind: SourceKind,
    more: Partial<SourceView> = {},
  ): SourceView {
    const source: SourceView = {
      id: newId(),
      room_id: room.id,
      participant_id: person.id,
      kind,
      label: person.name,
      created_at: isoNow(),
      state: 'live',
      codec: 'H264',
      layers: ['main', 'sub'],
      muted: false,
      device: null,
      unit_id: null,
      started_at: isoNow(),
      ended_at: null,
      ...more,
    }
    this.change(room.id, (one) => one.sources.push(source))
    return source
  }

  /** As whom this actor (or the bearer of a guest's link) is in a room. */
  me(id: string, actor: string, guest: string | null, name: string): ParticipantView {
    const room = this.room(id)
    const known = room.participants.find((one) =>
      guest === null ? one.account === actor : one.id === guest,
    )
    if (known) return known
    if (guest !== null) throw new Refusal(401, 'unauthenticated', 'this link is no good')
    return this.add(room, 'user', name, { account: actor, state: 'invited' })
  }

  enter(id: string, person: ParticipantView): boolean {
    const room = this.room(id)
    if (room.locked && person.state === 'invited' && person.role !== 'host') {
      throw new Refusal(403, 'forbidden', 'the room is locked')
    }
    const waits = room.lobby && !person.admitted && person.role !== 'host'
    this.change(id, () => (person.state = waits ? 'waiting' : 'joined'))
    return waits
  }

  /** Somebody's own camera or screen came, or goes. */
  publish(id: string, person: ParticipantView, kind: SourceKind): SourceView {
    const room = this.room(id)
    const known = room.sources.find((one) => one.participant_id === person.id && one.kind === kind)
    return known ?? this.show(room, person, kind)
  }

  takeDown(id: string, source: string): void {
    if (!this.hub.state.rooms[id]) return
    this.change(id, (room) => {
      room.sources = room.sources.filter((one) => one.id !== source)
      if (room.spotlight === source) room.spotlight = null
    })
  }

  leave(id: string, person: ParticipantView): void {
    this.change(id, (room) => {
      person.state = person.state === 'removed' ? 'removed' : 'left'
      person.hand_raised = false
      room.sources = room.sources.filter((one) => one.participant_id !== person.id)
    })
  }

  end(id: string): void {
    const room = this.room(id)
    this.hub.pastRooms[id] = { ...room, state: 'ended', ended_at: isoNow(), sources: [] }
    this.hub.drop('rooms', id)
  }

  alter(id: string, body: RoomChange): RoomView {
    return this.change(id, (room) => {
      const { spotlight, ...rest } = body
      Object.assign(room, rest)
      if (spotlight !== undefined) room.spotlight = spotlight === '' ? null : spotlight
    })
  }

  alterPerson(id: string, person: string, body: ParticipantChange): ParticipantView {
    const one = this.person(id, person)
    const name = body.name?.replaceAll(/[\p{C}\s]+/gu, ' ').trim()
    if (name !== undefined && !NAME.test(name)) {
      throw new Refusal(422, 'invalid', 'a name has a letter or a digit')
    }
    this.change(id, (room) => {
      Object.assign(one, body, name === undefined ? {} : { name })
      for (const source of room.sources.filter((own) => own.participant_id === person)) {
        source.muted = one.picture_muted
        source.label = one.name
      }
    })
    return one
  }

  admit(id: string, person: string): ParticipantView {
    const one = this.person(id, person)
    this.change(id, () => Object.assign(one, { admitted: true, state: 'joined' }))
    return one
  }

  remove(id: string, person: string): ParticipantView {
    const one = this.person(id, person)
    this.leave(id, one)
    this.change(id, () => (one.state = 'removed'))
    return one
  }

  invite(id: string, body: NewInvitation): InvitedView {
    const room = this.room(id)
    const scheme = body.to?.split(':')[0] ?? ''
    if (scheme === 'cam' && body.to?.includes('@') === true) {
      const participant = this.person(id, this.borrow(id, body.to))
      return { participant, invitation: null, link: null }
    }
    const known = RESPONDERS.find(
      (one) => one.id === body.to || (body.to !== undefined && one.endpoints.includes(body.to)),
    )
    const name = body.name ?? known?.name ?? body.to ?? ''
    const kind = KINDS[scheme] ?? 'guest'
    const participant =
      room.participants.find((one) => one.endpoint !== null && one.endpoint === body.to) ??
      this.add(room, kind, name, {
        endpoint: body.to ?? null,
        role: body.role ?? 'presenter',
        state: 'invited',
        admitted: kind !== 'guest',
      })
    if (kind === 'phone' || kind === 'radio' || kind === 'camera') {
      setTimeout(() => this.answer(id, participant), 1500)
      return { participant, invitation: null, link: null }
    }
    const invitation = {
      id: newId(),
      room_id: id,
      participant_id: participant.id,
      created_at: isoNow(),
      created_by: 'user:chen',
      expires_at: isoNow(LINK_DAYS_S),
      sent_to: null,
      used_at: null,
      revoked_at: null,
    }
    return { participant, invitation, link: `/meet/${id}#room.${participant.id}` }
  }

  pull(id: string, body: NewSource): SourceView {
    const room = this.room(id)
    const person = this.add(room, 'camera', body.label)
    return this.show(room, person, 'rtsp', { unit_id: body.unit ?? null })
  }

  speak(id: string, person: ParticipantView | null): void {
    const room = this.hub.state.rooms[id]
    if (!room) return
    const source = room.sources.find(
      (one) => one.participant_id === person?.id && one.kind !== 'screen',
    )
    const speaker = { source_id: source?.id ?? null, participant_id: person?.id ?? null }
    this.speakers[id] = speaker
    this.hub.tell('speaker', { room_id: id, ...speaker })
  }

  meters(id: string): RoomMetersView {
    const speaker = this.speakers[id]
    return {
      speaker: speaker?.source_id ?? null,
      speaking: speaker?.participant_id ?? null,
      sources: [],
    }
  }

  roll(id: string): RollCallView {
    const room = this.room(id)
    const all = (this.rolls[id] ??= [])
    const people = room.participants.filter((one) => one.state !== 'removed')
    const roll: RollCallView = {
      id: newId(),
      room_id: id,
      n: all.length + 1,
      created_at: isoNow(),
      created_by: 'user:chen',
      until: isoNow(30),
      state: 'done',
      done_at: isoNow(),
      items: people.map((one) => {
        const there = one.state === 'joined'
        const shows = room.sources.some((source) => source.participant_id === one.id)
        return {
          participant_id: one.id,
          name: one.name,
          endpoint: one.endpoint,
          called_at: isoNow(),
          rung: !there,
          answered_at: there ? isoNow() : null,
          answer_ms: there ? 1840 : null,
          round_trip_ms: there ? 23 : null,
          picture: shows ? 'good' : 'not_asked',
          height: shows ? 1080 : 0,
          fps: shows ? 30 : 0,
          voice: there && one.kind !== 'camera' ? 'good' : 'not_asked',
          verdict: there ? 'present' : 'absent',
          peer: null,
          origin: null,
        }
      }),
    }
    all.push(roll)
    return roll
  }

  rollOf(id: string, n: number): RollCallView {
    const roll = this.rolls[id]?.[n - 1]
    if (!roll) throw new Refusal(404, 'not-found', 'there is no such roll-call')
    return roll
  }

  person(id: string, person: string): ParticipantView {
    const one = this.room(id).participants.find((known) => known.id === person)
    if (!one) throw new Refusal(404, 'not-found', 'there is no such participant')
    return one
  }

  change(id: string, work: (room: RoomView) => unknown): RoomView {
    const room = this.room(id)
    work(room)
    this.hub.put('rooms', id, room)
    return room
  }

  private answer(id: string, person: ParticipantView): void {
    if (!this.hub.state.rooms[id]) return
    this.change(id, () => (person.state = 'joined'))
    const camera = /^cam:(.+)$/.exec(person.endpoint ?? '')?.[1]
    if (camera !== undefined) this.show(this.room(id), person, 'bodycam', { device: camera })
  }

  private blank(name: string, mode: RoomView['mode'], actor: string): RoomView {
    const number = String(this.count)
    return {
      id: newId(),
      number,
      dial: mode === 'meeting' ? `8${number}` : null,
      name,
      created_at: isoNow(),
      created_by: actor,
      mode,
      state: 'open',
      incident_id: null,
      call_id: null,
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
    }
  }
}
