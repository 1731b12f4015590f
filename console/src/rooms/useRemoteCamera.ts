/**
 * Another hub's camera (`cam:b7@street-a`) is seen in a meeting with that hub, which puts it in: one that goes on for it already, else
 * one that is opened for it, and ended when nobody is left in it.
 */

import { api, ask } from '@/api/client'
import type { RoomView, SourceView } from '@/api/rooms'

/** Whether others than me are in it; the hub that brings the camera is nobody. */
const isTaken = (room: RoomView, me: string): boolean =>
  room.participants.some(
    (one) => one.kind !== 'tier' && one.account !== me && one.state === 'joined',
  )

/** The meeting of that name that goes on. */
export function meetingFor(name: string, rooms: readonly RoomView[]): RoomView | undefined {
  return rooms.find((one) => one.mode === 'meeting' && one.name === name && one.state !== 'ended')
}

/** The camera's picture in its meeting, once the other hub has told of it. */
export function remotePicture(room: RoomView | undefined): SourceView | undefined {
  return room?.sources.find((one) => one.kind === 'tier' && one.state !== 'ended')
}

/** Answers the meeting's id when the camera is asked in. Throws ApiError with the other hub's words. */
export async function openRemote(
  address: string,
  name: string,
  rooms: readonly RoomView[],
): Promise<string> {
  const known = meetingFor(name, rooms)
  const id = known?.id ?? (await ask(api.POST('/rooms', { body: { name } }))).id
  const params = { path: { id } }
  try {
    await ask(api.POST('/rooms/{id}/invitations', { params, body: { to: address } }))
  } catch (error) {
    if (known === undefined) await api.DELETE('/rooms/{id}', { params }).catch(() => undefined)
    throw error
  }
  return id
}

/** End it, unless somebody else is in it; `room` as far as it is known. `me` as `user:chen`. */
export async function closeRemote(
  id: string,
  room: RoomView | undefined,
  me: string,
): Promise<void> {
  if (room !== undefined && (room.state === 'ended' || isTaken(room, me))) return
  await ask(api.DELETE('/rooms/{id}', { params: { path: { id } } }))
}
