/** Who speaks in a room. Whoever is shown large stays so for a while: a page that jumps with every word is read by nobody. */

import { computed, onScopeDispose, ref, watch, type ComputedRef, type Ref } from 'vue'

import type { ParticipantView, RoomView, SpeakerView } from '@/api/rooms'

/** How long whoever is shown stays, at least. */
export const HOLD_MS = 2000

const NOBODY: SpeakerView = { source_id: null, participant_id: null }

/** The participant who speaks; of hubs that name only a source, its owner. */
export function personOf(room: RoomView, speaker: SpeakerView): ParticipantView | null {
  const owner = room.sources.find((one) => one.id === speaker.source_id)?.participant_id
  const id = speaker.participant_id ?? owner
  return room.participants.find((one) => one.id === id) ?? null
}

export interface SpeakerState {
  /** Who speaks now, as a participant's id: for marks. */
  speaking: ComputedRef<string | null>
  /** Whom to show large: who speaks, or spoke last. */
  shown: Ref<string | null>
}

/** `told` is what the hub says; it may say the same again and again. */
export function useSpeaker(room: () => RoomView, told: () => SpeakerView | null): SpeakerState {
  const speaking = computed(() => personOf(room(), told() ?? NOBODY)?.id ?? null)
  const shown = ref<string | null>(null)
  let since = -Infinity
  let timer: ReturnType<typeof setTimeout> | undefined

  function turn(): void {
    clearTimeout(timer)
    const next = speaking.value
    // Silence changes nothing.
    if (next === null || next === shown.value) return
    const left = since + HOLD_MS - performance.now()
    if (left > 0) {
      timer = setTimeout(turn, left)
      return
    }
    shown.value = next
    since = performance.now()
  }

  watch(speaking, turn, { immediate: true })
  onScopeDispose(() => clearTimeout(timer))
  return { speaking, shown }
}
