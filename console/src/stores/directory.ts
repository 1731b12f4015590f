/** The address book: units, responders and endpoints, with presence from the live state. */

import { defineStore } from 'pinia'
import { computed, ref } from 'vue'

import { api, ask } from '@/api/client'
import type { EndpointView, ResponderView, UnitView } from '@/api/types'
import { useLive } from './live'
import { useTiers } from './tiers'

export interface Contact {
  endpoint: string
  name: string
  online: boolean | null
}

function keyed<T extends { id: string }>(items: T[]): Record<string, T> {
  return Object.fromEntries(items.map((item) => [item.id, item]))
}

/** `sip:1001` → `1001`; what is behind the scheme, without the hub. */
export function nameOfEndpoint(endpoint: string): string {
  return endpoint.slice(endpoint.indexOf(':') + 1)
}

export const useDirectory = defineStore('directory', () => {
  const live = useLive()
  const tiers = useTiers()
  const units = ref<UnitView[]>([])
  const responders = ref<ResponderView[]>([])
  const endpoints = ref<EndpointView[]>([])

  const unitById = computed(() => keyed(units.value))
  const responderById = computed(() => keyed(responders.value))
  const endpointByText = computed(() =>
    Object.fromEntries(endpoints.value.map((entry) => [entry.endpoint, entry])),
  )
  const groups = computed(() => {
    const names = Object.values(live.state.fleet).flatMap((device) => device.groups)
    return [...new Set(names)].sort()
  })

  async function load(): Promise<void> {
    const answers = await Promise.all([
      ask(api.GET('/directory/units')),
      ask(api.GET('/directory/responders')),
      ask(api.GET('/directory/endpoints')),
    ])
    ;[units.value, responders.value, endpoints.value] = answers
  }

  function unitName(id: string | null | undefined): string {
    return id ? (unitById.value[id]?.name ?? id) : ''
  }

  function responderName(id: string | null | undefined): string {
    return id ? (responderById.value[id]?.name ?? id) : ''
  }

  /** Whether an endpoint can be reached now. The live state knows first; the address book else. */
  function presence(endpoint: string): boolean | null {
    const shared = tiers.sharedByEndpoint[endpoint]
    if (shared) return shared.reachable
    const name = nameOfEndpoint(endpoint)
    const phone = endpoint.startsWith('sip:') ? live.state.phones[name] : undefined
    if (phone) return phone.online
    const device = /^(radio|cam):/.test(endpoint) ? live.state.fleet[name] : undefined
    if (device) return device.online
    if (endpoint.startsWith('radio:') && groups.value.includes(name)) {
      return Object.values(live.state.fleet).some((one) => one.online && one.groups.includes(name))
    }
    return endpointByText.value[endpoint]?.online ?? null
  }

  /** A person can be reached when any endpoint of theirs can. */
  function presenceOf(responder: ResponderView): boolean | null {
    const all = responder.endpoints.map(presence)
    if (all.includes(true)) return true
    return all.includes(false) ? false : null
  }

  /** Who is behind an endpoint, in words: the person, the device or the group. */
  function endpointName(endpoint: string): string {
    const shared = tiers.sharedByEndpoint[endpoint]
    if (shared) return shared.label
    const name = nameOfEndpoint(endpoint)
    const device = live.state.fleet[name]
    const phone = live.state.phones[name]
    if (endpoint.startsWith('sip:') && phone) return phone.display_name
    if (/^(radio|cam):/.test(endpoint) && device) return device.name
    if (endpoint.startsWith('radio:') && groups.value.includes(name)) return unitName(name)
    return endpointByText.value[endpoint]?.name ?? name
  }

  /** The person behind an endpoint, else the device or group. */
  function partyName(endpoint: string): string {
    return responderOf(endpoint)?.name ?? endpointName(endpoint)
  }

  /** A device by its name, with who carries it. */
  function deviceName(id: string): string {
    const device = live.state.fleet[id]
    if (device === undefined) return id
    const carrier = responderName(device.responder_id)
    return carrier ? `${device.name} (${carrier})` : device.name
  }

  /** The responder who carries or answers an endpoint. */
  function responderOf(endpoint: string): ResponderView | undefined {
    const listed = endpointByText.value[endpoint]?.responder_id
    if (listed) return responderById.value[listed]
    return responders.value.find((responder) => responder.endpoints.includes(endpoint))
  }

  /** The best way to speak with a responder: an endpoint that is there, phones and radios first. */
  function voiceOf(responder: ResponderView): string | undefined {
    const voices = responder.endpoints.filter((endpoint) => /^(sip|radio|tel):/.test(endpoint))
    return voices.find((endpoint) => presence(endpoint) === true) ?? voices[0]
  }

  return {
    units,
    responders,
    endpoints,
    unitById,
    responderById,
    groups,
    load,
    unitName,
    responderName,
    presence,
    presenceOf,
    endpointName,
    partyName,
    deviceName,
    responderOf,
    voiceOf,
  }
})
