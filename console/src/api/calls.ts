/** The JSON of calls and what was recorded and played there, as `types.ts` has all else. */

import type { PointView } from './types'

export type Direction = 'outbound' | 'inbound'
export type LegState = 'requested' | 'calling' | 'ringing' | 'connected' | 'held' | 'ended'
export type Cause =
  | 'hung_up'
  | 'cancelled'
  | 'desk'
  | 'busy'
  | 'declined'
  | 'no_answer'
  | 'unreachable'
  | 'not_found'
  | 'not_allowed'
  | 'no_common_codec'
  | 'media_lost'
  | 'transferred'
  | 'preempted'
  | 'call_ended'
  | 'failed'

export interface LegView {
  id: string
  call_id: string
  endpoint: string
  created_at: string
  direction: Direction
  state: LegState
  name: string | null
  codec: string | null
  muted: boolean
  /** The desk's hold; the state `held` is the far end's own. */
  held: boolean
  listen_only: boolean
  /** Ids of the legs that alone hear this one; empty: everybody. */
  whispers_to: string[]
  gain_db: number
  auto_gain: boolean
  connected_at: string | null
  ended_at: string | null
  cause: Cause | null
  detail: string | null
  /** How well it could be heard, 1 to 4.5, once it ended. */
  score: number | null
}

export interface CallView {
  id: string
  created_at: string
  created_by: string
  incident_id: string | null
  title: string | null
  /** The duty line it came in on, or calls back. */
  line: string | null
  /** The room whose sound this is. */
  room_id: string | null
  recording: boolean
  recording_legs: boolean
  ended_at: string | null
  legs: LegView[]
}

export type DutyState = 'waiting' | 'taken' | 'missed' | 'closed'

/** A call to a duty line; `id` is the call's. */
export interface DutyCallView {
  id: string
  line: string
  dialled: string
  caller: string
  caller_name: string | null
  offered_at: string
  responder_id: string | null
  point: PointView | null
  state: DutyState
  /** How many addresses of the line's overflow were called. */
  step: number
  incident_id: string | null
  /** The address that answered. */
  taken_by: string | null
  taken_at: string | null
  ended_at: string | null
  call_back: string | null
  settled_by: string | null
}

export type RecordingKind = 'mixed' | 'leg'
export type Retention = 'incident' | 'drill' | 'other'

export interface RecordingView {
  id: string
  call_id: string
  incident_id: string | null
  kind: RecordingKind
  /** null: the call as everybody in it sounds together. */
  leg_id: string | null
  started_at: string
  seconds: number
  rate: number
  size: number
  sha256: string
  stored_at: string
  retention: Retention
  held: boolean
  deleted_at: string | null
}

export interface RecordingSwitchView {
  on: boolean
  per_leg: boolean
}

export interface PromptView {
  id: string
  name: string
  seconds: number
  size: number
  sha256: string
  created_at: string
  created_by: string
}

export interface PromptList {
  built_in: string[]
  uploaded: PromptView[]
}

export interface PlaybackView {
  id: string
  call_id: string
  prompt: string
  /** null: the whole call. */
  leg_ids: string[] | null
  loop: boolean
  gain_db: number
}
