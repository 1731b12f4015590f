/** A timeline that several hubs wrote. Pure. */

import type { TimelineEntryView } from '@/api/types'

/** The hubs that wrote lines, in the order they first did. */
export function hubsOf(entries: readonly TimelineEntryView[]): string[] {
  return [...new Set(entries.map((entry) => entry.hub))]
}

/**
 * Lines in the order of time. Lines of another hub arrive in heaps after an outage, so their place in our log says nothing of
 * when they were; lines of one hub keep the order it wrote them in, whatever its clock did.
 */
export function interleaved(entries: readonly TimelineEntryView[]): TimelineEntryView[] {
  if (hubsOf(entries).length < 2) return [...entries]
  const latest = new Map<string, number>()
  const placed = entries.map((entry) => {
    const at = Math.max(Date.parse(entry.at), latest.get(entry.hub) ?? 0)
    latest.set(entry.hub, at)
    return { entry, at }
  })
  return placed.sort((a, b) => a.at - b.at || a.entry.seq - b.entry.seq).map(({ entry }) => entry)
}
