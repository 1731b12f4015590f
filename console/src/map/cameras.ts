/** Which body camera shows what somebody on the map sees. Pure. */

import type { SharedView } from '@/api/tiers'
import type { DeviceView } from '@/api/types'

import type { Kind } from './hubMap'

type Fleet = Readonly<Record<string, DeviceView>>

const isCamera = (one: DeviceView): boolean => one.kind === 'bodycam' && !one.revoked

/** Whether something that a neighbouring hub shares is a camera whose picture we may have. */
export const isSeen = (one: SharedView): boolean =>
  one.subject.startsWith('cam:') && one.rights.includes('see')

/** Those that can be asked first, then by name. */
export function camerasOf(fleet: Fleet): DeviceView[] {
  return Object.values(fleet)
    .filter(isCamera)
    .sort((a, b) => Number(b.online) - Number(a.online) || a.name.localeCompare(b.name))
}

/** The camera that is this mark, or that its carrier has with them. */
export function cameraOf(kind: Kind, id: string, fleet: Fleet): DeviceView | null {
  if (kind === 'incident') return null
  const device = kind === 'device' ? fleet[id] : undefined
  if (device !== undefined && isCamera(device)) return device
  const carrier = kind === 'device' ? device?.responder_id : id
  if (!carrier) return null
  return camerasOf(fleet).find((one) => one.responder_id === carrier) ?? null
}
