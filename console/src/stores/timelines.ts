/** The timelines that are open on this page: loaded once, then kept by the live events. */

import { defineStore } from 'pinia'
import { reactive } from 'vue'

import { api, ask } from '@/api/client'
import type { TimelineEntryView } from '@/api/types'
import { useLive } from './live'

interface TimelinePage {
  items: TimelineEntryView[]
  next: number | string | null
}

/** Entries in the order of the hub's log, each once. */
export function mergeEntries(
  known: readonly TimelineEntryView[],
  more: readonly TimelineEntryView[],
): TimelineEntryView[] {
  const bySeq = new Map(known.map((entry) => [entry.seq, entry]))
  for (const entry of more) bySeq.set(entry.seq, entry)
  return [...bySeq.values()].sort((a, b) => a.seq - b.seq)
}

export const useTimelines = defineStore('timelines', () => {
  const live = useLive()
  const entries = reactive<Record<string, TimelineEntryView[]>>({})

  function take(id: string, more: readonly TimelineEntryView[]): void {
    entries[id] = mergeEntries(entries[id] ?? [], more)
  }

  live.onTimeline((entry) => {
    if (entry.incident_id in entries) take(entry.incident_id, [entry])
  })

  /** Load all that is not here yet, page by page. */
  async function load(id: string): Promise<void> {
    let after: number | string | undefined = entries[id]?.at(-1)?.seq
    do {
      const page: TimelinePage = await ask(
        api.GET('/incidents/{id}/timeline', { params: { path: { id }, query: { after } } }),
      )
      take(id, page.items)
      after = page.next ?? undefined
    } while (after !== undefined)
  }

  return { entries, load }
})
