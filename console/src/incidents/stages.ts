/** The road an incident takes, and where on it a stage stands. */

import type { Stage } from '@/api/types'

export const ROAD: readonly Stage[] = [
  'reported',
  'registered',
  'dispatched',
  'accepted',
  'on_scene',
  'handled',
  'verified',
  'closed',
]

export const ENDED: readonly Stage[] = ['closed', 'scored', 'rejected', 'merged']

// Stages beside the road, and how far along it the incident had come at least.
const ASIDE: Partial<Record<Stage, number>> = {
  scored: 8,
  returned: 1,
  suspended: 1,
  reopened: 1,
  rejected: 0,
  merged: 0,
}

/** How many steps of the road are done, the present one not counted; 8 when all are. */
export function stepsDone(stage: Stage): number {
  const index = ROAD.indexOf(stage)
  return index >= 0 ? index : (ASIDE[stage] ?? 0)
}

/** Whether the stage is on the main road (else the stepper says where it is instead). */
export function isOnRoad(stage: Stage): boolean {
  return ROAD.includes(stage) || stage === 'scored'
}

export function isEnded(stage: Stage): boolean {
  return ENDED.includes(stage)
}
