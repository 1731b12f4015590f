/** The duty number: who waits, who gave up, and what this desk does about it. */

import { defineStore } from 'pinia'
import { computed } from 'vue'

import { api, ask } from '@/api/client'
import type { CallView, DutyCallView, LegView } from '@/api/types'

import { useLive } from './live'

const byTime = (a: DutyCallView, b: DutyCallView): number =>
  a.offered_at.localeCompare(b.offered_at)

export const useDuty = defineStore('duty', () => {
  const live = useLive()

  const all = computed(() => Object.values(live.state.duty))
  /** Who waited longest comes first: the queue. */
  const waiting = computed(() => all.value.filter((one) => one.state === 'waiting').sort(byTime))
  /** The latest first. */
  const missed = computed(() =>
    all.value
      .filter((one) => one.state === 'missed')
      .sort(byTime)
      .reverse(),
  )

  const path = (id: string): { params: { path: { id: string } } } => ({ params: { path: { id } } })

  /** Take a caller with an endpoint of this desk; the hub refuses when another desk was first. */
  async function answer(id: string, endpoint: string): Promise<LegView> {
    return await ask(api.POST('/calls/duty/{id}/answer', { ...path(id), body: { endpoint } }))
  }

  async function callBack(id: string, endpoint: string): Promise<CallView> {
    return await ask(api.POST('/calls/duty/{id}/call-back', { ...path(id), body: { endpoint } }))
  }

  /** Nobody need call back. */
  async function dismiss(id: string): Promise<void> {
    await ask(api.DELETE('/calls/duty/{id}', path(id)))
  }

  return { waiting, missed, answer, callBack, dismiss }
})
