/**
 * The JSON of the hub's things, as `commhub/http/views.py` defines it: the same names, the same fields.
 *
 * Everything imports these names from here, so that a generated schema can take the place of what they say.
 */

export * from './calls'

export type Source =
  'console' | 'api' | 'device' | 'sensor' | 'sip' | 'wecom' | 'sms' | '12345' | 'upstream'
export type ReportStage = 'received' | 'attached' | 'quarantined'
export type Loop = 'community' | 'multi-grid' | 'street' | 'district'
export type Role =
  | 'dispatcher'
  | 'duty_leader'
  | 'commander'
  | 'responder'
  | 'viewer'
  | 'integration'
  | 'system_admin'
  | 'security_admin'
  | 'audit_admin'
export type Stage =
  | 'reported'
  | 'registered'
  | 'dispatched'
  | 'accepted'
  | 'on_scene'
  | 'handled'
  | 'verified'
  | 'closed'
  | 'scored'
  | 'rejected'
  | 'returned'
  | 'suspended'
  | 'reopened'
  | 'merged'
export type Action =
  | 'register'
  | 'reject'
  | 'dispatch'
  | 'accept'
  | 'arrive'
  | 'handle'
  | 'verify'
  | 'close'
  | 'score'
  | 'return'
  | 'suspend'
  | 'resume'
  | 'reopen'
  | 'merge'
  | 'comment'
export type Requirement = 'note' | 'responder' | 'target' | 'no_open_task'
export type TaskStage =
  'dispatched' | 'accepted' | 'on_scene' | 'handled' | 'returned' | 'escalated' | 'cancelled'
export type MessageKind = 'task_card' | 'text'
export type CardAction = 'accept' | 'finish' | 'return'
export type DeliveryKind = 'send' | 'update'
export type DeliveryState =
  | 'pending'
  | 'sending'
  | 'accepted'
  | 'delivered'
  | 'failed_temp'
  | 'failed_perm'
  | 'unknown'
  | 'stale'
  | 'superseded'
export type DeviceKind = 'bodycam' | 'radio' | 'sensor'

export interface Page<T> {
  items: T[]
  next: string | null
}

export interface PointView {
  lat: number
  lon: number
}

export interface PositionView {
  point: PointView
  at: string
}

export interface ReportView {
  id: string
  source: Source
  category: string
  text: string
  received_at: string
  level: number | null
  reporter: string | null
  place: string | null
  point: PointView | null
  grid: string | null
  occurred_at: string | null
  casualties: number
  drill: boolean
  extra: Record<string, unknown>
  stage: ReportStage
  incident_id: string | null
  error: string | null
}

export interface IncidentView {
  id: string
  number: string
  category: string
  title: string
  level: number
  loop: Loop
  stage: Stage
  opened_at: string
  updated_at: string
  team: string
  place: string | null
  point: PointView | null
  grid: string | null
  reporter: string | null
  unit_id: string | null
  responder_id: string | null
  accept_by: string | null
  needs_attention: string | null
  merged_into: string | null
  closed_at: string | null
  drill: boolean
  origin: string
}

export interface TaskView {
  id: string
  incident_id: string
  responder_id: string
  unit_id: string
  dispatched_at: string
  attempt: number
  stage: TaskStage
  accepted_at: string | null
  on_scene_at: string | null
  ended_at: string | null
  note: string | null
}

export interface IncidentDetail {
  incident: IncidentView
  reports: ReportView[]
  tasks: TaskView[]
  decision: Record<string, unknown>
}

export interface MoveView {
  action: Action
  sources: Stage[]
  target: Stage | null
  roles: Role[]
  requires: Requirement[]
}

export interface TimelineEntryView {
  seq: number
  incident_id: string
  at: string
  actor: string
  kind: string
  data: Record<string, unknown>
  hub: string
}

export interface UnitView {
  id: string
  name: string
  team: string
  loop: Loop
}

export interface ResponderView {
  id: string
  name: string
  unit_id: string
  skills: string[]
  grids: string[]
  endpoints: string[]
  on_duty: boolean
  leads: boolean
  capacity: number
  position: PositionView | null
}

export interface EndpointView {
  endpoint: string
  name: string
  responder_id: string | null
  unit_id: string | null
  online: boolean | null
  detail: string | null
}

export interface DeliveryView {
  id: string
  message_id: string
  channel: string
  recipient: string
  kind: DeliveryKind
  responder_id: string | null
  state: DeliveryState
  attempt: number
  next_at: string
  error: string | null
}

export interface AckView {
  id: string
  actor: string
  action: string
  source: string
  at: string
  effect: string
}

export interface MessageView {
  id: string
  kind: MessageKind
  title: string
  body: string
  created_at: string
  incident_id: string | null
  task_id: string | null
  /** Pairs of label and value. */
  fields: string[][]
  actions: CardAction[]
  link: string | null
  deliveries: DeliveryView[]
  acks: AckView[]
}

export interface DeviceView {
  id: string
  kind: DeviceKind
  name: string
  responder_id: string | null
  groups: string[]
  model: string | null
  gb_id: string | null
  capabilities: string[]
  online: boolean
  seen_at: string | null
  position: PositionView | null
  battery: number | null
  revoked: boolean
}

export interface DeviceCommandView {
  id: string
  device_id: string
  op: string
  at: string
  state: string
  expires_at: string | null
  answer: string | null
}

export interface PhoneView {
  name: string
  display_name: string
  responder_id: string | null
  online: boolean
  agent: string | null
}

export interface ServiceView {
  name: string
  state: string
  detail: string | null
}

export interface PrincipalView {
  id: string
  name: string
  kind: string
  display_name: string
  roles: Role[]
}

/** RFC 9457 problem details; `code` is stable, `detail` is for people. */
export interface Problem {
  type: string
  title: string
  status: number
  detail: string
  code: string
  [more: string]: unknown
}
