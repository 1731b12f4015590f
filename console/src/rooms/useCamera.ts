/** A body camera's standing live view: opened at the hub when there is none yet, which alone sends nothing. */

import { api, ask } from '@/api/client'

/** Answers when the live view is there; the live socket then brings its room. */
export async function openLive(camera: string): Promise<void> {
  await ask(api.POST('/rooms/live', { body: { camera } }))
}
