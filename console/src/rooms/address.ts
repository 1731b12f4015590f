/** Where WHIP and WHEP of a room are. */

import type { Layer } from '@/api/rooms'

export const publishAddress = (room: string, source: 'camera' | 'screen'): string =>
  `/whip/${encodeURIComponent(room)}?source=${source}`

/** `source` is an id, or `speaker`; `layer` the best that is wanted. */
export const viewAddress = (room: string, source: string, layer: Layer): string =>
  `/whep/${encodeURIComponent(room)}/${encodeURIComponent(source)}?layer=${layer}`
