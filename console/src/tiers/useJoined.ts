/** Keeps what is known of a room joined with other hubs, or sent to platforms, up to date while a page shows it. */

import { onBeforeUnmount, watch } from 'vue'

import type { RoomView } from '@/api/rooms'
import { useJoins } from '@/stores/joins'
import { useLive } from '@/stores/live'

// Which pictures flow, and why one does not, is told by nobody.
const LOOK_MS = 3000

/** `shown`: whether this page may ask at all; a guest may not. */
export function useJoined(room: () => RoomView, shown: () => boolean): void {
  const joins = useJoins()
  const live = useLive()
  let timer: ReturnType<typeof setTimeout> | undefined

  const moves = (): boolean =>
    room().sources.some((one) => one.kind === 'tier' && one.state !== 'ended') ||
    joins.of(room().id).cascades.some((one) => one.state !== 'ended') ||
    joins.of(room().id).uplinks.length > 0

  async function load(): Promise<void> {
    clearTimeout(timer)
    try {
      await joins.load(room().id)
    } catch {
      // The next look is soon, and what is shown meanwhile is what was last known.
    }
    clearTimeout(timer)
    if (moves()) timer = setTimeout(() => void load(), LOOK_MS)
  }

  watch(
    () =>
      [
        shown(),
        live.cascadeMoves,
        room().sources.length,
        joins.of(room().id).uplinks.length,
      ] as const,
    ([may]) => {
      if (may) void load()
    },
    { immediate: true },
  )
  onBeforeUnmount(() => clearTimeout(timer))
}
