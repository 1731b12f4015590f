/** What stands on the map now, from the live state. */

import { computed, type ComputedRef } from 'vue'

import type { PointView } from '@/api/types'
import { isSos } from '@/status'
import { useAlerts } from '@/stores/alerts'
import { useDirectory } from '@/stores/directory'
import { useLive } from '@/stores/live'
import { useSelection } from '@/stores/selection'

import type { Mark } from './hubMap'
import { deviceStyle, incidentStyle, responderStyle } from './marks'

export function useMarks(): ComputedRef<Mark[]> {
  const live = useLive()
  const directory = useDirectory()
  const selection = useSelection()
  const alerts = useAlerts()

  const incidents = computed<Mark[]>(() => {
    const waiting = new Set(alerts.alerts.map((alert) => alert.id))
    return live.incidents.flatMap((incident) =>
      incident.point === null
        ? []
        : [
            {
              id: incident.id,
              kind: 'incident' as const,
              point: incident.point,
              pulsing: isSos(incident) && waiting.has(incident.id),
              style: (palette, named) =>
                incidentStyle(incident, incident.id === selection.incidentId, palette, named),
            },
          ],
    )
  })

  const devices = computed<Mark[]>(() =>
    Object.values(live.state.fleet).flatMap((device) => {
      if (device.position === null || device.revoked) return []
      const name = device.responder_id ? directory.responderName(device.responder_id) : device.name
      return [
        {
          id: device.id,
          kind: 'device' as const,
          point: device.position.point,
          style: (palette, named) => deviceStyle(device, palette, named ? name : null),
        },
      ]
    }),
  )

  /** People whose place is known otherwise than by a device they carry. */
  const responders = computed<Mark[]>(() => {
    const carried = new Set(
      Object.values(live.state.fleet)
        .filter((device) => device.position !== null)
        .map((device) => device.responder_id),
    )
    return directory.responders.flatMap((responder) => {
      const point: PointView | undefined = responder.position?.point
      if (point === undefined || carried.has(responder.id)) return []
      return [
        {
          id: responder.id,
          kind: 'responder' as const,
          point,
          style: (palette, named) =>
            responderStyle(responder.on_duty, palette, named ? responder.name : null),
        },
      ]
    })
  })

  return computed(() => [...responders.value, ...devices.value, ...incidents.value])
}
