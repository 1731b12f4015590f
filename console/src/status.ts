/**
 * Status is colour + shape + text, never colour alone. One table says how each state of each machine looks.
 * Red is not in it: red is SOS.
 */

import type {
  Cause,
  DeliveryState,
  IncidentView,
  LegState,
  LegView,
  Stage,
  TaskStage,
} from '@/api/types'

import type { Lamp } from '@/calls/lamps'

export type Tone = 'sky' | 'green' | 'orange' | 'yellow' | 'vermillion' | 'purple' | 'grey' | 'sos'
export type Shape = 'dot' | 'ring' | 'half' | 'triangle' | 'square' | 'diamond' | 'cross' | 'bar'

export interface Look {
  tone: Tone
  shape: Shape
}

const look = (tone: Tone, shape: Shape): Look => ({ tone, shape })

export const STAGE_LOOK: Record<Stage, Look> = {
  reported: look('yellow', 'ring'),
  registered: look('yellow', 'diamond'),
  dispatched: look('orange', 'triangle'),
  accepted: look('sky', 'half'),
  on_scene: look('sky', 'dot'),
  handled: look('green', 'half'),
  verified: look('green', 'dot'),
  closed: look('grey', 'square'),
  scored: look('grey', 'square'),
  rejected: look('grey', 'cross'),
  returned: look('vermillion', 'diamond'),
  suspended: look('purple', 'bar'),
  reopened: look('yellow', 'diamond'),
  merged: look('grey', 'bar'),
}

export const TASK_LOOK: Record<TaskStage, Look> = {
  dispatched: look('orange', 'triangle'),
  accepted: look('sky', 'half'),
  on_scene: look('sky', 'dot'),
  handled: look('green', 'dot'),
  returned: look('vermillion', 'diamond'),
  escalated: look('purple', 'triangle'),
  cancelled: look('grey', 'cross'),
}

const LEG_LOOK: Record<LegState, Look> = {
  requested: look('grey', 'ring'),
  calling: look('yellow', 'ring'),
  ringing: look('orange', 'triangle'),
  connected: look('green', 'dot'),
  held: look('purple', 'bar'),
  ended: look('grey', 'cross'),
}

/** In the call, and not heard by all of it. */
const ASIDE: Look = look('sky', 'half')

const QUIET_CAUSES: readonly Cause[] = ['hung_up', 'desk', 'call_ended', 'cancelled']

/** A leg that ended because somebody hung up is quiet; one that failed is not. */
export function lookOfLeg(leg: Pick<LegView, 'state' | 'cause'> & Partial<LegView>): Look {
  if (leg.state === 'ended' && leg.cause !== null && !QUIET_CAUSES.includes(leg.cause)) {
    return look('vermillion', 'cross')
  }
  if (leg.state === 'connected' && leg.held) return LEG_LOOK.held
  if (leg.state === 'connected' && (leg.listen_only || leg.whispers_to?.length)) return ASIDE
  return LEG_LOOK[leg.state]
}

export const DELIVERY_LOOK: Record<DeliveryState, Look> = {
  pending: look('grey', 'ring'),
  sending: look('yellow', 'half'),
  accepted: look('sky', 'half'),
  delivered: look('green', 'dot'),
  failed_temp: look('orange', 'triangle'),
  failed_perm: look('vermillion', 'cross'),
  unknown: look('orange', 'diamond'),
  stale: look('grey', 'bar'),
  superseded: look('grey', 'bar'),
}

const SERVICE_LOOKS: Record<string, Look> = {
  up: look('green', 'dot'),
  degraded: look('orange', 'triangle'),
  down: look('vermillion', 'cross'),
}

export function lookOfService(state: string): Look {
  return SERVICE_LOOKS[state] ?? look('grey', 'ring')
}

/** Reachable, not reachable, or nobody knows. */
export function lookOfPresence(online: boolean | null): Look {
  if (online === null) return look('grey', 'half')
  return online ? look('green', 'dot') : look('grey', 'ring')
}

/** As presence, unless the address is in a call. */
export function lookOfLamp(lamp: Lamp | undefined, online: boolean | null): Look {
  if (lamp === 'busy') return look('vermillion', 'bar')
  return lamp === 'ringing' ? LEG_LOOK.ringing : lookOfPresence(online)
}

type Grade = [least: number, grade: string, tone: Tone]

/** Opinion scores as people speak of them, the best first (ITU-T G.107 annex B). */
const GRADES: readonly Grade[] = [
  [4, 'good', 'green'],
  [3.6, 'fair', 'grey'],
  [3.1, 'poor', 'orange'],
]
const WORST: Grade = [0, 'bad', 'vermillion']

function gradeOf(score: number): Grade {
  return GRADES.find(([least]) => score >= least) ?? WORST
}

/** good, fair, poor or bad. */
export const gradeOfScore = (score: number): string => gradeOf(score)[1]

export const toneOfScore = (score: number): Tone => gradeOf(score)[2]

const LEVEL_TONES: readonly Tone[] = ['vermillion', 'orange', 'sky', 'grey']

/** Levels run from 1, the gravest, to 4. */
export function toneOfLevel(level: number): Tone {
  return LEVEL_TONES[level - 1] ?? 'grey'
}

export function isSos(incident: Pick<IncidentView, 'category'>): boolean {
  return incident.category === 'sos'
}
