/** What the dispatcher has picked: one incident, and the endpoints to call. All panels share it. */

import { defineStore } from 'pinia'
import { computed, ref } from 'vue'

export const useSelection = defineStore('selection', () => {
  const incidentId = ref<string | null>(null)
  const picked = ref<string[]>([])
  const count = computed(() => picked.value.length)
  /** Set to look somewhere on the map without selecting anything. */
  const focus = ref<{ lat: number; lon: number } | null>(null)

  function has(endpoint: string): boolean {
    return picked.value.includes(endpoint)
  }

  function toggle(endpoint: string): void {
    picked.value = has(endpoint)
      ? picked.value.filter((one) => one !== endpoint)
      : [...picked.value, endpoint]
  }

  function add(endpoints: readonly string[]): void {
    picked.value = [...new Set([...picked.value, ...endpoints])]
  }

  function clear(): void {
    picked.value = []
  }

  return { incidentId, picked, count, focus, has, toggle, add, clear }
})
