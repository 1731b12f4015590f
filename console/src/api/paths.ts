/** The routes the console uses, in the form openapi-fetch reads (and openapi-typescript writes). */

import type {
  ActionBody,
  Candidates,
  DryRun,
  DryRunBody,
  FloorCommand,
  LegChange,
  NewCall,
  NewCommand,
  NewLeg,
  NewMessage,
  NewReport,
  RecordingSwitch,
  RuleSet,
  RuleSetSummary,
  SignIn,
} from './bodies'
import type {
  CallView,
  DeviceCommandView,
  DeviceView,
  DutyCallView,
  EndpointView,
  IncidentDetail,
  IncidentView,
  LegView,
  MessageView,
  MoveView,
  Page,
  PhoneView,
  PrincipalView,
  Problem,
  RecordingSwitchView,
  RecordingView,
  ResponderView,
  TimelineEntryView,
  UnitView,
} from './types'
import type { RoomPaths } from './room-paths'
import type { TierPaths } from './tier-paths'

interface Headers {
  'Idempotency-Key'?: string
}

interface Parameters<Query, Path> {
  parameters: { query?: Query; header?: Headers } & ([Path] extends [never]
    ? { path?: never }
    : { path: Path })
}

interface Responses<Answer> {
  responses: {
    200: { content: { 'application/json': Answer } }
    default: { content: { 'application/problem+json': Problem } }
  }
}

interface Bodiless {
  requestBody?: never
}

interface Bodied<Body> {
  requestBody: { content: { 'application/json': Body } }
}

export type Read<Answer, Query = never, Path = never> = Parameters<Query, Path> &
  Responses<Answer> &
  Bodiless
export type Send<Body, Answer, Path = never> = Parameters<never, Path> &
  Responses<Answer> &
  Bodied<Body>
export type Drop<Path = never> = Parameters<never, Path> & Responses<null> & Bodiless

export interface Cursor {
  cursor?: string
  limit?: number
}

export interface Id {
  id: string
}

interface LegPath {
  call: string
  leg: string
}

export interface paths extends RoomPaths, TierPaths {
  '/accounts/session': {
    get: Read<PrincipalView>
    post: Send<SignIn, PrincipalView>
    delete: Drop
  }
  '/incidents': {
    get: Read<Page<IncidentView>, Cursor & { open?: boolean; stage?: string; q?: string }>
    post: Send<NewReport, IncidentView>
  }
  '/incidents/moves': { get: Read<MoveView[]> }
  '/incidents/{id}': { get: Read<IncidentDetail, never, Id> }
  '/incidents/{id}/timeline': {
    get: Read<
      { items: TimelineEntryView[]; next: number | string | null },
      { after?: number | string },
      Id
    >
  }
  '/incidents/{id}/actions': { post: Send<ActionBody, IncidentView, Id> }
  '/incidents/{id}/candidates': { get: Read<Candidates, never, Id> }
  '/directory/responders': { get: Read<ResponderView[]> }
  '/directory/units': { get: Read<UnitView[]> }
  '/directory/endpoints': { get: Read<EndpointView[]> }
  '/calls': {
    get: Read<Page<CallView>, Cursor & { live?: boolean }>
    post: Send<NewCall, CallView>
  }
  '/calls/duty': { get: Read<Page<DutyCallView>, Cursor> }
  '/calls/duty/{id}': { delete: Drop<Id> }
  '/calls/duty/{id}/answer': { post: Send<{ endpoint: string }, LegView, Id> }
  '/calls/duty/{id}/call-back': { post: Send<{ endpoint: string }, CallView, Id> }
  '/calls/{id}': { get: Read<CallView, never, Id>; delete: Drop<Id> }
  '/calls/{id}/legs': { post: Send<NewLeg, LegView, Id> }
  '/calls/{call}/legs/{leg}': { patch: Send<LegChange, LegView, LegPath>; delete: Drop<LegPath> }
  '/calls/{call}/legs/{leg}/keys': { post: Send<{ digits: string }, LegView, LegPath> }
  '/calls/{call}/legs/{leg}/move': { post: Send<{ to: string }, LegView, LegPath> }
  '/calls/{id}/merge': { post: Send<{ into: string }, CallView, Id> }
  '/calls/floors/{group}': { post: Send<FloorCommand, null, { group: string }> }
  '/calls/{id}/recordings': {
    get: Read<RecordingView[], never, Id>
    post: Send<RecordingSwitch, RecordingSwitchView, Id>
  }
  '/messages': {
    get: Read<Page<MessageView>, Cursor & { incident?: string }>
    post: Send<NewMessage, MessageView>
  }
  '/fleet': { get: Read<DeviceView[]> }
  '/fleet/phones': { get: Read<PhoneView[]> }
  '/fleet/{id}/commands': {
    get: Read<Page<DeviceCommandView>, never, Id>
    post: Send<NewCommand, DeviceCommandView, Id>
  }
  '/rules': { get: Read<RuleSetSummary[]> }
  '/rules/{id}': { get: Read<RuleSet, never, Id> }
  '/rules/{id}/dry-run': { post: Send<DryRunBody, DryRun, Id> }
}
