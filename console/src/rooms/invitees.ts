/** Who may be asked into a room, found by what was typed. Pure. */

import type { DeviceView, PhoneView, ResponderView } from '@/api/types'

export interface Invitee {
  /** What the invitation names. */
  to: string
  name: string
  more: string
}

export interface Known {
  responders: readonly ResponderView[]
  phones: readonly PhoneView[]
  devices: readonly DeviceView[]
  groups: readonly string[]
  unitName: (id: string | null) => string
  nameOf: (endpoint: string) => string
}

const MOST = 8
const CAN_MEET = /^(sip|tel|radio|cam|wecom|desk):/

function everybody(known: Known): Invitee[] {
  const people = known.responders.flatMap((one) =>
    one.endpoints
      .filter((endpoint) => CAN_MEET.test(endpoint))
      .map((endpoint) => ({
        to: endpoint,
        name: one.name,
        more: [endpoint, known.unitName(one.unit_id)].filter(Boolean).join(' · '),
      })),
  )
  const things = [
    ...known.phones.map((one) => ({ to: `sip:${one.name}`, name: one.display_name })),
    ...known.devices
      .filter((one) => one.kind !== 'sensor' && !one.revoked)
      .map((one) => ({
        to: `${one.kind === 'bodycam' ? 'cam' : 'radio'}:${one.id}`,
        name: one.name,
      })),
    ...known.groups.map((one) => ({ to: `radio:${one}`, name: known.nameOf(`radio:${one}`) })),
  ]
  const all = [...people, ...things.map((one) => ({ ...one, more: one.to }))]
  return [...new Map(all.map((one) => [one.to, one])).values()]
}

/** Those whose name, address or unit has all the words; at most eight, in the order of the address book. */
export function findInvitees(typed: string, known: Known): Invitee[] {
  const words = typed.toLowerCase().split(/\s+/).filter(Boolean)
  return everybody(known)
    .filter((one) => words.every((word) => `${one.name} ${one.more}`.toLowerCase().includes(word)))
    .slice(0, MOST)
}
