/**
 * The one picture of a wall that is heard, of all that are seen. Its sound is the meeting's, or a body camera's own, on a
 * connection of its own: the picture stays as it is, and which one is heard can change at once.
 */

import { defineStore } from 'pinia'
import { computed, ref } from 'vue'

import { viewAddress } from '@/rooms/address'
import { prepareView } from '@/rooms/publishing'
import { RoomConnection, type Phase } from '@/rooms/session'

import { useLive } from './live'
import { useMeeting } from './meeting'
import { explain, useNotices } from './notices'

/** A picture that is heard: `key` names its tile, `name` is what people call it. */
export interface Heard {
  key: string
  roomId: string
  sourceId: string
  name: string
}

export const useHearing = defineStore('hearing', () => {
  const live = useLive()
  const meeting = useMeeting()
  const heard = ref<Heard | null>(null)
  const phase = ref<Phase | null>(null)
  /** The browser plays nothing before a click on this page. */
  const blocked = ref(false)
  let connection: RoomConnection | null = null
  const speaker = new Audio()
  speaker.autoplay = true

  const key = computed(() => heard.value?.key ?? null)

  /** Only what has sound, and is not heard already because this page takes part. */
  function canHear(roomId: string | null): boolean {
    const room = roomId === null ? undefined : live.state.rooms[roomId]
    return room !== undefined && room.id !== meeting.roomId
  }

  /** A meeting has one sound, whoever is looked at; a camera's live view that of the camera. */
  function soundOf(picture: Heard): string {
    const isAlone = live.state.rooms[picture.roomId]?.mode === 'live'
    return viewAddress(picture.roomId, isAlone ? picture.sourceId : 'speaker', 'low')
  }

  function hear(next: Heard): void {
    const was = heard.value
    heard.value = next
    // Two pictures of one meeting have the same sound.
    if (connection !== null && was?.roomId === next.roomId) return
    drop()
    const made: RoomConnection = new RoomConnection(
      {
        address: soundOf(next),
        token: '',
        watches: false,
        prepare: (peer) => prepareView(peer, true),
      },
      {
        phase: (now, error) => move(made, now, error),
        track: ({ track, streams }) => {
          if (track.kind !== 'audio' || connection !== made) return
          speaker.srcObject = streams[0] ?? new MediaStream([track])
          void unblock()
        },
      },
    )
    connection = made
    made.open()
  }

  function move(which: RoomConnection, next: Phase, error: unknown): void {
    if (connection !== which) return
    phase.value = next
    if (next !== 'over') return
    if (error !== undefined) useNotices().say(explain(error), 'vermillion')
    stop()
  }

  /** `of`: only if it is this one that is heard. */
  function stop(of: string | null = key.value): void {
    if (of !== key.value) return
    heard.value = null
    drop()
  }

  function drop(): void {
    const was = connection
    connection = null
    phase.value = null
    blocked.value = false
    speaker.srcObject = null
    void was?.close()
  }

  function toggle(next: Heard): void {
    if (key.value === next.key) stop()
    else hear(next)
  }

  async function unblock(): Promise<void> {
    await speaker.play().then(
      () => (blocked.value = false),
      // A connection that ended meanwhile has nothing to play.
      () => (blocked.value = connection !== null),
    )
  }

  return { heard, key, phase, blocked, canHear, toggle, stop, unblock }
})
