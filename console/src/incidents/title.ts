/** What an incident is called on the desk. An SOS is called by who is in danger, not by what the device said. */

import { computed, type ComputedRef } from 'vue'
import { useI18n } from 'vue-i18n'

import type { IncidentView } from '@/api/types'
import { isSos } from '@/status'
import { useDirectory } from '@/stores/directory'
import { useLive } from '@/stores/live'

export function useTitles(): ComputedRef<(incident: IncidentView) => string> {
  const { t } = useI18n()
  const live = useLive()
  const directory = useDirectory()
  return computed(() => (incident) => {
    const [kind, id = ''] = (incident.reporter ?? '').split(':')
    const device = kind === 'device' ? live.state.fleet[id] : undefined
    if (!isSos(incident) || device === undefined) return incident.title
    const person = directory.responderName(device.responder_id)
    return person
      ? t('desk.sosOf', { person, device: device.name })
      : t('desk.sosOfDevice', { device: device.name })
  })
}
