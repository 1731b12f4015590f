/** Neighbouring hubs: how the links to them are, what they share with us, and what is asked of them. */

import { defineStore } from 'pinia'
import { computed, ref } from 'vue'

import { api, ask } from '@/api/client'
import type { IncidentTiersView, PeeringView, SharedView } from '@/api/tiers'
import { brokenOf, ordered } from '@/tiers/links'
import { NOTHING_SHARED } from '@/tiers/sharing'

import { useLive } from './live'

export const useTiers = defineStore('tiers', () => {
  const live = useLive()
  const shared = ref<SharedView[]>([])
  const incidents = ref<Record<string, IncidentTiersView>>({})
  /** Outages whose banner was put away. */
  const shelved = ref<readonly string[]>([])

  const peerings = computed(() => ordered(Object.values(live.state.peerings)))
  const active = computed(() => peerings.value.filter((one) => one.state === 'active'))
  const broken = computed(() => brokenOf(active.value))
  const sharedByEndpoint = computed(() =>
    Object.fromEntries(shared.value.map((one) => [one.endpoint ?? one.address, one])),
  )
  /** Changes whenever a link comes or goes: with it, what can be reached. */
  const links = computed(() => active.value.map((one) => `${one.peer} ${String(one.up)}`).join())

  const peering = (peer: string): PeeringView | undefined => live.state.peerings[peer]

  /** A hub by the name people give it; our own has none of its neighbours' names. */
  function nameOf(hub: string): string {
    if (hub === '' || hub === live.hub?.id) return live.hub?.name ?? hub
    return peering(hub)?.name ?? hub
  }

  const isOurs = (hub: string): boolean => hub === '' || hub === live.hub?.id

  async function loadShared(): Promise<void> {
    shared.value = await ask(api.GET('/tiers/directory'))
  }

  async function loadIncident(id: string): Promise<void> {
    const found = await ask(api.GET('/tiers/incidents/{id}', { params: { path: { id } } }))
    incidents.value = { ...incidents.value, [id]: found }
  }

  /** The live state knows of open incidents; of the others what was loaded. */
  const of = (id: string): IncidentTiersView =>
    live.state.shares[id] ?? incidents.value[id] ?? NOTHING_SHARED

  function shelve(outage: string): void {
    shelved.value = [...shelved.value.slice(-50), outage]
  }

  return {
    shared,
    shelved,
    peerings,
    active,
    broken,
    links,
    sharedByEndpoint,
    peering,
    nameOf,
    isOurs,
    of,
    loadShared,
    loadIncident,
    shelve,
  }
})
