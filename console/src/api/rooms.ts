/** The JSON of rooms, as `commhub/http/room_views.py` defines it. */

export type RoomMode = 'meeting' | 'wall' | 'live'
export type RoomRole = 'host' | 'presenter' | 'viewer'
export type ParticipantKind = 'user' | 'guest' | 'phone' | 'radio' | 'camera' | 'tier'
export type ParticipantState = 'invited' | 'waiting' | 'joined' | 'left' | 'removed'
export type SourceKind = 'camera' | 'screen' | 'bodycam' | 'sip' | 'rtsp' | 'tier'
export type SourceState = 'idle' | 'starting' | 'live' | 'ended'
export type Layer = 'main' | 'sub' | 'low'
/** What a view shows after a switch. */
export interface ShownView {
  source_id: string
  layer: Layer
}

export type Check = 'not_asked' | 'pending' | 'good' | 'bad'
export type Verdict = 'pending' | 'present' | 'absent' | 'faulty'

export interface ParticipantView {
  id: string
  room_id: string
  kind: ParticipantKind
  name: string
  created_at: string
  role: RoomRole
  state: ParticipantState
  account: string | null
  endpoint: string | null
  unit_id: string | null
  /** The waiting room is behind them. */
  admitted: boolean
  hand_raised: boolean
  sound_muted: boolean
  picture_muted: boolean
  leg_id: string | null
  first_joined_at: string | null
  joined_at: string | null
  left_at: string | null
  present_s: number
}

/** A picture in a room; `codec` and `layers` once it was seen. */
export interface SourceView {
  id: string
  room_id: string
  participant_id: string
  kind: SourceKind
  label: string
  created_at: string
  state: SourceState
  codec: string | null
  layers: Layer[]
  muted: boolean
  device: string | null
  unit_id: string | null
  started_at: string | null
  ended_at: string | null
}

/** A camera that is fetched by RTSP; user and password stand in the addresses, and come back in no answer. */
export interface NewSource {
  label: string
  rtsp: string
  rtsp_sub?: string
  unit?: string
}

export interface RoomView {
  id: string
  number: string
  /** What a phone dials for it. */
  dial: string | null
  name: string
  created_at: string
  created_by: string
  mode: RoomMode
  state: 'open' | 'ended'
  incident_id: string | null
  call_id: string | null
  device: string | null
  locked: boolean
  lobby: boolean
  drill: boolean
  recording: boolean
  spotlight: string | null
  end_proposed_at: string | null
  ended_at: string | null
  participants: ParticipantView[]
  sources: SourceView[]
}

export interface MeView {
  participant: ParticipantView
  waiting: boolean
}

export interface InvitationView {
  id: string
  room_id: string
  participant_id: string
  created_at: string
  created_by: string
  expires_at: string
  sent_to: string | null
  used_at: string | null
  revoked_at: string | null
}

/** `link` is shown once. */
export interface InvitedView {
  participant: ParticipantView
  invitation: InvitationView | null
  link: string | null
}

export interface LayerMeterView {
  layer: Layer
  width: number
  height: number
  fps: number
  kbps: number
  lost: number
}

export interface SourceMeterView {
  source_id: string
  codec: string
  layers: LayerMeterView[]
  views: number
  silent_s: number
  round_trip_ms: number | null
  muted: boolean
  recording: boolean
}

/** Whoever speaks; of phones and radios there is no source. */
export interface SpeakerView {
  source_id: string | null
  participant_id: string | null
}

export interface RoomMetersView {
  /** The source of whoever speaks, and as whom they take part. */
  speaker: string | null
  speaking: string | null
  sources: SourceMeterView[]
}

export interface RollCallItemView {
  participant_id: string
  name: string
  endpoint: string | null
  called_at: string
  rung: boolean
  answered_at: string | null
  answer_ms: number | null
  round_trip_ms: number | null
  picture: Check
  height: number
  fps: number
  voice: Check
  verdict: Verdict
  /** The neighbouring hub this came by: itself, or with an `origin` (HUB/ID) somebody of whom it told. */
  peer: string | null
  origin: string | null
}

export interface RollCallView {
  id: string
  room_id: string
  n: number
  created_at: string
  created_by: string
  until: string
  state: 'running' | 'done'
  done_at: string | null
  items: RollCallItemView[]
}

/** `tiles` row by row: `cam:b7`, a source's id, or «» for an empty one; `owner` «» is everybody. */
export interface WallLayoutView {
  name: string
  owner: string
  columns: number
  tiles: string[]
  updated_at: string
  updated_by: string
}

export interface IceServersView {
  servers: { urls: string; username: string | null; credential: string | null }[]
  ttl_s: number
}

export interface NewRoom {
  name: string
  mode?: RoomMode
  incident?: string
  lobby?: boolean
  record?: boolean
}

export interface NewInvitation {
  to?: string
  name?: string
  role?: RoomRole
  expires_in_s?: number
}

/** What is left out stays; `spotlight` «» is whoever speaks. */
export interface RoomChange {
  name?: string
  locked?: boolean
  lobby?: boolean
  spotlight?: string
}

export interface ParticipantChange {
  role?: RoomRole
  sound_muted?: boolean
  picture_muted?: boolean
  hand_raised?: boolean
  /** A guest's own, at the door. */
  name?: string
}

export interface NewLayout {
  name: string
  columns: number
  tiles: string[]
  shared?: boolean
}
