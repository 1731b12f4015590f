/** Rooms joined with those of neighbouring hubs, as far as this page shows them. */

import { defineStore } from 'pinia'
import { ref } from 'vue'

import { api, ask } from '@/api/client'
import type { RemoteSourceView, RoomTiersView } from '@/api/tiers'

const NONE: RoomTiersView = { cascades: [], sources: [], uplinks: [], platforms: [] }

export const useJoins = defineStore('joins', () => {
  const rooms = ref<Record<string, RoomTiersView>>({})

  async function load(id: string): Promise<void> {
    const found = await ask(api.GET('/rooms/{id}/cascades', { params: { path: { id } } }))
    rooms.value = { ...rooms.value, [id]: found }
  }

  const of = (id: string): RoomTiersView => rooms.value[id] ?? NONE

  const sourceOf = (id: string, source: string): RemoteSourceView | undefined =>
    of(id).sources.find((one) => one.source_id === source)

  return { rooms, load, of, sourceOf }
})
