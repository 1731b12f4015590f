/** What crosses the live socket, and how it changes what the desk knows. Pure, so that it can be proven. */

import type {
  CallView,
  DeviceView,
  DutyCallView,
  IncidentView,
  PhoneView,
  ServiceView,
  TimelineEntryView,
} from '@/api/types'
import type { RoomView, SpeakerView } from '@/api/rooms'
import type { CascadeState, IncidentTiersView, PeeringView } from '@/api/tiers'

export interface LiveState {
  incidents: Record<string, IncidentView>
  calls: Record<string, CallView>
  duty: Record<string, DutyCallView>
  fleet: Record<string, DeviceView>
  phones: Record<string, PhoneView>
  services: Record<string, ServiceView>
  /** Those that go on. */
  rooms: Record<string, RoomView>
  /** What open incidents have in common with other hubs. */
  shares: Record<string, IncidentTiersView>
  /** Neighbouring hubs, by the name of each. */
  peerings: Record<string, PeeringView>
}

export type Table = keyof LiveState

export interface FloorEvent {
  group: string
  event: string
  talker: string | null
  call_id: string | null
  cause?: string | null
  /** Who waits for the floor, the next one first. */
  queue?: string[]
}

/** Something about the lines to the public network that a person must know at once; `alarm` is one word. */
export interface AlarmEvent {
  alarm: string
  text: string
  at: string
  call_id: string | null
  incident_id: string | null
}

/** Who speaks in a room now; it is state for as long as it lasts. */
export interface SpeakerEvent extends SpeakerView {
  room_id: string
}

/** A room was joined with a neighbour's, lost it or got it back. */
export interface CascadeEvent {
  room_id: string
  peer: string
  state: CascadeState
}

export type Op =
  | { put: Table; id: string; value: unknown }
  | { del: Table; id: string }
  | { event: 'timeline'; value: TimelineEntryView }
  | { event: 'floor'; value: FloorEvent }
  | { event: 'alarm'; value: AlarmEvent }
  | { event: 'speaker'; value: SpeakerEvent }
  | { event: 'shared'; value: { peer: string } }
  | { event: 'cascade'; value: CascadeEvent }

/** Which hub this is, for the top bar; its neighbours and timelines know it by `id`. */
export interface HubIdentity {
  id?: string
  name: string
  tier: string
  mode: string
}

/** `floors`: who has the floor of each group, where the hub says it; else it is known from the next event on. */
export interface Snapshot {
  op: 'snapshot'
  epoch: string
  seq: number
  state: Partial<LiveState> & { floors?: Record<string, FloorEvent> }
  hub?: HubIdentity
}

export interface Delta {
  op: 'delta'
  epoch: string
  from: number
  to: number
  ops: Op[]
}

export type Frame = Snapshot | Delta

const TABLES: readonly Table[] = [
  'incidents',
  'calls',
  'duty',
  'fleet',
  'phones',
  'services',
  'rooms',
  'shares',
  'peerings',
]

export function emptyState(): LiveState {
  return {
    incidents: {},
    calls: {},
    duty: {},
    fleet: {},
    phones: {},
    services: {},
    rooms: {},
    shares: {},
    peerings: {},
  }
}

/** The whole state a snapshot carries; tables it leaves out are empty. */
export function stateOf(snapshot: Snapshot): LiveState {
  const state = emptyState()
  for (const table of TABLES) Object.assign(state[table], snapshot.state[table])
  return state
}

/** Change `state` in place by one op. Events and tables we do not know change nothing. */
export function applyOp(state: LiveState, op: Op): void {
  if ('put' in op && TABLES.includes(op.put)) {
    ;(state[op.put] as Record<string, unknown>)[op.id] = op.value
  } else if ('del' in op && TABLES.includes(op.del)) {
    // eslint-disable-next-line @typescript-eslint/no-dynamic-delete -- a keyed table is what this is
    delete state[op.del][op.id]
  }
}
