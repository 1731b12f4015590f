/** Dragging people onto calls. What is dragged is a list of endpoints, and the leg it came from, if any. */

const ENDPOINTS = 'application/x-commhub-endpoints'
const LEG = 'application/x-commhub-leg'

export interface Dragged {
  endpoints: string[]
  leg: { call: string; id: string } | null
}

export function startDrag(event: DragEvent, dragged: Dragged): void {
  const transfer = event.dataTransfer
  if (transfer === null) return
  transfer.effectAllowed = 'copyMove'
  transfer.setData(ENDPOINTS, JSON.stringify(dragged.endpoints))
  if (dragged.leg) transfer.setData(LEG, JSON.stringify(dragged.leg))
}

/** Whether what hovers is ours (the data itself cannot be read before the drop). */
export function isOurs(event: DragEvent): boolean {
  return event.dataTransfer?.types.includes(ENDPOINTS) ?? false
}

export function dropped(event: DragEvent): Dragged | null {
  const transfer = event.dataTransfer
  if (transfer === null || !isOurs(event)) return null
  const leg = transfer.getData(LEG)
  return {
    endpoints: JSON.parse(transfer.getData(ENDPOINTS)) as string[],
    leg: leg === '' ? null : (JSON.parse(leg) as Dragged['leg']),
  }
}
