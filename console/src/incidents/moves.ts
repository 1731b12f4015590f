/** Which actions are legal: the hub's table of moves, read with my roles. */

import type { Action, IncidentView, MoveView, Role } from '@/api/types'

/** How the buttons are laid out: what carries the incident on, what changes its course, the rest. */
const FORWARD: readonly Action[] = [
  'register',
  'dispatch',
  'accept',
  'arrive',
  'handle',
  'verify',
  'close',
  'score',
  'resume',
]

export function legalMoves(
  moves: readonly MoveView[],
  incident: Pick<IncidentView, 'stage'>,
  roles: readonly Role[],
): MoveView[] {
  return moves.filter(
    (move) =>
      move.sources.includes(incident.stage) && move.roles.some((role) => roles.includes(role)),
  )
}

export function isForward(action: Action): boolean {
  return FORWARD.includes(action)
}

// Where a dispatch carries on; elsewhere it would only replace who has the task already.
const AWAITS_DISPATCH: readonly IncidentView['stage'][] = ['registered', 'returned', 'reopened']

/** The one action, of those that can be done now, that carries the incident on. */
export function nextMove(
  moves: readonly MoveView[],
  incident: Pick<IncidentView, 'stage'>,
): MoveView | undefined {
  return moves.find(({ action }) =>
    action === 'dispatch' ? AWAITS_DISPATCH.includes(incident.stage) : isForward(action),
  )
}
