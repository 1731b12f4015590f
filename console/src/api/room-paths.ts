/** The routes of rooms, as `paths.ts` has all others. */

import type { Cursor, Drop, Id, Read, Send } from './paths'
import type {
  IceServersView,
  InvitedView,
  Layer,
  MeView,
  NewInvitation,
  NewLayout,
  NewRoom,
  NewSource,
  ParticipantChange,
  ParticipantView,
  RollCallView,
  RoomChange,
  RoomMetersView,
  RoomView,
  ShownView,
  SourceView,
  WallLayoutView,
} from './rooms'
import type { Page } from './types'

interface PersonPath {
  id: string
  person: string
}

interface SourcePath {
  id: string
  source: string
}

export interface RoomPaths {
  '/rooms': {
    get: Read<Page<RoomView>, Cursor & { open?: boolean; incident?: string }>
    post: Send<NewRoom, RoomView>
  }
  '/rooms/live': { post: Send<{ camera: string }, RoomView> }
  '/rooms/wall': {
    get: Read<WallLayoutView[]>
    put: Send<NewLayout, WallLayoutView>
    delete: Read<null, { name: string; shared?: boolean }>
  }
  '/rooms/{id}': {
    get: Read<RoomView, never, Id>
    patch: Send<RoomChange, RoomView, Id>
    delete: Drop<Id>
  }
  '/rooms/{id}/me': { get: Read<MeView, never, Id> }
  '/rooms/{id}/enter': { post: Read<MeView, never, Id> }
  '/rooms/{id}/leave': { post: Drop<Id> }
  '/rooms/{id}/meters': { get: Read<RoomMetersView, never, Id> }
  '/rooms/{id}/invitations': { post: Send<NewInvitation, InvitedView, Id> }
  '/rooms/{id}/recordings': { post: Send<{ on: boolean }, { on: boolean }, Id> }
  '/rooms/{id}/roll-calls': { post: Send<{ within_s?: number }, RollCallView, Id> }
  '/rooms/{id}/roll-calls/{n}': { get: Read<RollCallView, never, { id: string; n: number }> }
  '/rooms/{id}/participants/{person}': {
    patch: Send<ParticipantChange, ParticipantView, PersonPath>
    delete: Drop<PersonPath>
  }
  '/rooms/{id}/participants/{person}/admit': { post: Drop<PersonPath> }
  '/rooms/{id}/sources': { post: Send<NewSource, SourceView, Id> }
  '/rooms/{id}/sources/{source}': {
    patch: Send<{ muted: boolean }, SourceView, SourcePath>
    delete: Drop<SourcePath>
  }
  '/rooms/{id}/views/{session}': {
    patch: Send<{ source?: string; layer?: Layer }, ShownView, { id: string; session: string }>
  }
  '/webrtc/ice-servers': { get: Read<IceServersView> }
}
