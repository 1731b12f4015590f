/** Busy lamps: what an address is doing now, from the calls that go on. */

import type { CallView, LegView } from '@/api/types'

export type Lamp = 'idle' | 'ringing' | 'busy'

const TALKING: readonly string[] = ['connected', 'held']

function lampOf(leg: LegView): Lamp {
  if (TALKING.includes(leg.state)) return 'busy'
  return leg.state === 'ringing' || leg.state === 'calling' ? 'ringing' : 'idle'
}

/** The lamp of each address that is in a call; whoever talks is busy, wherever else they ring. */
export function lampsOf(calls: readonly CallView[]): Map<string, Lamp> {
  const lamps = new Map<string, Lamp>()
  for (const leg of calls.flatMap((call) => call.legs)) {
    const lamp = lampOf(leg)
    if (lamp === 'busy' || (lamp === 'ringing' && !lamps.has(leg.endpoint))) {
      lamps.set(leg.endpoint, lamp)
    }
  }
  return lamps
}
