/** When an incident reached each stage of the road, as far as its records say. */

import type { IncidentDetail, IncidentView, Stage, TimelineEntryView } from '@/api/types'

type Times = Partial<Record<Stage, string>>

const BY_KIND: Record<string, Stage> = {
  incident_registered: 'registered',
  task_dispatched: 'dispatched',
}

/** The last time each stage was reached; stages still ahead of the present one are left out. */
export function stageTimes(
  incident: IncidentView | undefined,
  detail: IncidentDetail | undefined,
  entries: readonly TimelineEntryView[],
): Times {
  if (incident === undefined) return {}
  const times: Times = { reported: incident.opened_at }
  for (const entry of entries) {
    const stage = BY_KIND[entry.kind] ?? afterOf(entry)
    if (stage !== undefined) times[stage] = entry.at
  }
  const task = detail?.tasks.at(-1)
  if (task?.accepted_at) times.accepted = task.accepted_at
  if (task?.on_scene_at) times.on_scene = task.on_scene_at
  if (task?.stage === 'handled' && task.ended_at) times.handled = task.ended_at
  if (incident.closed_at) times.closed = incident.closed_at
  return times
}

function afterOf(entry: TimelineEntryView): Stage | undefined {
  const { before, after } = entry.data
  // A comment keeps the stage, so it reaches none.
  if (entry.kind !== 'stage_moved' || typeof after !== 'string' || before === after)
    return undefined
  return after as Stage
}
