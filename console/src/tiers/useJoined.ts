/** Keeps what is known of a room joined with other hubs up to date while a page shows it. */

import { onBeforeUnmount, watch } from 'vue'

import type { RoomView } from '@/api/rooms'
import { useJoins } from '@/stores/joins'
import { useLive } from '@/stores/live'
import { useTiers } from '@/stores/tiers'

// Which pictures flow, and why one does not, is told by nobody.
const LOOK_MS = 3000

/** `shown`: whether this page may ask at all; a guest may not. */
export function useJoined(room: () => RoomView, shown: () => boolean): void {
  const joins = useJoins()
  const live = useLive()
  const tiers = useTiers()
  let timer: ReturnType<typeof setTimeout> | undefined

  const isJoined = (): boolean =>
    room().sources.some((one) => one.kind === 'tier' && one.state !== 'ended') ||
    joins.of(room().id).cascades.some((one) => one.state !== 'ended')

  async function load(): Promise<void> {
    clearTimeout(timer)
    try {
      await joins.load(room().id)
    } catch {
      // The next look is soon, and what is shown meanwhile is what was last known.
    }
    clearTimeout(timer)
    if (isJoined()) timer = setTimeout(() => void load(), LOOK_MS)
  }

  watch(
    () => [shown(), tiers.peerings.length > 0, live.cascadeMoves, room().sources.length] as const,
    ([may, any]) => {
      if (may && any) void load()
    },
    { immediate: true },
  )
  onBeforeUnmount(() => clearTimeout(timer))
}
