/** Tasks of the fake hub: dispatch, what the responder does, and the clock that escalates. */

import type { IncidentView, TaskView } from '../src/api/types.ts'

import { ACCEPT_MINUTES, rank } from './decide.ts'
import { FakeHub, isoNow, newId } from './hub.ts'
import { Refusal } from './refusal.ts'
import { RESPONDERS, UNITS } from './town.ts'

const unitName = (id: string): string => UNITS.find((unit) => unit.id === id)?.name ?? id

/** Give the incident to a responder, with its accept clock and its card. */
export function dispatch(
  hub: FakeHub,
  id: string,
  responder: string,
  actor: string,
  at = isoNow(),
): void {
  const incident = hub.state.incidents[id]
  const who = RESPONDERS.find((one) => one.id === responder)
  if (!incident || !who) throw new Refusal(404, 'not-found', 'no such incident or responder')
  const tasks = (hub.tasks[id] ??= [])
  for (const task of tasks) {
    if (['dispatched', 'accepted', 'on_scene'].includes(task.stage)) {
      Object.assign(task, { stage: 'cancelled', ended_at: at })
    }
  }
  const minutes = ACCEPT_MINUTES[incident.level] ?? 15
  const accept_by = new Date(Date.parse(at) + minutes * 60_000).toISOString()
  const task: TaskView = {
    id: newId(),
    incident_id: id,
    responder_id: responder,
    unit_id: who.unit_id,
    dispatched_at: at,
    attempt: tasks.length + 1,
    stage: 'dispatched',
    accepted_at: null,
    on_scene_at: null,
    ended_at: null,
    note: null,
  }
  tasks.push(task)
  hub.put('incidents', id, {
    ...incident,
    stage: 'dispatched',
    responder_id: responder,
    unit_id: who.unit_id,
    accept_by,
    updated_at: at,
  })
  hub.record(
    id,
    'task_dispatched',
    actor,
    {
      task_id: task.id,
      responder_id: responder,
      responder: who.name,
      unit: unitName(who.unit_id),
      attempt: task.attempt,
      accept_by,
    },
    at,
  )
  sendCard(hub, id, task, at)
}

function sendCard(hub: FakeHub, id: string, task: TaskView, at: string): void {
  const incident = hub.state.incidents[id] as IncidentView
  const who = RESPONDERS.find((one) => one.id === task.responder_id)
  const recipient = who?.endpoints.find((one) => one.startsWith('wecom:'))?.slice(6)
  if (!who || !recipient) return
  const message_id = newId()
  hub.messages.unshift({
    id: message_id,
    kind: 'task_card',
    title: incident.title,
    body: hub.reports[id]?.[0]?.text ?? '',
    created_at: at,
    incident_id: id,
    task_id: task.id,
    fields: [['地点', incident.place ?? '']],
    actions: ['accept', 'return'],
    link: null,
    deliveries: [
      {
        id: newId(),
        message_id,
        channel: 'wecom',
        recipient,
        kind: 'send',
        responder_id: who.id,
        state: 'delivered',
        attempt: 1,
        next_at: at,
        error: null,
      },
    ],
    acks: [],
  })
  hub.record(
    id,
    'message_queued',
    'system',
    {
      message_id,
      message_kind: 'task_card',
      title: incident.title,
      recipients: [who.id],
      channels: ['wecom'],
    },
    at,
  )
  hub.record(
    id,
    'delivery_moved',
    'system',
    {
      delivery_id: newId(),
      message_id,
      channel: 'wecom',
      recipient,
      delivery_kind: 'send',
      state: 'delivered',
      attempt: 1,
      error: null,
    },
    at,
  )
}

const TASK_STAGE = {
  accept: ['accepted', 'accepted_at'],
  arrive: ['on_scene', 'on_scene_at'],
  finish: ['handled', 'ended_at'],
} as const
const INCIDENT_STAGE = { accept: 'accepted', arrive: 'on_scene', finish: 'handled' } as const

/** The responder taps in their card, or arrives. */
export function field(
  hub: FakeHub,
  id: string,
  action: keyof typeof TASK_STAGE,
  note: string | null = null,
  at = isoNow(),
): void {
  const incident = hub.state.incidents[id]
  const task = hub.tasks[id]?.at(-1)
  const who = RESPONDERS.find((one) => one.id === task?.responder_id)
  if (!incident || !task || !who) return
  const [stage, stamp] = TASK_STAGE[action]
  Object.assign(task, { stage, [stamp]: at, note: note ?? task.note })
  const message = hub.messages.find((one) => one.task_id === task.id)
  if (action !== 'arrive' && message) {
    message.acks.push({
      id: newId(),
      actor: `responder:${who.id}`,
      action,
      source: 'wecom',
      at,
      effect: 'done',
    })
    hub.record(
      id,
      'ack_received',
      `responder:${who.id}`,
      {
        message_id: message.id,
        task_id: task.id,
        action,
        source: 'wecom',
        effect: 'done',
      },
      at,
    )
  }
  hub.put('incidents', id, {
    ...incident,
    stage: INCIDENT_STAGE[action],
    accept_by: null,
    updated_at: at,
  })
  hub.record(
    id,
    'task_moved',
    `responder:${who.id}`,
    {
      task_id: task.id,
      responder_id: who.id,
      responder: who.name,
      action,
      after: stage,
      note,
    },
    at,
  )
}

/** The accept clock ran out: the next responder has it, or nobody is left. */
export function escalate(hub: FakeHub, id: string, at = isoNow()): void {
  const incident = hub.state.incidents[id]
  const task = hub.tasks[id]?.at(-1)
  if (!incident || !task || incident.stage !== 'dispatched') return
  const tried = (hub.tasks[id] ?? []).map((one) => one.responder_id)
  const ranking = rank(hub, incident.team, tried)
  const next =
    ranking.ranked[0]?.responder_id ??
    (tried.includes(ranking.fallback ?? '') ? null : ranking.fallback)
  Object.assign(task, { stage: 'escalated', ended_at: at })
  const nameOf = (one: string | null): string | null =>
    RESPONDERS.find((who) => who.id === one)?.name ?? null
  hub.record(
    id,
    'clock_expired',
    'clock',
    { clock: 'accept', step: task.attempt, due_at: incident.accept_by },
    at,
  )
  hub.record(
    id,
    'task_escalated',
    'clock',
    {
      task_id: task.id,
      from_responder: nameOf(task.responder_id),
      to_responder: nameOf(next),
      reason: 'not accepted in time',
    },
    at,
  )
  if (next) dispatch(hub, id, next, 'clock', at)
  else {
    const text = 'nobody accepted in time and nobody is left to ask'
    hub.record(id, 'attention_raised', 'clock', { code: 'nobody_accepts', text }, at)
    hub.put('incidents', id, {
      ...incident,
      accept_by: null,
      needs_attention: `nobody_accepts: ${text}`,
      updated_at: at,
    })
  }
}
