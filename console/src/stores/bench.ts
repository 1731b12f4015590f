/** The call bench: commands on calls. What they lead to arrives by the live socket. */

import { defineStore } from 'pinia'
import { computed, ref } from 'vue'

import { api, ask } from '@/api/client'
import type { FloorCommand, LegChange, NewCall, NewLeg } from '@/api/bodies'
import type { CallView, LegState, LegView } from '@/api/types'
import { lampsOf } from '@/calls/lamps'
import { useLive } from './live'

export const isLiveLeg = (leg: LegView): boolean => leg.state !== 'ended'

const MOVABLE: readonly LegState[] = ['ringing', 'connected', 'held']

/** The call that a phone placed and that still waits for somebody of ours. */
export function waitingCaller(call: CallView): LegView | undefined {
  return call.legs.find((leg) => leg.direction === 'inbound' && leg.state === 'ringing')
}

export const useBench = defineStore('bench', () => {
  const live = useLive()
  /** The call that keys such as F4 mean. */
  const currentId = ref<string | null>(null)

  const calls = computed(() =>
    live.calls
      .filter((call) => call.ended_at === null)
      .sort((a, b) => b.created_at.localeCompare(a.created_at)),
  )
  /** Busy lamps of all addresses that are in a call. */
  const lamps = computed(() => lampsOf(calls.value))
  const current = computed(
    () => calls.value.find((call) => call.id === currentId.value) ?? calls.value[0],
  )

  async function place(body: NewCall): Promise<CallView> {
    const call = await ask(api.POST('/calls', { body }))
    currentId.value = call.id
    return call
  }

  async function end(id: string): Promise<void> {
    await ask(api.DELETE('/calls/{id}', { params: { path: { id } } }))
  }

  async function addLeg(
    id: string,
    endpoint: string,
    entry: Omit<NewLeg, 'endpoint'> = {},
  ): Promise<LegView> {
    const body = { endpoint, ...entry }
    return await ask(api.POST('/calls/{id}/legs', { params: { path: { id } }, body }))
  }

  async function change(leg: LegView, body: LegChange): Promise<void> {
    const path = { call: leg.call_id, leg: leg.id }
    await ask(api.PATCH('/calls/{call}/legs/{leg}', { params: { path }, body }))
  }

  async function hangUp(leg: LegView): Promise<void> {
    const path = { call: leg.call_id, leg: leg.id }
    await ask(api.DELETE('/calls/{call}/legs/{leg}', { params: { path } }))
  }

  /** Bring a leg of one call into another, without ringing it again. One that does not ring yet is called anew. */
  async function moveLeg(leg: LegView, to: string): Promise<void> {
    if (!MOVABLE.includes(leg.state)) {
      await hangUp(leg)
      await addLeg(to, leg.endpoint)
      return
    }
    const path = { call: leg.call_id, leg: leg.id }
    await ask(api.POST('/calls/{call}/legs/{leg}/move', { params: { path }, body: { to } }))
  }

  /** Press keys for whoever is at the far end of a leg: a voice menu, a door. */
  async function pressKeys(leg: LegView, digits: string): Promise<void> {
    const path = { call: leg.call_id, leg: leg.id }
    await ask(api.POST('/calls/{call}/legs/{leg}/keys', { params: { path }, body: { digits } }))
  }

  /** Bring everybody of one call into another. */
  async function merge(id: string, into: string): Promise<void> {
    await ask(api.POST('/calls/{id}/merge', { params: { path: { id } }, body: { into } }))
  }

  /** Start or stop recording a call that goes on. */
  async function record(id: string, on: boolean): Promise<void> {
    await ask(api.POST('/calls/{id}/recordings', { params: { path: { id } }, body: { on } }))
  }

  /** Take a group's floor away from whoever it is named, or give it. */
  async function commandFloor(group: string, body: FloorCommand): Promise<void> {
    await ask(api.POST('/calls/floors/{group}', { params: { path: { group } }, body }))
  }

  return {
    calls,
    lamps,
    current,
    currentId,
    place,
    end,
    addLeg,
    change,
    hangUp,
    moveLeg,
    pressKeys,
    merge,
    record,
    commandFloor,
  }
})
