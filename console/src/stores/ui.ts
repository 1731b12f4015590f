/** What is open on the page, and what the panels ask of each other. */

import { defineStore } from 'pinia'
import { ref } from 'vue'

import type { PointView } from '@/api/types'

export interface MessageDraft {
  recipients: string[]
  incident?: string
}

export const useUi = defineStore('ui', () => {
  const palette = ref(false)
  const keys = ref(false)
  const report = ref(false)
  /** The choice between headset and desk phone. */
  const deskPhone = ref(false)
  const message = ref<MessageDraft | null>(null)
  const centre = ref<'map' | 'incident'>('map')
  /** The neighbouring hub's camera that is looked at over the map, by its address. */
  const remoteCamera = ref<string | null>(null)
  /** The new report waits for a click on the map. */
  const picking = ref(false)
  const pickedPoint = ref<PointView | null>(null)

  function lookAt(camera: string): void {
    remoteCamera.value = camera
    centre.value = 'map'
  }

  function startPicking(): void {
    picking.value = true
    centre.value = 'map'
  }

  function pick(point: PointView): void {
    pickedPoint.value = point
    picking.value = false
  }

  /** Close what is on top. Answers whether there was anything. */
  function closeTop(): boolean {
    for (const open of [palette, keys, deskPhone]) {
      if (open.value) {
        open.value = false
        return true
      }
    }
    if (picking.value) {
      picking.value = false
      return true
    }
    if (message.value !== null) {
      message.value = null
      return true
    }
    if (report.value) {
      report.value = false
      return true
    }
    return false
  }

  return {
    palette,
    keys,
    deskPhone,
    remoteCamera,
    lookAt,
    report,
    message,
    centre,
    picking,
    pickedPoint,
    startPicking,
    pick,
    closeTop,
  }
})
