/** Where WHIP and WHEP of a room are. */

import type { Layer } from '@/api/rooms'

export const publishAddress = (room: string, source: 'camera' | 'screen'): string =>
  `/whip/${encodeURIComponent(room)}?source=${source}`

/** `source` is an id, or `speaker`; `layer` the best that is wanted. */
export const viewAddress = (room: string, source: string, layer: Layer): string =>
  `/whep/${encodeURIComponent(room)}/${encodeURIComponent(source)}?layer=${layer}`

/** What the hub can fetch a camera by; whether there is one at the address, it finds out itself. */
export function isRtsp(text: string): boolean {
  return /^rtsps?:\/\/[^\s/]+/i.test(text.trim()) && !/\s/.test(text.trim())
}
