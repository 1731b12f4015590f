/** One room as it is: by the live socket for whoever is signed in, by asking again and again for a guest. */

import { computed, onScopeDispose, ref, watch, type ComputedRef, type Ref } from 'vue'

import { api, ApiError, ask, makeClient } from '@/api/client'
import type { ParticipantView, RoomView, SpeakerView } from '@/api/rooms'
import { useLive } from '@/stores/live'
import { useSession } from '@/stores/session'

const GUEST_MS = 1500
const METERS_MS = 1000

export interface RoomState {
  room: ComputedRef<RoomView | null>
  /** As whom this user is in it. */
  me: ComputedRef<ParticipantView | null>
  isHost: ComputedRef<boolean>
  /** Why there is no room to be seen. */
  problem: Ref<unknown>
  /** Ask now. */
  reload: () => Promise<void>
}

/** `token` is a guest's; empty for whoever is signed in. */
export function useRoomState(id: string, token: string): RoomState {
  const live = useLive()
  const session = useSession()
  const client = token === '' ? api : makeClient(token)
  const path = { params: { path: { id } } }

  const asked = ref<RoomView | null>(null)
  const mine = ref<string | null>(null)
  const problem = ref<unknown>(null)
  let timer: ReturnType<typeof setTimeout> | undefined
  let isGone = false

  const room = computed(() => (token === '' ? live.state.rooms[id] : undefined) ?? asked.value)
  const me = computed(() => {
    const people = room.value?.participants ?? []
    if (token !== '') return people.find((one) => one.id === mine.value) ?? null
    return people.find((one) => one.account === session.actor) ?? null
  })
  const isHost = computed(() => (token === '' && session.dispatches) || me.value?.role === 'host')

  async function reload(): Promise<void> {
    try {
      if (token !== '')
        mine.value ??= (await ask(client.GET('/rooms/{id}/me', path))).participant.id
      asked.value = await ask(client.GET('/rooms/{id}', path))
      problem.value = null
    } catch (error) {
      // A hub that is not there for a moment is no reason to forget what we saw.
      const isFinal = error instanceof ApiError && error.status >= 400 && error.status < 500
      if (isFinal || asked.value === null) problem.value = error
    }
  }

  async function follow(): Promise<void> {
    await reload()
    if (!isGone) timer = setTimeout(() => void follow(), GUEST_MS)
  }

  if (token !== '') {
    void follow()
  } else {
    // Of a room that is not among the open ones we ask once, how it ended.
    watch(
      () => [live.ready, live.snapshots, id in live.state.rooms] as const,
      ([ready, , isOpen]) => {
        if (ready && !isOpen) void reload()
        else if (isOpen) problem.value = null
      },
      { immediate: true },
    )
  }
  onScopeDispose(() => {
    isGone = true
    clearTimeout(timer)
  })

  return { room, me, isHost, problem, reload }
}

/** Who speaks, as the hub says: at once by the live socket, and for a guest once a second. */
export function useTold(id: string, token: string): ComputedRef<SpeakerView | null> {
  const client = token === '' ? api : makeClient(token)
  const live = useLive()
  const asked = ref<SpeakerView | null>(null)
  let isGone = false
  let timer: ReturnType<typeof setTimeout> | undefined

  async function follow(): Promise<void> {
    try {
      const meters = await ask(client.GET('/rooms/{id}/meters', { params: { path: { id } } }))
      asked.value = { source_id: meters.speaker, participant_id: meters.speaking ?? null }
    } catch (error) {
      // The next second asks again; what refuses for good is told by the room itself.
      if (!(error instanceof ApiError)) throw error
    }
    if (!isGone && token !== '') timer = setTimeout(() => void follow(), METERS_MS)
  }

  // Whoever is signed in asks once, for what was said before they came.
  void follow()
  onScopeDispose(() => {
    isGone = true
    clearTimeout(timer)
  })
  return computed(() => live.speakers[id] ?? asked.value)
}
