/** One incident in full: what the live state lacks is loaded, and loaded again when its timeline grows. */

import { computed, onBeforeUnmount, ref, watch, type ComputedRef, type Ref } from 'vue'

import { api, ask } from '@/api/client'
import type {
  CallView,
  IncidentDetail,
  IncidentView,
  MessageView,
  TimelineEntryView,
} from '@/api/types'
import { useIncidents } from '@/stores/incidents'
import { useLive } from '@/stores/live'
import { useTimelines } from '@/stores/timelines'

// Facts come in bursts; one reload a burst is enough.
const SETTLE_MS = 250

export interface IncidentInFull {
  incident: ComputedRef<IncidentView | undefined>
  detail: ComputedRef<IncidentDetail | undefined>
  entries: ComputedRef<TimelineEntryView[]>
  calls: ComputedRef<CallView[]>
  messages: Ref<MessageView[]>
  missing: Ref<boolean>
}

export function useIncident(id: string): IncidentInFull {
  const live = useLive()
  const incidents = useIncidents()
  const timelines = useTimelines()

  const messages = ref<MessageView[]>([])
  const ended = ref<Record<string, CallView>>({})
  const missing = ref(false)
  let timer: ReturnType<typeof setTimeout> | undefined

  const entries = computed(() => timelines.entries[id] ?? [])
  const incident = computed(() => incidents.find(id))
  const detail = computed(() => incidents.details[id])
  const calls = computed(() => {
    const now = live.calls.filter((call) => call.incident_id === id)
    const gone = Object.values(ended.value).filter((call) => !(call.id in live.state.calls))
    return [...now, ...gone].sort((a, b) => b.created_at.localeCompare(a.created_at))
  })

  async function loadCalls(): Promise<void> {
    const ids = entries.value
      .filter((entry) => entry.kind === 'call_started')
      .map((entry) => String(entry.data.call_id))
      .filter((call) => !(call in live.state.calls) && !ended.value[call]?.ended_at)
    const found = await Promise.all(
      ids.map((call) => ask(api.GET('/calls/{id}', { params: { path: { id: call } } }))),
    )
    ended.value = { ...ended.value, ...Object.fromEntries(found.map((call) => [call.id, call])) }
  }

  async function loadMessages(): Promise<void> {
    const page = await ask(
      api.GET('/messages', { params: { query: { incident: id, limit: 100 } } }),
    )
    messages.value = page.items
  }

  async function load(): Promise<void> {
    // Each part stands for itself: a part that fails leaves the others on the page.
    const loaded = await Promise.allSettled([
      incidents.loadDetail(id),
      timelines.load(id).then(loadCalls),
      loadMessages(),
    ])
    missing.value = loaded[0]?.status === 'rejected' && incident.value === undefined
  }

  watch(() => live.snapshots, load, { immediate: true })
  watch(
    () => entries.value.at(-1)?.seq,
    (_, before) => {
      if (before === undefined) return
      clearTimeout(timer)
      timer = setTimeout(() => void load(), SETTLE_MS)
    },
  )
  onBeforeUnmount(() => clearTimeout(timer))

  return { incident, detail, entries, calls, messages, missing }
}
