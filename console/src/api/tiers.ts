/** The JSON of neighbouring hubs and of what is shared with them, as `commhub/tiers` defines it. */

import type { ParticipantView } from './rooms'

export type Tier = 'street' | 'district' | 'city'
export type Relation = 'upper' | 'lower'

/** A neighbour. `code`: of which kind `reason` is; `waiting`: messages to it that are not settled; `skew_s`: how far its clock is ahead of ours. */
export interface PeeringView {
  peer: string
  name: string
  tier: Tier
  relation: Relation
  state: 'active' | 'revoked'
  key: string
  url: string | null
  /** What pictures may take together on the way to it; 0 is no bound. */
  uplink_kbps: number
  paired_at: string
  up: boolean
  reason: string | null
  code: string | null
  waiting: number
  rtt_ms: number | null
  skew_s: number | null
  came_up_at: string | null
  went_down_at: string | null
}

export type ShareKind = 'reported_up' | 'assigned_down' | 'whistled'
export type ShareState = 'offered' | 'held' | 'returned' | 'refused' | 'ended'

/** An incident in common with one neighbour; `their_*` is what its hub last said of it, clocks by name. */
export interface ShareView {
  incident_id: string
  peer: string
  kind: ShareKind
  /** By us to them. */
  given: boolean
  state: ShareState
  created_at: string
  updated_at: string
  by: string
  note: string | null
  their_number: string | null
  their_stage: string | null
  their_unit: string | null
  their_person: string | null
  their_clocks: Record<string, unknown>
}

export type CheckInState = 'called' | 'checked_in' | 'no_show' | 'late' | 'withdrawn'

/** One department that was whistled for. */
export interface CheckInView {
  id: string
  incident_id: string
  peer: string
  /** We whistled. */
  given: boolean
  unit_id: string
  unit: string
  called_at: string
  called_by: string
  due_at: string
  state: CheckInState
  came_at: string | null
  by: string | null
  note: string | null
}

export type SupervisionState = 'open' | 'overdue' | 'answered' | 'lifted'

export interface SupervisionView {
  id: string
  incident_id: string
  peer: string
  /** We ordered it. */
  given: boolean
  text: string
  ordered_at: string
  ordered_by: string
  due_at: string
  state: SupervisionState
  answered_at: string | null
  answered_by: string | null
  answer: string | null
}

export interface IncidentTiersView {
  incident_id: string
  shares: ShareView[]
  check_ins: CheckInView[]
  supervisions: SupervisionView[]
}

export type ShareRight = 'call' | 'see' | 'command'

/** What a neighbour lets us address. `reachable`: it is online and the link to its hub is up; `reason` says why not. */
export interface SharedView {
  address: string
  peer: string
  subject: string
  label: string
  rights: ShareRight[]
  endpoint: string | null
  unit: string | null
  online: boolean
  reachable: boolean
  reason: string | null
  lat: number | null
  lon: number | null
  positioned_at: string | null
  updated_at: string
}

/** What we let neighbours address; `peer` «*»: all of them. */
export interface ExportView {
  id: string
  peer: string
  subject: string
  label: string
  rights: ShareRight[]
  created_at: string
  created_by: string
}

export type CascadeState = 'asked' | 'joined' | 'down' | 'ended'

/** Our room joined with a neighbour's. */
export interface CascadeView {
  room_id: string
  peer: string
  relation: Relation
  state: CascadeState
  created_at: string
  created_by: string
  their_room: string | null
  participant_id: string | null
  /** Those whom it brings into the meeting. */
  hubs: string[]
  /** Why it is not joined, or what of it did not come about. */
  reason: string | null
}

/** A source of another hub in a room of ours; `via` are the hubs it passed, its own first. */
export interface RemoteSourceView {
  source_id: string
  peer: string
  origin: string
  via: string[]
  wanted: string | null
  error: string | null
}

/** A source of ours that is sent onward, `to` a hub or `platform:NAME`; `sent` is what the way holds. */
export interface UplinkView {
  id: string
  source_id: string
  to: string
  layer: string
  sent: string | null
  kbps: number
  asked_at: string
  error: string | null
}

/** A platform that is no commhub; one with `dial` is rung into the room, another takes pictures by WHIP. */
export interface PlatformView {
  name: string
  dial: string | null
}

export interface RoomTiersView {
  cascades: CascadeView[]
  sources: RemoteSourceView[]
  uplinks: UplinkView[]
  platforms: PlatformView[]
}

// --- what is sent ------------------------------------------------------------------------------------------

export interface ReportUp {
  peer?: string
  note?: string
}

export interface AssignDown {
  peer: string
  note?: string
}

export interface GiveBack {
  peer: string
  note: string
}

/** `by`: who came. */
export interface Came {
  by?: string
  note?: string
}

export interface Whistle {
  peer: string
  units: string[]
  within_minutes: number
  note?: string
}

/** One of both: what is sent, or who is rung. */
export interface StartedView {
  uplink: UplinkView | null
  participant: ParticipantView | null
}

/** `source`: an id, or `speaker`. */
export interface NewUplink {
  platform: string
  source: string
}

export interface Supervise {
  peer: string
  text: string
  within_minutes: number
}

export interface NewExport {
  peer: string
  subject: string
  rights: ShareRight[]
  label?: string
}
