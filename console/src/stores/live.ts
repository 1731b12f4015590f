/** What the hub says is true now, kept by the live socket, and the events that pass by. */

import { defineStore } from 'pinia'
import { computed, reactive, ref, shallowRef } from 'vue'

import type { SpeakerView } from '@/api/rooms'
import type { TimelineEntryView } from '@/api/types'
import {
  applyOp,
  emptyState,
  stateOf,
  type FloorEvent,
  type HubIdentity,
  type Op,
  type Snapshot,
  type SpeakerEvent,
} from '@/live/frames'
import type { Phase } from '@/live/socket'
import { hubNow } from '@/live/time'
import { useNotices } from './notices'

type Listener<T> = (value: T) => void

/** The events whose talker has the floor. */
const TALKING: readonly string[] = ['taken', 'queue']

export interface FloorState {
  talker: string | null
  event: string
  callId: string | null
  queue: string[]
}

export const useLive = defineStore('live', () => {
  const state = reactive(emptyState())
  const phase = ref<Phase>('idle')
  const offlineSince = ref<number | null>(null)
  const ready = ref(false)
  /** Counts snapshots: whoever keeps something beside the state loads it anew. */
  const snapshots = ref(0)
  const hub = ref<HubIdentity | null>(null)
  /** Who speaks in which room, as far as it was heard. */
  const speakers = reactive<Record<string, SpeakerView>>({})
  const floors = reactive<Record<string, FloorState>>({})
  /** Counts what changed of the neighbours' directories, and of joined rooms: whoever shows them loads them anew. */
  const sharedMoves = ref(0)
  const cascadeMoves = ref(0)
  const timelineListeners = shallowRef(new Set<Listener<TimelineEntryView>>())

  const incidents = computed(() => Object.values(state.incidents))
  const calls = computed(() => Object.values(state.calls))
  const services = computed(() => Object.values(state.services))
  const rooms = computed(() => Object.values(state.rooms))

  function takeSnapshot(snapshot: Snapshot): void {
    Object.assign(state, stateOf(snapshot))
    hub.value = snapshot.hub ?? null
    for (const floor of Object.values(snapshot.state.floors ?? {})) takeFloor(floor)
    ready.value = true
    snapshots.value += 1
  }

  function takeFloor(event: FloorEvent): void {
    floors[event.group] = {
      // After a revoke the one who lost it is named; whoever has it next is told of at once.
      talker: TALKING.includes(event.event) ? event.talker : null,
      event: event.event,
      callId: event.call_id,
      queue: event.queue ?? [],
    }
  }

  function takeSpeaker(event: SpeakerEvent): void {
    speakers[event.room_id] = {
      source_id: event.source_id,
      participant_id: event.participant_id ?? null,
    }
  }

  function takeOps(ops: Op[]): void {
    for (const op of ops) {
      if (!('event' in op)) applyOp(state, op)
      else if (op.event === 'floor') takeFloor(op.value)
      else if (op.event === 'alarm') useNotices().warn(op.value.alarm, op.value.text)
      else if (op.event === 'speaker') takeSpeaker(op.value)
      else if (op.event === 'shared') sharedMoves.value += 1
      else if (op.event === 'cascade') cascadeMoves.value += 1
      else if (op.event === 'timeline') {
        for (const listener of timelineListeners.value) listener(op.value)
      }
    }
  }

  function movePhase(next: Phase): void {
    if (next === 'offline') offlineSince.value ??= hubNow()
    if (next === 'online' || next === 'idle') offlineSince.value = null
    if (next === 'idle') forget()
    phase.value = next
  }

  function forget(): void {
    Object.assign(state, emptyState())
    for (const group of Object.keys(floors)) Reflect.deleteProperty(floors, group)
    for (const id of Object.keys(speakers)) Reflect.deleteProperty(speakers, id)
    ready.value = false
  }

  /** Hear every timeline entry; call the answer to stop. */
  function onTimeline(listener: Listener<TimelineEntryView>): () => void {
    timelineListeners.value.add(listener)
    return () => timelineListeners.value.delete(listener)
  }

  return {
    state,
    phase,
    offlineSince,
    ready,
    snapshots,
    floors,
    speakers,
    sharedMoves,
    cascadeMoves,
    hub,
    incidents,
    calls,
    services,
    rooms,
    takeSnapshot,
    takeOps,
    movePhase,
    onTimeline,
  }
})
