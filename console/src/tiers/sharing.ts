/** What of an incident is shared with neighbouring hubs, and what this desk may do about it. Pure. */

import type {
  CheckInState,
  CheckInView,
  IncidentTiersView,
  PeeringView,
  ShareState,
  ShareView,
  SupervisionState,
  SupervisionView,
} from '@/api/tiers'
import type { Look } from '@/status'

export const NOTHING_SHARED: IncidentTiersView = {
  incident_id: '',
  shares: [],
  check_ins: [],
  supervisions: [],
}

export const SHARE_LOOK: Record<ShareState, Look> = {
  offered: { tone: 'yellow', shape: 'half' },
  held: { tone: 'green', shape: 'dot' },
  returned: { tone: 'vermillion', shape: 'diamond' },
  refused: { tone: 'vermillion', shape: 'cross' },
  ended: { tone: 'grey', shape: 'square' },
}

export const CHECK_IN_LOOK: Record<CheckInState, Look> = {
  called: { tone: 'orange', shape: 'triangle' },
  checked_in: { tone: 'green', shape: 'dot' },
  no_show: { tone: 'vermillion', shape: 'cross' },
  late: { tone: 'yellow', shape: 'half' },
  withdrawn: { tone: 'grey', shape: 'bar' },
}

export const SUPERVISION_LOOK: Record<SupervisionState, Look> = {
  open: { tone: 'orange', shape: 'triangle' },
  overdue: { tone: 'vermillion', shape: 'diamond' },
  answered: { tone: 'green', shape: 'dot' },
  lifted: { tone: 'grey', shape: 'bar' },
}

export type TierDeed = 'reportUp' | 'assignDown' | 'giveBack' | 'whistle' | 'supervise'

const OPEN: readonly ShareState[] = ['offered', 'held', 'returned']
const GIVEN_BACK: readonly ShareState[] = ['returned', 'ended', 'refused']

export const isOpen = (share: ShareView): boolean => OPEN.includes(share.state)

export interface Standing {
  peerings: readonly PeeringView[]
  tiers: IncidentTiersView
  /** Whether the incident goes on here. */
  open: boolean
  /** May act on incidents at all. */
  acts: boolean
  /** Leads the shift or commands: may supervise. */
  leads: boolean
}

/** Which neighbours each deed may be done with; a deed nobody is left for is missing. */
export function deedsOf(standing: Standing): Partial<Record<TierDeed, string[]>> {
  const { peerings, tiers, open, acts, leads } = standing
  if (!acts || !open) return {}
  const active = peerings.filter((one) => one.state === 'active')
  const shareWith = (peer: string): ShareView | undefined =>
    tiers.shares.find((one) => one.peer === peer)
  const mayGive = (peer: string): boolean => {
    const share = shareWith(peer)
    return share === undefined || GIVEN_BACK.includes(share.state)
  }
  const names = (relation: string, may: (peer: string) => boolean): string[] =>
    active.filter((one) => one.relation === relation && may(one.peer)).map((one) => one.peer)
  const held = (peer: string, given: boolean): boolean => {
    const share = shareWith(peer)
    return share !== undefined && share.given === given && share.state === 'held'
  }
  const all: Record<TierDeed, string[]> = {
    reportUp: names('upper', mayGive),
    assignDown: names('lower', mayGive),
    giveBack: active.map((one) => one.peer).filter((peer) => held(peer, false)),
    whistle: names('upper', () => true),
    supervise: leads ? names('lower', (peer) => shareWith(peer) !== undefined) : [],
  }
  return Object.fromEntries(Object.entries(all).filter(([, peers]) => peers.length > 0))
}

/** Whether this desk enters who came: the department is of this hub. */
export const mayCheckIn = (one: CheckInView): boolean =>
  !one.given && (one.state === 'called' || one.state === 'no_show')

export const mayAnswer = (one: SupervisionView): boolean =>
  !one.given && (one.state === 'open' || one.state === 'overdue')

/** Clocks that the other hub told and that are moments, the nearest first. */
export function clocksOf(share: ShareView): [name: string, deadline: string][] {
  return Object.entries(share.their_clocks)
    .filter((one): one is [string, string] => {
      const at = one[1]
      return typeof at === 'string' && !Number.isNaN(Date.parse(at))
    })
    .sort((a, b) => a[1].localeCompare(b[1]))
}

/** Departments that were whistled for, those awaited first, each group by its time. */
export function inOrder(checkIns: readonly CheckInView[]): CheckInView[] {
  const rank = (one: CheckInView): number =>
    ({ called: 0, no_show: 1, late: 2, checked_in: 3, withdrawn: 4 })[one.state]
  return [...checkIns].sort((a, b) => rank(a) - rank(b) || a.due_at.localeCompare(b.due_at))
}
