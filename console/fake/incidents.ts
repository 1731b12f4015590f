/** What the fake hub does with reports and actions: just enough of the real rules to be believed. */

import type { ActionBody, NewReport } from '../src/api/bodies.ts'
import type { IncidentView, ReportView, Source } from '../src/api/types.ts'

import { decide, rank } from './decide.ts'
import { dispatch, field } from './fieldwork.ts'
import { FakeHub, isoNow, newId } from './hub.ts'
import { Refusal } from './refusal.ts'
import { MOVES } from './town.ts'

/** Take a report in, register it, decide and dispatch, as the hub does; `at` may be in the past. */
export function submit(hub: FakeHub, body: NewReport, source: Source, at = isoNow()): IncidentView {
  const decision = decide(body.category, source, body.level)
  const { outcome } = decision
  const id = newId()
  const report: ReportView = {
    id: newId(),
    source,
    category: body.category,
    text: body.text,
    received_at: at,
    level: body.level ?? null,
    reporter: body.reporter ?? null,
    place: body.place ?? null,
    point: body.point ?? null,
    grid: body.grid ?? null,
    occurred_at: null,
    casualties: body.casualties ?? 0,
    drill: body.drill ?? false,
    extra: {},
    stage: 'attached',
    incident_id: id,
    error: null,
  }
  const incident: IncidentView = {
    id,
    number: hub.nextNumber(),
    category: body.category,
    title: body.text.split(/[，。,.]/)[0]?.slice(0, 28) || body.category,
    level: outcome.level,
    loop: outcome.loop,
    stage: 'registered',
    opened_at: at,
    updated_at: at,
    team: outcome.team,
    place: report.place,
    point: report.point,
    grid: report.grid,
    reporter: report.reporter,
    unit_id: null,
    responder_id: null,
    accept_by: null,
    needs_attention: decision.fell_to_default
      ? 'default_rule: no rule matched; the catch-all row decided'
      : null,
    merged_into: null,
    closed_at: null,
    drill: report.drill,
    origin: '',
  }
  hub.reports[id] = [report]
  hub.tasks[id] = []
  hub.decisions[id] = decision as unknown as Record<string, unknown>
  hub.state.incidents[id] = incident
  const place = report.point
    ? { lat: report.point.lat, lon: report.point.lon }
    : { lat: null, lon: null }
  hub.record(
    id,
    'report_received',
    report.reporter ?? 'user:chen',
    {
      report_id: report.id,
      source,
      category: report.category,
      text: report.text,
      reporter: report.reporter,
      place: report.place,
      ...place,
    },
    at,
  )
  hub.record(id, 'rules_decided', 'rules', { ...decision }, at)
  hub.record(
    id,
    'incident_registered',
    'system',
    {
      number: incident.number,
      category: incident.category,
      level: incident.level,
      loop: incident.loop,
      team: incident.team,
    },
    at,
  )
  const ranking = rank(hub, outcome.team, [])
  hub.record(
    id,
    'responders_ranked',
    'rules',
    {
      ranked: ranking.ranked.map(({ responder_id, ...rest }) => ({
        responder: responder_id,
        ...rest,
      })),
      excluded: ranking.excluded.map(({ responder_id, ...rest }) => ({
        responder: responder_id,
        ...rest,
      })),
    },
    at,
  )
  const first = ranking.ranked[0]?.responder_id ?? ranking.fallback
  if (first) dispatch(hub, id, first, 'rules', at)
  else hub.put('incidents', id, incident)
  return hub.state.incidents[id] as IncidentView
}

/** An action of the desk. Raises Refusal as the hub would. */
export function act(
  hub: FakeHub,
  id: string,
  body: ActionBody,
  actor: string,
  at = isoNow(),
): IncidentView {
  const incident = hub.incident(id)
  if (!incident) throw new Refusal(404, 'not-found', `there is no incident ${id}`)
  const move = MOVES.find((one) => one.action === body.action)
  if (!move?.sources.includes(incident.stage)) {
    throw new Refusal(
      409,
      'illegal-move',
      `the incident is ${incident.stage}, so it cannot ${body.action}`,
    )
  }
  if (move.requires.includes('note') && !body.note) {
    throw new Refusal(
      422,
      'requirement-missing',
      `to ${body.action} an incident needs a note that says why`,
    )
  }
  if (body.action === 'dispatch' && body.responder_id) {
    dispatch(hub, id, body.responder_id, actor, at)
    return hub.state.incidents[id] as IncidentView
  }
  if (body.action === 'accept' || body.action === 'arrive') {
    field(hub, id, body.action, body.note ?? null, at)
    return hub.state.incidents[id] as IncidentView
  }
  return moveStage(hub, incident, body, move.target ?? incident.stage, actor, at)
}

function moveStage(
  hub: FakeHub,
  incident: IncidentView,
  body: ActionBody,
  after: IncidentView['stage'],
  actor: string,
  at: string,
): IncidentView {
  const { id } = incident
  const isClosed = after === 'closed'
  const moved: IncidentView = {
    ...incident,
    stage: after,
    updated_at: at,
    needs_attention: null,
    closed_at: isClosed ? at : incident.closed_at,
    merged_into: body.target_id ?? incident.merged_into,
  }
  if (after === 'merged') {
    hub.record(id, 'incident_merged', actor, { into: body.target_id, note: body.note ?? null }, at)
  } else {
    hub.record(
      id,
      'stage_moved',
      actor,
      { action: body.action, before: incident.stage, after, note: body.note ?? null },
      at,
    )
  }
  if (['closed', 'scored', 'rejected', 'merged'].includes(after)) {
    hub.ended[id] = moved
    hub.drop('incidents', id)
  } else {
    Reflect.deleteProperty(hub.ended, id)
    hub.put('incidents', id, moved)
  }
  return moved
}
