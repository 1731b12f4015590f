/** A roll-call over tiers: who was called by which hub. Pure. */

import type { RollCallItemView } from '@/api/rooms'

export interface RollGroup {
  /** Null is this hub. */
  hub: string | null
  items: RollCallItemView[]
  present: number
}

/** Our own first, then each hub in the order it answered. */
export function byHub(items: readonly RollCallItemView[]): RollGroup[] {
  const groups = new Map<string | null, RollGroup>()
  for (const item of items) {
    const hub = item.origin?.split('/', 1)[0] ?? item.peer
    const group = groups.get(hub) ?? { hub, items: [], present: 0 }
    group.items.push(item)
    if (item.verdict === 'present') group.present += 1
    groups.set(hub, group)
  }
  return [...groups.values()].sort((a, b) => Number(a.hub !== null) - Number(b.hub !== null))
}
