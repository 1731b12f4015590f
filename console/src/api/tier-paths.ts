/** The routes of neighbouring hubs, as `paths.ts` has all others. */

import type { Drop, Id, Read, Send } from './paths'
import type {
  AssignDown,
  Came,
  CascadeView,
  CheckInView,
  ExportView,
  GiveBack,
  IncidentTiersView,
  NewExport,
  NewUplink,
  PeeringView,
  ReportUp,
  RoomTiersView,
  SharedView,
  ShareView,
  StartedView,
  Supervise,
  SupervisionView,
  Whistle,
} from './tiers'

interface PeerPath {
  peer: string
}

interface CheckPath {
  id: string
  check: string
}

interface OrderPath {
  id: string
  order: string
}

export interface TierPaths {
  '/tiers/peerings': {
    get: Read<PeeringView[]>
    post: Send<{ ticket: string }, PeeringView>
  }
  '/tiers/peerings/{peer}': {
    patch: Send<{ uplink_kbps: number }, PeeringView, PeerPath>
    delete: Read<PeeringView, never, PeerPath>
  }
  '/tiers/tickets': { post: Send<{ peer: string; hours?: number }, { ticket: string }> }
  '/tiers/keys': { post: Send<Record<string, never>, { key: string }> }
  '/tiers/directory': { get: Read<SharedView[]> }
  '/tiers/exports': { get: Read<ExportView[]>; post: Send<NewExport, ExportView> }
  '/tiers/exports/{id}': { delete: Drop<Id> }
  '/tiers/incidents/{id}': { get: Read<IncidentTiersView, never, Id> }
  '/tiers/incidents/{id}/report-up': { post: Send<ReportUp, ShareView, Id> }
  '/tiers/incidents/{id}/assign-down': { post: Send<AssignDown, ShareView, Id> }
  '/tiers/incidents/{id}/return': { post: Send<GiveBack, ShareView, Id> }
  '/tiers/incidents/{id}/whistle': { post: Send<Whistle, CheckInView[], Id> }
  '/tiers/incidents/{id}/check-ins/{check}': {
    post: Send<Came, CheckInView, CheckPath>
  }
  '/tiers/incidents/{id}/check-ins/{check}/withdraw': {
    post: Send<{ note?: string }, CheckInView, CheckPath>
  }
  '/tiers/incidents/{id}/supervise': { post: Send<Supervise, SupervisionView, Id> }
  '/tiers/incidents/{id}/supervisions/{order}/answer': {
    post: Send<{ answer: string }, SupervisionView, OrderPath>
  }
  '/tiers/incidents/{id}/supervisions/{order}/lift': {
    post: Send<Record<string, never>, SupervisionView, OrderPath>
  }
  '/rooms/{id}/cascades': {
    get: Read<RoomTiersView, never, Id>
    post: Send<{ peer: string }, CascadeView, Id>
  }
  '/rooms/{id}/cascades/{peer}': { delete: Drop<{ id: string; peer: string }> }
  '/rooms/{id}/uplinks': { post: Send<NewUplink, StartedView, Id> }
  '/rooms/{id}/uplinks/{uplink}': { delete: Drop<{ id: string; uplink: string }> }
}
