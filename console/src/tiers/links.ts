/** How the link to a neighbouring hub is, as people need it said. Pure. */

import type { PeeringView } from '@/api/tiers'
import type { Look } from '@/status'

/** `catching`: the link is up again and what waited is on its way; `skewed`: the other hub's clock is off, `clock`: so far that there is no link. */
export type LinkStand = 'up' | 'catching' | 'skewed' | 'clock' | 'down' | 'never' | 'revoked'

/** Two clocks further apart than this let deadlines of both hubs look wrong; at two minutes the link ends. */
export const CLOCK_OFF_S = 10

/** So many messages wait for a moment in any healthy link. */
const USUAL = 20

export const LINK_LOOK: Record<LinkStand, Look> = {
  up: { tone: 'green', shape: 'dot' },
  catching: { tone: 'sky', shape: 'half' },
  skewed: { tone: 'orange', shape: 'triangle' },
  clock: { tone: 'vermillion', shape: 'triangle' },
  down: { tone: 'vermillion', shape: 'cross' },
  never: { tone: 'grey', shape: 'ring' },
  revoked: { tone: 'grey', shape: 'bar' },
}

export function standOf(peering: PeeringView): LinkStand {
  if (peering.state === 'revoked') return 'revoked'
  if (!peering.up && peering.code === 'clock-off') return 'clock'
  if (!peering.up) return peering.came_up_at === null ? 'never' : 'down'
  if (Math.abs(peering.skew_s ?? 0) >= CLOCK_OFF_S) return 'skewed'
  return peering.waiting > USUAL ? 'catching' : 'up'
}

/** Since when the link is as it is. */
export function sinceOf(peering: PeeringView): string {
  const at = peering.up ? peering.came_up_at : peering.went_down_at
  return at ?? peering.paired_at
}

const TIER_ORDER = { city: 0, district: 1, street: 2 }

/** Those above first, then by name; revoked ones last. */
export function ordered(peerings: readonly PeeringView[]): PeeringView[] {
  const rank = (one: PeeringView): number =>
    (one.state === 'revoked' ? 20 : 0) + (one.relation === 'upper' ? 0 : 10) + TIER_ORDER[one.tier]
  return [...peerings].sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name, 'zh'))
}

/** Links that a desk must know to be broken: those that were up before, and those that wait for somebody to set a clock. */
export function brokenOf(peerings: readonly PeeringView[]): PeeringView[] {
  return peerings.filter((one) => ['down', 'clock'].includes(standOf(one)))
}

/** One outage of one link, by which a desk puts its banner away. */
export const outageOf = (peering: PeeringView): string => `${peering.peer} ${sinceOf(peering)}`

/** What people compare aloud when they check a key: its first signs in groups of four. */
export function fingerprint(key: string): string {
  return (key.slice(0, 16).match(/.{1,4}/g) ?? []).join(' ')
}

/** A span in words' units: which of them, and how many. */
export function spanOf(seconds: number): {
  unit: 'seconds' | 'minutes' | 'hours' | 'days'
  n: number
} {
  const whole = Math.max(0, Math.floor(seconds))
  if (whole < 60) return { unit: 'seconds', n: whole }
  if (whole < 3600) return { unit: 'minutes', n: Math.floor(whole / 60) }
  if (whole < 172_800) return { unit: 'hours', n: Math.floor(whole / 3600) }
  return { unit: 'days', n: Math.floor(whole / 86_400) }
}
