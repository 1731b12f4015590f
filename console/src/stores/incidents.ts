/** Commands on incidents, the table of moves, and the details that the live state does not carry. */

import { defineStore } from 'pinia'
import { computed, reactive, ref } from 'vue'

import { api, ask } from '@/api/client'
import type { ActionBody, Candidates, NewReport } from '@/api/bodies'
import type { IncidentDetail, IncidentView, MoveView } from '@/api/types'
import { legalMoves } from '@/incidents/moves'
import { useLive } from './live'
import { useSession } from './session'

export const useIncidents = defineStore('incidents', () => {
  const live = useLive()
  const session = useSession()
  const moves = ref<MoveView[]>([])
  const details = reactive<Record<string, IncidentDetail>>({})

  const byNumber = computed(() =>
    [...live.incidents].sort((a, b) => b.number.localeCompare(a.number)),
  )

  async function loadMoves(): Promise<void> {
    moves.value = await ask(api.GET('/incidents/moves'))
  }

  async function loadDetail(id: string): Promise<void> {
    details[id] = await ask(api.GET('/incidents/{id}', { params: { path: { id } } }))
  }

  /** The incident as it is now: the live state first, what was loaded for one that has ended. */
  function find(id: string): IncidentView | undefined {
    return live.state.incidents[id] ?? details[id]?.incident
  }

  function legal(incident: IncidentView): MoveView[] {
    return legalMoves(moves.value, incident, session.roles)
  }

  async function act(id: string, body: ActionBody): Promise<void> {
    const incident = await ask(
      api.POST('/incidents/{id}/actions', { params: { path: { id } }, body }),
    )
    // An incident that ended leaves the live state; its page shows what the hub answered.
    if (id in details && details[id]) details[id].incident = incident
  }

  async function candidates(id: string): Promise<Candidates> {
    return ask(api.GET('/incidents/{id}/candidates', { params: { path: { id } } }))
  }

  async function report(body: NewReport): Promise<IncidentView> {
    return ask(api.POST('/incidents', { body }))
  }

  return {
    moves,
    details,
    byNumber,
    loadMoves,
    loadDetail,
    find,
    legal,
    act,
    candidates,
    report,
  }
})
