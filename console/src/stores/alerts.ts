/** The strip: SOS that nobody has taken, and callers who wait. Seen is remembered per browser tab. */

import { defineStore } from 'pinia'
import { computed, ref } from 'vue'

import type { CallView, IncidentView, LegView } from '@/api/types'
import { isSos } from '@/status'
import { useBench, waitingCaller } from './bench'
import { useLive } from './live'

export type Alert =
  | { kind: 'sos'; id: string; at: string; incident: IncidentView; seen: boolean }
  | { kind: 'incoming'; id: string; at: string; call: CallView; leg: LegView; seen: boolean }

const KEY = 'commhub.seen'
const UNTAKEN = new Set(['reported', 'registered', 'dispatched', 'returned', 'reopened'])

function seenBefore(): string[] {
  try {
    return JSON.parse(sessionStorage.getItem(KEY) ?? '[]') as string[]
  } catch {
    return []
  }
}

export const useAlerts = defineStore('alerts', () => {
  const live = useLive()
  const bench = useBench()
  const seen = ref<string[]>(seenBefore())

  const alerts = computed<Alert[]>(() => {
    const sos = live.incidents
      .filter((incident) => isSos(incident) && UNTAKEN.has(incident.stage))
      .map<Alert>((incident) => ({
        kind: 'sos',
        id: incident.id,
        at: incident.opened_at,
        incident,
        seen: seen.value.includes(incident.id),
      }))
    const incoming = bench.calls.flatMap<Alert>((call) => {
      const leg = waitingCaller(call)
      // Callers of a duty line have a strip of their own.
      if (leg === undefined || call.line !== null) return []
      return [{ kind: 'incoming', id: leg.id, at: leg.created_at, call, leg, seen: false }]
    })
    return [...sos, ...incoming].sort(byUrgency)
  })

  const unseen = computed(() => alerts.value.filter((alert) => !alert.seen))

  function acknowledge(id: string): void {
    if (seen.value.includes(id)) return
    seen.value = [...seen.value.slice(-199), id]
    sessionStorage.setItem(KEY, JSON.stringify(seen.value))
  }

  return { alerts, unseen, acknowledge }
})

function byUrgency(a: Alert, b: Alert): number {
  const rank = (one: Alert): number => (one.seen ? 2 : one.kind === 'sos' ? 0 : 1)
  return rank(a) - rank(b) || a.at.localeCompare(b.at)
}
