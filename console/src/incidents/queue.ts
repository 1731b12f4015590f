/** The order and the filters of the incident queue. Pure. */

import type { IncidentView } from '@/api/types'
import { isSos } from '@/status'

export const FILTERS = ['open', 'attention', 'waiting', 'mine', 'closed'] as const
export type Filter = (typeof FILTERS)[number]

const WAITING = new Set(['reported', 'registered', 'dispatched', 'returned', 'reopened'])

/** Whether the accept clock runs: somebody was asked and has not answered. */
export function isWaitingForAccept(incident: IncidentView): boolean {
  return incident.stage === 'dispatched' && incident.accept_by !== null
}

export function passes(incident: IncidentView, filter: Filter): boolean {
  if (filter === 'attention') return incident.needs_attention !== null
  if (filter === 'waiting') return WAITING.has(incident.stage)
  if (filter === 'mine') return !WAITING.has(incident.stage)
  return true
}

/** SOS nobody has taken, then what needs a person, then by level, then the oldest. */
export function byUrgency(a: IncidentView, b: IncidentView): number {
  const rank = (one: IncidentView): number => {
    if (isSos(one) && WAITING.has(one.stage)) return 0
    return one.needs_attention === null ? 2 : 1
  }
  return (
    rank(a) - rank(b) ||
    a.level - b.level ||
    a.opened_at.localeCompare(b.opened_at) ||
    a.id.localeCompare(b.id)
  )
}

/** Whether every word of the search is somewhere in the incident. */
export function matches(incident: IncidentView, search: string, more: readonly string[]): boolean {
  const { number, title, place, grid, reporter, category } = incident
  const hay = [number, title, place, grid, reporter, category, ...more].join(' ').toLowerCase()
  return search
    .toLowerCase()
    .split(/\s+/)
    .every((word) => hay.includes(word))
}
