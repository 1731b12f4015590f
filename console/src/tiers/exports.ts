/** What of ours a neighbour may be let address. Pure. */

import type { Relation, ShareRight } from '@/api/tiers'
import type { DeviceView, PhoneView, ResponderView, UnitView } from '@/api/types'

export interface Exportable {
  subject: string
  label: string
}

export interface Ours {
  units: readonly UnitView[]
  responders: readonly ResponderView[]
  devices: readonly DeviceView[]
  phones: readonly PhoneView[]
  groups: readonly string[]
  nameOf: (endpoint: string) => string
}

const SCHEMES: Partial<Record<DeviceView['kind'], string>> = { bodycam: 'cam', radio: 'radio' }

/** All that is not shared yet: departments, talk groups, equipment, phones, people. */
export function exportable(ours: Ours, shared: readonly string[]): Exportable[] {
  const endpoint = (subject: string): Exportable => ({ subject, label: ours.nameOf(subject) })
  const all = [
    ...ours.units.map((one) => ({ subject: `unit:${one.id}`, label: one.name })),
    ...ours.groups.map((one) => endpoint(`radio:${one}`)),
    ...ours.devices.flatMap((one) => {
      const scheme = SCHEMES[one.kind]
      return scheme === undefined ? [] : [endpoint(`${scheme}:${one.id}`)]
    }),
    ...ours.phones.map((one) => endpoint(`sip:${one.name}`)),
    ...ours.responders.map((one) => ({ subject: `responder:${one.id}`, label: one.name })),
  ]
  return all.filter((one) => !shared.includes(one.subject))
}

/** An upper tier may command what a lower one shares, a lower never an upper's. */
export const rightsFor = (relation: Relation): ShareRight[] =>
  relation === 'upper' ? ['call', 'see', 'command'] : ['call', 'see']
