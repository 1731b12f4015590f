/** The fake hub's rules: one row a category, and a ranking that names its reasons as the real one does. */

import type { Candidates } from '../src/api/bodies.ts'
import type { IncidentView } from '../src/api/types.ts'

import type { FakeHub } from './hub.ts'
import { RESPONDERS, UNITS } from './town.ts'

interface Rule {
  row: number
  loop: IncidentView['loop']
  team: string
  skills: string[]
  alarm: number
  channels: string[]
  level: number
}

const rule = (
  row: number,
  loop: IncidentView['loop'],
  team: string,
  level: number,
  channels: string[],
  skills: string[] = [],
): Rule => ({ row, loop, team, level, channels, skills, alarm: level < 3 ? 2 : 1 })

const RULES: Record<string, Rule> = {
  sos: rule(1, 'street', 'patrol', 1, ['wecom', 'sip', 'ptt']),
  fire: rule(7, 'street', 'fire', 2, ['sip', 'ptt', 'wecom']),
  gas: rule(9, 'street', 'gas', 1, ['sip', 'wecom'], ['hazmat']),
  medical: rule(4, 'street', 'medical', 1, ['sip', 'wecom']),
  flood: rule(12, 'street', 'patrol', 2, ['wecom', 'ptt']),
  fight: rule(14, 'street', 'patrol', 2, ['ptt', 'wecom']),
  noise: rule(16, 'community', 'grid-officer', 4, ['wecom']),
  parking: rule(18, 'community', 'grid-officer', 4, ['wecom']),
  waste: rule(19, 'community', 'grid-officer', 4, ['wecom']),
  facility: rule(21, 'community', 'grid-officer', 3, ['wecom']),
}
const CATCH_ALL = rule(24, 'community', 'grid-officer', 4, ['wecom'])
export const ACCEPT_MINUTES = [0, 1, 3, 10, 15]
const ROWS = 24

export interface Decision {
  ruleset: string
  version: string
  outcome: Omit<Rule, 'row'>
  clocks: Record<string, number>
  trace: Record<string, unknown>
  fell_to_default: boolean
}

export function decide(
  category: string,
  source: string,
  level?: number | null,
  mode = 'normal',
): Decision {
  const matched = RULES[category] ?? CATCH_ALL
  const { row, ...outcome } = matched
  const fell = row === ROWS
  const grave = level ?? outcome.level
  const accept = ACCEPT_MINUTES[grave] ?? 15
  const read = { category, level: level ?? 4, mode, source, casualties: 0 }
  return {
    ruleset: 'street-dispatch',
    version: '2026.11.2',
    outcome: { ...outcome, level: grave },
    clocks: {
      accept,
      dispatch: accept * 2,
      arrive: 10 * grave,
      handle: 60 * grave,
      verify: 30,
      callback: 240,
    },
    trace: {
      mode,
      assign: {
        row,
        rows: ROWS,
        is_default: fell,
        when: fell ? {} : { category: `"${category}"` },
        read,
        result: outcome,
      },
      sla: {
        row: grave,
        rows: 6,
        is_default: false,
        when: { level: String(grave) },
        read: { level: grave, mode },
        result: { accept, arrive: 10 * grave, handle: 60 * grave },
      },
    },
    fell_to_default: fell,
  }
}

export function rank(hub: FakeHub, team: string, tried: string[]): Candidates {
  const unitsOfTeam = UNITS.filter((unit) => unit.team === team).map((unit) => unit.id)
  const inTeam = RESPONDERS.filter((one) => unitsOfTeam.includes(one.unit_id))
  const open = (id: string): number =>
    Object.values(hub.state.incidents).filter((one) => one.responder_id === id).length
  const obstacle = (id: string, on_duty: boolean, leads: boolean): string | null => {
    if (!on_duty) return 'off_duty'
    if (tried.includes(id)) return 'tried'
    return leads ? 'kept_as_fallback' : null
  }
  const ranked = inTeam
    .filter((one) => obstacle(one.id, one.on_duty, one.leads) === null)
    .map((one, index) => ({
      responder_id: one.id,
      score: 0.1 + index * 0.17,
      reasons: [`distance_m=${180 + index * 240}`, `open_tasks=${open(one.id)}`],
    }))
  const excluded = RESPONDERS.flatMap((one) => {
    const reason = unitsOfTeam.includes(one.unit_id)
      ? obstacle(one.id, one.on_duty, one.leads)
      : `team=${UNITS.find((unit) => unit.id === one.unit_id)?.team ?? ''}`
    return reason === null ? [] : [{ responder_id: one.id, reason }]
  })
  const fallback = inTeam.find((one) => one.leads)?.id ?? 'chen'
  const shortfall = ranked.length === 0 ? [`team=${team}`, 'nobody_free'] : []
  return { ranked, excluded, fallback, shortfall }
}
