/** What of one incident is shared with neighbouring hubs: from the live state, and what may be done. */

import { computed, ref, watch, type ComputedRef, type Ref } from 'vue'

import { api, ask } from '@/api/client'
import type {
  CheckInView,
  IncidentTiersView,
  SupervisionView,
  Whistle,
  Supervise,
} from '@/api/tiers'
import type { IncidentView } from '@/api/types'
import { isEnded } from '@/incidents/stages'
import { useLive } from '@/stores/live'
import { useNotices } from '@/stores/notices'
import { useSession } from '@/stores/session'
import { useTiers } from '@/stores/tiers'

import { deedsOf, type TierDeed } from './sharing'

export interface Sharing {
  tiers: ComputedRef<IncidentTiersView>
  deeds: ComputedRef<Partial<Record<TierDeed, string[]>>>
  busy: Ref<boolean>
  give: (
    deed: 'reportUp' | 'assignDown' | 'giveBack',
    peer: string,
    note: string,
  ) => Promise<boolean>
  whistle: (body: Whistle) => Promise<boolean>
  supervise: (body: Supervise) => Promise<boolean>
  checkIn: (one: CheckInView, by: string) => Promise<boolean>
  withdraw: (one: CheckInView) => Promise<boolean>
  answer: (one: SupervisionView, answer: string) => Promise<boolean>
  lift: (one: SupervisionView) => Promise<boolean>
}

export function useSharing(id: string, incident: () => IncidentView | undefined): Sharing {
  const live = useLive()
  const notices = useNotices()
  const session = useSession()
  const store = useTiers()
  const busy = ref(false)

  const params = { path: { id } }
  const tiers = computed(() => store.of(id))
  const deeds = computed(() => {
    const stage = incident()?.stage
    return deedsOf({
      peerings: store.active,
      tiers: tiers.value,
      open: stage !== undefined && !isEnded(stage),
      acts: session.dispatches,
      leads: session.leads,
    })
  })

  const load = (): Promise<boolean> => notices.attempt(() => store.loadIncident(id))

  async function act(work: () => Promise<unknown>): Promise<boolean> {
    busy.value = true
    const done = await notices.attempt(work)
    busy.value = false
    return done
  }

  function give(
    deed: 'reportUp' | 'assignDown' | 'giveBack',
    peer: string,
    note: string,
  ): Promise<boolean> {
    const body = note === '' ? { peer } : { peer, note }
    return act(() => {
      if (deed === 'reportUp') {
        return ask(api.POST('/tiers/incidents/{id}/report-up', { params, body }))
      }
      return deed === 'assignDown'
        ? ask(api.POST('/tiers/incidents/{id}/assign-down', { params, body }))
        : ask(api.POST('/tiers/incidents/{id}/return', { params, body: { peer, note } }))
    })
  }

  const whistle = (body: Whistle): Promise<boolean> =>
    act(() => ask(api.POST('/tiers/incidents/{id}/whistle', { params, body })))

  const supervise = (body: Supervise): Promise<boolean> =>
    act(() => ask(api.POST('/tiers/incidents/{id}/supervise', { params, body })))

  const checkIn = (one: CheckInView, by: string): Promise<boolean> =>
    act(() => {
      const path = { id, check: one.id }
      const body = by === '' ? {} : { by }
      return ask(api.POST('/tiers/incidents/{id}/check-ins/{check}', { params: { path }, body }))
    })

  const withdraw = (one: CheckInView): Promise<boolean> =>
    act(() => {
      const path = { id, check: one.id }
      return ask(
        api.POST('/tiers/incidents/{id}/check-ins/{check}/withdraw', {
          params: { path },
          body: {},
        }),
      )
    })

  const answer = (one: SupervisionView, text: string): Promise<boolean> =>
    act(() => {
      const path = { id, order: one.id }
      const body = { answer: text }
      return ask(
        api.POST('/tiers/incidents/{id}/supervisions/{order}/answer', { params: { path }, body }),
      )
    })

  const lift = (one: SupervisionView): Promise<boolean> =>
    act(() => {
      const path = { id, order: one.id }
      return ask(
        api.POST('/tiers/incidents/{id}/supervisions/{order}/lift', { params: { path }, body: {} }),
      )
    })

  // Of an incident that is over the live state says nothing; a hub without neighbours has nothing to ask for.
  watch(
    () => [live.snapshots, store.peerings.length > 0, incident()?.stage] as const,
    ([, any, stage]) => {
      if (any && stage !== undefined && isEnded(stage)) void load()
    },
    { immediate: true },
  )

  return { tiers, deeds, busy, give, whistle, supervise, checkIn, withdraw, answer, lift }
}
