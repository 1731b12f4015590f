/** The tree of the address book: units → responders → endpoints, then talk groups, then what nobody carries. */

import type { SharedView } from '@/api/tiers'
import type { DeviceView, PhoneView, ResponderView, UnitView } from '@/api/types'

export interface BookNode {
  key: string
  kind: 'unit' | 'responder' | 'endpoint' | 'section'
  label: string
  /** Words the search looks at, beside the label. */
  words: string
  endpoint?: string
  responder?: ResponderView
  children?: BookNode[]
}

export interface BookSource {
  units: readonly UnitView[]
  responders: readonly ResponderView[]
  devices: readonly DeviceView[]
  phones: readonly PhoneView[]
  groups: readonly string[]
  nameOf: (endpoint: string) => string
  /** What neighbouring hubs share, and what each of these is called. */
  shared: readonly SharedView[]
  hubName: (hub: string) => string
}

export interface BookWords {
  groups: string
  others: string
  sharedBy: (hub: string) => string
}

const SCHEME_OF_KIND: Record<DeviceView['kind'], string | null> = {
  bodycam: 'cam',
  radio: 'radio',
  sensor: null,
}

/** The endpoint of a device; a sensor has none, nobody can call it. */
export function endpointOfDevice(device: DeviceView): string | null {
  const scheme = SCHEME_OF_KIND[device.kind]
  return scheme === null ? null : `${scheme}:${device.id}`
}

function leaf(endpoint: string, source: BookSource, under: string): BookNode {
  const label = source.nameOf(endpoint)
  return { key: `${under} ${endpoint}`, kind: 'endpoint', label, words: endpoint, endpoint }
}

function person(responder: ResponderView, source: BookSource): BookNode {
  return {
    key: `responder ${responder.id}`,
    kind: 'responder',
    label: responder.name,
    words: [responder.id, ...responder.endpoints, ...responder.skills].join(' '),
    responder,
    children: responder.endpoints.map((endpoint) => leaf(endpoint, source, responder.id)),
  }
}

function others(source: BookSource): string[] {
  const carried = new Set(source.responders.flatMap((responder) => responder.endpoints))
  const phones = source.phones.map((phone) => `sip:${phone.name}`)
  const devices = source.devices.map(endpointOfDevice).filter((one) => one !== null)
  return [...phones, ...devices].filter((endpoint) => !carried.has(endpoint))
}

/** A section a hub; what has no address of its own, a department, is nobody to call. */
function neighbours(source: BookSource, words: BookWords): BookNode[] {
  const hubs = [...new Set(source.shared.map((one) => one.peer))]
  return hubs.map((hub) => ({
    key: `hub ${hub}`,
    kind: 'section',
    label: words.sharedBy(source.hubName(hub)),
    words: hub,
    children: source.shared.flatMap((one) =>
      one.peer === hub && one.endpoint !== null ? [leaf(one.endpoint, source, `hub ${hub}`)] : [],
    ),
  }))
}

/** The whole tree; empty sections are left out. */
export function treeOf(source: BookSource, words: BookWords): BookNode[] {
  const units = source.units.map<BookNode>((unit) => ({
    key: `unit ${unit.id}`,
    kind: 'unit',
    label: unit.name,
    words: `${unit.id} ${unit.team}`,
    children: source.responders
      .filter((responder) => responder.unit_id === unit.id)
      .map((responder) => person(responder, source)),
  }))
  const section = (key: string, label: string, endpoints: readonly string[]): BookNode => ({
    key,
    kind: 'section',
    label,
    words: '',
    children: endpoints.map((endpoint) => leaf(endpoint, source, key)),
  })
  const sections = [
    section(
      'groups',
      words.groups,
      source.groups.map((group) => `radio:${group}`),
    ),
    section('others', words.others, others(source)),
  ]
  return [
    ...sections.slice(0, 1),
    ...units,
    ...neighbours(source, words),
    ...sections.slice(1),
  ].filter((node) => (node.children?.length ?? 0) > 0)
}

/** Whether a node's own words hold all words of the search. */
export function isHit(node: BookNode, search: string): boolean {
  const hay = `${node.label} ${node.words}`.toLowerCase()
  return search
    .toLowerCase()
    .split(/\s+/)
    .every((word) => hay.includes(word))
}
